import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from '../../src/testing/index.ts'
import { bugs } from './bugs.ts'

const SEEDS = 200

for (const [name, tampering] of Object.entries(bugs)) {
  test(`the simulation catches a broker that ${name}`, async (t) => {
    let seed = 1
    for (; seed <= SEEDS; seed++) {
      const { failure } = await simulate({ seed, tampering })
      if (failure === undefined) continue
      t.diagnostic(`seed ${seed}: ${failure.error.message.slice(0, 120)}`)
      return
    }
    assert.fail(`${SEEDS} seeds went by`)
  })
}
