/** So many a second, and as many at once after a quiet second. */
export class RateLimit {
  private readonly perSecond: number
  private tokens: number
  private refilled: number

  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond
    this.tokens = Math.max(1, perSecond)
    this.refilled = now
  }

  /** `now` in monotonic milliseconds. */
  allows(now: number): boolean {
    const earned = ((now - this.refilled) / 1_000) * this.perSecond
    this.tokens = Math.min(Math.max(1, this.perSecond), this.tokens + earned)
    this.refilled = now
    if (this.tokens < 1) return false
    this.tokens--
    return true
  }
}
