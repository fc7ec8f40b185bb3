import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe, sweep } from './seeds.ts'

const SEEDS = 6

test(`${SEEDS} seeds of the simulation keep every promise of DESIGN §4 (docs/guarantees.md)`, async (t) => {
  const first = Number(process.env['SEED'] ?? 1)
  const { report, failures } = await sweep(first, process.env['SEED'] === undefined ? SEEDS : 1)
  t.diagnostic(report.toString())
  assert.equal(failures.length, 0, failures.slice(0, 3).map(describe).join('\n'))
})
