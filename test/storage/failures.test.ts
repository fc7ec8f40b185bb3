import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Bench } from './support.ts'

test('promise 5: the first failed sync ends it: told once, nothing confirmed any more, nothing written', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  const good = keeper.publish(1, 'good')
  await bench.commit()
  let failures = 0
  const failed = keeper.failed.bind(keeper)
  keeper.failed = (error) => {
    failures++
    failed(error)
  }
  bench.disk.faults.syncError = 1
  keeper.publish(1, 'doomed')
  await bench.commit()
  bench.disk.faults.syncError = 0
  const writes = bench.disk.calls.write
  for (let i = 0; i < 5; i++) {
    keeper.publish(1, 'later')
    await bench.commit()
    await bench.clock.advance(5_000)
  }
  assert.equal(keeper.failure?.code, 'journal-failed')
  assert.equal(failures, 1)
  assert.equal(keeper.durableLsn, good)
  assert.equal(bench.journal.status().durableLsn, good)
  assert.equal(bench.disk.calls.write, writes, 'the segment is poisoned')
  assert.equal(await bench.payload(1, good), 'good', 'reads go on')
  await bench.close()
})

test('a write that fails for another reason than a full disk ends it too', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  bench.disk.faults.writeError = 1
  keeper.publish(1, 'a')
  await bench.commit()
  assert.equal(keeper.failure?.code, 'journal-failed')
  assert.equal(keeper.durableLsn, 0)
  assert.equal(keeper.writtenLsn, 0)
})

test('what a failed sync left in the page cache is durable after a restart, even through a power cut', async () => {
  for (let from = 0; from < 20; from++) {
    const bench = new Bench({}, {}, from)
    const keeper = await bench.open()
    bench.disk.faults.syncError = 1
    const lsn = keeper.publish(1, 'in the page cache only')
    await bench.commit()
    bench.disk.faults.syncError = 0
    await bench.kill()
    assert.ok(bench.keeper.held.has(lsn), 'the page cache has it, so the start finds it')
    // From here on somebody may have acted on it.
    await bench.crash()
    assert.ok(bench.keeper.held.has(lsn), `lost with the power, SEED=${from}`)
  }
})

test('promise 6: a full disk refuses publishes and nothing else, and they come back with room', async () => {
  const bench = new Bench({ reserveBytes: 16 * 1024, segmentBytes: 16 * 1024, idleInterval: 100 })
  const keeper = await bench.open()
  await bench.clock.advance(50)
  assert.ok(bench.disk.paths().includes('reserve'))
  bench.disk.faults.capacity = bench.disk.used() + 80 * 1024
  const lsns: number[] = []
  for (let i = 0; i < 500 && keeper.spaces.length === 0; i++) {
    lsns.push(keeper.publish(1, 'x'.repeat(1000)))
    await bench.commit()
  }
  assert.deepEqual(keeper.spaces, [false])
  assert.equal(bench.journal.status().spaceAvailable, false)
  assert.equal(keeper.durableLsn, keeper.nextLsn - 1, 'what was accepted is durable all the same')
  // An engine that refuses publishes still settles; the journal gives the room back by itself.
  for (const lsn of lsns.slice(10)) {
    keeper.settle(1, [lsn])
    await bench.commit()
  }
  await bench.clock.advance(10_000)
  assert.equal(keeper.failure, undefined)
  assert.equal(keeper.spaces.at(-1), true)
  assert.ok(bench.disk.paths().includes('reserve'), 'the reserve is filled again')
  assert.deepEqual(
    await bench.payloads(1, lsns.slice(0, 10)),
    lsns.slice(0, 10).map(() => 'x'.repeat(1000)),
  )
  await bench.crash()
  assert.equal(bench.keeper.held.size, 10)
})

test('what has room is written, though the zeros ahead of it have none, and the reserve stays', async () => {
  const bench = new Bench()
  const keeper = await bench.open()
  await bench.clock.advance(50)
  bench.disk.faults.capacity = bench.disk.used() + 1024
  const lsn = keeper.publish(1, 'a few bytes')
  await bench.commit()
  assert.equal(keeper.durableLsn, lsn)
  assert.ok(bench.disk.paths().includes('reserve'))
  assert.ok(bench.disk.used() < bench.disk.faults.capacity, 'nor do the zeros take what room there is')
})

test('a disk without room for the reserve refuses publishes from the start', async () => {
  const bench = new Bench({ reserveBytes: 16 * 1024 }, { capacity: 8 * 1024 })
  const keeper = await bench.open()
  assert.deepEqual(keeper.spaces, [false])
  keeper.settle(1, [1])
  await bench.commit()
  assert.equal(keeper.durableLsn, keeper.nextLsn - 1)
})

test('when even the reserve is used up the journal fails, and says why', async () => {
  const bench = new Bench({ reserveBytes: 4 * 1024, idleInterval: 100 })
  const keeper = await bench.open()
  await bench.clock.advance(50)
  bench.disk.faults.capacity = bench.disk.used() + 1024
  // An engine that does not listen.
  for (let i = 0; i < 20; i++) {
    keeper.publish(1, 'x'.repeat(1000))
    keeper.commit(bench.journal)
  }
  await bench.clock.advance(60_000)
  assert.equal(keeper.failure?.code, 'journal-failed')
  assert.match(keeper.failure!.message, /full/)
})

test('a crash at any operation of the disk leaves a prefix with all that was durable', async (t) => {
  let boundaries = 0
  for (let limit = 1; ; limit++) {
    const bench = new Bench(
      { idleInterval: 50, segmentBytes: 2048, checkpointBytes: 4096 },
      { torn: 0.5 },
      limit,
    )
    let operations = 0
    let isCut = false
    bench.disk.observer = () => {
      if (++operations !== limit) return
      isCut = true
      bench.disk.crash()
    }
    const durable = await script(bench, () => isCut)
    if (!isCut) break
    boundaries++
    bench.disk.observer = undefined
    bench.clock.clear()
    await bench.open()
    for (const [lsn, queues] of durable.held) {
      if (durable.released.has(lsn)) continue
      assert.deepEqual(bench.keeper.held.get(lsn), queues, `crash at operation ${limit}: message ${lsn}`)
    }
    for (const lsn of durable.settled)
      assert.ok(!bench.keeper.held.has(lsn), `operation ${limit}: ${lsn} is back`)
    assert.deepEqual(bench.report.quarantined, [], `crash at operation ${limit}`)
    await bench.close()
    await bench.open()
    assert.equal(bench.report.tornBytes, 0, 'a start leaves nothing torn behind')
  }
  t.diagnostic(`${boundaries} boundaries`)
  assert.ok(boundaries > 100)
})

/** A little of everything; stops when the power goes. Answers what was confirmed by then. */
async function script(bench: Bench, isCut: () => boolean) {
  const held = new Map<number, Set<number>>()
  const released = new Set<number>()
  const settled = new Set<number>()
  const opening = bench.open()
  opening.catch(() => {})
  for (let i = 0; i < 50 && !isCut() && !bench.report; i++) await bench.clock.advance(1)
  if (isCut()) return { held, released, settled }
  const keeper = await opening
  for (let i = 0; i < 15 && !isCut(); i++) {
    const lsn = keeper.publish(1 + (i % 2), `message ${i} ${'x'.repeat(i * 13)}`)
    const queues = new Set(keeper.held.get(lsn))
    const old = i > 3 && i % 4 !== 0 ? lsnOf(held, released, 1 + (i % 2)) : undefined
    if (old !== undefined) {
      keeper.settle(1 + (i % 2), [old])
      released.add(old)
    }
    const last = keeper.nextLsn - 1
    keeper.commit(bench.journal)
    for (let j = 0; j < 20 && !isCut() && keeper.durableLsn < last; j++) await bench.clock.advance(1)
    if (keeper.durableLsn < last) break
    held.set(lsn, queues)
    if (old !== undefined) settled.add(old)
    if (i % 5 === 4) await bench.clock.advance(200)
  }
  if (!isCut()) {
    const closing = bench.journal.close()
    for (let j = 0; j < 50 && !isCut(); j++) await bench.clock.advance(1)
    if (!isCut()) await closing
  }
  return { held, released, settled }
}

function lsnOf(held: Map<number, Set<number>>, released: Set<number>, queue: number): number | undefined {
  for (const [lsn, queues] of held) if (queues.has(queue) && !released.has(lsn)) return lsn
  return undefined
}
