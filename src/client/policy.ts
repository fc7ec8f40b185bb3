import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import { MAX_DEDUPLICATION_COUNT, MAX_DELAYS, type Overflow, type QueuePolicy } from '../model/policy.ts'

/** What a queue does with its messages, as users write it; what is left out keeps the broker's default. */
export interface PolicyOptions {
  /** Unconsumed messages expire after this; the shorter of this and the message's own ttl wins. */
  readonly ttl?: Duration | undefined
  /** Capacity in messages and in bytes; at the bound `overflow` applies. */
  readonly maxMessages?: number | undefined
  readonly maxBytes?: number | undefined
  /** 'block' (default) holds a send until there is room, for `blockTimeout` at most; 'reject' refuses it at once. */
  readonly overflow?: Overflow | undefined
  readonly blockTimeout?: Duration | undefined
  /** Failures after which a message is dead-lettered; Infinity: never. Default 10. */
  readonly maxDeliveries?: number | undefined
  /**
   * Delay before a failed message is delivered again, growing by `multiplier` up to `maxDelay`. Default 1 s, 2, 5 min. Or
   * `delays`: the one after the first failure, the second and so on; the last is used from then on. `jitter`, by default 0.2,
   * is the share of a delay that is random.
   */
  readonly backoff?:
    | {
        readonly delays?: readonly Duration[] | undefined
        readonly delay?: Duration | undefined
        readonly multiplier?: number | undefined
        readonly maxDelay?: Duration | undefined
        readonly jitter?: number | undefined
      }
    | undefined
  /** Queue for dead letters, '{queue}' standing for this queue's name; false: rejected messages stay. */
  readonly deadLetter?: string | false | undefined
  /** Queue for expired messages, '{queue}' standing for this queue's name; false (default): they are counted and dropped. */
  readonly expired?: string | false | undefined
  /**
   * One consumer at a time gets messages, so that they are processed in order; when it has left, and what it held is settled
   * or back, the next does: of those there the one of the highest priority, and of equals who came first.
   */
  readonly singleActiveConsumer?: boolean | undefined
  /**
   * Stores messages of one `deduplicationId` once: ids are remembered for `window` (default 10 min), at most `count` of them
   * (default 100,000, at most 1,000,000; the oldest are forgotten first), also after a restart and after the message has left.
   * true: with these defaults.
   */
  readonly deduplication?:
    | boolean
    | { readonly window?: Duration | undefined; readonly count?: number | undefined }
    | undefined
  /**
   * Name of a property: a newer message replaces the older one that has the same value of it (text, number or boolean) and is
   * not with a consumer. A message without it replaces nothing.
   */
  readonly lastValue?: string | undefined
  /** How long a consumer may hold a delivery before it is taken back. */
  readonly deliveryTimeout?: Duration | undefined
}

/** What there is, for programs without types and for files. */
export const policyFields: readonly (keyof PolicyOptions)[] = [
  'ttl',
  'maxMessages',
  'maxBytes',
  'overflow',
  'blockTimeout',
  'maxDeliveries',
  'backoff',
  'deadLetter',
  'expired',
  'singleActiveConsumer',
  'deduplication',
  'lastValue',
  'deliveryTimeout',
]

export const backoffFields: readonly (keyof NonNullable<PolicyOptions['backoff']>)[] = [
  'delays',
  'delay',
  'multiplier',
  'maxDelay',
  'jitter',
]

const durations = ['ttl', 'blockTimeout', 'deliveryTimeout'] as const
const counts = ['maxMessages', 'maxBytes', 'maxDeliveries'] as const
const overflows: readonly Overflow[] = ['block', 'reject', 'drop-oldest', 'dead-letter']

/** The broker's form of a policy. Throws `argument-invalid`, `duration-invalid`. */
export function resolvePolicy(options: PolicyOptions): Partial<QueuePolicy> {
  checkFields('a policy', options, policyFields)
  const policy: { -readonly [K in keyof QueuePolicy]?: QueuePolicy[K] } = {}
  for (const name of durations) {
    const value = options[name]
    if (value !== undefined) policy[name] = milliseconds(value)
  }
  for (const name of counts) {
    const value = options[name]
    if (value !== undefined) policy[name] = count(name, value)
  }
  if (options.overflow !== undefined) policy.overflow = overflow(options.overflow)
  if (options.deadLetter !== undefined) policy.deadLetter = target('deadLetter', options.deadLetter)
  if (options.expired !== undefined) policy.expired = target('expired', options.expired)
  if (options.singleActiveConsumer !== undefined)
    policy.singleActiveConsumer = flag('singleActiveConsumer', options.singleActiveConsumer)
  if (options.deduplication !== undefined) policy.deduplication = deduplication(options.deduplication)
  if (options.lastValue !== undefined) policy.lastValue = propertyName(options.lastValue)
  if (options.backoff !== undefined) policy.backoff = backoff(options.backoff)
  return policy
}

/** A field that is written wrongly would be one that does nothing. */
function checkFields(what: string, options: object, fields: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (fields.includes(name)) continue
    throw new MillraceError(
      'argument-invalid',
      `${what} has no ${JSON.stringify(name)}; it has ${fields.join(', ')}`,
    )
  }
}

function target(name: string, value: string | false): string | undefined {
  if (value === false || (typeof value === 'string' && value !== '')) return value || undefined
  throw new MillraceError(
    'argument-invalid',
    `${name} is the name of a queue such as '{queue}.dlq', or false, not ${JSON.stringify(value)}`,
  )
}

function count(name: string, value: number): number | undefined {
  if (value === Number.POSITIVE_INFINITY) return undefined
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new MillraceError('argument-invalid', `${name} is a whole number above 0, not ${value}`)
}

function overflow(value: Overflow): Overflow {
  if (overflows.includes(value)) return value
  throw new MillraceError('argument-invalid', `overflow is one of ${overflows.join(', ')}, not ${value}`)
}

function flag(name: string, value: boolean): boolean {
  if (typeof value === 'boolean') return value
  throw new MillraceError('argument-invalid', `${name} is true or false, not ${String(value)}`)
}

function propertyName(value: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw new MillraceError(
    'argument-invalid',
    `lastValue is the name of a property, not ${JSON.stringify(value)}`,
  )
}

function deduplication(options: NonNullable<PolicyOptions['deduplication']>): QueuePolicy['deduplication'] {
  if (options === false) return undefined
  if (options !== true) checkFields('deduplication', options, ['window', 'count'])
  const { window = 600_000, count = 100_000 } = options === true ? {} : options
  if (Number.isSafeInteger(count) && count > 0 && count <= MAX_DEDUPLICATION_COUNT)
    return { window: milliseconds(window), count }
  throw new MillraceError(
    'argument-invalid',
    `deduplication.count is a whole number from 1 to ${MAX_DEDUPLICATION_COUNT}, not ${count}`,
  )
}

function backoff(options: NonNullable<PolicyOptions['backoff']>): QueuePolicy['backoff'] {
  checkFields('backoff', options, backoffFields)
  const { delays, delay = 1_000, multiplier = 2, maxDelay = 300_000, jitter = 0.2 } = options
  if (!(multiplier >= 1)) {
    throw new MillraceError('argument-invalid', `backoff.multiplier is at least 1, not ${multiplier}`)
  }
  if (!(jitter >= 0 && jitter <= 1)) {
    throw new MillraceError('argument-invalid', `backoff.jitter is a share from 0 to 1, not ${jitter}`)
  }
  const growing = { delay: milliseconds(delay), multiplier, maxDelay: milliseconds(maxDelay), jitter }
  return delays === undefined ? growing : { ...growing, delays: delayList(delays) }
}

function delayList(delays: readonly Duration[]): number[] {
  if (Array.isArray(delays) && delays.length > 0 && delays.length <= MAX_DELAYS)
    return delays.map((delay) => milliseconds(delay))
  throw new MillraceError('argument-invalid', `backoff.delays is a list of 1 to ${MAX_DELAYS} durations`)
}
