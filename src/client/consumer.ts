import { milliseconds } from '../model/duration.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { type ConsumerOptions, checkConsumerOptions, type ReceiveOptions } from './consumer-options.ts'
import { Feed, type FeedListener } from './feed.ts'
import { Fetched, groupOf } from './fetched.ts'
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
import { Waiters } from './waiters.ts'

export type MessageListener<T> = (message: Message<T>) => unknown

const settlements = {
  accepted: { outcome: 'accepted' },
  released: { outcome: 'released' },
  'rolled-back': { outcome: 'modified', deliveryFailed: true, immediately: true },
} as const

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
  private fetched!: Fetched<T>
  /** Delivered and not settled, in order, as far as the mode of the session needs it. */
  private readonly held: Set<Message<T>> = new Set()
  private readonly waiters: Waiters = new Waiters()
  /** Credit granted for single receives that has not brought a message yet. */
  private asked = 0
  private closing: Promise<void> | undefined
  /** Nothing is handed out: what was fetched goes back. */
  private rewinding = false
  private failure: MillraceError | undefined
  /** Of the delivery that came last, and of the last that came over a connection that has been lost since. */
  private newestTag = 0
  private lostTag = 0
  /** @internal */
  listener: MessageListener<unknown> | undefined
  /** Called when a message may be taken, by whoever takes them at once. @internal */
  available: (() => void) | undefined
  /** Resolves when whoever takes messages at once is through with those it took. @internal */
  activity: (() => Promise<void>) | undefined
  /** Told of a delivery that is not held any more (undefined: of all of them), by whoever takes messages at once. @internal */
  forfeited: ((tag: number | undefined, why: MillraceError) => void) | undefined

  /** @internal */
  constructor(session: Session, schema: StandardSchema<unknown, T> | undefined, options: ConsumerOptions) {
    this.session = session
    this.schema = schema
    this.prefetch = checkConsumerOptions(options)
  }

  /** @internal */
  attach(receiver: ProviderReceiver): void {
    this.receiver = receiver
    this.settler = new Settler(receiver, (error) => this.session.report(error))
    this.fetched = new Fetched(this.prefetch, (credit) => receiver.grant(credit))
    this.fetched.begin()
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

  /**
   * Leaves the credit, and with it how much is fetched, to whoever takes the messages from the feed that it answers. Of a
   * consumer with prefetch 0 that nobody receives from. Throws `closed`, `illegal-state`.
   */
  feed(listener: FeedListener): Feed<T> {
    this.assertOpen()
    if (this.prefetch > 0 || this.available || this.session.work)
      throw new MillraceError(
        'illegal-state',
        'a feed is of a consumer with prefetch 0 and without listener, in a session that is not transacted',
      )
    this.available = () => listener.available()
    this.activity = () => listener.idle()
    this.forfeited = (tag, why) => listener.forfeited(tag, why)
    return new Feed<T>(this)
  }

  /** @internal */
  grantCredit(count: number): void {
    this.asked += count
    this.receiver.grant(count)
  }

  /** Resolves when no more comes for what was granted. @internal */
  async drainCredit(): Promise<void> {
    const lapsed = await this.receiver.drain()
    this.asked = Math.max(0, this.asked - lapsed)
  }

  /** @internal */
  countFetched(groups: ReadonlySet<string>): number {
    return this.fetched.countOf(groups)
  }

  /** Messages granted that have not come, and those that have and were not taken. @internal */
  get coming(): number {
    return this.asked + this.fetched.length
  }

  /** @internal */
  giveBackFetched(): void {
    this.giveBackUnheard(this.fetched.clear())
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
        this.grantCredit(1)
      }
      await this.waiters.wait(left, signal, () => this.prefetch === 0 && this.withdraw())
    }
  }

  /** At the deadline: whatever the broker has ready is delivered before the credit comes back. */
  private async last(): Promise<Message<T> | undefined> {
    if (!this.session.started || this.rewinding) return undefined
    if (this.prefetch === 0 && this.asked === 0) {
      this.grantCredit(1)
    }
    const lapsed = await this.receiver.drain()
    if (this.prefetch > 0) this.receiver.grant(lapsed)
    else this.asked = Math.max(0, this.asked - lapsed)
    return this.take()
  }

  /** Takes back what an abandoned receive has asked for. */
  private withdraw(): void {
    const done = this.drainCredit().then(async () => {
      if (this.waiters.size === 0) await this.giveBack(this.fetched.clear())
    })
    // With its connection everything goes back.
    done.catch((error) => (isMillraceError(error) && error.code === 'closed') || this.session.report(error))
  }

  /** The next message, of none of these groups, that is fetched and in time, if the session is started. @internal */
  take(busy?: ReadonlySet<string>): Message<T> | undefined {
    if (!this.session.started || this.rewinding) return undefined
    for (;;) {
      const message = this.fetched.next(busy)
      if (!message || !this.isLate(message)) return message
      // The broker sees that it has expired, and does with it what its queue says.
      this.giveBackUnheard([message])
    }
  }

  /** It was in time when it was fetched (JMS 3.4.9). */
  private isLate({ incoming: { livesUntil } }: Message<T>): boolean {
    return livesUntil > 0 && livesUntil <= this.session.wall()
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
    await this.giveBack(this.fetched.clear())
    this.asked = 0
  }

  /** @internal */
  resume(): void {
    this.rewinding = false
    if (this.failure || this.closing) return
    this.fetched.begin()
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
    if (settlement.delay && !this.session.connection.capabilities.retryDelay)
      throw new MillraceError('unsupported', 'this provider has no delay of a consumer for a redelivery')
    message.settled = true
    this.held.delete(message as Message<T>)
    const { tag } = message.incoming
    const settled = this.settler.settle(tag, settlement)
    // A lost one has come again by now, or will, before those behind it: they must not go back without it.
    const group = tag > this.lostTag ? groupOf(message) : undefined
    if (group !== undefined) this.giveBackUnheard(this.fetched.sendBehind(group, settled))
    await settled
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
    this.fetched.putBack(again)
    this.notify()
  }

  /** @internal */
  deliver(deliveries: readonly Incoming[]): void {
    for (let i = 0; i < deliveries.length; i++) this.fetched.add(new Message<T>(deliveries[i]!, this))
    this.newestTag = deliveries.at(-1)?.tag ?? this.newestTag
    if (this.prefetch === 0) this.asked = Math.max(0, this.asked - deliveries.length)
    this.giveBackUnheard(this.fetched.takeReturning())
    this.notify()
  }

  /** What it has not shown anybody comes again; what it has, cannot be settled any more. @internal */
  lost(): void {
    this.lostTag = this.newestTag
    this.fetched.remove(() => true)
    const why = new MillraceError('connection-lost', 'the connection that delivered the messages was lost')
    this.loseHeld(why)
    this.forfeited?.(undefined, why)
    this.notify()
  }

  /** What nobody has seen yet is not shown to anybody any more. @internal */
  revoked(tag: number): void {
    const unseen = this.fetched.remove(({ incoming }) => incoming.tag === tag)
    if (unseen.length > 0) return
    // Which group it was of, nobody knows any more; those behind it have to wait for it.
    this.giveBackUnheard(this.fetched.remove((message) => groupOf(message) !== undefined))
    this.forfeited?.(
      tag,
      new MillraceError(
        'delivery-settled',
        "the broker has taken the delivery back: the queue's deliveryTimeout has passed",
      ),
    )
  }

  private loseHeld(cause: MillraceError): void {
    if (this.held.size > 0) this.session.lostDelivered(cause)
    this.held.clear()
  }

  /** @internal */
  ended(error: MillraceError): void {
    if (this.closing || this.failure) return
    this.failure = error
    this.fetched.clear()
    this.loseHeld(error)
    this.forfeited?.(undefined, error)
    if (this.listener) this.session.report(error)
    this.notify()
  }

  /** Lets whoever waits look again. @internal */
  notify(): void {
    this.available?.()
    this.waiters.wake()
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
    const undelivered = this.fetched.clear()
    if (!release && !this.failure) await this.giveBack(undelivered)
    this.session.forget(this)
  }

  private forsake(): void {
    for (const message of this.held) message.settled = true
    this.held.clear()
  }

  private async giveBack(messages: readonly Message<T>[]): Promise<void> {
    if (messages.length === 0) return
    const ranges = toRanges(messages.map(({ incoming }) => incoming.tag))
    try {
      await this.receiver.settle(ranges, settlements.released)
    } catch (error) {
      if (!(isMillraceError(error) && error.code === 'delivery-settled')) throw error
    }
  }

  private giveBackUnheard(messages: readonly Message<T>[]): void {
    if (messages.length === 0) return
    this.giveBack(messages).catch((error) => this.session.report(error))
  }

  private assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the consumer is closed')
    this.session.assertOpen()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shut(true)
  }
}
