import { MillraceError } from '../../model/errors.ts'

/** So many a second in the long run, and up to `burst` at once after a quiet time. */
export interface RateOptions {
  readonly perSecond: number
  /** Default: what a second brings, at least 1. */
  readonly burst?: number | undefined
}

export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Throws `argument-invalid`. */
export function checkRate(name: string, { perSecond, burst }: RateOptions): Rate {
  if (!(perSecond > 0 && Number.isFinite(perSecond)))
    throw new MillraceError('argument-invalid', `${name}.perSecond is a number above 0, not ${perSecond}`)
  const size = burst ?? Math.max(1, Math.ceil(perSecond))
  if (Number.isSafeInteger(size) && size >= 1) return { perSecond, burst: size }
  throw new MillraceError('argument-invalid', `${name}.burst is a whole number from 1, not ${burst}`)
}

/** Tokens that come at a steady rate, up to `burst` of them. Times are monotonic milliseconds. */
export class TokenBucket {
  private readonly perMillisecond: number
  private readonly burst: number
  private tokens: number
  private at: number

  constructor({ perSecond, burst }: Rate, now: number) {
    this.perMillisecond = perSecond / 1_000
    this.burst = burst
    this.tokens = burst
    this.at = now
  }

  /** Whole tokens that are there. */
  available(now: number): number {
    this.refill(now)
    // What a rounding error lacks of a whole token is one.
    return Math.floor(this.tokens + 1e-9)
  }

  /** Takes tokens, also some that are not there yet: whoever comes next waits for them. */
  take(now: number, count: number): void {
    this.refill(now)
    this.tokens -= count
  }

  /** What was taken has not been used. */
  putBack(count: number): void {
    this.tokens = Math.min(this.burst, this.tokens + count)
  }

  /** Milliseconds until so many are there. */
  waitFor(now: number, count: number): number {
    this.refill(now)
    return Math.max(0, (count - this.tokens) / this.perMillisecond)
  }

  private refill(now: number): void {
    this.tokens = Math.min(this.burst, this.tokens + (now - this.at) * this.perMillisecond)
    this.at = now
  }
}
