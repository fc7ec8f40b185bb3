import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'

/** How many handlers run at once, found out by watching them. */
export interface AdaptiveOptions {
  /** Default 1. */
  readonly min?: number | undefined
  readonly max: number
  /**
   * How long a handler should take on average: while it takes less, more run at once. Default: twice what it takes when few
   * run.
   */
  readonly latency?: Duration | undefined
}

/** The mean of a round may be so much above the usual one without being taken for a queue in front of what is called. */
const TOLERANCE = 2
/** So often it is seen anew what a handler takes when few run: after so many rounds, for two, of which the second counts. */
const REVIEW = 20
const REVIEWING = 2
/** Left of the limit after a failure, and at least left of it by a round that was too slow. */
const BACK_OFF = 0.7
/** Samples that make a round, when fewer run at once. */
const ROUND = 10

/** Throws `argument-invalid`, `duration-invalid`. */
function checkAdaptive({ min = 1, max, latency }: AdaptiveOptions): {
  min: number
  max: number
  latency: number | undefined
} {
  if (!(Number.isSafeInteger(min) && Number.isSafeInteger(max) && min >= 1 && max >= min)) {
    throw new MillraceError(
      'argument-invalid',
      `concurrency has whole numbers min and max, 1 ≤ min ≤ max, not ${min} and ${max}`,
    )
  }
  return { min, max, latency: latency === undefined ? undefined : milliseconds(latency) }
}

/**
 * A limit that feels its way. A round is as many samples as run at once. A round whose mean latency stays below the mark, and
 * that used the limit, raises it: it doubles until the first round that was too slow, and grows by 1 a round after that. A
 * round above the mark shrinks it in proportion, a failure at once, once a round. It never leaves [min, max]. Without a
 * latency that is wanted, the mark is twice the mean of a round at half the limit, which is looked at from time to time.
 */
export class AdaptiveLimit {
  private readonly min: number
  private readonly max: number
  private readonly target: number | undefined
  private exact: number
  private starting = true
  /** Mean latency when few run. */
  private usual = Number.POSITIVE_INFINITY
  private rounds = 0
  private samples = 0
  private successes = 0
  /** Latency of those that succeeded. */
  private total = 0
  private busiest = 0
  private failed = false

  constructor(options: AdaptiveOptions) {
    const { min, max, latency } = checkAdaptive(options)
    this.min = min
    this.max = max
    this.target = latency
    this.exact = min
  }

  /** It is never more. */
  get most(): number {
    return this.max
  }

  get limit(): number {
    return Math.max(this.min, Math.floor(this.isReviewing ? this.exact / 2 : this.exact))
  }

  private get isReviewing(): boolean {
    return this.target === undefined && this.rounds >= REVIEW
  }

  /** A handler has returned after `latency` milliseconds, and `running` ran, itself included. */
  observe(latency: number, succeeded: boolean, running: number): void {
    this.samples++
    this.busiest = Math.max(this.busiest, running)
    if (succeeded) {
      this.successes++
      this.total += latency
    } else if (!this.failed) {
      this.failed = true
      this.shrink(BACK_OFF)
    }
    if (this.samples >= Math.max(this.limit, ROUND)) this.endRound()
  }

  private endRound(): void {
    const mean = this.total / this.successes
    if (this.isReviewing) this.review(mean)
    else if (this.successes > 0) this.judge(mean)
    this.rounds++
    if (this.rounds >= REVIEW + REVIEWING) this.rounds = 0
    this.samples = this.successes = this.total = this.busiest = 0
    this.failed = false
  }

  /** In the first round those return that began when more ran. */
  private review(mean: number): void {
    if (this.successes > 0 && this.rounds === REVIEW + REVIEWING - 1) this.usual = mean
  }

  private judge(mean: number): void {
    const mark = this.target ?? this.usual * TOLERANCE
    this.usual = Math.min(this.usual, mean)
    if (this.failed) return
    if (mean > mark) this.shrink(Math.max(BACK_OFF, mark / mean))
    else if (this.busiest >= this.limit) this.grow()
  }

  private grow(): void {
    this.exact = Math.min(this.max, this.starting ? this.exact * 2 : this.exact + 1)
  }

  private shrink(factor: number): void {
    this.starting = false
    this.exact = Math.max(this.min, this.exact * factor)
  }
}
