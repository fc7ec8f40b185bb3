import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'

/** When consumption stops because what the handler needs is down, and how it is tried again. */
export interface BreakerOptions {
  /** Failures in a row that open it. Default 5. */
  readonly failures?: number | undefined
  /** Share of failures that opens it, 0 to 1, among what ran within `window`, if that was at least `minimum`. Default 0.5. */
  readonly ratio?: number | undefined
  /** Default 10 s. */
  readonly window?: Duration | undefined
  /** Default 20. */
  readonly minimum?: number | undefined
  /** How long it stays open before one message is tried; it doubles with each failed try, up to `maxPause`. Default 5 s. */
  readonly pause?: Duration | undefined
  /** Default 1 min. */
  readonly maxPause?: Duration | undefined
}

/** closed: messages flow. open: none does. half-open: one does, and decides. */
export type BreakerState = 'closed' | 'open' | 'half-open'

interface Settings {
  readonly failures: number
  readonly ratio: number
  readonly window: number
  readonly minimum: number
  readonly pause: number
  readonly maxPause: number
}

/** Parts in which the window moves on. */
const PARTS = 10

/** Throws `argument-invalid`, `duration-invalid`. */
function checkBreaker(options: BreakerOptions): Settings {
  const { failures = 5, ratio = 0.5, minimum = 20 } = options
  if (!(Number.isSafeInteger(failures) && failures >= 1))
    throw invalid(`breaker.failures is a whole number from 1, not ${failures}`)
  if (!(ratio > 0 && ratio <= 1)) throw invalid(`breaker.ratio is a share above 0, up to 1, not ${ratio}`)
  if (!(Number.isSafeInteger(minimum) && minimum >= 1))
    throw invalid(`breaker.minimum is a whole number from 1, not ${minimum}`)
  const [window, pause] = [milliseconds(options.window ?? 10_000), milliseconds(options.pause ?? 5_000)]
  const maxPause = Math.max(pause, milliseconds(options.maxPause ?? 60_000))
  if (window <= 0 || pause <= 0) throw invalid('breaker.window and breaker.pause are longer than 0')
  return { failures, ratio, window, minimum, pause, maxPause }
}

function invalid(message: string): MillraceError {
  return new MillraceError('argument-invalid', message)
}

/** A machine without clock: whoever has it tells what has happened, and when. Times are monotonic milliseconds. */
export class CircuitBreaker {
  private readonly settings: Settings
  private current: BreakerState = 'closed'
  private inARow = 0
  private nextPause: number
  /** Outcomes within the window, by part: [number of the part, successes, failures]. */
  private parts: [part: number, successes: number, failures: number][] = []

  constructor(options: BreakerOptions) {
    this.settings = checkBreaker(options)
    this.nextPause = this.settings.pause
  }

  get state(): BreakerState {
    return this.current
  }

  /** How long it stays open when it opens now. */
  get pause(): number {
    return this.nextPause
  }

  /** What ran while it was open was begun before, and says nothing new. */
  succeeded(now: number): void {
    if (this.current === 'half-open') return this.close()
    if (this.current === 'open') return
    this.inARow = 0
    this.count(now)[1]++
  }

  /** True when that opens it: for how long says `pause` from before the call. */
  failed(now: number): boolean {
    if (this.current === 'open') return false
    if (this.current === 'closed') {
      this.inARow++
      this.count(now)[2]++
      if (this.inARow < this.settings.failures && !this.isWindowBad()) return false
    }
    this.current = 'open'
    return true
  }

  /** The pause is over: one is to be tried. */
  tryOne(): void {
    this.current = 'half-open'
    this.nextPause = Math.min(this.nextPause * 2, this.settings.maxPause)
  }

  private close(): void {
    this.current = 'closed'
    this.inARow = 0
    this.parts = []
    this.nextPause = this.settings.pause
  }

  private count(now: number): [number, number, number] {
    const part = Math.floor((now * PARTS) / this.settings.window)
    const last = this.parts.at(-1)
    if (last?.[0] === part) return last
    this.parts = this.parts.filter(([number]) => number > part - PARTS)
    const added: [number, number, number] = [part, 0, 0]
    this.parts.push(added)
    return added
  }

  private isWindowBad(): boolean {
    let [all, failures] = [0, 0]
    for (const [, good, bad] of this.parts) {
      all += good + bad
      failures += bad
    }
    return all >= this.settings.minimum && failures >= all * this.settings.ratio
  }
}
