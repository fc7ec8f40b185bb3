import { setTimeout } from 'node:timers/promises'
import { connect, queue } from '../../src/index.ts'
import { percentiles, Steady, warmUp } from '../loads.ts'
import { Server } from '../server.ts'

const MINUTE = 60_000
const small = { durability: 'disk', size: 100 } as const
/** Memory has grown when the last third of the run has so much more than the third before, in bytes and as a share. */
const GROWN = { bytes: 16 * 2 ** 20, share: 0.1 }

interface Minute {
  readonly rate: number
  readonly p99: number
  readonly longestPause: number
  readonly resident: number
  readonly heap: number
  readonly journal: number
}

/** A served broker under the same load for long. */
export async function soak(
  directory: string,
  rate: number,
  length: number,
): Promise<{ readonly minutes: readonly Minute[]; readonly grown: boolean }> {
  await using server = await Server.start(directory, { probed: true })
  await using mq = await connect(server.url)
  const subject = { mq, jobs: queue<Uint8Array>('jobs') }
  await warmUp(mq, small)
  const steady = await Steady.start(subject, small, rate)
  await server.probe()
  const minutes: Minute[] = []
  const end = performance.now() + length
  while (performance.now() < end - 1) {
    const begun = performance.now()
    await setTimeout(Math.min(MINUTE, end - begun))
    const times = steady.take()
    const { longestPause, resident, heap } = await server.probe()
    const minute = {
      rate: times.length / ((performance.now() - begun) / 1000),
      p99: percentiles(times)['p99']!,
      longestPause,
      resident,
      heap,
      journal: await server.metric('disk_bytes'),
    }
    minutes.push(minute)
    print(minutes.length, minute)
  }
  await steady.stop()
  const grown = hasGrown(minutes)
  console.log(
    minutes.length < 3 ? 'too short to say whether memory grew' : `memory grew: ${grown ? 'YES' : 'no'}`,
  )
  return { minutes, grown }
}

function print(number: number, { rate, p99, longestPause, resident, heap, journal }: Minute): void {
  const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`
  console.log(
    `minute ${number}: ${Math.round(rate).toLocaleString('en')} msg/s, p99 ${p99.toFixed(2)} ms, longest pause ` +
      `${longestPause.toFixed(1)} ms, resident ${mib(resident)}, heap ${mib(heap)}, journal ${mib(journal)}`,
  )
}

/** A heap goes up and down between collections: thirds of the run are compared by what they had at most. */
function hasGrown(minutes: readonly Minute[]): boolean {
  const third = Math.floor(minutes.length / 3)
  if (third === 0) return false
  const most = (from: number, of: (minute: Minute) => number): number =>
    Math.max(...minutes.slice(from, from + third).map(of))
  return [(minute: Minute) => minute.resident, (minute: Minute) => minute.heap].some((of) => {
    const [before, after] = [most(third, of), most(minutes.length - third, of)]
    return after - before > GROWN.bytes && after > before * (1 + GROWN.share)
  })
}
