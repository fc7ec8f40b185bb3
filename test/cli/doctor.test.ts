import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { globSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { crc32 } from 'node:zlib'
import { documents, Shell } from './support.ts'

suite('doctor', { concurrency: 2 }, () => {
  test('a sound journal: exit code 0, and each file names the messages and queues that keep it', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'orders', 'a', 'b')
    await shell.ok('send', 'mail', 'c')
    const ids = documents(await shell.ok('browse', 'orders', '--json')).map(({ id }) => id)
    const text = await shell.ok('doctor')
    assert.match(text, /\n {2}3 messages in \d files? of /)
    assert.match(text, new RegExp(`segment: .* alive in 2 messages, kept by ${ids.join(', ')} in orders\n`))
    assert.match(text, /segment: .* alive in 1 message, kept by \d+ in mail\n/)
    assert.match(text, /\nNo damage, and nothing in quarantine\.\n$/)
    assert.equal(
      (await shell.here('doctor', join(shell.folder, 'millrace-data'))).stdout,
      text,
      'by its name',
    )
  })

  test('changes nothing', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a')
    const before = fingerprint(shell)
    assert.equal((await shell.here('doctor', shell.at)).code, 0)
    assert.equal(fingerprint(shell), before)
  })

  test('a directory without a journal is sound and empty, and stays empty', async (t) => {
    const shell = new Shell(t)
    mkdirSync(join(shell.folder, 'empty'))
    const { code, stdout } = await shell.here('doctor', join(shell.folder, 'empty'))
    assert.equal(code, 0)
    assert.match(stdout, /0 messages in 0 files/)
    assert.deepEqual(globSync('empty/*', { cwd: shell.folder }), [])
  })

  test('a broker that is running: the error names its process', async (t) => {
    const shell = new Shell(t)
    const owner = shell.start('receive', 'q', '--follow')
    await owner.started()
    const { code, stderr } = await shell.run('doctor')
    assert.equal(code, 1)
    assert.match(stderr, new RegExp(`^millrace: directory-locked: .* process ${owner.child.pid}\\b`))
    owner.child.kill('SIGINT')
    await owner.ended
  })

  test('a flipped bit: found with exit code 4; the next start quarantines it, and doctor lists that', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'precious')
    // Another start seals the segment, so that the damage cannot be taken for a torn end.
    await shell.ok('send', 'q', 'later')
    const segment = segmentsOf(shell)[0]!
    const bytes = readFileSync(segment)
    const at = bytes.indexOf('precious')
    bytes[at]! ^= 1
    writeFileSync(segment, bytes)

    const found = await shell.run('doctor')
    assert.equal(found.code, 4)
    assert.match(found.stdout, /DAMAGE {2}journal\/\d+\.segment, \d+ bytes at \d+: /)
    const { healthy } = JSON.parse((await shell.here('doctor', '--json', shell.at)).stdout)
    assert.equal(healthy, false)

    assert.equal(await shell.ok('receive', 'q'), 'later\n', 'the rest is there')
    const kept = await shell.here('doctor', shell.at)
    assert.equal(kept.code, 4)
    assert.match(
      kept.stdout,
      /QUARANTINE {2}\d+ bytes of journal\/\d+\.segment at \d+: .*; kept as quarantine\//,
    )
    const { quarantine } = JSON.parse((await shell.here('doctor', '--json', shell.at)).stdout)
    assert(readFileSync(join(shell.folder, 'millrace-data', quarantine[0].keptAs)).includes('qrecious'))
  })

  test('a damaged declaration: the start says where the messages are, and doctor does so before and after', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'declared with the queue')
    await shell.ok('send', 'q', 'a', 'b')
    const checkpoints = globSync('millrace-data/checkpoint*', { cwd: shell.folder })
    assert(checkpoints.length > 0)
    for (const path of checkpoints) rmSync(join(shell.folder, path))
    const segment = segmentsOf(shell)[0]!
    const bytes = readFileSync(segment)
    const at = bytes.indexOf('"op":"queue"')
    bytes[at]! ^= 1
    writeFileSync(segment, bytes)

    const recovered = [{ name: 'millrace.recovered.2', messages: 2 }]
    const found = await shell.here('doctor', '--json', shell.at)
    assert.deepEqual(JSON.parse(found.stdout).recoveredQueues, recovered)
    const { stderr } = await shell.run('queues')
    assert.match(
      stderr,
      /declaration of a queue is damaged; its messages, 2, are in the queue millrace\.recovered\.2\n/,
    )
    const text = (await shell.here('doctor', shell.at)).stdout
    assert.match(
      text,
      /\nRECOVERED {2}millrace\.recovered\.2, 2 messages of a queue whose declaration was damaged\n/,
    )
    assert.equal(await shell.ok('receive', 'millrace.recovered.2', '--count', '2'), 'a\nb\n')
    const after = await shell.here('doctor', '--json', shell.at)
    assert.deepEqual(JSON.parse(after.stdout).recoveredQueues, [])
  })

  test('a damaged checkpoint: found, and nothing is lost by it', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a')
    for (const path of globSync('millrace-data/checkpoint-*', { cwd: shell.folder })) {
      truncateSync(join(shell.folder, path), 100)
    }
    const { code, stdout } = await shell.here('doctor', shell.at)
    assert.equal(code, 4)
    assert.match(stdout, /checkpoint-\d+: .* DAMAGED\n/)
    assert.equal(await shell.ok('receive', 'q'), 'a\n')
  })

  test('random and truncated files: a report, never a crash', async (t) => {
    const seed = Number(process.env['SEED'] ?? Date.now() % 1e9)
    t.diagnostic(`SEED=${seed}`)
    const shell = new Shell(t)
    await shell.feed('some line\n'.repeat(500), 'send', 'q')
    const whole = readFileSync(segmentsOf(shell)[0]!)
    for (let round = 0; round < 6; round++) {
      const noise = (part: number) => noiseOf(`${seed}/${round}/${part}`)
      writeFileSync(
        segmentsOf(shell)[0]!,
        round % 2 ? noise(0) : whole.subarray(0, noise(1).readUInt32LE() % whole.length),
      )
      writeFileSync(join(shell.folder, 'millrace-data/journal/0000000009.segment'), noise(2))
      writeFileSync(join(shell.folder, 'millrace-data/checkpoint-0000000009'), noise(3))
      mkdirSync(join(shell.folder, 'millrace-data/quarantine'), { recursive: true })
      writeFileSync(join(shell.folder, 'millrace-data/quarantine/x.json'), noise(4))
      const { code, stdout, stderr } = await shell.here('doctor', '--json', shell.at)
      assert.deepEqual({ code, stderr }, { code: 4, stderr: '' }, `SEED=${seed}, round ${round}`)
      assert.equal(JSON.parse(stdout).healthy, false)
    }
    rmSync(join(shell.folder, 'millrace-data'), { recursive: true })
  })

  test('a directory of a newer format: says so, exit code 1', async (t) => {
    const shell = new Shell(t)
    await shell.ok('send', 'q', 'a')
    const segment = segmentsOf(shell)[0]!
    const bytes = readFileSync(segment)
    bytes.writeUInt32LE(9, 8)
    bytes.writeUInt32LE(crc32(bytes.subarray(0, 60)), 60)
    writeFileSync(segment, bytes)
    const before = fingerprint(shell)
    for (const command of [['doctor'], ['send', 'q', 'b']]) {
      const { code, stderr } = await shell.here(...command, shell.at)
      assert.equal(code, 1)
      assert.match(stderr, /^millrace: journal-newer: .*nothing was changed\n$/)
    }
    assert.equal(fingerprint(shell), before)
  })
})

function segmentsOf(shell: Shell): string[] {
  return globSync('millrace-data/journal/*.segment', { cwd: shell.folder })
    .sort()
    .map((path) => join(shell.folder, path))
}

function fingerprint(shell: Shell): string {
  const hash = createHash('sha256')
  for (const path of globSync('millrace-data/**/*', { cwd: shell.folder }).sort()) {
    hash.update(path)
    if (!path.endsWith('journal')) hash.update(readFileSync(join(shell.folder, path)))
  }
  return hash.digest('hex')
}

/** 4 KiB that follow from the text. */
function noiseOf(text: string): Buffer {
  const blocks = Array.from({ length: 128 }, (_, index) =>
    createHash('sha256').update(`${text}/${index}`).digest(),
  )
  return Buffer.concat(blocks)
}
