import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { seed } from '../engine/seed.ts'
import { type Outcome, Schedule, type Setting } from './faults/schedule.ts'
import { sqlite } from './subjects.ts'

async function run(of: number, more: Partial<Setting> = {}): Promise<Outcome> {
  await using opened = await sqlite.open()
  const { database } = opened
  // Before the database is closed.
  return await new Schedule({ database, seed: of, concurrent: false, ...more }).run()
}

suite('processes and connections end at any step: nothing is lost, nothing happens twice', () => {
  for (const strategy of ['rows', 'half messages'] as const)
    test(`outbox on ${strategy}, and inbox`, async (t) => {
      t.diagnostic(`SEED=${seed}`)
      let ended = 0
      for (let i = 0; i < 10; i++) {
        const { faults, wrong } = await run(seed + i, { strategy })
        for (const count of faults.values()) ended += count
        const right = { lost: 0, twice: 0, phantoms: 0, disorder: 0, needless: 0 }
        assert.deepEqual(wrong, right, `SEED=${seed + i}`)
      }
      assert.ok(ended > 0)
    })
})

suite('the schedules find planted bugs', () => {
  test('acknowledge before commit', async () => {
    for (let i = 0; i < 60; i++)
      if ((await run(i, { bug: 'acknowledge before commit' })).wrong.lost > 0) return
    assert.fail('60 schedules have found nothing')
  })

  test('relay without lease', async () => {
    for (let i = 0; i < 30; i++)
      if ((await run(i, { bug: 'relay without lease', faults: 0 })).wrong.needless > 0) return
    assert.fail('30 schedules have found nothing')
  })

  test('no fencing: a process that was paused writes what another one has written', async () => {
    const more = { bug: 'no fencing', kinds: ['process paused'], faults: 8 } as const
    for (let i = 0; i < 100; i++) if ((await run(i, more)).wrong.twice > 0) return
    assert.fail('100 schedules have found nothing')
  })

  test('a check-back that does not look into the database', async () => {
    const more = { bug: 'check-back that does not look', strategy: 'half messages' } as const
    for (let i = 0; i < 60; i++) if ((await run(i, more)).wrong.lost > 0) return
    assert.fail('60 schedules have found nothing')
  })
})
