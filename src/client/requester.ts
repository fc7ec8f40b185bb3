import { randomBytes } from 'node:crypto'
import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import type { Connection } from './connection.ts'
import type { Queue, TypedDestination } from './destinations.ts'
import type { Message } from './message.ts'
import type { SendOptions } from './outgoing.ts'
import type { MessageProducer } from './producer.ts'
import type { Session } from './session.ts'
import type { StandardSchema } from './standard-schema.ts'
import { LONGEST_TIMEOUT } from './waiting.ts'
import { Worker } from './worker.ts'

const DEFAULT_TIMEOUT = 30_000

export interface RequestOptions<Reply = unknown>
  extends Omit<SendOptions, 'replyTo' | 'correlationId' | 'messageId' | 'sequence' | 'repeat'> {
  /** How long to wait for the reply. Default 30 s. Unless `ttl` says otherwise, the request lives no longer either. */
  readonly timeout?: Duration | undefined
  /** Checked when the reply comes; one that does not fit rejects the request with `message-invalid`. */
  readonly reply?: StandardSchema<unknown, Reply> | undefined
}

/** What has become of the requests of a connection. */
export interface RequestStatistics {
  /** Waiting for their replies. */
  readonly outstanding: number
  /** Replies that nobody waited for any more; they were dropped. */
  readonly late: number
}

interface Outstanding {
  readonly schema: StandardSchema | undefined
  readonly resolve: (reply: Message) => void
  readonly reject: (error: unknown) => void
}

/** Where replies come, until the connection is lost, and what sends: a transacted session would wait for its commit. */
interface Inbox {
  readonly queue: Queue
  readonly producer: MessageProducer
  readonly session: Session
}

/**
 * Requests whose replies come over one temporary queue, made at the first of them and found by the id of the request. A
 * lost connection rejects them, because the queue may have gone with replies in it; the next request makes another queue.
 */
export class Requester {
  private readonly connection: Connection
  private readonly idPrefix = `ID:${randomBytes(9).toString('base64url')}-r`
  private readonly outstanding: Map<string, Outstanding> = new Map()
  private inbox: Promise<Inbox> | undefined
  private number = 0
  private late = 0
  private closed = false

  constructor(connection: Connection) {
    this.connection = connection
    connection.on('disconnected', (error) => this.lose(error))
  }

  get statistics(): RequestStatistics {
    return { outstanding: this.outstanding.size, late: this.late }
  }

  async request<Input, Reply>(
    destination: TypedDestination<Input>,
    body: Input,
    options: RequestOptions<Reply>,
  ): Promise<Message<Reply>> {
    if (this.closed) throw closed()
    const { timeout: limit = DEFAULT_TIMEOUT, reply: schema, signal, ...rest } = options
    const timeout = milliseconds(limit)
    signal?.throwIfAborted()
    const messageId = this.idPrefix + (this.number++).toString(36)
    const { promise, resolve, reject } = Promise.withResolvers<Message>()
    this.outstanding.set(messageId, { schema, resolve, reject })
    const abort = () => reject(signal?.reason)
    const timer = setTimeout(() => reject(tooLate(destination, timeout)), Math.min(timeout, LONGEST_TIMEOUT))
    signal?.addEventListener('abort', abort, { once: true })
    const lasting = this.connection.capabilities.ttl ? Math.max(1, timeout) : undefined
    this.send(destination, body, { ttl: lasting, ...rest, messageId }).catch(reject)
    try {
      return (await promise) as Message<Reply>
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      this.outstanding.delete(messageId)
    }
  }

  /** Sends, unless nobody waits any more by the time that replies can come. */
  private async send<Input>(
    destination: TypedDestination<Input>,
    body: Input,
    options: SendOptions,
  ): Promise<void> {
    this.inbox ??= this.open()
    const { queue: replyTo, producer } = await this.inbox
    if (this.outstanding.has(options.messageId!)) {
      await producer.sendTo<Input>(destination, body, { ...options, replyTo })
    }
  }

  private open(): Promise<Inbox> {
    const opening = this.make()
    opening.catch(() => this.forget(opening))
    opening.then(
      ({ worker }) => worker.closed.catch((error: unknown) => this.fail(opening, error)),
      () => {},
    )
    return opening
  }

  private async make(): Promise<Inbox & { readonly worker: Worker }> {
    const queue = await this.connection.createTemporaryQueue()
    const session = this.connection.createSession({ acknowledge: 'dups-ok' })
    const report = (error: unknown): void => (this.closed ? undefined : this.connection.report(error))
    const worker = new Worker(session.createConsumer(queue), {}, (reply) => this.receive(reply), report)
    await worker.ready
    return { queue, session, worker, producer: await session.createProducer() }
  }

  private receive(reply: Message): void {
    const waiting = this.outstanding.get(reply.correlationId ?? '')
    if (!waiting) {
      this.late++
      return
    }
    const problem = waiting.schema && reply.validate(waiting.schema)
    if (problem instanceof Promise) problem.then((late) => judge(waiting, reply, late), waiting.reject)
    else judge(waiting, reply, problem)
  }

  /** What was under way has an unknown outcome. What the queue held is gone; the broker need not keep it. */
  private lose(cause: MillraceError): void {
    const { inbox } = this
    if (!inbox) return
    this.fail(inbox, new MillraceError('connection-lost', `the reply was lost: ${cause.message}`, { cause }))
    inbox.then((old) => this.discard(old)).catch(() => {})
  }

  private async discard({ queue, session }: Inbox): Promise<void> {
    await session.close()
    await this.connection.deleteTemporary(queue)
  }

  private fail(inbox: Promise<Inbox>, error: unknown): void {
    if (this.inbox !== inbox) return
    this.forget(inbox)
    for (const { reject } of this.outstanding.values()) reject(error)
  }

  private forget(inbox: Promise<Inbox>): void {
    if (this.inbox === inbox) this.inbox = undefined
  }

  /** Nobody is answered any more. The queue and its session end with the connection. */
  close(): void {
    this.closed = true
    for (const { reject } of this.outstanding.values()) reject(closed())
  }
}

function judge({ resolve, reject }: Outstanding, reply: Message, problem: string | undefined): void {
  if (problem === undefined) resolve(reply)
  else reject(new MillraceError('message-invalid', `the reply does not fit the schema: ${problem}`))
}

function closed(): MillraceError {
  return new MillraceError('closed', 'the connection is closed')
}

function tooLate(destination: TypedDestination<never>, timeout: number): MillraceError {
  return new MillraceError('timeout', `no reply from ${destination.name} within ${timeout} ms`)
}
