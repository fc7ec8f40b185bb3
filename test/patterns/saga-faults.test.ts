import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { seed } from '../engine/seed.ts'
import {
  type Bug,
  runSaga,
  settlesBefore,
  statusBefore,
  undoesInOrder,
  type Victim,
  victims,
} from './faults/saga-run.ts'

/** Points of which one is tried here; `npm run test:faults` tries all of them. */
const SHARE = 9
/** More than there are. */
const BEYOND = 1_000

async function run(victim: Victim, at: number, back: boolean): Promise<boolean> {
  try {
    return await runSaga({ seed: seed + at, victim, at, back })
  } catch (error) {
    throw new Error(`the ${victim} at ${at}, SEED=${seed}`, { cause: error })
  }
}

suite('a saga through crashes: each step and each undo has its effect once, and message and status always fit', () => {
  for (const [number, victim] of victims.entries())
    for (const back of [false, true])
      test(`of ${victim}, ${back ? 'there and back' : 'there'}`, async (t) => {
        t.diagnostic(`SEED=${seed}`)
        let tried = 0
        for (let at = (seed + number) % SHARE; await run(victim, at, back); at += SHARE) tried++
        assert.ok(tried >= 4, `${tried} points`)
      })
})

/** Whether a run of those that crash somewhere, or of one that does not, comes to something that may not be. */
async function isFound(bug: Bug, back: boolean): Promise<boolean> {
  for (let at = 0; ; at++) {
    try {
      if (!(await runSaga({ seed, victim: 'worker', at, back, bug }))) return false
    } catch (error) {
      if ((error as Error).name !== 'AssertionError') throw error
      return true
    }
  }
}

suite('the crashes find planted bugs', () => {
  test('the message of a step is settled before the next one is sent', async () => {
    assert.ok(await isFound(settlesBefore, false))
  })

  test('the status is no part of the transaction', async () => {
    assert.ok(await isFound(statusBefore, false))
  })

  test('steps are undone in the order in which they were done', async () => {
    await assert.rejects(runSaga({ seed, victim: 'worker', at: BEYOND, back: true, bug: undoesInOrder }), {
      name: 'AssertionError',
    })
  })
})
