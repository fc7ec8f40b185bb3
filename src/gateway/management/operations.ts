import type { Engine, MoveOptions, QueueStatus, ScheduledMessage } from '../../engine/api.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { FORMAT_AMQP10 } from '../../model/message.ts'
import type {
  ConnectionReport,
  LocationReport,
  PreparedReport,
  QueueReport,
  ScheduledReport,
  ScheduledReportPage,
  TopicReport,
} from '../../model/reports.ts'
import { MessageView } from '../../wire/amqp10/message-view.ts'
import { durable } from './durable.ts'

/** Messages of one page, when nobody says how many. */
const PAGE = 100

/** What the operations need to know besides the engine. */
export interface Surroundings {
  /** Monotonic milliseconds. */
  readonly now: () => number
  /** Connections of which more is known than the engine knows, by its numbers. */
  readonly connections?: (() => readonly ConnectionReport[]) | undefined
}

/** Which messages are moved, and how fast. */
export interface MoveChoice extends Omit<MoveOptions, 'lsn'> {
  /** Only the message of this broker id. */
  readonly brokerId?: string | undefined
}

/**
 * Looking into a broker and changing what it holds: the operations behind the management node, the command line and the
 * management of embedded brokers. Reject with `destination-not-found`, `argument-invalid`, `selector-invalid`.
 */
export class Operations {
  private readonly engine: Engine
  private readonly surroundings: Surroundings

  constructor(engine: Engine, surroundings: Surroundings) {
    this.engine = engine
    this.surroundings = surroundings
  }

  async queues(): Promise<readonly QueueReport[]> {
    return this.engine.queues().map(queueReport)
  }

  async topics(): Promise<readonly TopicReport[]> {
    const topics = new Map<string, TopicReport['subscriptions'][number][]>()
    for (const { exchange, key, queue } of this.engine.bindings()) {
      const status = exchange === TOPIC_EXCHANGE ? this.engine.queue(queue) : undefined
      if (status === undefined) continue
      const { messages, consumers } = status
      const subscriptions = topics.get(key) ?? []
      subscriptions.push({ queue, messages, consumers })
      topics.set(key, subscriptions)
    }
    return [...topics].map(([name, subscriptions]) => ({ name, subscriptions }))
  }

  async connections(): Promise<readonly ConnectionReport[]> {
    const { now, connections } = this.surroundings
    const known = new Map(connections?.().map((report) => [report.id, report]))
    const local = this.engine.connections().filter(({ id }) => !known.has(id))
    const inProcess = local.map(({ id, clientId, consumers, unsettled, since }) => ({
      id,
      remote: 'in process',
      user: '',
      containerId: clientId ?? '',
      product: '',
      links: consumers,
      unsettled,
      undecided: 0,
      age: now() - since,
    }))
    return [...inProcess, ...known.values()]
  }

  async locate(brokerId: string): Promise<readonly LocationReport[]> {
    const lsn = Number(brokerId)
    if (!Number.isSafeInteger(lsn)) return []
    return new Promise((resolve) => this.engine.locate(lsn, resolve))
  }

  /** Half messages that nobody has decided, oldest first. */
  async prepared(): Promise<readonly PreparedReport[]> {
    return this.engine.prepared().map(({ lsn, ...report }) => report)
  }

  /** Resolves when the decision is durable. Rejects with `prepared-not-found`. */
  decide(id: string, decision: 'commit' | 'rollback'): Promise<void> {
    return new Promise((resolve, reject) => {
      this.engine.decidePrepared(id, decision, (error) => (error ? reject(error) : resolve()))
    })
  }

  purge(queue: string, options: Pick<MoveOptions, 'selector'> = {}): Promise<number> {
    return this.finished((done) => this.engine.purgeQueue(queue, done, options.selector))
  }

  delete(queue: string): Promise<number> {
    return new Promise((resolve) => this.engine.deleteQueue(queue, {}, resolve))
  }

  async move(from: string, to: string, choice: MoveChoice = {}): Promise<number> {
    const options = moveOptions(choice)
    return this.finished((done) => this.engine.moveMessages(from, to, options, done))
  }

  async redrive(queue: string, choice: MoveChoice = {}): Promise<number> {
    const options = moveOptions(choice)
    return this.finished((done) => this.engine.moveMessages(queue, undefined, options, done))
  }

  /** What a step at a time has done is not said to be done before it is durable. */
  private async finished(work: (done: (messages: number) => void) => void): Promise<number> {
    const messages = await new Promise<number>((resolve) => work(resolve))
    await durable(this.engine)
    return messages
  }

  /** Of the queue, or (undefined) of all. */
  async scheduled(queue?: string, after = '', limit: number = PAGE): Promise<ScheduledReportPage> {
    checkLimit(limit)
    return new Promise((resolve) =>
      this.engine.scheduled(queue, after, limit, ({ messages, next }) =>
        resolve({ messages: messages.map(scheduledReport), next }),
      ),
    )
  }

  async cancel(scheduleId: string): Promise<boolean> {
    const lsn = Number(scheduleId)
    if (!(Number.isSafeInteger(lsn) && lsn > 0)) return false
    return new Promise((resolve) => this.engine.cancelScheduled(lsn, resolve))
  }

  cancelAll(queue: string): Promise<number> {
    return new Promise((resolve) => this.engine.cancelAllScheduled(queue, resolve))
  }
}

function scheduledReport(message: ScheduledMessage): ScheduledReport {
  const { lsn, targets, due, repetition, fired, publishedAt, expiry, priority, size, durable } = message
  return {
    id: String(lsn),
    queues: targets,
    due,
    repetition,
    deliveries: fired,
    messageId: messageIdOf(message),
    publishedAt,
    expiry,
    priority,
    size,
    durable,
  }
}

/** What the payload says, when it is at hand and can be read. */
function messageIdOf({ format, chunks, bytes, start, end }: ScheduledMessage): string | undefined {
  if (format !== FORMAT_AMQP10 || chunks.length > 0) return undefined
  try {
    return new MessageView(bytes, start, end).messageId
  } catch (error) {
    if (isMillraceError(error)) return undefined
    throw error
  }
}

function moveOptions({ brokerId, ...options }: MoveChoice): MoveOptions {
  checkLimit(options.limit)
  if (brokerId === undefined) return options
  if (/^\d{1,15}$/.test(brokerId)) return { ...options, lsn: Number(brokerId) }
  throw new MillraceError(
    'argument-invalid',
    `${JSON.stringify(brokerId)} is no broker id; browse the queue for it`,
  )
}

function checkLimit(limit: number | undefined): void {
  if (limit === undefined || limit === Number.POSITIVE_INFINITY || (Number.isSafeInteger(limit) && limit > 0))
    return
  throw new MillraceError(
    'argument-invalid',
    `the number of messages is a whole number above 0, not ${limit}`,
  )
}

function queueReport({ definition, oldest, ...counts }: QueueStatus): QueueReport {
  return { name: definition.name, policy: definition.policy, durability: definition.durability, ...counts }
}
