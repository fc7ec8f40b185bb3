import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Journal } from '../../src/storage/journal.ts'
import type { UpkeepFacts } from '../../src/storage/watch.ts'
import { BookKeeper } from '../../src/testing/contracts/book-keeper.ts'
import { Bench, passUntil } from './support.ts'

const MiB = 1024 * 1024

/** Opens the journal of a bench and keeps what its watch was told. */
async function watched(
  bench: Bench,
): Promise<{ progress: [number, number][]; compactions: UpkeepFacts[]; pending: number[] }> {
  const progress: [number, number][] = []
  const compactions: UpkeepFacts[] = []
  /** After each compaction. */
  const pending: number[] = []
  const { clock, options } = bench
  bench.keeper = new BookKeeper()
  bench.journal = new Journal({
    disk: bench.disk.mount(),
    clock,
    options,
    watch: {
      recovering: (bytes, of) => progress.push([bytes, of]),
      checkpointed: () => {},
      compacted: (facts) => {
        compactions.push(facts)
        pending.push(bench.journal.status().upkeep!.compactionBytesPending)
      },
    },
  })
  const { lastLsn } = await passUntil(clock, bench.journal.open(bench.keeper))
  bench.keeper.nextLsn = lastLsn + 1
  return { progress, compactions, pending }
}

test('a start says how far it has got, never less than before and in the end all of it', async () => {
  for (const end of ['close', 'kill'] as const) {
    const bench = new Bench({ segmentBytes: 4 * MiB, roundBytes: MiB, checkpointBytes: 64 * MiB })
    const keeper = await bench.open()
    for (let i = 0; i < 24; i++) {
      for (let j = 0; j < 10; j++) keeper.publish(1, 'x'.repeat(100_000))
      await bench.commit()
    }
    if (end === 'close') await bench.close()
    else bench.disk.kill()
    const { progress } = await watched(bench)
    assert.ok(end === 'close' || progress.length > 5, `${progress.length} notices of 24 MB`)
    const [bytes, of] = progress.at(-1)!
    assert.equal(bytes, of)
    for (const [i, [now]] of progress.entries()) assert.ok(now >= (progress[i - 1]?.[0] ?? 0))
    if (end === 'kill') assert.ok(Math.abs(of - 24_000_000) < MiB, `${of} bytes`)
  }
})

test('compaction says what it did, and the status what is left to do', async () => {
  const bench = new Bench({ idleInterval: 20, segmentBytes: 64 * 1024, compactionBytes: 32 * 1024 })
  const { compactions, pending } = await watched(bench)
  const { keeper, journal } = bench
  const lsns: number[] = []
  for (let i = 0; i < 2_000; i++) {
    lsns.push(keeper.publish(1, 'x'.repeat(500)))
    if (i % 50 === 49) await bench.commit()
  }
  keeper.settle(
    1,
    lsns.filter((_, i) => i % 10 > 0),
  )
  await bench.commit()
  await bench.clock.advance(5_000)
  assert.ok(pending.length > 2 && pending[0]! > 500_000, `${pending} bytes were left to do`)
  assert.deepEqual(
    pending,
    pending.toSorted((a, b) => b - a),
  )
  const { upkeep } = journal.status()
  assert.equal(upkeep!.compactionBytesPending, 0)
  assert.equal(upkeep!.compactions, compactions.length)
  const sum = (of: (facts: UpkeepFacts) => number): number =>
    compactions.reduce((all, one) => all + of(one), 0)
  assert.equal(
    upkeep!.compactionBytesRead,
    sum(({ bytesRead }) => bytesRead),
  )
  assert.equal(
    upkeep!.compactionBytesWritten,
    sum(({ bytesWritten }) => bytesWritten),
  )
  assert.ok(upkeep!.compactionBytesRead > 900_000)
  assert.ok(upkeep!.compactionBytesWritten > 100_000 && upkeep!.compactionBytesWritten < 300_000)
  assert.ok(upkeep!.checkpoints > 0 && upkeep!.checkpointBytes > 0)
})
