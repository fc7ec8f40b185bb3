import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from '../../src/testing/index.ts'
import seeds from './known-seeds.json' with { type: 'json' }
import { planted } from './planted.ts'

const SEEDS = 200

/** Where each bug is looked for first. When the simulation has changed, find-known.ts finds others. */
const known: Readonly<Record<string, number>> = seeds

for (const [name, tampering] of Object.entries(planted)) {
  test(`the simulation catches a broker that ${name}`, async (t) => {
    const first = known[name] ?? 1
    for (const seed of [first, ...Array.from({ length: SEEDS }, (_, i) => i + 1)]) {
      const { failure } = await simulate({ seed, tampering })
      if (failure === undefined) continue
      t.diagnostic(`seed ${seed}: ${failure.error.message.slice(0, 120)}`)
      return
    }
    assert.fail(`${SEEDS} seeds went by`)
  })
}
