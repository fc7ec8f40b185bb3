import type { Clock } from '../../engine/ports/clock.ts'

/** What the clock on the wall has shown, which somebody sets now and then. */
export class WallHistory {
  /** When it was last set; monotonic. */
  setAt: number = Number.NEGATIVE_INFINITY
  private readonly clock: Clock
  /** What it showed before it was set, and when that was. */
  private readonly before: { readonly at: number; readonly wall: number }[] = []

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Somebody is about to set it. */
  isSet(): void {
    this.setAt = this.clock.monotonic()
    this.before.push({ at: this.setAt, wall: this.clock.wall() })
  }

  /** The latest time that it has shown since the monotonic time `since`. */
  latestSince(since: number): number {
    let latest = this.clock.wall()
    for (const { at, wall } of this.before) if (at >= since && wall > latest) latest = wall
    return latest
  }
}
