import { randomUUID } from 'node:crypto'
import type {
  BrowsedPage,
  Capabilities,
  ProviderConnection,
  ProviderEvents,
  ProviderManagement,
  ReceiverOptions,
  ReceiverSink,
  SenderOptions,
  Source,
  SubscriptionSource,
} from '../client/provider.ts'
import type { ConnectionSink, Delivery, Engine, PreparedCheck, PublishOutcome } from '../engine/api.ts'
import type { Clock } from '../engine/ports/clock.ts'
import { durable } from '../gateway/management/durable.ts'
import { Operations } from '../gateway/management/operations.ts'
import { ensureSubscription, ensureVolatile, subscriptionQueue } from '../gateway/management/subscriptions.ts'
import { type Destination, TEMPORARY_QUEUE, TEMPORARY_TOPIC } from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import type { QueuePolicy } from '../model/policy.ts'
import { browse } from './browse.ts'
import { PendingSends, receiptOf } from './pending-sends.ts'
import { EmbeddedPrepared } from './prepared.ts'
import { EmbeddedReceiver, type ReceiverHome } from './receiver.ts'
import { EmbeddedSender, type SenderHome } from './sender.ts'
import { EmbeddedTransaction } from './transaction.ts'

/** What a connection needs of the broker it is one of. */
export interface BrokerHome {
  readonly engine: Engine
  readonly maxMessageBytes: number
  readonly clock: Clock
  /** The connection has ended; resolves when the broker has closed, if it was the last. */
  leave(clientId: string | undefined): Promise<void>
}

/** The provider port over an engine in this process. */
export class EmbeddedConnection implements ProviderConnection, ConnectionSink, SenderHome, ReceiverHome {
  readonly capabilities: Capabilities
  readonly management: ProviderManagement
  readonly prepared: EmbeddedPrepared
  readonly clock: Clock
  readonly engine: Engine
  readonly connection: number
  readonly sends: PendingSends = new PendingSends()
  private readonly home: BrokerHome
  private readonly clientId: string | undefined
  private readonly events: ProviderEvents
  private readonly receivers: Map<number, EmbeddedReceiver> = new Map()
  private readonly requests: Map<number, PromiseWithResolvers<void>> = new Map()
  private nextRequest = 1
  private failure: MillraceError | undefined
  private closing: Promise<void> | undefined

  constructor(home: BrokerHome, clientId: string | undefined, events: ProviderEvents) {
    this.home = home
    this.engine = home.engine
    this.clock = home.clock
    this.clientId = clientId
    this.events = events
    const operations = new Operations(home.engine, { now: () => home.clock.monotonic() })
    this.management = operations
    this.capabilities = {
      durabilities: ['disk', 'os', 'memory'],
      lasting: this.engine.store().lasting,
      redelivery: true,
      retryDelay: true,
      browse: true,
      selectors: true,
      priority: true,
      ttl: true,
      delay: true,
      repetition: true,
      policies: true,
      topics: true,
      durableSubscriptions: true,
      temporaryDestinations: true,
      transactions: true,
      preparedMessages: true,
      compositeDestinations: true,
      maxMessageBytes: home.maxMessageBytes,
    }
    this.connection = this.engine.connect(this, { clientId })
    this.prepared = new EmbeddedPrepared(this.engine, this.connection, operations)
  }

  async createSender(_target?: Destination, options: SenderOptions = {}): Promise<EmbeddedSender> {
    this.assertOpen()
    const { producerId = randomUUID() } = options
    return new EmbeddedSender(this, this.engine.openProducer(this.connection, producerId))
  }

  async createReceiver(
    source: Source,
    options: ReceiverOptions,
    sink: ReceiverSink,
  ): Promise<EmbeddedReceiver> {
    this.assertOpen()
    const queue = this.queueOf(source, options)
    const consumer = this.engine.consume(this.connection, {
      queue,
      create: source.kind === 'queue',
      selector: source.kind === 'queue' ? options.selector : undefined,
      exclusive: source.kind === 'topic' || (source.kind === 'subscription' && !source.shared),
      maxBytes: options.maxBytes,
      priority: options.priority,
    })
    const receiver = new EmbeddedReceiver(this, consumer, sink)
    this.receivers.set(consumer, receiver)
    if (source.kind === 'subscription') await durable(this.engine)
    return receiver
  }

  private queueOf(source: Source, { selector, noLocal }: ReceiverOptions): string {
    switch (source.kind) {
      case 'queue':
        return source.name
      case 'topic': {
        const noLocalConnection = noLocal ? this.connection : undefined
        const interest = { topic: source.name, selector, noLocalConnection }
        return ensureVolatile(this.engine, `volatile:${randomUUID()}`, interest)
      }
      case 'subscription':
        return this.ensure(source)
    }
  }

  async browse(
    queue: string,
    after: string | undefined,
    limit: number,
    selector?: string,
  ): Promise<BrowsedPage> {
    this.assertOpen()
    return browse(this.engine, queue, after ?? '', limit, selector)
  }

  async declare(queue: string, policy: Partial<QueuePolicy>): Promise<void> {
    this.assertOpen()
    this.engine.declareQueue({ name: queue, policy })
    await durable(this.engine)
  }

  async subscribe(source: SubscriptionSource): Promise<void> {
    this.assertOpen()
    this.ensure(source)
    await durable(this.engine)
  }

  /** Answers the queue of the subscription, which exists afterwards. */
  private ensure({ name, shared, topic, selector, noLocal, policy }: SubscriptionSource): string {
    const { engine, clientId = '' } = this
    const interest = { topic, selector, noLocal: noLocal ? clientId : undefined }
    return ensureSubscription(engine, { clientId, name, shared }, interest, { policy })
  }

  async unsubscribe(name: string, shared: boolean): Promise<void> {
    this.assertOpen()
    const queue = subscriptionQueue({ clientId: this.clientId ?? '', name, shared })
    await new Promise((resolve) => this.engine.deleteQueue(queue, { ifUnused: true }, resolve))
  }

  async createTemporary(kind: 'temporary-queue' | 'temporary-topic'): Promise<Destination> {
    this.assertOpen()
    if (kind === 'temporary-topic') return { kind, name: TEMPORARY_TOPIC + randomUUID() }
    const name = TEMPORARY_QUEUE + randomUUID()
    const lifetime = { kind: 'connection' } as const
    // What it holds ends with the connection, and so do its dead letters.
    const policy = { deadLetter: undefined }
    this.engine.declareQueue({ name, lifetime, durability: 'memory', policy }, this.connection)
    return { kind, name }
  }

  async deleteTemporary(destination: Destination): Promise<void> {
    this.assertOpen()
    if (destination.kind === 'temporary-topic') return
    await new Promise((resolve) => this.engine.deleteQueue(destination.name, { ifUnused: true }, resolve))
  }

  beginTransaction(): EmbeddedTransaction {
    this.assertOpen()
    return new EmbeddedTransaction(this.engine, this.engine.beginTransaction(this.connection))
  }

  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    for (const receiver of [...this.receivers.values()]) await receiver.close({ release: true })
    this.engine.disconnect(this.connection)
    this.rejectAll(new MillraceError('closed', 'the connection was closed'))
    await this.home.leave(this.clientId)
  }

  private assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the connection is closed')
  }

  published(outcomes: readonly PublishOutcome[]): void {
    for (let i = 0; i < outcomes.length; i++) {
      const outcome = outcomes[i]!
      for (let tag = outcome.tag; tag <= outcome.last; tag++) this.decided(tag, outcome)
    }
  }

  private decided(tag: number, outcome: PublishOutcome): void {
    const send = this.sends.take(tag)
    if (!send) return
    send.sender.decided()
    if (outcome.error) send.reject(outcome.error)
    else send.resolve(receiptOf(send, outcome))
  }

  settled(requests: readonly number[]): void {
    for (const number of requests) {
      this.requests.get(number)?.resolve()
      this.requests.delete(number)
    }
  }

  deliver(consumer: number, deliveries: readonly Delivery[], count: number): void {
    const receiver = this.receivers.get(consumer)
    if (receiver) return receiver.take(deliveries, count)
    // It was closed in this turn, when these were on their way to it.
    const [first, last] = [deliveries[0]!.tag, deliveries[count - 1]!.tag]
    this.engine.settle(consumer, first, last, { outcome: 'released' })
  }

  revoked(consumer: number, tag: number): void {
    this.receivers.get(consumer)?.revoked(tag)
  }

  cancelled(consumer: number, error: MillraceError): void {
    this.receivers.get(consumer)?.end(error)
  }

  check(prepared: readonly PreparedCheck[]): void {
    this.prepared.ask(prepared)
  }

  blocked(queue: string, reason: string): void {
    this.events.blocked(queue, reason)
  }

  unblocked(queue: string): void {
    this.events.unblocked(queue)
  }

  /** Nothing will be confirmed any more: whoever waits is told so. */
  failed(error: MillraceError): void {
    this.failure = error
    this.rejectAll(error)
    for (const receiver of [...this.receivers.values()]) receiver.end(error)
    this.events.failed(error)
  }

  private rejectAll(error: MillraceError): void {
    for (const send of this.sends.takeAll()) {
      send.sender.decided()
      send.reject(error)
    }
    for (const request of this.requests.values()) request.reject(error)
    this.requests.clear()
  }

  request(): { number: number; durable: Promise<void> } {
    const number = this.nextRequest++
    if (this.failure) return { number, durable: Promise.reject(this.failure) }
    const request = Promise.withResolvers<void>()
    this.requests.set(number, request)
    return { number, durable: request.promise }
  }

  forgetRequest(number: number): void {
    this.requests.delete(number)
  }

  left(receiver: EmbeddedReceiver): void {
    // Unsettled deliveries may outlive the receiver; the engine settles them by the consumer's number.
    this.receivers.delete(receiver.consumer)
  }

  report(error: MillraceError): void {
    this.events.failed(error)
  }
}
