import { type Duration, milliseconds } from '../model/duration.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import type { MessageConsumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import { groupOf } from './fetched.ts'
import type { Message } from './message.ts'
import { settlesWithin } from './waiting.ts'

export interface WorkerOptions extends ConsumerOptions {
  /** Handlers that may run at once. Default 1. Messages of one group are handled one after the other all the same. */
  readonly concurrency?: number | undefined
  /** Aborted: the worker closes, as by `close()`. */
  readonly signal?: AbortSignal | undefined
}

export interface HandlerContext {
  /**
   * Aborted when what the handler does can settle the message no more: the worker has stopped waiting for it (`closed`), the
   * connection was lost (`connection-lost`), or the broker has taken the delivery back (`delivery-settled`). The message
   * comes again, perhaps at this moment, perhaps elsewhere.
   */
  readonly signal: AbortSignal
}

/**
 * Returns: the message is accepted. Throws: it is redelivered by the queue's backoff and in the end dead-lettered. A
 * handler that settles the message itself has the last word.
 */
export type Handler<T> = (message: Message<T>, context: HandlerContext) => unknown

export interface CloseOptions {
  /** How long handlers that are running may go on. Default: until they return. */
  readonly drain?: Duration | undefined
}

/** Deliveries that handlers work on, and which of them are not held any more. @internal */
export class Deliveries {
  /** Those whose handlers have looked at their signal. */
  readonly watched: Set<Delivery> = new Set()
  private readonly reasons: Map<number, MillraceError> = new Map()
  private all: { readonly upTo: number; readonly why: MillraceError } | undefined
  /** The highest tag that a handler has been given. */
  last = 0

  /** Why the delivery is not held any more; undefined: it is. */
  reason(tag: number): MillraceError | undefined {
    return this.reasons.get(tag) ?? (this.all && tag <= this.all.upTo ? this.all.why : undefined)
  }

  /** This delivery, or all that handlers have been given, are not held any more. */
  forfeit(why: MillraceError, tag: number | undefined): void {
    if (tag === undefined) this.all = { upTo: this.last, why }
    else this.reasons.set(tag, why)
    for (const delivery of [...this.watched])
      if (tag === undefined || delivery.tag === tag) delivery.abort(why)
  }

  ended(delivery: Delivery): void {
    if (this.watched.size > 0) this.watched.delete(delivery)
    if (this.reasons.size > 0) this.reasons.delete(delivery.tag)
  }
}

/** What a handler is given beside the message. A signal is made for those alone who look at it. @internal */
export class Delivery implements HandlerContext {
  readonly tag: number
  private readonly deliveries: Deliveries
  private aborter: AbortController | undefined

  constructor(tag: number, deliveries: Deliveries) {
    this.tag = tag
    this.deliveries = deliveries
    // Those of a group that is busy are passed over, and given later.
    deliveries.last = Math.max(deliveries.last, tag)
  }

  get signal(): AbortSignal {
    if (this.aborter) return this.aborter.signal
    this.aborter = new AbortController()
    const { tag, deliveries } = this
    deliveries.watched.add(this)
    const why = deliveries.reason(tag)
    if (why) this.aborter.abort(why)
    return this.aborter.signal
  }

  abort(why: MillraceError): void {
    this.aborter?.abort(why)
  }
}

/** Takes messages from a consumer and runs a handler for each, several at once. */
export class Worker<T = unknown> implements AsyncDisposable {
  /** Resolves when it receives. Rejects with what kept it from it. */
  readonly ready: Promise<void>
  /** Resolves when it has been closed. Rejects when the broker ended it. */
  readonly closed: Promise<void>
  private readonly handler: Handler<unknown>
  private readonly concurrency: number
  /** Groups of which a message is being handled; one handler alone need not know. */
  private readonly busy: Set<string> | undefined
  private readonly deliveries = new Deliveries()
  private readonly end = Promise.withResolvers<void>()
  private readonly report: (error: unknown) => void
  private consumer: MessageConsumer<T> | undefined
  private running = 0
  private pumping = false
  private paused = false
  private failed = false
  /** Handlers that are still running have had their time: what they return is too late. */
  private abandoned = false
  private idle: PromiseWithResolvers<void> | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(
    consumer: Promise<MessageConsumer<T>>,
    options: WorkerOptions,
    handler: Handler<T>,
    report: (error: unknown) => void,
  ) {
    this.handler = handler as Handler<unknown>
    this.report = report
    this.concurrency = options.concurrency ?? 1
    this.busy = this.concurrency > 1 ? new Set() : undefined
    this.closed = this.end.promise
    this.closed.catch(() => {})
    this.ready = consumer.then((opened) => this.begin(opened))
    this.ready.catch((error) => this.fail(error))
    const { signal } = options
    if (!signal) return
    const abort = () => void this.close().catch(report)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    this.closed.catch(() => {}).finally(() => signal.removeEventListener('abort', abort))
  }

  private begin(consumer: MessageConsumer<T>): void {
    this.consumer = consumer
    consumer.available = () => this.pump()
    consumer.activity = () => this.handlersDone()
    consumer.forfeited = (tag, why) => this.deliveries.forfeit(why, tag)
    this.pump()
  }

  /** The broker has ended it, or never let it begin. */
  private fail(error: unknown): void {
    if (this.failed || this.closing) return
    this.failed = true
    this.report(error)
    this.end.reject(error)
  }

  private pump(): void {
    const { consumer } = this
    if (!consumer) return
    if (consumer.error) return this.fail(consumer.error)
    // Handlers that return at once come back here for the next message: they must not do so one inside the other.
    if (this.pumping) return
    this.pumping = true
    while (this.running < this.concurrency && !this.paused && !this.closing) {
      const message = consumer.take(this.busy)
      if (!message) break
      this.running++
      this.run(consumer, message)
    }
    this.pumping = false
  }

  private run(consumer: MessageConsumer<T>, message: Message<T>): void {
    const delivery = new Delivery(message.incoming.tag, this.deliveries)
    const group = this.busy && groupOf(message)
    if (group !== undefined) this.busy?.add(group)
    let outcome: unknown
    try {
      const admitted = consumer.admit(message)
      if (admitted === true) outcome = this.handler(message, delivery)
      else if (admitted) outcome = this.handleLate(message, delivery, admitted)
    } catch (error) {
      return this.handlerFailed(consumer, message, delivery, error)
    }
    if (isThenable(outcome)) this.wait(consumer, message, delivery, outcome)
    else this.done(consumer, message, delivery)
  }

  private async handleLate(
    message: Message<T>,
    delivery: Delivery,
    admitted: Promise<boolean>,
  ): Promise<void> {
    if (await admitted) await this.handler(message, delivery)
  }

  private wait(
    consumer: MessageConsumer<T>,
    message: Message<T>,
    delivery: Delivery,
    outcome: PromiseLike<unknown>,
  ): void {
    outcome.then(
      () => this.done(consumer, message, delivery),
      (error) => this.handlerFailed(consumer, message, delivery, error),
    )
  }

  private done(consumer: MessageConsumer<T>, message: Message<T>, delivery: Delivery): void {
    this.deliveries.ended(delivery)
    if (!message.settled && !this.abandoned) consumer.acceptUnheard(message)
    this.leave(message)
  }

  private handlerFailed(
    consumer: MessageConsumer<T>,
    message: Message<T>,
    delivery: Delivery,
    error: unknown,
  ): void {
    this.deliveries.ended(delivery)
    const description = String((error as Error | undefined)?.message ?? error)
    if (message.settled || this.abandoned) this.report(error)
    else if (isMillraceError(error) && error.code === 'message-invalid' && !isReadable(message)) {
      consumer.rejectInvalid(message, description)
    } else message.fail(description).catch(this.report)
    this.leave(message)
  }

  private leave(message: Message<T>): void {
    this.running--
    if (this.busy && this.busy.size > 0) this.busy.delete(groupOf(message) ?? '')
    if (this.running === 0) {
      this.idle?.resolve()
      this.idle = undefined
    }
    this.pump()
  }

  /** Starts no further handler; resolves when those that are running have returned. */
  async stop(): Promise<void> {
    this.paused = true
    await this.handlersDone()
  }

  /** Goes on after `stop`. Throws `closed`. */
  start(): void {
    if (this.closing) throw new MillraceError('closed', 'the worker is closed')
    this.paused = false
    this.pump()
  }

  private handlersDone(): Promise<void> {
    if (this.running === 0) return Promise.resolve()
    this.idle ??= Promise.withResolvers<void>()
    return this.idle.promise
  }

  /**
   * Starts no further handler, waits for those that are running, gives back what none has begun with. When `drain` has
   * passed, the handlers' signal is aborted and their messages go back too. Resolves when the settlements are durable. A
   * handler must not wait for it.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.closing ??= this.finish(options)
    return this.closing
  }

  private async finish(options: CloseOptions): Promise<void> {
    const drain = options.drain === undefined ? undefined : milliseconds(options.drain)
    await this.ready.catch(() => {})
    if (!(await settlesWithin(this.handlersDone(), drain))) {
      this.abandoned = true
      const why = new MillraceError('closed', 'the worker was closed before its handler returned')
      this.deliveries.forfeit(why, undefined)
    }
    if (this.consumer) {
      this.consumer.activity = undefined
      await this.consumer.shut(true)
    }
    this.end.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined | null)?.then === 'function'
}

/** Whether the body can be decoded; if not, no redelivery will help. */
function isReadable(message: Message): boolean {
  try {
    void message.body
    return true
  } catch {
    return false
  }
}
