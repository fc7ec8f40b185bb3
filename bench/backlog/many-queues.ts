import type { MemoryLimit } from '../memory-limit.ts'
import { BrokerProcess } from './broker-process.ts'
import { fill, restart, takeOut } from './phases.ts'
import type { Report } from './report.ts'

/** Some messages in each of many queues, which take turns in the journal. */
export async function manyQueues(
  directory: string,
  queues: number,
  each: number,
  limit: MemoryLimit | undefined,
  report: Report,
): Promise<void> {
  const messages = queues * each
  const sample = Math.min(1_000_000, Math.ceil(messages / 10))
  report.remark(`${queues.toLocaleString('en')} queues with ${each.toLocaleString('en')} messages each`)
  let broker = new BrokerProcess(directory, limit)
  const { messages: present } = await broker.ask({ do: 'open' })
  // One more, whose messages lie on disk as the others' do: twice a sample, as the first is for the compiler.
  const alone = { first: queues, queues: 1 } as const
  await broker.ask({ do: 'declare', queues: queues + 1 })
  if (present === 0) await broker.ask({ do: 'publish', ...alone, count: sample * 2 })
  const filling = { present: Math.max(0, present - sample * 2), messages, queues, step: sample }
  await fill(broker, filling, report)
  broker = await restart(broker, directory, limit, { name: 'many queues', queues, sample }, report)
  const { count } = await broker.ask({ do: 'drain', ...alone, count: sample })
  const rest = await broker.ask({ do: 'drain', ...alone, count: sample * 2 - count })
  const one = report.step('many queues: drain, one queue', rest)
  // A tenth of the queues, each to its end, then what is left from all at once.
  const tenth = Math.ceil(queues / 10)
  const inTurn = report.step(
    'many queues: drain, one after the other',
    await broker.ask({ do: 'drain in turn', first: queues - tenth, queues: tenth }),
  )
  const rate = await takeOut(broker, { name: 'many queues', queues: queues - tenth, step: sample }, report)
  report.figure('many queues: drain all at once to one queue', rate / one, '', {
    goal: 'at least 0.5, better 0.8',
    sane: { least: 0.1 },
  })
  // Whoever takes one queue of thousands out of a journal in which all took turns reads far more than is his, until the
  // journal has gathered them.
  report.figure('many queues: drain one after the other to one queue', inTurn / one, '')
  await broker.close()
}
