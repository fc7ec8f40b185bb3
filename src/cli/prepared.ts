import type { Context } from '../index.ts'
import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { byteSize, table } from './output.ts'
import { UsageError } from './usage-error.ts'
import { age } from './watch.ts'

export const prepared: Command = {
  name: 'prepared',
  synopsis: '[ACTION ID]',
  summary: 'list half messages that are undecided, or decide one',
  details: [
    'ACTION is commit or discard. A half message is stored, and no consumer gets it before its sender says that',
    'it counts. One whose sender does not say is asked for; after the last time it is parked, and waits here for',
    'somebody to commit or discard it.',
    'With --json, one document: {"prepared": […]}, or {"committed": ID}, {"discarded": ID}.',
  ],
  options: [],
  run,
}

const verdicts = { commit: 'committed', discard: 'discarded' } as const

async function run(call: Call): Promise<number> {
  const [verdict, id] = takeOperands(call, 0, 2)
  if (verdict === undefined) await list(call)
  else if ((verdict === 'commit' || verdict === 'discard') && id !== undefined)
    await decide(call, verdict, id)
  else throw new UsageError(`usage: millrace ${prepared.name} ${prepared.synopsis}`)
  return ExitCode.ok
}

async function list(call: Call): Promise<void> {
  const { out } = call
  const reports = await withExistingBroker(call, (mq) => mq.prepared.list())
  if (out.json) {
    await out.document({ prepared: reports })
    return
  }
  const now = Date.now()
  const rows = reports.map(({ id, group, queues, size, since, checks, parked }) => [
    id,
    group,
    queues.join(' '),
    byteSize(size),
    age(Math.max(0, now - since)),
    checks,
    parked ? 'parked' : 'undecided',
  ])
  if (rows.length === 0) await out.line(`no undecided half messages in ${call.url}`)
  else await out.line(table(['ID', 'GROUP', 'QUEUES', 'SIZE', 'AGE', 'ASKED', 'STATE'], rows))
}

async function decide(call: Call, verdict: keyof typeof verdicts, id: string): Promise<void> {
  const { out } = call
  const decision = verdict === 'commit' ? 'commit' : 'rollback'
  await withExistingBroker(call, (mq: Context) => mq.prepared.decide(id, decision))
  const done = verdicts[verdict]
  await (out.json ? out.document({ [done]: id }) : out.line(`half message ${id} ${done}`))
}
