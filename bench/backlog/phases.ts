import type { MemoryLimit } from '../memory-limit.ts'
import { BrokerProcess, type Seen } from './broker-process.ts'
import type { Report } from './report.ts'

/** Brings the queues to `messages`, a step at a time. */
export async function fill(
  broker: BrokerProcess,
  { present, messages, queues, step }: { present: number; messages: number; queues: number; step: number },
  report: Report,
): Promise<void> {
  const name = queues === 1 ? 'one queue' : 'many queues'
  const steps: Seen[] = []
  for (let have = present; have < messages; ) {
    const count = Math.min(step, messages - have)
    const seen = await broker.ask({ do: 'publish', count, queues })
    steps.push(seen)
    have += count
    progress(`${name}: filled`, have, messages, seen)
  }
  if (steps.length === 0) return
  report.step(`${name}: fill, all of it`, together(steps))
  report.figure(`${name}: slowest to median step of the fill`, slowestToMedian(steps), '')
  report.figure(`${name}: disk for a message`, steps.at(-1)!.diskBytes / messages / 2 ** 20, 'MiB')
}

/** Takes everything out, a step at a time; answers messages a second. */
export async function takeOut(
  broker: BrokerProcess,
  { name, queues, step }: { name: string; queues: number; step: number },
  report: Report,
): Promise<number> {
  const steps: Seen[] = []
  const { messages } = await broker.ask({ do: 'wait', milliseconds: 0 })
  for (let left = messages; left > 0; ) {
    const count = Math.min(step, left)
    // Consumers that come anew for each step would have the indexes of thousands of queues brought in for each of them.
    const seen = await broker.ask({ do: 'drain', count, queues, stay: count < left })
    steps.push(seen)
    left = seen.messages
    progress(`${name}: drained`, messages - left, messages, seen)
  }
  const rate = report.step(`${name}: drain, all of it`, together(steps))
  report.figure(`${name}: slowest to median step of the drain`, slowestToMedian(steps), '')
  return rate
}

/** Closes and starts, then publishes, kills and starts; answers the process that runs afterwards. */
export async function restart(
  broker: BrokerProcess,
  directory: string,
  limit: MemoryLimit | undefined,
  { name, queues, sample }: { name: string; queues: number; sample: number },
  report: Report,
): Promise<BrokerProcess> {
  report.figure(`${name}: close`, (await broker.close()).milliseconds / 1000, 's')
  const start = async (how: string): Promise<BrokerProcess> => {
    const started = new BrokerProcess(directory, limit)
    const seen = await started.ask({ do: 'open' })
    report.figure(`${name}: start after ${how}`, seen.milliseconds / 1000, 's', {
      goal: 'at most 10',
      sane: { most: 30 },
    })
    report.figure(`${name}: operations replayed after ${how}`, seen.count, '')
    report.memory(`${name}: start after ${how}`, seen)
    return started
  }
  const closed = await start('a close')
  await closed.ask({ do: 'publish', count: sample, queues })
  await closed.kill()
  return start('a kill')
}

function together(steps: readonly Seen[]): Seen {
  const sum = (of: (seen: Seen) => number): number => steps.reduce((total, seen) => total + of(seen), 0)
  const most = (of: (seen: Seen) => number): number =>
    steps.reduce((peak, seen) => Math.max(peak, of(seen)), 0)
  return {
    ...steps.at(-1)!,
    count: sum(({ count }) => count),
    milliseconds: sum(({ milliseconds }) => milliseconds),
    processor: sum(({ processor }) => processor),
    longestDelay: most(({ longestDelay }) => longestDelay),
    residentPeak: most(({ residentPeak }) => residentPeak),
  }
}

function slowestToMedian(steps: readonly Seen[]): number {
  const rates = steps.map(({ count, milliseconds }) => count / milliseconds).sort((a, b) => a - b)
  return rates[0]! / rates[Math.floor(rates.length / 2)]!
}

/** Some lines for people who wait; each step when there are few. */
function progress(
  what: string,
  have: number,
  of: number,
  { count, milliseconds, residentPeak, longestDelay }: Seen,
): void {
  const rate = Math.round((count / milliseconds) * 1000).toLocaleString('en')
  const memory = `${Math.round(residentPeak / 2 ** 20)} MiB`
  const share = Math.floor((have / of) * 100)
  console.log(`  ${what} ${share} %: ${rate} msg/s, ${memory}, longest stop ${longestDelay.toFixed(1)} ms`)
}
