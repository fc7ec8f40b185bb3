import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz/fuzz.ts'
import { violations } from './fuzz/violations.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const frames = Number(process.env['FRAMES'] ?? 20_000)

test(`whatever comes, the machine goes on or ends as the specification says (SEED=${seed})`, () => {
  const report = fuzz(seed, frames)
  assert(report.frames >= frames)
  assert(report.growth < 64 * 2 ** 20, `${report.growth} bytes more than at the beginning`)
  if (frames < 20_000) return
  const silent = violations.filter(({ name }) => !report.answered.has(name)).map(({ name }) => name)
  assert(silent.length <= violations.length / 3, `never said: ${silent.join(', ')}`)
})
