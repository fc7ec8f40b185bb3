import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { byteSize, table } from './output.ts'

export const queues: Command = {
  name: 'queues',
  synopsis: '',
  summary: 'list the queues and what they hold',
  details: ['With --json, one document: {"queues": […]}, each with its policy and counts.'],
  options: [],
  run,
}

async function run(call: Call): Promise<number> {
  takeOperands(call, 0, 0)
  const { out } = call
  const reports = await withExistingBroker(call, (mq) => mq.management.queues())
  const sorted = [...reports].sort((a, b) => (a.name < b.name ? -1 : 1))
  if (out.json) {
    await out.document({ queues: sorted })
    return ExitCode.ok
  }
  if (sorted.length === 0) {
    await out.line(`no queues in ${call.url}`)
    return ExitCode.ok
  }
  const rows = sorted.map((queue) => [
    queue.name,
    queue.messages,
    queue.ready,
    queue.waiting,
    queue.acquired,
    queue.consumers,
    byteSize(queue.bytes),
    queue.policy.overflow,
    queue.policy.deadLetter?.replaceAll('{queue}', queue.name) ?? '-',
  ])
  const head = [
    'QUEUE',
    'MESSAGES',
    'READY',
    'WAITING',
    'ACQUIRED',
    'CONSUMERS',
    'SIZE',
    'WHEN FULL',
    'DEAD LETTERS',
  ]
  await out.line(table(head, rows))
  return ExitCode.ok
}
