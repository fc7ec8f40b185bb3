import { MillraceError } from '../../model/errors.ts'

/**
 * Guards something that whoever holds a lock or a place works on: it remembers the highest token that it has seen, and refuses
 * lower ones, whose holders have lost what they held and may not know it yet. What is in a database is guarded there, by the
 * same comparison in the statement that changes it.
 */
export class Fence {
  private seen: number

  /** `highest`: what it has seen before, if that was kept somewhere. */
  constructor(highest = 0) {
    this.seen = highest
  }

  get highest(): number {
    return this.seen
  }

  /** Lets the holder of this token pass, from now on none of a lower one. Throws `token-stale`. */
  check(token: number): void {
    if (token < this.seen)
      throw new MillraceError(
        'token-stale',
        `the token ${token} is that of a former holder; ${this.seen} has been here since`,
      )
    this.seen = token
  }
}
