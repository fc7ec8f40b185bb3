import { AsyncLocalStorage } from 'node:async_hooks'
import type { CompositeDestination, Destination } from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import { type BrowseOptions, QueueBrowser } from './browser.ts'
import type { Connection } from './connection.ts'
import { MessageConsumer } from './consumer.ts'
import type { ConsumerOptions } from './consumer-options.ts'
import type { Queue, Receivable, Sendable, Subscription, Topic, TypedDestination } from './destinations.ts'
import type { Message } from './message.ts'
import { assertSupported, checkProducerId, MessageProducer, type ProducerOptions } from './producer.ts'
import type { Capabilities } from './provider.ts'
import {
  checkInterest,
  checkSelector,
  checkSubscriptionName,
  type SubscribeOptions,
  toSource,
  toSubscription,
  toSubscriptionSource,
} from './subscriptions.ts'
import { Transacted, type Work } from './transacted.ts'

/**
 * When a delivered message counts as done:
 * - individual: when that message is acknowledged.
 * - client: when any message is acknowledged, with everything the session has delivered so far (JMS CLIENT).
 * - dups-ok: when it is received or its listener has returned; lazily, so that a crash may repeat some.
 * - auto: before `receive` returns it, or when its listener has returned (strict JMS AUTO).
 * - transacted: when the session commits, together with everything that was sent and received since the last commit.
 */
export type AcknowledgeMode = 'individual' | 'client' | 'dups-ok' | 'auto' | 'transacted'

export interface SessionOptions {
  /** Default 'individual'. */
  readonly acknowledge?: AcknowledgeMode | undefined
}

const modes: readonly AcknowledgeMode[] = ['individual', 'client', 'dups-ok', 'auto', 'transacted']

/** A call of a listener, visible to everything it calls. */
interface ListenerCall {
  readonly session: Session
  /** The listener has returned; what it has left running is outside of it. */
  returned: boolean
}

const listening = new AsyncLocalStorage<ListenerCall>()

/**
 * A context for sending and receiving in order (JMS Session). Its listeners run one at a time; for more at once, use more
 * sessions, or the worker that `Context.consume` gives.
 */
export class Session implements AsyncDisposable {
  readonly acknowledgeMode: AcknowledgeMode
  /** @internal */
  readonly connection: Connection
  private readonly consumers: Set<MessageConsumer> = new Set()
  private readonly producers: Set<{ close(): Promise<void> }> = new Set()
  /** Closed consumers of which something is not settled yet. */
  private readonly leavers: Set<MessageConsumer> = new Set()
  /** Of mode 'transacted'. */
  private readonly transacted: Transacted | undefined
  /** Resolves when the listener at work has returned. */
  private running: Promise<void> | undefined
  private closing: Promise<void> | undefined
  /** Nothing can be settled any more. */
  private ended = false

  /** @internal */
  constructor(connection: Connection, options: SessionOptions) {
    this.connection = connection
    this.acknowledgeMode = options.acknowledge ?? 'individual'
    if (!modes.includes(this.acknowledgeMode)) {
      throw new MillraceError(
        'argument-invalid',
        `acknowledge is one of ${modes.join(', ')}, not ${options.acknowledge}`,
      )
    }
    if (this.acknowledgeMode !== 'transacted') return
    const { provided } = connection
    if (!provided.capabilities.transactions)
      throw new MillraceError('unsupported', 'this provider has no transactions')
    this.transacted = new Transacted(() => provided.beginTransaction())
  }

  /** A producer for one destination, or without for any. Rejects with `closed`, `argument-invalid`. */
  async createProducer<Input = unknown>(
    destination?: Sendable<Input>,
    options: ProducerOptions = {},
  ): Promise<MessageProducer<Input>> {
    this.assertOpen()
    const { provided } = this.connection
    const target = destination && targetOf(destination, provided.capabilities)
    const producerId = options.id === undefined ? undefined : checkProducerId(options.id)
    if (producerId !== undefined && this.transacted)
      throw new MillraceError(
        'argument-invalid',
        'a transaction is not repeated message by message: a producer of a transacted session has no id',
      )
    // First, because a broker may create the queue for the sender, by another policy.
    for (const each of destination?.kind === 'composite' ? destination.members : [destination])
      if (each) await this.declared(each)
    const sender = await provided.createSender(target, { producerId })
    const producer = new MessageProducer<Input>(this, sender, destination, options)
    this.producers.add(producer)
    return producer
  }

  /**
   * A consumer of a queue, of a durable subscription, or of a topic through a subscription that ends with the consumer.
   * Rejects with `closed`, `destination-not-found`, `destination-in-use`, `client-id-invalid`, `selector-invalid`.
   */
  async createConsumer<Output>(
    from: Receivable<Output>,
    options: ConsumerOptions = {},
  ): Promise<MessageConsumer<Output>> {
    this.assertOpen()
    checkInterest(from, options)
    const consumer = new MessageConsumer<Output>(this, from.schema, options)
    const source = toSource(from, this.connection)
    if (from.kind !== 'subscription') await this.declared(from)
    const { maxBytes, noLocal, priority } = options
    const selector = options.selector || undefined
    const receiving = { maxBytes, selector, noLocal, priority }
    consumer.attach(await this.connection.provided.createReceiver(source, receiving, consumer))
    this.consumers.add(consumer)
    return consumer
  }

  /** Creates the durable subscription when it does not exist, and consumes from it (JMS createDurableConsumer). */
  createDurableConsumer<Output>(
    topic: Topic<never, Output>,
    name: string,
    options: ConsumerOptions & Omit<SubscribeOptions, 'name'> = {},
  ): Promise<MessageConsumer<Output>> {
    const { selector, noLocal, ...receiving } = options
    return this.createConsumer(toSubscription(topic, { ...options, name }), receiving)
  }

  /** The same for a subscription whose messages several consumers share (JMS createSharedDurableConsumer). */
  createSharedDurableConsumer<Output>(
    topic: Topic<never, Output>,
    name: string,
    options: ConsumerOptions = {},
  ): Promise<MessageConsumer<Output>> {
    return this.createDurableConsumer(topic, name, { ...options, shared: true })
  }

  /**
   * Makes sure that a durable subscription exists, and answers it, to be consumed from. From now on it keeps the messages
   * of its topic. Rejects with `client-id-invalid` when it is not shared and the connection has no client id.
   */
  async subscribe<Output>(
    topic: Topic<never, Output>,
    options: SubscribeOptions,
  ): Promise<Subscription<Output>> {
    this.assertOpen()
    const subscription = toSubscription(topic, options)
    await this.connection.provided.subscribe(toSubscriptionSource(subscription, this.connection))
    return subscription
  }

  /** Deletes a durable subscription with its messages. Rejects with `destination-not-found`, `destination-in-use`. */
  async unsubscribe(name: string, options: { readonly shared?: boolean | undefined } = {}): Promise<void> {
    this.assertOpen()
    checkSubscriptionName(name)
    await this.connection.provided.unsubscribe(name, options.shared ?? false)
  }

  /** Looks at the messages of a queue without taking them. Throws `closed`, `argument-invalid`, `destination-invalid`. */
  createBrowser<Output>(queue: Queue<never, Output>, options: BrowseOptions = {}): QueueBrowser<Output> {
    this.assertOpen()
    checkBrowsable(queue)
    checkSelector(options.selector)
    return new QueueBrowser<Output>(this.connection, queue, options)
  }

  /**
   * Delivers again, in order and each with a higher delivery count, what the session has delivered and nobody has settled.
   * Throws `illegal-state` in the modes in which there is no such thing.
   */
  recover(): void {
    this.assertOpen()
    this.assertExplicit()
    for (const consumer of this.consumers) consumer.recover()
    this.releaseLeavers()
  }

  /**
   * Sends what the session has sent since the last commit or rollback, and acknowledges what it has received, all of it or
   * nothing (JMS 6.2.7). Waits for the sends. Resolves when that is durable. Rejects with
   * - `transaction-rolled-back`, also when one of the sends was refused: nothing of it has happened, and what was received
   *   comes again, as after `rollback`;
   * - `connection-lost` when the connection was lost meanwhile: nobody knows (JMS 6.2.12); what was not acknowledged comes
   *   again;
   * - `illegal-state` in another mode, and while a commit or rollback is under way. Listeners may call it.
   */
  async commit(): Promise<void> {
    this.assertOpen()
    await this.assertTransacted().commit()
  }

  /**
   * Forgets what the session has sent since the last commit or rollback, and gives back what it has received: that comes
   * again, in order, with a higher delivery count. Each rollback counts as a failure, so that in the end a message that is
   * rolled back every time is dead-lettered. Rejects with `illegal-state` as `commit`.
   */
  async rollback(): Promise<void> {
    this.assertOpen()
    await this.assertTransacted().rollback()
  }

  private assertTransacted(): Transacted {
    if (this.transacted) return this.transacted
    throw new MillraceError('illegal-state', "the session is not transacted: create one of mode 'transacted'")
  }

  /** What is being done, in a transacted session. @internal */
  get work(): Work | undefined {
    return this.transacted?.work
  }

  /** Waits for listeners and sends, rolls back, then gives unsettled messages back. Rejects with `illegal-state` in a listener. */
  async close(): Promise<void> {
    this.assertOutside()
    this.closing ??= this.finish()
    await this.closing
  }

  private async finish(): Promise<void> {
    await this.listenersDone()
    await this.transacted?.close()
    for (const consumer of [...this.consumers]) await consumer.shut(true)
    this.releaseLeavers()
    this.ended = true
    await this.closeProducers()
    this.connection.forget(this)
  }

  /** Who has closed delivers nothing again: what it holds is for others. */
  private releaseLeavers(): void {
    for (const consumer of this.leavers)
      consumer.settleRanges(consumer.takeHeld(), 'released').catch((error) => this.report(error))
    this.leavers.clear()
  }

  /** No more sends; resolves when those under way are decided. @internal */
  async closeProducers(): Promise<void> {
    await Promise.all([...this.producers].map((producer) => producer.close()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  get started(): boolean {
    return this.connection.started && this.closing === undefined
  }

  /** Wall milliseconds, by the provider's clock. @internal */
  wall(): number {
    return this.connection.clock.wall()
  }

  /** @internal */
  get closed(): boolean {
    return this.ended
  }

  /** A listener that waits for its own session to close would wait for itself. @internal */
  assertOutside(): void {
    if (!this.isInListener()) return
    throw new MillraceError('illegal-state', 'a listener cannot close the session that runs it')
  }

  /** @internal */
  assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the session is closed')
    this.connection.assertOpen()
  }

  /** @internal */
  assertSynchronous(): void {
    for (const { listener } of this.consumers) {
      if (listener) {
        throw new MillraceError(
          'illegal-state',
          'a session with listeners does not receive; use another session',
        )
      }
    }
  }

  /** @internal */
  assertExplicit(): void {
    if (this.acknowledgeMode === 'individual' || this.acknowledgeMode === 'client') return
    throw new MillraceError(
      'illegal-state',
      this.transacted
        ? 'a transacted session does not recover; use rollback'
        : `in mode '${this.acknowledgeMode}' nobody acknowledges; use a session of mode 'individual' or 'client'`,
    )
  }

  /** Leaving a loop gives back what is unsettled, so that there must be such a thing. @internal */
  assertIterable(): void {
    if (!this.transacted) this.assertExplicit()
  }

  /** What the application holds will come again. @internal */
  lostDelivered(cause: MillraceError): void {
    this.transacted?.lost(cause)
  }

  /** Undefined when nothing has to be declared, or has been. @internal */
  declared(destination: TypedDestination<never>): Promise<void> | undefined {
    return this.connection.declared(destination)
  }

  /** By mode, a message that `receive` is about to return. @internal */
  delivered(consumer: MessageConsumer, message: Message): Promise<void> | undefined {
    switch (this.acknowledgeMode) {
      case 'auto':
        return consumer.accept(message)
      case 'dups-ok':
        void consumer.accept(message)
        return undefined
      default:
        this.hold(consumer, message)
        return undefined
    }
  }

  private hold(consumer: MessageConsumer, message: Message): void {
    consumer.hold(message)
    this.transacted?.delivered(consumer)
  }

  /** @internal */
  async acknowledge(consumer: MessageConsumer, message: Message): Promise<void> {
    if (this.acknowledgeMode === 'individual') return consumer.accept(message)
    if (this.acknowledgeMode !== 'client') return
    this.assertOpen()
    await Promise.all([...this.consumers, ...this.leavers].map(async (each) => each.acceptHeld()))
    this.leavers.clear()
  }

  /** Lets the listeners run, one message at a time. @internal */
  dispatch(): void {
    if (this.running || !this.started) return
    const next = this.nextForListener()
    if (!next) return
    const done = () => {
      this.running = undefined
      this.dispatch()
    }
    this.running = this.deliver(next.consumer, next.message).then(done, (error) => {
      this.report(error)
      done()
    })
  }

  private nextForListener(): { consumer: MessageConsumer; message: Message } | undefined {
    for (const consumer of this.consumers) {
      const message = consumer.listener && consumer.take()
      if (!message) continue
      // The next turn begins with another consumer, so that a busy one does not starve the others.
      this.consumers.delete(consumer)
      this.consumers.add(consumer)
      return { consumer, message }
    }
    return undefined
  }

  private async deliver(consumer: MessageConsumer, message: Message): Promise<void> {
    if (!(await consumer.admit(message))) return
    const automatic = this.acknowledgeMode === 'auto' || this.acknowledgeMode === 'dups-ok'
    if (!automatic) this.hold(consumer, message)
    const call: ListenerCall = { session: this, returned: false }
    try {
      await listening.run(call, () => consumer.listener?.(message))
    } catch (error) {
      // In these modes the next message is delivered (JMS 8.7); otherwise the queue's redelivery policy decides.
      if (this.acknowledgeMode === 'client' || this.transacted) this.report(error)
      else if (!message.settled) await message.fail(String(error))
      return
    } finally {
      call.returned = true
    }
    if (!automatic) return
    const accepted = consumer.accept(message)
    if (this.acknowledgeMode === 'auto') await accepted
  }

  private isInListener(): boolean {
    const call = listening.getStore()
    return call?.session === this && !call.returned
  }

  /** Resolves when no listener runs; at once when a listener asks. @internal */
  async listenersDone(): Promise<void> {
    if (!this.isInListener()) await this.running
    for (const consumer of this.consumers) await consumer.activity?.()
  }

  /** After start, or when a listener has been set. @internal */
  wake(): void {
    for (const consumer of this.consumers) consumer.notify()
  }

  /** A problem that no promise reports. @internal */
  report(error: unknown): void {
    this.connection.report(error)
  }

  /** @internal */
  forget(closed: MessageConsumer | { close(): Promise<void> }): void {
    this.consumers.delete(closed as MessageConsumer)
    this.producers.delete(closed as { close(): Promise<void> })
    if (closed instanceof MessageConsumer && closed.heldCount > 0) this.leavers.add(closed)
  }
}

/** Programs without types may give anything. Throws `destination-invalid`. */
function checkBrowsable({ kind }: Queue<never, unknown>): void {
  if (kind === 'queue' || kind === 'temporary-queue') return
  throw new MillraceError('destination-invalid', `a queue can be browsed, not a ${String(kind)}`)
}

/** What the provider is asked to send to. Throws `unsupported`. */
function targetOf(
  destination: Sendable<never>,
  capabilities: Capabilities,
): Destination | CompositeDestination {
  if (destination.kind !== 'composite') return { kind: destination.kind, name: destination.name }
  assertSupported(capabilities)
  return destination
}
