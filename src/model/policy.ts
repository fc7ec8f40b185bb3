import type { Durability } from './delivery.ts'

export type Overflow = 'block' | 'reject' | 'drop-oldest' | 'dead-letter'

/** Explicit delays that a policy may list. */
export const MAX_DELAYS = 100

/** Redelivery after an explicit failure: the delay grows from `delay` by `multiplier` up to `maxDelay`. Milliseconds. */
export interface Backoff {
  /** The delays after the first failure, the second and so on, the last one for all that follow; instead of growing. */
  readonly delays?: readonly number[] | undefined
  readonly delay: number
  readonly multiplier: number
  readonly maxDelay: number
  /** Share of the delay that is random, 0 to 1. */
  readonly jitter: number
}

/** For how long, and how many of, the ids of messages are remembered, so that one that is sent again is stored once. */
export interface Deduplication {
  /** Milliseconds. */
  readonly window: number
  readonly count: number
}

/** Ids that a policy may have remembered. */
export const MAX_DEDUPLICATION_COUNT = 1_000_000

/** What a queue does with its messages; plain data, journalled with the queue. */
export interface QueuePolicy {
  /** Milliseconds after which an unconsumed message expires; the shorter of this and the message's own wins. */
  readonly ttl?: number | undefined
  readonly maxMessages?: number | undefined
  readonly maxBytes?: number | undefined
  readonly overflow: Overflow
  /** With overflow 'block': how long a send is held before it is refused. Milliseconds. */
  readonly blockTimeout: number
  /** Explicit failures after which a message is dead-lettered; undefined: never. */
  readonly maxDeliveries?: number | undefined
  readonly backoff: Backoff
  /** Queue that takes dead letters; '{queue}' stands for this queue's name. undefined: rejected messages stay. */
  readonly deadLetter?: string | undefined
  /** Queue that takes expired messages; '{queue}' stands for this queue's name. undefined: they are counted and dropped. */
  readonly expired?: string | undefined
  /** One consumer gets the messages; the others stand by until it has left and what it held is settled or back. */
  readonly singleActiveConsumer?: boolean | undefined
  /** Messages that bear the deduplication id of an earlier one are confirmed and not stored; undefined: ids do not matter. */
  readonly deduplication?: Deduplication | undefined
  /**
   * A newer message replaces the older one that has the same value of this property; undefined: all are kept. Without the
   * property, or with a value that is no text, number or boolean, a message replaces nothing.
   */
  readonly lastValue?: string | undefined
  /** Milliseconds a consumer may hold a delivery before it is taken back; undefined: for ever. */
  readonly deliveryTimeout?: number | undefined
}

export type Lifetime =
  | { readonly kind: 'forever' }
  /** Deleted when the last consumer has left. */
  | { readonly kind: 'auto-delete' }
  /** Deleted with the connection that declared it. */
  | { readonly kind: 'connection' }
  /** Deleted after so many milliseconds without consumer. */
  | { readonly kind: 'idle'; readonly after: number }

export interface QueueDefinition {
  readonly name: string
  readonly lifetime: Lifetime
  readonly policy: QueuePolicy
  /** Ceiling on the level that messages in this queue are kept at; a volatile subscription keeps 'memory'. */
  readonly durability: Durability
}

export type ExchangeKind = 'direct' | 'fanout' | 'topic' | 'headers'

export interface ExchangeDefinition {
  readonly name: string
  readonly kind: ExchangeKind
  /** Where messages go that no binding takes. */
  readonly alternate?: string | undefined
}

/** How a topic pattern or key is split into levels: AMQP and JMS by '.', MQTT by '/'. */
export type KeySyntax = 'dotted' | 'slashed'

export interface BindingDefinition {
  readonly exchange: string
  readonly queue: string
  readonly key: string
  readonly syntax?: KeySyntax | undefined
  /** For headers exchanges: values to compare, and whether all or any must match. */
  readonly headers?:
    | { readonly match: 'all' | 'any'; readonly values: Readonly<Record<string, unknown>> }
    | undefined
  /** Take only messages of which this selector is true (docs/selectors.md). */
  readonly selector?: string | undefined
  /** Do not take messages published by this client id (JMS noLocal). */
  readonly noLocal?: string | undefined
  /** The same for a connection that has no client id, by its number: for queues that do not outlive it. */
  readonly noLocalConnection?: number | undefined
}

/** Ending of the names of dead-letter queues, unless a policy names others. */
export const DEAD_LETTER_SUFFIX = '.dlq'

/** Before the id of a queue whose declaration was damaged: the queue that its messages are in. */
export const RECOVERED_PREFIX = 'millrace.recovered.'

/** The longest wait that a consumer may ask for when it gives a message back. Milliseconds. */
export const MAX_RETRY_DELAY = 86_400_000

/** The longest wait that a queue asks for after a failure. Milliseconds. */
export function longestDelay({ delays, maxDelay }: Backoff): number {
  return delays === undefined ? maxDelay : Math.max(...delays)
}

export const defaultPolicy: QueuePolicy = {
  overflow: 'block',
  blockTimeout: 30_000,
  maxDeliveries: 10,
  backoff: { delay: 1_000, multiplier: 2, maxDelay: 300_000, jitter: 0.2 },
  deadLetter: `{queue}${DEAD_LETTER_SUFFIX}`,
}
