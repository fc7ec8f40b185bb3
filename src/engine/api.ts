import type { DeadLetterReason, Durability, Outcome } from '../model/delivery.ts'
import type { MillraceError } from '../model/errors.ts'
import type {
  BindingDefinition,
  ExchangeDefinition,
  KeySyntax,
  QueueDefinition,
  QueuePolicy,
} from '../model/policy.ts'
import type { LocationReport, PreparedReport, QueueCounts } from '../model/reports.ts'
import type { Repetition } from '../model/schedule.ts'
import type { RecoveryReport, StoreStatus } from './ports/store.ts'

/** What a start has found in the store, and what it has made of it. */
export interface StartReport extends RecoveryReport {
  /** Of queues whose declaration was damaged. */
  readonly recoveredQueues: readonly RecoveredQueue[]
}

/** Holds the messages of a queue whose own name is lost. */
export interface RecoveredQueue {
  readonly name: string
  readonly messages: number
}

/**
 * The engine as its hosts see it: synchronous calls with plain values and bytes, answers through a sink, in batches.
 * Nothing is shared: a host may put a worker thread between.
 */
export interface Engine {
  open(): Promise<StartReport>
  /** Disconnects everybody, lets the store finish, resolves when its files are closed. */
  close(): Promise<void>

  /** Topology. Answers what exists afterwards; throws `destination-conflict`, `destination-invalid`, `destination-in-use`. */
  declareQueue(definition: QueueDeclaration, connection?: number): QueueDefinition
  declareExchange(definition: ExchangeDefinition): void
  deleteExchange(name: string): void
  bind(binding: BindingDefinition): void
  unbind(binding: BindingDefinition): void
  /**
   * `done(undefined)`: all that was done before this call is durable, as topology, purging and moving are not yet when they
   * are done. `done(error)`: it will never be, since the journal has failed.
   */
  whenDurable(done: (error: MillraceError | undefined) => void): void
  /** Messages leave as purged, those that the selector takes if there is one; done when the last has. */
  purgeQueue(name: string, done: (messages: number) => void, selector?: string): void
  deleteQueue(name: string, options: { ifUnused?: boolean }, done: (messages: number) => void): void
  /**
   * Moves messages that nobody holds from the head of a queue to the queue `to`, or when that is undefined,
   * dead letters back to the queues where they failed, as if never delivered. Each is at every moment in exactly one queue;
   * capacities do not stop it. Dead letters whose origin is gone stay. Throws `destination-not-found`,
   * `selector-invalid`.
   */
  moveMessages(
    from: string,
    to: string | undefined,
    options: MoveOptions,
    done: (messages: number) => void,
  ): void

  /** A connection is the scope of producers, consumers and connection-lived queues. */
  connect(sink: ConnectionSink, options?: { clientId?: string | undefined }): number
  /** Unsettled deliveries become ready again and count as interrupted. */
  disconnect(connection: number): void

  /** Registers a producer identity, for resends to be stored once. Answers its handle and the last sequence stored. */
  openProducer(connection: number, id: string): { handle: number; lastSequence: number }
  /** The outcome follows through `sink.published` under `publication.tag`; never in this call. */
  publish(connection: number, publication: Publication): void
  /** A body too large for one buffer: append to it, then name it in a publication, or abort it. */
  openBody(connection: number): number
  appendBody(body: number, bytes: Uint8Array): void
  abortBody(body: number): void

  /** Throws `destination-not-found`, `destination-in-use`. Deliveries need credit. */
  consume(connection: number, options: ConsumerOptions): number
  /** Adds to the consumer's credit. */
  grant(consumer: number, credit: number): void
  /**
   * Hands out what is ready, as far as the credit goes, then takes the rest of the credit back (AMQP drain). `done` is told
   * how much lapsed, after those deliveries have gone to the sink.
   */
  drain(consumer: number, done: (lapsed: number) => void): void
  /** Deliveries stay unsettled until settled, or until `release`, which lets them go back without counting as failure. */
  cancel(consumer: number, options: { release: boolean }): void
  /**
   * Settles the unsettled deliveries of a consumer whose tags are in [first, last]; others in the range are passed over.
   * Answers how many were settled. With `request`, `sink.settled` reports it when the settlement is durable; not for a
   * consumer that is gone.
   *
   * With `transaction` they are enlisted: they stay with their consumer, cannot be settled otherwise, and are settled when
   * the transaction commits; `request` is answered at once. Throws `transaction-not-found`, `transaction-rolled-back`,
   * `transaction-too-large`.
   */
  settle(
    consumer: number,
    first: number,
    last: number,
    settlement: Settlement,
    request?: number,
    transaction?: number,
  ): number

  /** Begins a transaction of publications and settlements of this connection. Throws `memory-full` when too many are open. */
  beginTransaction(connection: number): number
  /**
   * Ends the transaction. `done(undefined)`: all of it is durable, and in effect. `done(error)`: nothing of it has happened,
   * nor will; `transaction-not-found`, or `transaction-rolled-back` with the cause. It waits for publications that are held
   * by a full queue; when one of them is refused, the transaction is rolled back.
   */
  commitTransaction(transaction: number, done: (error: MillraceError | undefined) => void): void
  /**
   * Its publications are gone; its settlements are forgotten: the deliveries are still unsettled and with their consumers.
   * A transaction that is not there any more is as good as rolled back.
   */
  rollbackTransaction(transaction: number, done: () => void): void

  /**
   * Decides a half message. `done(undefined)`: the decision is durable. `done(error)`: `prepared-not-found` when there is no
   * such half message, or none any more because it has been decided.
   */
  decidePrepared(
    id: string,
    decision: 'commit' | 'rollback',
    done: (error: MillraceError | undefined) => void,
  ): void
  /** This connection answers for the half messages of a group of producers: `sink.check` asks it what became of them. */
  joinGroup(connection: number, group: string): void
  leaveGroup(connection: number, group: string): void
  /** Half messages that nobody has decided yet, oldest first. */
  prepared(): readonly PreparedStatus[]

  /**
   * Looks at messages without taking them, in queue order from `after` (an opaque position, '' for the head): all, or those
   * that the selector takes. A page may then have fewer than `limit` and still name a position to go on from.
   */
  browse(
    queue: string,
    after: string,
    limit: number,
    done: (page: BrowsePage) => void,
    selector?: string,
  ): void
  /**
   * Messages that are scheduled, for one queue or (undefined) for all, in the order in which they are due, from `after` (an
   * opaque position, '' for the beginning). A page may be short, or empty, and still have a next one.
   */
  scheduled(
    queue: string | undefined,
    after: string,
    limit: number,
    done: (page: ScheduledPage) => void,
  ): void
  /** Told true when it is durable that it will not come; false when nothing is scheduled under this number, or not any more. */
  cancelScheduled(lsn: number, done: (cancelled: boolean) => void): void
  /** Cancels what is scheduled for this queue alone; told how many, when that is durable. Throws `destination-not-found`. */
  cancelAllScheduled(queue: string, done: (messages: number) => void): void
  /** Where a message is held; empty when no queue holds that LSN any more. */
  locate(lsn: number, done: (locations: readonly MessageLocation[]) => void): void
  readChunk(lsn: number, done: (bytes: Uint8Array | null) => void): void

  connections(): readonly ConnectionStatus[]
  queues(): readonly QueueStatus[]
  queue(name: string): QueueStatus | undefined
  /** The topic that a queue of this name takes from when it comes into being; undefined for most. */
  virtualTopicOf(queue: string): string | undefined
  exchanges(): readonly ExchangeDefinition[]
  /** All, or those of one queue. */
  bindings(queue?: string): readonly BindingDefinition[]
  store(): StoreStatus
}

export interface QueueDeclaration {
  readonly name: string
  readonly lifetime?: QueueDefinition['lifetime'] | undefined
  readonly policy?: Partial<QueuePolicy> | undefined
  readonly durability?: Durability | undefined
  /** Do not create: throw `destination-not-found` when absent. */
  readonly passive?: boolean | undefined
}

export interface MoveOptions {
  /** At most so many; undefined: all. */
  readonly limit?: number | undefined
  /** Only messages that it takes. */
  readonly selector?: string | undefined
  /** Only the message of this LSN. */
  readonly lsn?: number | undefined
  /** Messages a second at most; it goes on to its end though nobody waits for it any more. Throws `argument-invalid`. */
  readonly rate?: number | undefined
}

/** Where a message goes. */
export interface Address {
  readonly exchange: string
  readonly key: string
}

export interface Publication {
  /** Chosen by the sender and echoed; rising within a connection. */
  readonly tag: number
  readonly exchange: string
  readonly key: string
  /** How a topic exchange splits the key; 'dotted' when absent. */
  readonly syntax?: KeySyntax | undefined
  /**
   * It goes there as well: to each queue once, and nowhere when one of them refuses it. Receivers that got it through an
   * exchange see the first exchange among the addresses; in a queue that it was sent to, it looks as if sent there alone.
   */
  readonly also?: readonly Address[] | undefined
  readonly durability: Durability
  /** 0 to 9. */
  readonly priority: number
  /** How the payload is encoded: 1 = AMQP 1.0 message sections without header. */
  readonly format: number
  /** The engine copies it. Ignored when `body` is given. */
  readonly payload: Uint8Array
  readonly body?: number | undefined
  /** Wall milliseconds after which it must not be delivered; 0: never. */
  readonly expiry: number
  /** Wall milliseconds before which it must not be delivered; 0 or absent: at once. What cannot be kept is refused with `schedule-invalid`. What waits for a decision is scheduled by it, for the same time. */
  readonly due?: number | undefined
  /** Delivered again and again, from `due` on, or after the first interval. */
  readonly repeat?: Repetition | undefined
  /** Handle from openProducer, and the producer's sequence, rising by one a message; 0: no identity. */
  readonly producer: number
  readonly sequence: number
  /** Under which queues with `deduplication` know it; of at most 256 bytes. Absent: what the payload says. */
  readonly deduplicationId?: string | undefined
  /** With no queue to go to it is refused with `message-unroutable` instead of being confirmed and dropped. */
  readonly mandatory: boolean
  /** Message group (JMSXGroupID): its messages go to one consumer at a time, in order. '' is none. */
  readonly group?: string | undefined
  /** It counts once this transaction is committed; its outcome tells whether it was taken. `producer` is not looked at. */
  readonly transaction?: number | undefined
  /**
   * A half message: stored, durable and invisible until decidePrepared. Undecided, it is asked for with the connections that
   * have joined `group`. Never of level 'memory', never unroutable, and not in a transaction. `producer` is not looked at.
   */
  readonly prepare?: { readonly group: string } | undefined
}

export interface ConsumerOptions {
  readonly queue: string
  /** Create the queue by policy if it does not exist. */
  readonly create?: boolean | undefined
  /** Nobody else may consume from the queue. */
  readonly exclusive?: boolean | undefined
  /** A whole number, 0 when absent: while a consumer of a higher priority takes a message, the others do not get it. */
  readonly priority?: number | undefined
  /** Nothing more is delivered while so many bytes are unsettled; at least one message always is. */
  readonly maxBytes?: number | undefined
  /** Only messages that this selector chooses (docs/selectors.md); '' chooses all. Throws `selector-invalid`. */
  readonly selector?: string | undefined
}

export interface Settlement {
  readonly outcome: Outcome
  /** With 'modified': counts as a failed delivery and is redelivered by the queue's backoff. */
  readonly deliveryFailed?: boolean | undefined
  /** With `deliveryFailed`: it counts, but waits for no backoff; a rollback keeps the order. */
  readonly immediately?: boolean | undefined
  /**
   * With 'modified': it is not delivered before so long, at most MAX_RETRY_DELAY, instead of after the queue's backoff, or,
   * without `deliveryFailed`, instead of at once. Milliseconds.
   */
  readonly delay?: number | undefined
  /** With 'modified': this consumer does not get it again. */
  readonly undeliverableHere?: boolean | undefined
  /** Recorded with a dead letter. */
  readonly reason?: DeadLetterReason | undefined
  readonly description?: string | undefined
}

/** Answers to one connection. Called in batches, never from inside a call of that connection into the engine. */
export interface ConnectionSink {
  /** Outcomes of publications: in order of publication for those that share a durability and are accepted. */
  published(outcomes: readonly PublishOutcome[]): void
  /** Settlement requests that are durable now. */
  settled(requests: readonly number[]): void
  /** The objects are reused: take what you need before returning. */
  deliver(consumer: number, deliveries: readonly Delivery[], count: number): void
  /** A delivery has been taken back from the consumer, because it took too long (queue policy deliveryTimeout). */
  revoked?(consumer: number, tag: number): void
  /** The consumer has ended from the engine's side (queue deleted, journal failed). */
  cancelled(consumer: number, error: MillraceError): void
  /** Sends to `queue` are being held, and why; then that they flow again. */
  blocked(queue: string, reason: 'queue-full' | 'disk-full' | 'memory-full'): void
  unblocked(queue: string): void
  /** What became of these half messages of a group that the connection has joined? The answer is decidePrepared. */
  check?(prepared: readonly PreparedCheck[]): void
  /** The journal has failed. What had reached its level by then has been confirmed; nothing is any more. */
  failed(error: MillraceError): void
}

/** What became of the publications with the tags from `tag` to `last`: of several, that they were accepted, and no more. */
export interface PublishOutcome {
  readonly tag: number
  readonly last: number
  /** Undefined: accepted at the durability asked for. */
  readonly error: MillraceError | undefined
  /** Number of what was scheduled, by which it can be cancelled, once its transaction is committed; absent for a message that was not, and for a resend. */
  readonly scheduled?: number | undefined
  /** Of a half message: the id by which it is decided. */
  readonly prepared?: string | undefined
}

export interface Delivery {
  /** Rising by one within the consumer, from 1. */
  readonly tag: number
  readonly lsn: number
  readonly queue: string
  readonly exchange: string
  readonly key: string
  readonly format: number
  readonly priority: number
  readonly publishedAt: number
  readonly expiry: number
  /** 1 on first delivery. */
  readonly deliveryCount: number
  readonly durable: boolean
  /** JSON of the broker's annotations (dead-letter history), or ''. */
  readonly annotations: string
  /** The payload lies in bytes[start, end); valid as long as referenced, never to be written. Empty when chunked. */
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  /** Size of the payload; when `chunks` is not empty it must be fetched with readChunk. */
  readonly size: number
  readonly chunks: readonly number[]
}

export interface BrowsePage {
  readonly messages: readonly BrowsedMessage[]
  /** Position to go on from; undefined at the end. */
  readonly next: string | undefined
}

/** Like Delivery, but kept: the browser may hold it. */
export interface BrowsedMessage extends Omit<Delivery, 'tag'> {
  readonly state: string
}

export interface ScheduledPage {
  readonly messages: readonly ScheduledMessage[]
  /** Position to go on from; undefined at the end. */
  readonly next: string | undefined
}

export interface ScheduledMessage extends Omit<Delivery, 'tag'> {
  /** Queues that it goes to; those that have been deleted meanwhile are not among them. */
  readonly targets: readonly string[]
  /** Wall milliseconds of the next delivery. */
  readonly due: number
  readonly repetition: Repetition | undefined
  /** Deliveries so far. */
  readonly fired: number
}

export interface MessageLocation extends LocationReport {
  readonly lsn: number
  /** Connection that holds it, when acquired. */
  readonly consumer?: number | undefined
}

/** A half message as its producers are asked for it. */
export interface PreparedCheck extends Omit<Delivery, 'tag'> {
  readonly id: string
  readonly group: string
}

export interface PreparedStatus extends PreparedReport {
  readonly lsn: number
}

export interface QueueStatus extends QueueCounts {
  readonly definition: QueueDefinition
  readonly oldest?: { readonly lsn: number } | undefined
}

export interface ConnectionStatus {
  readonly id: number
  readonly clientId: string | undefined
  readonly consumers: number
  /** Deliveries that it holds. */
  readonly unsettled: number
  /** Monotonic milliseconds at which it connected. */
  readonly since: number
}
