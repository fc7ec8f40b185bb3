import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { table } from './output.ts'

export const topics: Command = {
  name: 'topics',
  synopsis: '',
  summary: 'list the topics that somebody is subscribed to',
  details: ['With --json, one document: {"topics": […]}, each with its subscriptions and what they hold.'],
  options: [],
  run,
}

async function run(call: Call): Promise<number> {
  takeOperands(call, 0, 0)
  const { out } = call
  const reports = await withExistingBroker(call, (mq) => mq.management.topics())
  const sorted = [...reports].sort((a, b) => (a.name < b.name ? -1 : 1))
  if (out.json) {
    await out.document({ topics: sorted })
    return ExitCode.ok
  }
  const rows = sorted.flatMap(({ name, subscriptions }) =>
    subscriptions.map(({ queue, messages, consumers }) => [name, queue, messages, consumers]),
  )
  if (rows.length === 0) await out.line(`nobody is subscribed to a topic of ${call.url}`)
  else await out.line(table(['TOPIC', 'SUBSCRIPTION', 'MESSAGES', 'CONSUMERS'], rows))
  return ExitCode.ok
}
