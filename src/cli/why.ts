import {
  type BrowsedMessage,
  type Context,
  type JournalTrace,
  type LocationReport,
  type QueueReport,
  queue,
  traceMessage,
} from '../index.ts'
import { withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { bodyForPeople, describeMessage, time } from './message-output.ts'
import { byteSize, type Output, oneLine, plural } from './output.ts'

export const why: Command = {
  name: 'why',
  synopsis: 'ID',
  summary: 'say where a message is, and why it is not delivered',
  details: [
    'ID is what browse prints, or a message id such as ID:…. A message that was dead-lettered is found',
    'by the id it had before, too. What no queue holds is looked up in the journal, which remembers it',
    'until it is compacted. With --json, one document: {"id", "found": […], "left": […]}.',
  ],
  options: [],
  run,
}

/** A message and where it is. */
interface Finding {
  readonly queue: QueueReport
  /** Undefined while it is scheduled: then nobody is shown it. */
  readonly message: BrowsedMessage | undefined
  readonly location: LocationReport
}

async function run(call: Call): Promise<number> {
  const [id] = takeOperands(call, 1, 1)
  const { out } = call
  // The journal is read first: opening it may give back the files that still know of the message.
  const traces = /^file:/i.test(call.url) ? await traceMessage(call.url, id!) : []
  const left = traces.filter(({ alive }) => !alive)
  const isGone = traces.length > 0 && left.length === traces.length
  const found = isGone ? [] : await withExistingBroker(call, (mq) => search(mq, id!, call.signal))
  if (out.json) await out.document({ id, found: found.map(document), left: left.map(documentOfTrace) })
  else await printAll(out, id!, found, left)
  return found.length + left.length > 0 ? ExitCode.ok : ExitCode.nothing
}

async function printAll(
  out: Output,
  id: string,
  found: readonly Finding[],
  left: readonly JournalTrace[],
): Promise<void> {
  for (const finding of found) await print(out, id, finding)
  for (const trace of left) await out.line(describeTrace(trace))
  if (found.length + left.length === 0)
    await out.line(`no queue holds ${id}, and the journal knows nothing of it (any more)`)
}

function describeTrace({ brokerId, messageId, queues, publishedAt, departures }: JournalTrace): string {
  const lines = [`${brokerId}${messageId === undefined ? '' : ` (${messageId})`}`]
  if (queues) lines.push(`  queue       ${queues.join(', ')}`)
  if (publishedAt !== undefined) lines.push(`  stored      ${time(publishedAt)}`)
  for (const { queue, departure, became } of departures) {
    lines.push(`  left        ${queue}: ${departure}${became === undefined ? '' : `, and became ${became}`}`)
  }
  if (departures.length === 0) lines.push('  left        how, the journal does not tell any more')
  return lines.join('\n')
}

/** Where the broker knows the id, the queue is known; otherwise every message is looked at. */
async function search(mq: Context, id: string, signal: AbortSignal): Promise<Finding[]> {
  const { management } = mq
  const located = await management.locate(id)
  const queues = await management.queues()
  const reports = (places: readonly LocationReport[]): QueueReport[] =>
    queues.filter(({ name }) => places.some((place) => place.queue === name))
  const scheduled = located.filter(({ state }) => state === 'scheduled')
  if (scheduled.length > 0) {
    return reports(scheduled).map((queue) => ({ queue, message: undefined, location: scheduled[0]! }))
  }
  const candidates = located.length === 0 ? queues : reports(located)
  const findings: Finding[] = []
  for (const report of candidates) {
    for await (const message of mq.browse(queue(report.name))) {
      signal.throwIfAborted()
      if (!isMeant(message, id)) continue
      const places = await management.locate(message.brokerId)
      const location = places.find((place) => place.queue === report.name)
      if (location) findings.push({ queue: report, message, location })
      if (message.brokerId === id) break
    }
  }
  return findings
}

function isMeant({ brokerId, messageId, deadLetter }: BrowsedMessage, id: string): boolean {
  return brokerId === id || messageId === id || deadLetter?.origin.brokerId === id
}

/** Why nobody is processing it right now. */
function explain({ queue, location, message }: Finding): string {
  const { state, due, failures } = location
  switch (state) {
    case 'ready':
      if (queue.consumers === 0) return 'ready, and no consumer is connected to the queue'
      return message?.deadLetter
        ? 'ready in a dead-letter queue'
        : `ready; ${plural(queue.consumers, 'consumer')} connected, none asks for more`
    case 'waiting':
      return `failed ${plural(failures, 'time')}, and waits to be delivered again at ${time(due)}`
    case 'acquired':
      return 'delivered to a consumer that has not answered'
    case 'scheduled':
      return `scheduled, to be delivered at ${time(due)}`
    default:
      return state
  }
}

function document(finding: Finding): Record<string, unknown> {
  const { state, due, failures, size, expiry } = finding.location
  return {
    queue: finding.queue.name,
    state,
    explanation: explain(finding),
    due: time(due),
    failures,
    size,
    expiration: time(expiry),
    message: finding.message && describeMessage(finding.message),
  }
}

function documentOfTrace({ alive: _, publishedAt, ...trace }: JournalTrace): Record<string, unknown> {
  return { ...trace, publishedAt: time(publishedAt) }
}

async function print(out: Output, id: string, finding: Finding): Promise<void> {
  const { message, location, queue } = finding
  const deadLetter = message?.deadLetter
  const lines = [
    message ? `${message.brokerId} (${message.messageId ?? 'without message id'})` : id,
    `  queue       ${queue.name}`,
    `  state       ${explain(finding)}`,
    ...(message ? [`  body        ${oneLine(bodyForPeople(message))}`] : []),
    `  size        ${byteSize(location.size)}, priority ${location.priority}`,
    `  deliveries  ${location.deliveryCount}, failures ${location.failures}`,
    ...(message ? [`  sent        ${time(message.timestamp) ?? 'at an unknown time'}`] : []),
    `  expires     ${time(location.expiry) ?? 'never'}`,
  ]
  if (deadLetter) {
    const { origin, history } = deadLetter
    lines.push(`  origin      ${origin.queue}, where it was ${origin.brokerId}`)
    for (const step of history) {
      const counts = `${plural(step.deliveries, 'delivery', 'deliveries')}, ${plural(step.failures, 'failure')}`
      const reason = step.description === '' ? step.reason : `${step.reason}: ${oneLine(step.description)}`
      lines.push(`  left        ${step.queue} at ${time(step.at)} after ${counts}; ${reason}`)
    }
  }
  await out.line(lines.join('\n'))
}
