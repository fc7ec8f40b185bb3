import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import type { ClaimLimits } from './claims.ts'
import { LONGEST_LIST } from './statements.ts'

export interface RelayOptions {
  /** How long a claim holds that is not renewed, as when its relay has died. Default 30 s. */
  readonly lease?: Duration | undefined
  /** Messages and bytes that are claimed at once. Default 256 and 8 MiB. */
  readonly batch?: number | undefined
  readonly batchBytes?: number | undefined
  /** Batches that are on their way at once. Default 4. */
  readonly batches?: number | undefined
  /**
   * How often the database is asked. `min`: soon after something was sent or found; while nothing is, the pause doubles up to
   * `max`. Defaults 5 ms and 1 s.
   */
  readonly poll?: { readonly min?: Duration | undefined; readonly max?: Duration | undefined } | undefined
}

export interface RelayConfiguration extends ClaimLimits {
  readonly batches: number
  readonly shortestPoll: number
  readonly longestPoll: number
}

/** Throws `argument-invalid`, `duration-invalid`. */
export function configureRelay(options: RelayOptions): RelayConfiguration {
  const { lease = 30_000, batch = 256, batchBytes = 8 * 2 ** 20, batches = 4, poll = {} } = options
  const shortestPoll = milliseconds(poll.min ?? 5)
  const longestPoll = milliseconds(poll.max ?? 1_000)
  if (shortestPoll < 1 || longestPoll < shortestPoll)
    throw new MillraceError('argument-invalid', 'poll.min is at least 1 ms, and poll.max at least as long')
  if (milliseconds(lease) < 100)
    throw new MillraceError('argument-invalid', 'a lease lasts at least 100 ms: it has to be renewed in time')
  return {
    messages: whole('batch', batch, LONGEST_LIST),
    bytes: whole('batchBytes', batchBytes, Number.MAX_SAFE_INTEGER),
    batches: whole('batches', batches, 64),
    lease: Math.ceil(milliseconds(lease)),
    shortestPoll,
    longestPoll,
  }
}

function whole(name: string, value: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= 1 && value <= most) return value
  throw new MillraceError('argument-invalid', `${name} is a whole number from 1 to ${most}, not ${value}`)
}
