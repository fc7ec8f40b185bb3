import type { DeadLetterReason, Durability, Outcome } from '../model/delivery.ts'
import type { CompositeDestination, Destination } from '../model/destination.ts'
import type { Duration } from '../model/duration.ts'
import type { MillraceError } from '../model/errors.ts'
import type { MessageContent, ReceivedContent } from '../model/message.ts'
import type { QueuePolicy } from '../model/policy.ts'
import type {
  ConnectionReport,
  LocationReport,
  PreparedReport,
  QueueReport,
  ScheduledReport,
  ScheduledReportPage,
  TopicReport,
} from '../model/reports.ts'
import type { Clock } from './clock.ts'

export type {
  ConnectionReport,
  LocationReport,
  PreparedReport,
  QueueReport,
  ScheduledReport,
  ScheduledReportPage,
  TopicReport,
}

/**
 * What carries the messages: the port between this API and an engine, whether it runs in this process (embedded) or
 * elsewhere (AMQP, Kafka, RabbitMQ, Redis, …).
 *
 * Common rules:
 * - Operating errors are MillraceErrors. What a provider cannot do is `unsupported`, and its capabilities say so.
 * - Callbacks (events, sinks) come from a later turn than the call that caused them, and must not throw.
 * - After `close` of an object every other call on it rejects with `closed`; `close` itself may be repeated.
 */
export interface Provider {
  /** Schemes of the URLs it takes, without colon. */
  readonly schemes: readonly string[]
  /** One URL for several, when it goes along a list by itself, also after a loss. Default: `connect` tries them in turn. */
  readonly join?: ((urls: readonly string[]) => string) | undefined
  /** Its engine can run in a thread of its own; else `thread: 'worker'` is refused. */
  readonly threads?: boolean | undefined
  connect(url: string, options: ProviderOptions): Promise<ProviderConnection>
}

/** Which thread of this process the engine of the broker runs in. */
export type Thread = 'main' | 'worker'

/** How a connection is encrypted, for providers that go over a network: PEM texts or buffers, as node:tls takes them. */
export interface TlsOptions {
  /** Authorities whose signature is trusted instead of the system's. */
  readonly ca?: string | Buffer | (string | Buffer)[] | undefined
  /** Certificate and key of the client, where the broker asks for one. */
  readonly cert?: string | Buffer | undefined
  readonly key?: string | Buffer | undefined
  /** Name that the certificate of the broker must bear. Default: the host of the URL. */
  readonly servername?: string | undefined
}

/** How a lost connection is restored, for providers that can lose it. */
export interface ReconnectOptions {
  /** Pause before the second attempt; it doubles from one to the next, and is shortened at random. Default 100 ms. */
  readonly initial?: Duration | undefined
  /** Longest pause. Default 10 s. */
  readonly max?: Duration | undefined
  /** Attempts, each along all addresses, after which the connection is given up for good. Default: none. */
  readonly maxAttempts?: number | undefined
  /** The same for the first connection, before anything has been established. Default 1. */
  readonly firstAttempts?: number | undefined
}

/** What `connect` hands on to a provider that goes over a network. */
export interface NetworkOptions {
  readonly tls?: TlsOptions | undefined
  /** false: a lost connection stays lost. */
  readonly reconnect?: ReconnectOptions | false | undefined
  /** How long one attempt to connect may take. Default 10 s. */
  readonly connectTimeout?: Duration | undefined
  /** Silence after which the broker is taken for lost; both sides keep each other informed meanwhile. Default 30 s. */
  readonly idleTimeout?: Duration | undefined
}

export interface ProviderOptions extends NetworkOptions {
  /** Identity of the client, at most one connection at a time (JMS client id). Else `client-id-invalid`. */
  readonly clientId?: string | undefined
  /** Aborted: nobody waits for the connection any more; if it comes about nevertheless, it is closed. */
  readonly signal?: AbortSignal | undefined
  readonly thread?: Thread | undefined
  readonly events: ProviderEvents
}

/** What a connection tells of its own accord. */
export interface ProviderEvents {
  /** The connection is lost and the provider is trying to restore it. Deliveries that were held are no longer. */
  disconnected(error: MillraceError): void
  reconnected(): void
  /** Sends to this queue are being held, and why; then that they flow again. */
  blocked(queue: string, reason: string): void
  unblocked(queue: string): void
  /** A failure that no promise reports. */
  failed(error: MillraceError): void
}

/** What a provider can do, as data: tests skip by it, and calls beyond it are refused with `unsupported`. */
export interface Capabilities {
  readonly durabilities: readonly Durability[]
  /** What is confirmed at level 'disk' is there after the broker has been restarted, as far as is known. */
  readonly lasting: boolean
  /** Redelivery by the broker: backoff and dead-lettering per message. */
  readonly redelivery: boolean
  /** A consumer that gives a message back may say when it is to come again. */
  readonly retryDelay: boolean
  readonly browse: boolean
  /** Consumers, browsers and subscriptions may say by a selector which messages they want. */
  readonly selectors: boolean
  readonly priority: boolean
  readonly ttl: boolean
  /** Delivery at a time to come; and again and again. */
  readonly delay: boolean
  readonly repetition: boolean
  /** Queue policies given with a destination are honoured. */
  readonly policies: boolean
  readonly topics: boolean
  readonly durableSubscriptions: boolean
  readonly temporaryDestinations: boolean
  /** Sends and settlements that happen together. */
  readonly transactions: boolean
  /** Half messages: stored now, and sent or forgotten later. */
  readonly preparedMessages: boolean
  /** One message to several destinations, to all of them or to none. */
  readonly compositeDestinations: boolean
  /** Largest encoded message. Bytes. */
  readonly maxMessageBytes: number
}

export interface ProviderConnection {
  readonly capabilities: Capabilities
  /** Time as the provider has it, where that is not the host's (tests with virtual time). */
  readonly clock?: Clock | undefined
  /** Present when queues can be looked into and managed. */
  readonly management?: ProviderManagement | undefined
  /** Present when messages can be prepared. */
  readonly prepared?: ProviderPrepared | undefined
  /** A sender for any destination, or, when `target` is given, for that one alone. */
  createSender(target?: Destination | CompositeDestination, options?: SenderOptions): Promise<ProviderSender>
  /** Deliveries go to `sink` once credit is granted. A topic as source lives and ends with the receiver. */
  createReceiver(source: Source, options: ReceiverOptions, sink: ReceiverSink): Promise<ProviderReceiver>
  /**
   * Up to `limit` messages of a queue in its order, without taking them, from `after` (undefined: the head); with a selector,
   * those that it takes. Rejects with `selector-invalid`.
   */
  browse(queue: string, after: string | undefined, limit: number, selector?: string): Promise<BrowsedPage>
  /** Makes sure that the queue exists with this policy. Rejects with `destination-conflict` when it has another. */
  declare(queue: string, policy: Partial<QueuePolicy>): Promise<void>
  /** Makes sure that the durable subscription exists; another topic or selector than before replaces it, with its messages. */
  subscribe(source: SubscriptionSource): Promise<void>
  /** Deletes a durable subscription. Rejects with `destination-not-found`, `destination-in-use`. */
  unsubscribe(name: string, shared: boolean): Promise<void>
  /** A new destination that ends with the connection and that only it may consume from. */
  createTemporary(kind: 'temporary-queue' | 'temporary-topic'): Promise<Destination>
  deleteTemporary(destination: Destination): Promise<void>
  /**
   * Begins a transaction; many may be open at once. Answers at once where nobody has to be asked, so that sends need not wait
   * for it. Rejects, or throws, with `unsupported`, `memory-full`.
   */
  beginTransaction(): Promise<ProviderTransaction> | ProviderTransaction
  /** Unsettled deliveries go back, open transactions are rolled back. Sends not yet decided are rejected with `closed`. */
  close(): Promise<void>
}

/**
 * What is sent and settled within it happens together when it is committed, or not at all. It ends with its connection: a
 * broker that loses the connection rolls back, and the provider does not try again.
 */
export interface ProviderTransaction {
  /**
   * Resolves when all of it is durable. Rejects with `transaction-rolled-back` when nothing of it has happened, as after
   * `rollback`, and with `connection-lost` when the connection was lost meanwhile: then nobody knows.
   */
  commit(): Promise<void>
  /**
   * What was sent is gone. What was settled goes back to its place in its queue at once, and counts as a failed delivery.
   * Resolves when that is so.
   */
  rollback(): Promise<void>
}

/** Half messages (JMS knows none): stored and invisible until they are decided. */
export interface ProviderPrepared {
  /** Those that nobody has decided, oldest first. */
  list(): Promise<readonly PreparedReport[]>
  /** Resolves when the decision is durable. Rejects with `prepared-not-found`, also when it was decided before. */
  decide(id: string, decision: 'commit' | 'rollback'): Promise<void>
  /** From now on this connection is asked for half messages of the group that are left undecided. */
  answerChecks(group: string, answer: CheckAnswer): Promise<ProviderChecks>
}

/** Says what became of a half message; it must not throw. 'unknown': it is asked for again later. */
export type CheckAnswer = (check: IncomingCheck) => Promise<'commit' | 'rollback' | 'unknown'>

export interface ProviderChecks {
  /** No more are asked for. */
  close(): Promise<void>
}

/** A half message that its producers are asked for. */
export interface IncomingCheck extends Incoming {
  readonly preparedId: string
}

export interface SenderOptions {
  /**
   * Identity under which the broker remembers, also after restarts, which sequences it has stored. One sender at a time
   * uses it. Default: an identity of the sender's own, which ends with it.
   */
  readonly producerId?: string | undefined
}

export interface ProviderSender {
  /** Highest sequence that was stored under the sender's identity when it was created; 0: none. */
  readonly lastSequence: number
  /**
   * Sends. Resolves when the message has reached the durability asked for, or in a transaction when the broker has taken it
   * for that; rejected, it has not been stored, except after a lost connection, when nobody knows. Calls may overlap and are ordered by call. The content is read before `send`
   * returns and may be changed afterwards. Never throws synchronously.
   */
  send(message: Outgoing): Promise<SendReceipt>
  /** Resolves when every send is decided. */
  close(): Promise<void>
}

export interface Outgoing {
  /** All members of a composite one store it, or none does. */
  readonly destination: Destination | CompositeDestination
  readonly content: MessageContent
  readonly durability: Durability
  /** 0 to 9. */
  readonly priority: number
  /** Wall milliseconds after which it must not be delivered; 0: never. */
  readonly expiry: number
  /**
   * Number of the message under the sender's identity, from 1: what is stored already is confirmed and not stored again.
   * Default: one more than that of the send before it, or than `lastSequence`.
   */
  readonly sequence?: number | undefined
  /** It is sent when this is committed. The identity of the sender is then not looked at. */
  readonly transaction?: ProviderTransaction | undefined
  /** The group of producers that answers for it: it is a half message, to be decided later. */
  readonly prepare?: string | undefined
}

/** What a confirmed send has reached. */
export interface SendReceipt {
  readonly messageId: string
  /** Of a half message: the id by which it is decided. */
  readonly prepared?: string | undefined
  /** At least this was reached. */
  readonly durability: Durability
  /** The broker's number of a message that was scheduled, by which it can be cancelled; absent for one that was not, and for a resend. */
  readonly scheduleId?: string | undefined
}

export interface SubscriptionSource {
  readonly kind: 'subscription'
  readonly name: string
  readonly topic: string
  readonly shared: boolean
  /** Only messages that it takes enter the subscription. */
  readonly selector?: string | undefined
  /** What its own client sends does not enter. Not for shared ones. */
  readonly noLocal?: boolean | undefined
  readonly policy?: Partial<QueuePolicy> | undefined
}

export type Source =
  | { readonly kind: 'queue'; readonly name: string }
  | { readonly kind: 'topic'; readonly name: string }
  | SubscriptionSource

export interface ReceiverOptions {
  /** Nothing more is delivered while so many bytes are unsettled; at least one message always is. */
  readonly maxBytes?: number | undefined
  /** Of a queue or topic: only messages that it takes. On a queue the others are left for others. */
  readonly selector?: string | undefined
  /** Of a topic: not what this connection sends. */
  readonly noLocal?: boolean | undefined
  /** Whole number, higher first, default 0: others get what the receivers of a higher priority do not take. */
  readonly priority?: number | undefined
}

export interface ReceiverSink {
  /** Deliveries in the order of their tags. The array is the sink's to keep. */
  deliver(deliveries: readonly Incoming[]): void
  /**
   * The connection was lost and is being restored: what was delivered and not settled is not held any more and may come
   * again. Tags go on rising, and the credit that was not used is still granted.
   */
  lost(): void
  /** The broker has taken this delivery back (queue policy deliveryTimeout): it is not held any more and may come again. */
  revoked?(tag: number): void
  /** The receiver has ended by itself (queue deleted, connection lost for good); its deliveries are no longer held. */
  ended(error: MillraceError): void
}

export interface ProviderReceiver {
  /** Adds to the credit: so many more deliveries may come. */
  grant(credit: number): void
  /**
   * Takes the credit back. Ready messages are delivered first, as far as the credit goes; the rest lapses. Resolves, when
   * those deliveries have been handed to the sink, with the credit that lapsed.
   */
  drain(): Promise<number>
  /**
   * Settles the deliveries of `ranges`, pairs of first and last tag. Resolves when that is durable. Rejects with
   * `delivery-settled` when some of them were not held any more; the others are settled nevertheless. With `transaction`
   * they are settled when that is committed; resolves when they belong to it.
   */
  settle(
    ranges: readonly number[],
    settlement: ProviderSettlement,
    transaction?: ProviderTransaction,
  ): Promise<void>
  /**
   * No more deliveries; what has not been handed to the sink goes back. With `release` the unsettled deliveries go back too,
   * without counting as failures, otherwise they may still be settled as long as the connection lasts.
   */
  close(options: { readonly release: boolean }): Promise<void>
}

export interface ProviderSettlement {
  readonly outcome: Outcome
  /** With 'modified': counts as a failure, and the queue's backoff applies. */
  readonly deliveryFailed?: boolean | undefined
  /** With `deliveryFailed`: it counts, and comes again at once, in its place. */
  readonly immediately?: boolean | undefined
  /** With 'modified': comes again after this, instead of the queue's backoff or at once. Milliseconds, at most a day. */
  readonly delay?: number | undefined
  readonly reason?: DeadLetterReason | undefined
  readonly description?: string | undefined
}

/** A message as it comes from a provider: the content is decoded when it is looked at. */
export interface Incoming {
  /** Rising by one within the receiver, from 1; 0 for a browsed message. */
  readonly tag: number
  readonly content: ReceivedContent
  readonly destination: Destination
  readonly priority: number
  /** 1 on first delivery. */
  readonly deliveryCount: number
  readonly durable: boolean
  /** Wall milliseconds after which it must not be delivered; 0: never. */
  readonly expiry: number
  /** The same as far as it can be had at no cost, since it is asked of every message before it is shown; 0: never. */
  readonly livesUntil: number
  /** What the broker calls it; unique in its queue for ever. */
  readonly brokerId: string
  /** Size of the encoded message. Bytes. */
  readonly size: number
  readonly deadLetter: DeadLetter | undefined
}

/** Where a dead letter comes from and why it is one. */
export interface DeadLetter {
  readonly origin: {
    readonly queue: string
    readonly exchange: string
    readonly key: string
    /** What the broker called it in that queue. */
    readonly brokerId: string
  }
  readonly reason: DeadLetterReason
  readonly description: string
  /** One entry per time it was dead-lettered, newest first, at most 16. `at` is wall milliseconds. */
  readonly history: readonly {
    readonly queue: string
    readonly reason: DeadLetterReason
    readonly description: string
    readonly deliveries: number
    readonly failures: number
    readonly at: number
  }[]
}

export interface BrowsedPage {
  readonly messages: readonly IncomingBrowsed[]
  /** Position to go on from; undefined at the end. */
  readonly next: string | undefined
}

/** A browsed message and its state in the lifecycle: ready, waiting, acquired, … */
export interface IncomingBrowsed extends Incoming {
  readonly state: string
}

/** Looking into and changing what a broker holds. Queues that do not exist: `destination-not-found`. */
export interface ProviderManagement {
  queues(): Promise<readonly QueueReport[]>
  /** Topics that somebody is subscribed to. */
  topics(): Promise<readonly TopicReport[]>
  connections(): Promise<readonly ConnectionReport[]>
  /** Where the broker holds the message of this broker id. */
  locate(brokerId: string): Promise<readonly LocationReport[]>
  /** Removes messages that nobody holds; answers how many. */
  purge(queue: string, options?: Pick<MoveOptions, 'selector'>): Promise<number>
  /** Deletes the queue with its messages; answers how many. */
  delete(queue: string): Promise<number>
  /** Moves messages that nobody holds, oldest first; answers how many. Each is always in one queue. */
  move(from: string, to: string, options?: MoveOptions): Promise<number>
  /** Moves dead letters back to the queues where they failed, as if never delivered; answers how many. */
  redrive(queue: string, options?: MoveOptions): Promise<number>
  /** What is to be delivered later, to one queue or (undefined) to all, from `after` (undefined: what is due next). */
  scheduled(queue?: string, after?: string, limit?: number): Promise<ScheduledReportPage>
  /** Cancels the scheduled message of this id; false when there is none, or none any more. */
  cancel(scheduleId: string): Promise<boolean>
  /** Cancels what is scheduled for this queue alone; answers how many. */
  cancelAll(queue: string): Promise<number>
}

/** Which messages an operation takes. Rejected with `selector-invalid`, `argument-invalid`. */
export interface MoveOptions {
  /** At most so many. Default: all. */
  readonly limit?: number | undefined
  /** Only those that it takes (docs/selectors.md). Default: all. */
  readonly selector?: string | undefined
  /** Only the message of this broker id. */
  readonly brokerId?: string | undefined
  /** At most so many a second. The broker goes on to the end, also when nobody waits for it any more. Default: as it can. */
  readonly rate?: number | undefined
}
