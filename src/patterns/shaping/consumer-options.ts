import type { Clock } from '../../client/clock.ts'
import type { ConsumerOptions } from '../../client/consumer-options.ts'
import type { Message } from '../../client/message.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { whole } from '../arguments.ts'
import type { RetryPolicy } from '../retry/policy.ts'
import { AdaptiveLimit, type AdaptiveOptions } from './adaptive-limit.ts'
import { type BreakerOptions, CircuitBreaker } from './circuit-breaker.ts'
import { KeyRates } from './key-rates.ts'
import { checkRate, type Rate, type RateOptions } from './token-bucket.ts'

export interface ShapedConsumerOptions<T = unknown> extends ConsumerOptions {
  /** Messages, or batches, worked on at once: a number, by default 1, or bounds within which it is found out. */
  readonly concurrency?: number | AdaptiveOptions | undefined
  /** Messages begun with. It is that of this consumer: several share a limit by a part of it for each. */
  readonly rate?: RateOptions | undefined
  /**
   * The same for each key, by default the message group. A message that comes too early goes back to the broker, which keeps
   * it until its turn, uncounted, while others pass; of a group the members behind it wait with it, in their order.
   */
  readonly ratePerKey?:
    | (RateOptions & { readonly key?: ((message: Message<T>) => string | undefined) | undefined })
    | undefined
  /** Nothing is fetched while what the handler needs is down. true: with the defaults. Default: none. */
  readonly breaker?: boolean | BreakerOptions | undefined
  readonly retry?: RetryPolicy | undefined
  /** Messages fetched while everything is busy; nobody else gets them meanwhile. Default 0. */
  readonly prefetch?: number | undefined
  /** Aborted: it closes, as by `close()`. */
  readonly signal?: AbortSignal | undefined
  /** Time, for tests. Default: the connection's. */
  readonly clock?: Clock | undefined
}

export interface BatchOptions {
  /** Messages of a batch at most. Default 100. */
  readonly size?: number | undefined
  /** How long the first message of a batch waits for others. Default 100 ms. */
  readonly window?: Duration | undefined
  /**
   * What becomes of a batch whose handler throws: true (default), each message is tried alone, so that one bad message does
   * not fail its neighbours; false, all of them have failed.
   */
  readonly isolate?: boolean | undefined
}

export interface BatchConsumerOptions<T = unknown> extends ShapedConsumerOptions<T> {
  readonly batch?: BatchOptions | undefined
}

/** What a consumer is made of, by its options. */
export interface Shape<T> {
  /** Undefined: the limit is fixed. */
  readonly adaptive: AdaptiveLimit | undefined
  readonly fixed: number
  readonly rate: Rate | undefined
  readonly keyRates: KeyRates | undefined
  readonly keyOf: (message: Message<T>) => string | undefined
  readonly breaker: CircuitBreaker | undefined
  readonly retry: RetryPolicy
  readonly prefetch: number
  readonly size: number
  readonly window: number
  readonly isolate: boolean
}

/** Throws `argument-invalid`, `duration-invalid`. */
export function shapeOf<T>(options: ShapedConsumerOptions<T>, batch?: BatchOptions): Shape<T> {
  const { concurrency = 1, rate, ratePerKey, breaker, retry = {}, prefetch = 0 } = options
  const { size = 100, window = 100, isolate = true } = batch ?? { size: 1, window: 0 }
  return {
    adaptive: typeof concurrency === 'object' ? new AdaptiveLimit(concurrency) : undefined,
    fixed: typeof concurrency === 'object' ? 0 : whole('concurrency', concurrency, 1),
    rate: rate && checkRate('rate', rate),
    keyRates: ratePerKey && new KeyRates(checkRate('ratePerKey', ratePerKey)),
    keyOf: ratePerKey?.key ?? (({ groupId }) => groupId),
    breaker: breaker ? new CircuitBreaker(breaker === true ? {} : breaker) : undefined,
    retry,
    prefetch: whole('prefetch', prefetch, 0),
    size: whole('batch.size', size, 1),
    window: milliseconds(window),
    isolate,
  }
}
