import type { MemoryLimit } from '../memory-limit.ts'
import { BrokerProcess, type Seen } from './broker-process.ts'
import { fill, restart, takeOut } from './phases.ts'
import type { Report } from './report.ts'

/**
 * How far apart rates may be before --check says that something is wrong: the machine may be busy, and a short sample of an
 * empty queue never leaves memory.
 */
const SANE_RATIO = { least: 0.1 }

/** A deep backlog in one queue. */
export async function oneQueue(
  directory: string,
  messages: number,
  limit: MemoryLimit | undefined,
  report: Report,
): Promise<void> {
  const sample = Math.min(1_000_000, Math.ceil(messages / 10))
  report.remark(
    `one queue: ${messages.toLocaleString('en')} messages, samples of ${sample.toLocaleString('en')}`,
  )
  let broker = new BrokerProcess(directory, limit)
  const { messages: present } = await broker.ask({ do: 'open' })
  await broker.ask({ do: 'declare', queues: 1 })
  if (present === 0) await shallow(broker, sample, report)
  await fill(broker, { present, messages, queues: 1, step: sample }, report)
  const deep = await broker.ask({ do: 'publish', count: sample, queues: 1 })
  const publishing = report.step('one queue: publish, deep', deep)
  await neighbours(broker, sample, report)
  broker = await restart(broker, directory, limit, { name: 'one queue', queues: 1, sample }, report)
  const draining = await takeOut(broker, { name: 'one queue', queues: 1, step: sample }, report)
  // Now it is empty, and what has been measured before a run that was interrupted is of another hour.
  const empty = await shallow(broker, sample, report, 'empty again')
  report.figure('one queue: publish deep to empty', publishing / empty.publish, '', {
    goal: 'at least 0.8',
    sane: SANE_RATIO,
  })
  report.figure('one queue: drain deep to shallow', draining / empty.drain, '', {
    goal: 'at least 0.8',
    sane: SANE_RATIO,
  })
  await broker.close()
}

async function shallow(
  broker: BrokerProcess,
  sample: number,
  report: Report,
  when = 'empty',
): Promise<{ publish: number; drain: number }> {
  // The first time is for the compiler.
  await broker.ask({ do: 'publish', count: sample, queues: 1 })
  await broker.ask({ do: 'drain', count: sample, queues: 1 })
  const published = await broker.ask({ do: 'publish', count: sample, queues: 1 })
  const drained = await broker.ask({ do: 'drain', count: sample, queues: 1 })
  return {
    publish: report.step(`one queue: publish, ${when}`, published),
    drain: report.step(`one queue: drain, ${when}`, drained),
  }
}

/** What a slow consumer at the head of the deep queue costs another queue, and whether that one's consumer reads from memory. */
async function neighbours(broker: BrokerProcess, sample: number, report: Report): Promise<void> {
  const rateOf = ({ count, milliseconds }: Seen): number => (count / milliseconds) * 1000
  await broker.ask({ do: 'keep up', count: sample, slow: false })
  const alone = await broker.ask({ do: 'keep up', count: sample, slow: false })
  const beside = await broker.ask({ do: 'keep up', count: sample, slow: true })
  report.step('one queue: another queue, its consumer keeps up', alone)
  report.figure('one queue: reads from disk meanwhile', alone.reads, 'reads', {
    goal: '0',
    sane: { most: 50 },
  })
  report.step('one queue: the same beside a slow consumer at the head', beside)
  report.figure('one queue: beside a slow consumer to alone', rateOf(beside) / rateOf(alone), '', {
    goal: '1',
    sane: SANE_RATIO,
  })
}
