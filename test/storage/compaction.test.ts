import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { Bench } from './support.ts'

/** Bytes of segment and cluster files. */
function journalBytes(bench: Bench): number {
  return bench.disk
    .paths()
    .filter((path) => path.startsWith('journal/'))
    .reduce((sum, path) => sum + bench.disk.content(path).length, 0)
}

function settleAll(bench: Bench, keeper: BookKeeper, except: ReadonlySet<number>): void {
  for (const [lsn, queues] of [...keeper.held]) {
    if (!except.has(lsn)) for (const queue of [...queues]) keeper.settle(queue, [lsn])
  }
  keeper.commit(bench.journal)
}

test('pain 1: one unsettled message pins its own bytes and no file', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const kept = new Set<number>()
  for (let i = 0; i < 40; i++) {
    for (let j = 0; j < 30; j++) {
      const lsn = keeper.publish(1 + (j % 3), `message ${i} ${j} ${'x'.repeat(200)}`)
      if (i === 3 && j === 7) kept.add(lsn)
    }
    await bench.commit()
  }
  const before = journalBytes(bench)
  settleAll(bench, keeper, kept)
  await bench.clock.advance(5_000)
  assert.ok(before > 30 * 8 * 1024)
  assert.ok(journalBytes(bench) < 2 * 1024 + 8 * 1024, `${journalBytes(bench)} bytes are left of ${before}`)
  assert.equal(await bench.payload(2, [...kept][0]!), `message 3 7 ${'x'.repeat(200)}`)
  await bench.crash()
  assert.deepEqual([...bench.keeper.held.keys()], [...kept])
  assert.equal(await bench.payload(2, [...kept][0]!), `message 3 7 ${'x'.repeat(200)}`)
})

test('a survivor smaller than the headers around it is moved once, and then the journal rests', async () => {
  const bench = new Bench({ idleInterval: 5 }, { delay: { min: 1, max: 5 } })
  const keeper = await bench.open()
  const kept = keeper.publish(1, 'small')
  for (let i = 0; i < 200; i++) keeper.publish(2, 'x'.repeat(200))
  await bench.commit()
  settleAll(bench, keeper, new Set([kept]))
  await bench.clock.advance(5_000)
  const files = bench.disk.paths()
  await bench.clock.advance(5_000)
  assert.deepEqual(bench.disk.paths(), files)
  assert.equal(bench.clock.nextAt(), Number.POSITIVE_INFINITY, 'no timer is left')
})

test('pain 2: an old message in every segment costs as much as the messages do', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const kept = new Set<number>()
  for (let i = 0; i < 60; i++) {
    for (let j = 0; j < 30; j++) {
      const lsn = keeper.publish(1, `${i} ${'x'.repeat(250)}`)
      if (j === 15) kept.add(lsn)
    }
    await bench.commit()
    settleAll(bench, keeper, kept)
    await bench.clock.advance(100)
  }
  await bench.clock.advance(5_000)
  const { liveBytes } = bench.journal.status()
  assert.equal(kept.size, 60)
  assert.ok(journalBytes(bench) < liveBytes * 2 + 8 * 1024, `${journalBytes(bench)} bytes for ${liveBytes}`)
  assert.deepEqual(
    await bench.payloads(1, [...kept]),
    [...kept].map((_, i) => `${i} ${'x'.repeat(250)}`),
  )
})

test('pain 3: an idle, empty journal gives everything back, its active segment too', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  for (let i = 0; i < 20; i++) keeper.publish(1, 'x'.repeat(250))
  await bench.commit()
  settleAll(bench, keeper, new Set())
  await bench.clock.advance(5_000)
  assert.equal(journalBytes(bench), 0)
  assert.equal(bench.clock.nextAt(), Number.POSITIVE_INFINITY, 'and has no timer left')
})

test('settlements, redelivery states and topology never pin a file', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const lsn = keeper.publish(1, 'the only message')
  await bench.commit()
  for (let i = 0; i < 300; i++) {
    keeper.meta('m'.repeat(200))
    await bench.commit()
  }
  await bench.clock.advance(5_000)
  assert.ok(journalBytes(bench) < 9 * 1024)
  assert.equal(await bench.payload(1, lsn), 'the only message')
})

test('a large dead message among small live ones is given back', async () => {
  const bench = new Bench({ idleInterval: 20, segmentBytes: 64 * 1024 })
  const keeper = await bench.open()
  const kept = new Set<number>()
  for (let i = 0; i < 8; i++) {
    for (let j = 0; j < 100; j++) kept.add(keeper.publish(1, `small ${j}`))
    keeper.publish(2, 'L'.repeat(60_000))
    await bench.commit()
  }
  settleAll(bench, keeper, kept)
  await bench.clock.advance(5_000)
  const { liveBytes } = bench.journal.status()
  assert.ok(journalBytes(bench) < liveBytes * 2 + 66 * 1024, `${journalBytes(bench)} bytes for ${liveBytes}`)
})

test('a deep queue that was interleaved with others is read in sequence once somebody reads it', async () => {
  const queues = 50
  const bench = new Bench({
    idleInterval: 20,
    segmentBytes: 256 * 1024,
    cacheBytes: 256 * 1024,
    compactionBytes: 4 * 1024 * 1024,
    checkpointBytes: 1024 * 1024,
  })
  const keeper = await bench.open()
  const lsns: number[][] = Array.from({ length: queues }, () => [])
  for (let i = 0; i < 200; i++) {
    for (let queue = 1; queue <= queues; queue++) {
      lsns[queue - 1]!.push(keeper.publish(queue, `${queue}:${i} ${'x'.repeat(200)}`))
    }
    await bench.commit()
  }
  await bench.close()
  await bench.open()
  const before = await readsOf(bench, 7, lsns[6]!)
  // A journal that is at work finds out what its readers suffer from.
  for (let i = 0; i < 10; i++) {
    bench.keeper.meta('work')
    await bench.commit()
    await bench.clock.advance(100)
  }
  assert.ok(
    bench.disk.paths().some((path) => path.endsWith('.cluster')),
    'segments were put in order',
  )
  const after = await readsOf(bench, 8, lsns[7]!)
  assert.ok(before > 20, `${before} reads of interleaved segments`)
  assert.ok(after <= before / 5, `${after} reads in runs instead of ${before}`)
})

/** Reads of the disk that a queue takes, a few messages at a time. */
async function readsOf(bench: Bench, queue: number, lsns: readonly number[]): Promise<number> {
  const before = bench.disk.calls.read
  for (let i = 0; i < lsns.length; i += 10) {
    const part = lsns.slice(i, i + 10)
    const payloads = await bench.payloads(queue, part)
    assert.deepEqual(
      payloads,
      part.map((_, j) => `${queue}:${i + j} ${'x'.repeat(200)}`),
    )
  }
  return bench.disk.calls.read - before
}

test('damage found while survivors are moved is quarantined, and its messages are reported, not dropped', async () => {
  const bench = new Bench({ idleInterval: 20, cacheBytes: 1 })
  const keeper = await bench.open()
  const kept = new Set<number>()
  for (let j = 0; j < 40; j++) {
    const lsn = keeper.publish(1, `message ${j} ${'x'.repeat(250)}`)
    if (j % 10 === 0) kept.add(lsn)
    await bench.commit()
  }
  const path = 'journal/0000000001.segment'
  const content = bench.disk.content(path)
  content[200]! ^= 1
  // Under the journal's feet: its open files see it.
  bench.disk.files.get(path)!.write(content, 0)
  settleAll(bench, keeper, kept)
  await bench.clock.advance(5_000)
  assert.equal(bench.journal.status().quarantined, 1)
  const [first, ...others] = [...kept]
  const damaged = await bench.wait(
    new Promise<readonly number[]>((resolve) => bench.journal.load(1, [...kept], resolve)),
  )
  assert.deepEqual(damaged, [first])
  for (const lsn of others) assert.ok(await bench.payload(1, lsn))
})

test('chunks outlive the compaction of their segment, as long as a message lists them', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const chunks = [keeper.chunk('first '.repeat(100)), keeper.chunk('second '.repeat(100))]
  const body = keeper.publish([1, 2], '', { chunks })
  for (let i = 0; i < 100; i++) keeper.publish(1, 'x'.repeat(300))
  await bench.commit()
  settleAll(bench, keeper, new Set([body]))
  await bench.clock.advance(5_000)
  await bench.crash()
  assert.equal(await bench.chunk(chunks[1]!), 'second '.repeat(100))
  const letter = bench.keeper.publish(3, '', { chunks, replaces: [1, body] })
  bench.keeper.settle(2, [body])
  await bench.commit()
  await bench.clock.advance(5_000)
  await bench.crash()
  assert.equal(await bench.chunk(chunks[0]!), 'first '.repeat(100))
  bench.keeper.settle(3, [letter])
  await bench.commit()
  await bench.clock.advance(5_000)
  assert.equal(bench.journal.status().liveBytes, 0)
  await bench.close()
  assert.ok(journalBytes(bench) < 1024)
})

test('chunks that no message lists live until the process ends, and no longer', async () => {
  const bench = new Bench({ idleInterval: 20 })
  const keeper = await bench.open()
  const chunk = keeper.chunk('being streamed '.repeat(50))
  for (let i = 0; i < 100; i++) keeper.publish(1, 'x'.repeat(300))
  await bench.commit()
  settleAll(bench, keeper, new Set())
  await bench.clock.advance(5_000)
  assert.equal(await bench.chunk(chunk), 'being streamed '.repeat(50))
  await bench.crash()
  assert.equal(bench.journal.status().liveBytes, 0)
})
