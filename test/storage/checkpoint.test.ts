import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import { writeFileHeader } from '../../src/storage/format.ts'
import type { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { Bench } from './support.ts'

/** The messages that the store takes for alive in a queue, found by scanning. */
async function scanned(bench: Bench, queue: number): Promise<number[]> {
  const found: number[] = []
  await bench.wait(
    new Promise<void>((resolve) => {
      bench.journal.scan(queue, 0, Number.MAX_SAFE_INTEGER, (lsn) => found.push(lsn), resolve)
    }),
  )
  return found
}

function checkpoints(bench: Bench): string[] {
  return bench.disk.paths().filter((path) => path.startsWith('checkpoint-'))
}

/** Journals until a checkpoint is due, and waits for it. */
async function untilCheckpoint(bench: Bench, keeper: BookKeeper): Promise<void> {
  const before = checkpoints(bench).at(-1)
  for (let i = 0; i < 200 && checkpoints(bench).at(-1) === before; i++) {
    keeper.publish(9, 'f'.repeat(2000))
    await bench.commit()
  }
  await bench.clock.advance(200)
  assert.notEqual(checkpoints(bench).at(-1), before, 'a checkpoint was written')
}

test('what is settled while a checkpoint is being written counts once after a restart', async () => {
  const bench = new Bench({ idleInterval: 1e9 }, { delay: { min: 1, max: 1 } })
  const keeper = await bench.open()
  const lsns = [1, 2, 3].map((i) => keeper.publish([1, 2], `message ${i}, held by two queues`))
  await bench.commit()
  const sections = keeper.snapshot.bind(keeper)
  keeper.snapshot = function* () {
    // After the replay point, before the store's own sections, which therefore have counted it.
    for (const lsn of lsns) keeper.settle(1, [lsn])
    keeper.commit(bench.journal)
    yield* sections()
  }
  await untilCheckpoint(bench, keeper)
  await bench.crash()
  assert.ok(bench.report.operationsReplayed > 0)
  for (const lsn of lsns) assert.deepEqual([...bench.keeper.held.get(lsn)!], [2])
  assert.deepEqual(await scanned(bench, 2), lsns, 'the store still holds them for the other queue')
})

test('what the last snapshot commits while the journal closes is there after the restart', async () => {
  const bench = new Bench({}, { delay: { min: 1, max: 1 } })
  const keeper = await bench.open()
  keeper.publish(1, 'before')
  await bench.commit()
  const sections = keeper.snapshot.bind(keeper)
  let late = 0
  keeper.snapshot = function* () {
    late = keeper.publish(1, 'late')
    keeper.commit(bench.journal)
    yield* sections()
  }
  await bench.close()
  await bench.open()
  assert.ok(late > 0, 'closing took a snapshot')
  assert.equal(await bench.payload(1, late), 'late')
})

test('a checkpoint comes also when many messages have left and little was written', async () => {
  const bench = new Bench({ checkpointBytes: 2 ** 24, segmentBytes: 2 ** 24, checkpointSettlements: 1_000 })
  const keeper = await bench.open()
  const lsns = Array.from({ length: 1_500 }, () => keeper.publish(1, 'x'))
  await bench.commit()
  for (const [from, to] of [
    [0, 900],
    [900, 1_100],
  ] as const) {
    assert.equal(checkpoints(bench).length, 0)
    keeper.settle(1, lsns.slice(from, to))
    await bench.commit()
    await bench.clock.advance(50)
  }
  assert.equal(checkpoints(bench).length, 1)
  await bench.crash()
  assert.ok(bench.report.operationsReplayed < 10, `${bench.report.operationsReplayed} operations replayed`)
  assert.equal(bench.keeper.held.size, 400)
})

test('the two newest checkpoints are kept, and a damaged newest one costs nothing', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  const lsns: number[] = []
  for (let i = 0; i < 4; i++) {
    lsns.push(keeper.publish(1, `message ${i}`))
    await untilCheckpoint(bench, keeper)
    const fillers = [...keeper.held.keys()].filter((lsn) => !lsns.includes(lsn))
    keeper.settle(9, fillers.slice(0, fillers.length - 1))
    await bench.commit()
    await bench.clock.advance(20_000)
  }
  const [older, newest] = checkpoints(bench)
  assert.equal(checkpoints(bench).length, 2, `${older} and ${newest}`)
  const content = bench.disk.content(newest!)
  content[Math.floor(content.length / 2)]! ^= 4
  bench.disk.place(newest!, content)
  const held = new Map(keeper.held)
  await bench.crash()
  assert.deepEqual(sortedByLsn(bench.keeper.held), sortedByLsn(held))
  assert.deepEqual(
    bench.report.quarantined.map(({ file }) => file),
    [newest],
  )
  assert.deepEqual(bench.keeper.losses, [])
  assert.deepEqual(
    await bench.payloads(1, lsns),
    lsns.map((_, i) => `message ${i}`),
  )
  await bench.close()
  await bench.open()
  assert.deepEqual(bench.report.quarantined, [], 'the damaged one has been replaced')
  assert.deepEqual(sortedByLsn(bench.keeper.held), sortedByLsn(held))
})

test('without any checkpoint everything in the files is found, clusters included', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const lsns: number[] = []
  for (let i = 0; i < 300; i++) {
    const lsn = keeper.publish(1 + (i % 5), `message ${i} ${'x'.repeat(200)}`)
    if (i % 10 === 0) lsns.push(lsn)
    if (i % 20 === 19) await bench.commit()
  }
  for (let queue = 1; queue <= 5; queue++) {
    const mine = [...keeper.held].filter(([lsn, queues]) => queues.has(queue) && !lsns.includes(lsn))
    keeper.settle(
      queue,
      mine.map(([lsn]) => lsn),
    )
  }
  await bench.commit()
  await bench.clock.advance(5_000)
  assert.ok(
    bench.disk.paths().some((path) => path.endsWith('.cluster')),
    'survivors were moved to a cluster',
  )
  for (const path of checkpoints(bench)) bench.disk.take(path)
  const after = await bench.crash()
  for (const [i, lsn] of lsns.entries()) {
    const queue = 1 + ((i * 10) % 5)
    assert.ok(after.held.has(lsn), `message ${lsn} is found`)
    assert.equal(await bench.payload(queue, lsn), `message ${i * 10} ${'x'.repeat(200)}`)
  }
  await bench.close()
})

test('before the first checkpoint a cluster is a leftover: what it was made from says more', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  await bench.clock.advance(5)
  bench.disk.faults.only = (path) => path === 'checkpoint.draft'
  bench.disk.faults.writeError = 1
  for (let i = 0; i < 100; i++) {
    keeper.publish(1, `message ${i} ${'x'.repeat(200)}`)
    if (i % 10 === 9) await bench.commit()
  }
  // The settlements lie among the messages, in segments that are compacted too.
  for (let i = 0; i < 3; i++) {
    for (const lsn of [...keeper.held.keys()].filter((_, j) => j % 3 !== 0)) keeper.settle(1, [lsn])
    await bench.commit()
    for (let j = 0; j < 40; j++) keeper.publish(2, 'y'.repeat(200))
    await bench.commit()
    await bench.clock.advance(200)
  }
  assert.ok(bench.disk.paths().some((path) => path.endsWith('.cluster')))
  assert.deepEqual(checkpoints(bench), [])
  const held = sortedByLsn(keeper.held)
  await bench.kill()
  assert.deepEqual(sortedByLsn(bench.keeper.held), held)
})

test('a draft of a checkpoint that was not finished is not one', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  const lsn = keeper.publish(1, 'a')
  await bench.commit()
  bench.disk.place('checkpoint.draft', Buffer.from('half of a checkpoint'))
  await bench.crash()
  assert.ok(bench.keeper.held.has(lsn))
  assert.ok(!bench.disk.paths().includes('checkpoint.draft'))
})

test('a directory of a newer format is refused, named, and left as it is', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  keeper.publish(1, 'a')
  await bench.commit()
  await bench.close()
  const header = writeFileHeader({ kind: 1, epoch: 1, number: 7, lsn: 0 })
  const newer = Buffer.from(header)
  newer.writeUInt32LE(2, 8)
  // The checksum of a header stays where it is in every version.
  newer.writeUInt32LE(crc32(newer.subarray(0, 60)), 60)
  bench.disk.place('journal/0000000007.segment', newer)
  const before = bench.disk.paths().map((path) => [path, bench.disk.content(path).toString('hex')])
  await assert.rejects(bench.open(), { code: 'journal-newer', message: /0000000007\.segment.*format 2/ })
  assert.deepEqual(
    bench.disk.paths().map((path) => [path, bench.disk.content(path).toString('hex')]),
    before,
  )
})

test('a checkpoint that does not fit on the disk is given up and written later', async () => {
  const bench = new Bench({ reserveBytes: 1024 }, {})
  const keeper = await bench.open()
  await bench.clock.advance(10)
  bench.disk.faults.only = (path) => path === 'checkpoint.draft'
  bench.disk.faults.writeError = 1
  const lsns: number[] = []
  for (let i = 0; i < 60; i++) {
    lsns.push(keeper.publish(1, 'x'.repeat(2000)))
    await bench.commit()
  }
  await bench.clock.advance(5_000)
  assert.equal(keeper.failure, undefined)
  assert.deepEqual(checkpoints(bench), [])
  bench.disk.faults.writeError = 0
  await bench.clock.advance(5_000)
  assert.equal(checkpoints(bench).length >= 1, true)
  await bench.crash()
  assert.equal(bench.keeper.held.size, lsns.length)
})

function sortedByLsn(held: ReadonlyMap<number, ReadonlySet<number>>): [number, number[]][] {
  return [...held].map(([lsn, queues]): [number, number[]] => [lsn, [...queues]]).sort(([a], [b]) => a - b)
}
