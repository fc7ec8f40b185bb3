import { isMillraceError, MillraceError } from '../../model/errors.ts'

/** Pauses after something has failed: 100 ms, 200 ms, … 10 s. */
const FIRST_PAUSE = 100
const LONGEST_PAUSE = 10_000

/** Something that has failed, and how long to leave it alone: it is told of once until it has worked again. */
export class Trouble {
  private readonly tell: (error: MillraceError) => void
  private failures = 0
  private told: string | undefined

  constructor(tell: (error: MillraceError) => void) {
    this.tell = tell
  }

  /** Milliseconds; 0: it works. */
  get pause(): number {
    return this.failures === 0 ? 0 : Math.min(FIRST_PAUSE * 2 ** (this.failures - 1), LONGEST_PAUSE)
  }

  worked(): void {
    this.failures = 0
    this.told = undefined
  }

  failed(cause: unknown): void {
    this.failures++
    const error = asMillraceError(cause)
    if (error.code === this.told) return
    this.told = error.code
    this.tell(error)
  }
}

/** What no port should have thrown is an error of the catalogue all the same. */
export function asMillraceError(cause: unknown): MillraceError {
  if (isMillraceError(cause)) return cause
  return new MillraceError('illegal-state', `something failed that never should: ${String(cause)}`, { cause })
}
