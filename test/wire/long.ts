// Frames, good and bad, at the AMQP machine: `SEED=… FRAMES=… npm run test:fuzz`. One million unless told otherwise.
import { fuzz } from './fuzz/fuzz.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000_000)
const frames = Number(process.env['FRAMES'] ?? 1_000_000)
const LIMIT = 64 * 2 ** 20

console.log(`SEED=${seed} FRAMES=${frames}`)
const started = performance.now()
const report = fuzz(seed, frames)
const seconds = (performance.now() - started) / 1000
console.log(`${report.frames} frames on ${report.connections} connections in ${seconds.toFixed(1)} s`)
console.log(`memory grew by ${(report.growth / 2 ** 20).toFixed(1)} MiB`)
for (const [what, counts] of [
  ['violations, answered as they should be', report.answered],
  ['ends', report.endings],
] as const) {
  console.log(`${what}:`)
  for (const [name, count] of [...counts].toSorted((a, b) => b[1] - a[1])) console.log(`  ${count} ${name}`)
}
if (report.growth > LIMIT) {
  console.log(`that is more than ${LIMIT / 2 ** 20} MiB`)
  process.exitCode = 1
}
