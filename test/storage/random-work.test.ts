import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { Model } from './model.ts'
import { Bench, seed } from './support.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 12)

/** Random work with power cuts and kills: after each, the state is a prefix that holds all that was durable. */
async function run(from: number): Promise<Bench> {
  const bench = new Bench(
    { segmentBytes: 4096, checkpointBytes: 32 * 1024, idleInterval: 40 },
    { delay: { min: 0, max: 4 }, torn: 0.3 },
    from,
  )
  await bench.open()
  const model = new Model(bench)
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 60; i++) {
      model.work()
      if (bench.random.chance(0.5)) await bench.clock.advance(bench.random.between(0, 10))
      if (bench.random.chance(0.05)) model.drain(bench.random.pick([0.3, 0.6, 0.9]))
      if (bench.random.chance(0.05)) await bench.clock.advance(300)
    }
    if (bench.random.chance(0.3)) await model.readable()
    const { durableLsn } = bench.keeper
    const end = bench.random.weighted({ crash: 5, kill: 3, close: 2 })
    if (end === 'crash') await bench.crash()
    else if (end === 'kill') await bench.kill()
    else {
      await bench.close()
      await bench.open()
    }
    await model.recovered(durableLsn)
  }
  model.drain(1)
  await bench.commit()
  await bench.clock.advance(20_000)
  assert.equal(bench.journal.status().liveBytes, 0)
  assert.ok(bench.journal.status().segments <= 1, 'an idle, empty journal has at most a short active segment')
  await bench.close()
  return bench
}

test('promises 1, 4: after any power cut or kill a prefix is there, all that was durable in it, and nothing pins', async (t) => {
  t.diagnostic(`SEED=${seed} SEEDS=${SEEDS}`)
  const totals: Record<string, number> = {}
  for (let i = 0; i < SEEDS; i++) {
    try {
      const bench = await run(seed + i)
      for (const [fault, count] of Object.entries(bench.disk.injected)) {
        totals[fault] = (totals[fault] ?? 0) + count
      }
    } catch (error) {
      throw new Error(`replay with SEED=${seed + i} SEEDS=1`, { cause: error })
    }
  }
  t.diagnostic(JSON.stringify(totals))
})
