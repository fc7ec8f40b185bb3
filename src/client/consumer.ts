import { type Duration, milliseconds } from '../model/duration.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { Deque } from './deque.ts'
import { Message, type Settling } from './message.ts'
import type {
  Incoming,
  ProviderReceiver,
  ProviderSettlement,
  ProviderTransaction,
  ReceiverSink,
} from './provider.ts'
import type { Session } from './session.ts'
import { Settler, toRanges } from './settler.ts'
import type { StandardSchema } from './standard-schema.ts'
import { LONGEST_TIMEOUT } from './waiting.ts'

export interface ConsumerOptions {
  /**
   * Messages fetched ahead and not yet handed to the application. 0: fetched only when asked for, so that nothing is
   * held that another consumer could have. Default 128.
   */
  readonly prefetch?: number | undefined
  /** Nothing more is fetched while so many bytes are unsettled; at least one message always is. */
  readonly maxBytes?: number | undefined
  /**
   * Only messages that it takes (docs/selectors.md); '' takes all. On a queue the others are left for other consumers; of a
   * topic they are not kept. The selector of a durable subscription is given where it is subscribed.
   */
  readonly selector?: string | undefined
  /** Of a topic: not what this connection sends. */
  readonly noLocal?: boolean | undefined
  /**
   * A whole number, default 0. A consumer gets what those of a higher priority on the same queue have no room for; equals take
   * turns.
   */
  readonly priority?: number | undefined
}

export interface ReceiveOptions {
  /** How long to wait for a message; 0: take one only if it is there. Default: until one comes. */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

export type MessageListener<T> = (message: Message<T>) => unknown

const DEFAULT_PREFETCH = 128

const settlements = {
  accepted: { outcome: 'accepted' },
  released: { outcome: 'released' },
  'rolled-back': { outcome: 'modified', deliveryFailed: true, immediately: true },
} as const

interface Waiter {
  wake(): void
}

/**
 * Receives messages from a queue or subscription (JMS MessageConsumer): by `receive`, by a listener, or by iterating.
 * Iterating never acknowledges by itself, and leaving the loop closes the consumer and gives back what is unsettled.
 */
export class MessageConsumer<T = unknown> implements Settling, ReceiverSink, AsyncDisposable {
  private readonly session: Session
  private readonly schema: StandardSchema<unknown, T> | undefined
  private readonly prefetch: number
  private receiver!: ProviderReceiver
  private settler!: Settler
  private readonly buffer: Deque<Message<T>> = new Deque()
  /** Delivered and not settled, in order, as far as the mode of the session needs it. */
  private readonly held: Set<Message<T>> = new Set()
  private readonly waiters: Set<Waiter> = new Set()
  /** Taken from the buffer since credit was granted last. */
  private taken = 0
  /** Credit granted for single receives that has not brought a message yet. */
  private asked = 0
  private closing: Promise<void> | undefined
  /** Nothing is handed out: what was fetched goes back. */
  private rewinding = false
  private failure: MillraceError | undefined
  /** @internal */
  listener: MessageListener<unknown> | undefined
  /** Called when a message may be taken, by whoever takes them at once. @internal */
  available: (() => void) | undefined
  /** Resolves when whoever takes messages at once is through with those it took. @internal */
  activity: (() => Promise<void>) | undefined

  /** @internal */
  constructor(session: Session, schema: StandardSchema<unknown, T> | undefined, options: ConsumerOptions) {
    this.session = session
    this.schema = schema
    const { prefetch = DEFAULT_PREFETCH } = options
    if (!(Number.isSafeInteger(prefetch) && prefetch >= 0)) {
      throw new MillraceError('argument-invalid', `prefetch is a whole number from 0, not ${prefetch}`)
    }
    this.prefetch = prefetch
    if (!Number.isSafeInteger(options.priority ?? 0))
      throw new MillraceError('argument-invalid', `priority is a whole number, not ${options.priority}`)
  }

  /** @internal */
  attach(receiver: ProviderReceiver): void {
    this.receiver = receiver
    this.settler = new Settler(receiver, (error) => this.session.report(error))
    if (this.prefetch > 0) receiver.grant(this.prefetch)
  }

  /**
   * The next message, or undefined when `timeout` passed or the consumer was closed meanwhile. Rejects with `closed`,
   * `illegal-state` (the session has listeners), the reason of `signal`, or what ended the consumer.
   */
  async receive(options: ReceiveOptions = {}): Promise<Message<T> | undefined> {
    this.assertOpen()
    this.session.assertSynchronous()
    options.signal?.throwIfAborted()
    const timeout = options.timeout === undefined ? undefined : milliseconds(options.timeout)
    const deadline = timeout === undefined ? undefined : performance.now() + timeout
    for (;;) {
      const message = await this.next(deadline, options.signal)
      if (!message) return undefined
      if (!(await this.admit(message))) continue
      await this.session.delivered(this, message)
      return message
    }
  }

  /** The next message if there is one now. */
  receiveNoWait(): Promise<Message<T> | undefined> {
    return this.receive({ timeout: 0 })
  }

  /**
   * Calls `listener` with each message, one at a time in the whole session, and waits for what it returns. undefined stops
   * that. Throws `closed`.
   */
  setMessageListener(listener: MessageListener<T> | undefined): void {
    this.assertOpen()
    this.listener = listener as MessageListener<unknown> | undefined
    this.available = listener && (() => this.session.dispatch())
    if (listener) this.session.dispatch()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message<T>, void, undefined> {
    this.session.assertIterable()
    try {
      for (;;) {
        const message = await this.receive()
        if (!message) return
        yield message
      }
    } finally {
      await this.shut(true)
    }
  }

  /** Waits for a message in the buffer until the deadline; with prefetch 0, or at the deadline, asks the broker. */
  private async next(
    deadline: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Message<T> | undefined> {
    for (;;) {
      const message = this.take()
      if (message) return message
      if (this.closing) return undefined
      if (this.failure) throw this.failure
      const left = deadline === undefined ? undefined : deadline - performance.now()
      if (left !== undefined && left <= 0) return this.last()
      if (this.prefetch === 0 && !this.rewinding && this.asked < this.waiters.size + 1) {
        this.asked++
        this.receiver.grant(1)
      }
      await this.change(left, signal)
    }
  }

  /** At the deadline: whatever the broker has ready is delivered before the credit comes back. */
  private async last(): Promise<Message<T> | undefined> {
    if (!this.session.started || this.rewinding) return undefined
    if (this.prefetch === 0 && this.asked === 0) {
      this.asked++
      this.receiver.grant(1)
    }
    const lapsed = await this.receiver.drain()
    if (this.prefetch > 0) this.receiver.grant(lapsed)
    else this.asked = Math.max(0, this.asked - lapsed)
    return this.take()
  }

  /** Resolves when there may be something new, after `timeout` milliseconds, or rejects when the signal is aborted. */
  private change(timeout: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.waiters.delete(waiter)
      }
      const waiter: Waiter = {
        wake: () => {
          end()
          resolve()
        },
      }
      const abort = () => {
        end()
        if (this.prefetch === 0) this.withdraw()
        reject(signal?.reason)
      }
      const timer =
        timeout === undefined ? undefined : setTimeout(waiter.wake, Math.min(timeout, LONGEST_TIMEOUT))
      signal?.addEventListener('abort', abort, { once: true })
      this.waiters.add(waiter)
    })
  }

  /** Takes back what an abandoned receive has asked for. */
  private withdraw(): void {
    const done = this.receiver.drain().then(async (lapsed) => {
      this.asked = Math.max(0, this.asked - lapsed)
      if (this.waiters.size === 0 && this.buffer.length > 0) await this.giveBack(this.buffer.clear())
    })
    done.catch((error) => this.session.report(error))
  }

  /** The next message of the buffer, if the session is started. @internal */
  take(): Message<T> | undefined {
    if (!this.session.started || this.rewinding) return undefined
    const message = this.buffer.shift()
    if (!message) return undefined
    if (this.prefetch > 0 && ++this.taken * 2 >= this.prefetch) {
      this.receiver.grant(this.taken)
      this.taken = 0
    }
    return message
  }

  /** False when the body does not fit the schema: it has then been dead-lettered. @internal */
  admit(message: Message<T>): boolean | Promise<boolean> {
    if (!this.schema) return true
    const problem = message.validate(this.schema)
    return problem instanceof Promise
      ? problem.then((late) => this.judge(message, late))
      : this.judge(message, problem)
  }

  private judge(message: Message<T>, problem: string | undefined): boolean {
    if (problem === undefined) return true
    this.rejectInvalid(message, problem)
    return false
  }

  /** @internal */
  rejectInvalid(message: Message<T>, description: string): void {
    this.settle(message, { outcome: 'rejected', reason: 'invalid-body', description }).catch((error) =>
      this.session.report(error),
    )
  }

  /** Remembers a delivered message until it is settled, for recover, close and cumulative acknowledgement. @internal */
  hold(message: Message<T>): void {
    this.held.add(message)
  }

  /** @internal */
  acknowledge(message: Message): Promise<void> {
    return this.session.acknowledge(this, message)
  }

  /** Accepts one message; the promise is shared by all that are accepted in this turn. @internal */
  accept(message: Message): Promise<void> {
    const refusal = this.refusal(message)
    if (refusal) return Promise.reject(refusal)
    message.settled = true
    this.held.delete(message as Message<T>)
    return this.settler.accept(message.incoming.tag)
  }

  /** The same for a caller that does not wait: failures are reported to the connection. @internal */
  acceptUnheard(message: Message): void {
    if (this.refusal(message)) return
    message.settled = true
    void this.settler.accept(message.incoming.tag)
  }

  /** @internal */
  get heldCount(): number {
    return this.held.size
  }

  /** Forgets what it holds, and answers the ranges of tags, to be settled by whoever asks. @internal */
  takeHeld(): readonly number[] {
    if (this.held.size === 0) return []
    const tags = [...this.held].map(({ incoming }) => incoming.tag)
    this.forsake()
    return toRanges(tags)
  }

  /** @internal */
  async settleRanges(
    ranges: readonly number[],
    outcome: keyof typeof settlements,
    transaction?: ProviderTransaction,
  ): Promise<void> {
    if (ranges.length > 0) await this.receiver.settle(ranges, settlements[outcome], transaction)
  }

  /** Fetches nothing more and gives back what it has fetched, until `resume`. @internal */
  async rewind(): Promise<void> {
    this.rewinding = true
    if (this.failure || this.closing) return
    await this.receiver.drain()
    const undelivered = this.buffer.clear()
    if (undelivered.length > 0) await this.giveBack(undelivered)
    this.taken = this.asked = 0
  }

  /** @internal */
  resume(): void {
    this.rewinding = false
    if (this.failure || this.closing) return
    if (this.prefetch > 0) this.receiver.grant(this.prefetch)
    this.notify()
  }

  /** Accepts everything it holds. @internal */
  acceptHeld(): Promise<void> | undefined {
    let last: Promise<void> | undefined
    for (const message of this.held) last = this.accept(message)
    return last
  }

  /** @internal */
  async settle(message: Message, settlement: ProviderSettlement): Promise<void> {
    const refusal = this.refusal(message)
    if (refusal) throw refusal
    message.settled = true
    this.held.delete(message as Message<T>)
    await this.settler.settle(message.incoming.tag, settlement)
  }

  private refusal(message: Message): MillraceError | undefined {
    if (this.session.closed)
      return new MillraceError('closed', 'the session that delivered the message is closed')
    if (message.settled)
      return new MillraceError('delivery-settled', 'the delivery was settled or given back before')
    return (
      this.failure && new MillraceError('delivery-settled', 'the delivery was lost', { cause: this.failure })
    )
  }

  /** Puts what is held back to the front of the buffer, to be delivered again, in order. @internal */
  recover(): void {
    const again = [...this.held].map((message) => {
      message.settled = true
      return new Message<T>(
        message.incoming,
        this,
        message.deliveryCount - message.incoming.deliveryCount + 1,
      )
    })
    this.held.clear()
    this.buffer.unshift(again)
    this.notify()
  }

  /** @internal */
  deliver(deliveries: readonly Incoming[]): void {
    for (let i = 0; i < deliveries.length; i++) this.buffer.push(new Message<T>(deliveries[i]!, this))
    if (this.prefetch === 0) this.asked = Math.max(0, this.asked - deliveries.length)
    this.notify()
  }

  /** What it has not shown anybody comes again; what it has, cannot be settled any more. @internal */
  lost(): void {
    const unseen = this.buffer.clear().length
    this.loseHeld(new MillraceError('connection-lost', 'the connection that delivered the messages was lost'))
    if (this.prefetch > 0) this.receiver.grant(unseen)
    this.notify()
  }

  private loseHeld(cause: MillraceError): void {
    if (this.held.size > 0) this.session.lostDelivered(cause)
    this.held.clear()
  }

  /** @internal */
  ended(error: MillraceError): void {
    if (this.closing || this.failure) return
    this.failure = error
    this.buffer.clear()
    this.loseHeld(error)
    if (this.listener) this.session.report(error)
    this.notify()
  }

  /** Lets whoever waits look again. @internal */
  notify(): void {
    this.available?.()
    for (const waiter of [...this.waiters]) waiter.wake()
  }

  /** What ended the consumer from the broker's side. @internal */
  get error(): MillraceError | undefined {
    return this.failure
  }

  /**
   * Gives back what has not been delivered to the application; what has can still be settled while the session is open.
   */
  close(): Promise<void> {
    return this.shut(false)
  }

  /** With `release`, delivered and unsettled messages go back too. @internal */
  shut(release: boolean): Promise<void> {
    this.closing ??= this.finish(release)
    return this.closing
  }

  private async finish(release: boolean): Promise<void> {
    this.listener = undefined
    this.notify()
    await this.session.listenersDone()
    await this.settler.idle()
    if (release) this.forsake()
    // First, so that what is given back is not delivered here again.
    if (!this.failure) await this.receiver.close({ release })
    const undelivered = this.buffer.clear()
    if (!release && !this.failure && undelivered.length > 0) await this.giveBack(undelivered)
    this.session.forget(this)
  }

  private forsake(): void {
    for (const message of this.held) message.settled = true
    this.held.clear()
  }

  private async giveBack(messages: readonly Message<T>[]): Promise<void> {
    const ranges = [messages[0]!.incoming.tag, messages.at(-1)!.incoming.tag]
    try {
      await this.receiver.settle(ranges, { outcome: 'released' })
    } catch (error) {
      if (!(isMillraceError(error) && error.code === 'delivery-settled')) throw error
    }
  }

  private assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the consumer is closed')
    this.session.assertOpen()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shut(true)
  }
}
