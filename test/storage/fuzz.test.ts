import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Inspector } from '../../src/storage/inspect.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { Bench, passUntil, seed } from './support.ts'

const names = [
  'journal/0000000001.segment',
  'journal/0000000002.segment',
  'journal/0000000003.cluster',
  'journal/0000000004.segment',
  'checkpoint-0000000001',
  'checkpoint-0000000002',
  'pages',
  'reserve',
  'quarantine/x.json',
]

/** Bytes that look a little like ours: random, with magics and lengths strewn in. */
function garbage(random: SeededRandom, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(Math.floor(random.next() * 2 ** 32), i)
  const magics = [0x3146524d, 0x3153524d]
  for (let i = random.between(0, 30); i > 0 && size > 64; i--) {
    const at = random.between(0, (size - 16) >> 3) * 8
    bytes.writeUInt32LE(random.pick(magics), at)
    if (random.chance(0.5))
      bytes.writeUInt32LE(random.pick([0, 16, 1000, size, 0x00ffffff, 0xffffffff]), at + 8)
  }
  if (random.chance(0.3)) Buffer.from('MILLRACE').copy(bytes)
  return bytes
}

async function inspect(bench: Bench) {
  return passUntil(bench.clock, new Inspector(bench.disk.mount()).inspect())
}

test('files of garbage: inspection and start report, and neither crashes', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  for (let from = seed; from < seed + 30; from++) {
    const bench = new Bench({}, {}, from)
    for (const name of names) {
      if (bench.random.chance(0.6))
        bench.disk.place(name, garbage(bench.random, bench.random.between(0, 20_000)))
    }
    const before = bench.disk.paths().map((path) => bench.disk.content(path).toString('latin1'))
    const report = await inspect(bench)
    assert.deepEqual(
      bench.disk.paths().map((path) => bench.disk.content(path).toString('latin1')),
      before,
      'an inspection changes nothing',
    )
    assert.equal(
      report.segments.every(({ liveMessages }) => liveMessages === 0),
      true,
      `SEED=${from}`,
    )
    const keeper = await bench.open()
    const lsn = keeper.publish(1, 'a start is a start')
    await bench.commit()
    await bench.crash()
    assert.equal(await bench.payload(1, lsn), 'a start is a start', `SEED=${from}`)
    await bench.close()
  }
})

test('files cut short anywhere: what is whole is found, and neither crashes', async (t) => {
  t.diagnostic(`SEED=${seed}`)
  for (let from = seed; from < seed + 30; from++) {
    const bench = new Bench({ idleInterval: 20 }, {}, from)
    const keeper = await bench.open()
    for (let i = 0; i < 80; i++) {
      keeper.publish(1 + (i % 3), `message ${i} ${'x'.repeat(bench.random.between(0, 500))}`)
      if (i % 4 === 0) await bench.commit()
    }
    keeper.settle(
      1,
      [...keeper.held].filter(([, queues]) => queues.has(1)).map(([lsn]) => lsn),
    )
    await bench.commit()
    if (from % 2 === 0) await bench.clock.advance(2_000)
    bench.disk.kill()
    bench.clock.clear()
    const path = bench.random.pick(bench.disk.paths())
    const content = bench.disk.content(path)
    bench.disk.place(path, content.subarray(0, bench.random.between(0, content.length)))
    await inspect(bench)
    await bench.open()
    for (const [lsn, queues] of bench.keeper.held) await bench.payload([...queues][0]!, lsn)
    await bench.close()
    await inspect(bench)
  }
})

test('a large file of garbage is read in bounded memory', async () => {
  const limit = 64 * 1024 * 1024
  const bench = new Bench()
  const random = new SeededRandom(seed)
  const piece = garbage(random, 1024 * 1024)
  const large = Buffer.concat(Array.from({ length: 16 }, () => piece))
  for (const name of names.slice(0, 2)) bench.disk.place(name, large)
  bench.disk.place('checkpoint-0000000001', large)
  const collect = garbageCollector()
  const used = (): number => process.memoryUsage().external + process.memoryUsage().heapUsed
  collect()
  const before = used()
  let most = 0
  bench.disk.observer = () => {
    // What nobody holds any more does not count, however long the engine of JavaScript puts off collecting it.
    if (used() - before > limit) collect()
    most = Math.max(most, used() - before)
  }
  const report = await inspect(bench)
  assert.ok(report.damage.length > 0)
  assert.ok(most < limit, `grew by ${most >> 20} MiB`)
})

test('an inspection says what keeps a file, and how much of it', async () => {
  const bench = new Bench({ compaction: false, cacheBytes: 1 })
  const keeper = await bench.open()
  const lsns: number[] = []
  for (let i = 0; i < 60; i++) {
    lsns.push(keeper.publish(i === 9 ? [4, 5] : 1, 'x'.repeat(300)))
    if (i % 10 === 9) await bench.commit()
  }
  keeper.settle(
    1,
    lsns.filter((_, i) => i !== 9 && i !== 40),
  )
  await bench.commit()
  await bench.close()
  const report = await inspect(bench)
  const kept = report.segments.filter(({ liveMessages }) => liveMessages > 0)
  assert.deepEqual(
    kept.map(({ keptBy }) => keptBy.map(({ lsn, queues }) => [lsn, queues])),
    [[[lsns[9], [4, 5]]], [[lsns[40], [1]]]],
  )
  assert.equal(
    report.segments.reduce((sum, { operations }) => sum + operations, 0),
    61,
  )
  assert.deepEqual(report.damage, [])
  assert.deepEqual(
    report.checkpoints.map(({ whole }) => whole),
    [true],
  )
  const found: [number, boolean][] = []
  const walk = async () => {
    for await (const one of new Inspector(bench.disk.mount()).publications()) found.push([one.lsn, one.alive])
  }
  await passUntil(bench.clock, walk())
  assert.deepEqual(
    found,
    lsns.map((lsn, i) => [lsn, i === 9 || i === 40]),
  )
})

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
