/**
 * How long processes that share a directory are without a broker when its owner is killed: the time from the kill until
 * every other process is connected to the new owner, which is one of them. KILLS=… sets how often, MEMBERS=… how many.
 */
import { Crowd } from '../attached-processes.ts'

const kills = Number(process.env['KILLS'] ?? 100)
const members = Number(process.env['MEMBERS'] ?? 3)
/** Longest that a takeover may take. Milliseconds. */
const BOUND = 1_000

const crowd = await Crowd.gather()
const times: number[] = []
try {
  for (let i = 0; i < members; i++) await crowd.join()
  for (let i = 0; i < kills; i++) {
    const { takeover } = await crowd.killOwner()
    times.push(takeover)
    await crowd.join()
  }
} finally {
  await crowd.end()
}

times.sort((a, b) => a - b)
const at = (share: number): string =>
  `${times[Math.min(times.length - 1, Math.floor(share * times.length))]!.toFixed(0)} ms`
console.log(`${kills} kills among ${members} processes: median ${at(0.5)}, p90 ${at(0.9)}, max ${at(1)}`)
if (times.at(-1)! > BOUND) process.exitCode = 1
