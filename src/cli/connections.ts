import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { table } from './output.ts'

export const connections: Command = {
  name: 'connections',
  synopsis: '',
  summary: 'list who is connected, this command included',
  details: ['With --json, one document: {"connections": […]}; "age" is in milliseconds.'],
  options: [],
  run,
}

async function run(call: Call): Promise<number> {
  takeOperands(call, 0, 0)
  const { out } = call
  const reports = await withExistingBroker(call, (mq) => mq.management.connections())
  if (out.json) {
    await out.document({ connections: reports })
    return ExitCode.ok
  }
  const rows = reports.map(({ id, remote, user, containerId, product, links, unsettled, undecided, age }) => [
    id,
    remote,
    user || '-',
    containerId || '-',
    product || '-',
    links,
    unsettled,
    undecided,
    `${Math.round(age / 1000)} s`,
  ])
  const head = ['ID', 'FROM', 'USER', 'CLIENT', 'PRODUCT', 'LINKS', 'UNSETTLED', 'UNDECIDED', 'AGE']
  await out.line(table(head, rows))
  return ExitCode.ok
}
