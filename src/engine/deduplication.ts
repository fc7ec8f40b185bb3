import type { Deduplication } from '../model/policy.ts'

/** Bytes of an id by which repetitions are recognized. */
export const MAX_DEDUPLICATION_ID_BYTES = 256

/**
 * The ids of the messages that a queue has taken, oldest first, for as long as they count and within their number. They stay
 * when the messages have left.
 */
export class SeenIds {
  private readonly policy: Deduplication
  /** Wall milliseconds of publication; negative for a message of level 'memory'. */
  private readonly times = new Map<string, number>()

  constructor(policy: Deduplication) {
    this.policy = policy
  }

  get size(): number {
    return this.times.size
  }

  /** Whether the queue has taken a message of this id at `now`; one of level 'memory' counts for another such alone. */
  has(id: string, isVolatile: boolean, now: number): boolean {
    const at = this.times.get(id)
    if (at === undefined || (at < 0 && !isVolatile)) return false
    return Math.abs(at) + this.policy.window > now
  }

  add(id: string, isVolatile: boolean, at: number): void {
    // Behind the others, also when it was there before.
    this.times.delete(id)
    this.times.set(id, isVolatile ? -at : at)
    for (const [oldest, time] of this.times) {
      if (this.times.size <= this.policy.count && Math.abs(time) + this.policy.window > at) break
      this.times.delete(oldest)
    }
  }

  /** Ids that begin to count later than they were given; one that counts for longer here stays as it is. */
  merge(others: SeenIds): void {
    for (const [id, time] of others.times) {
      const own = this.times.get(id)
      if (own === undefined || own < Math.abs(time)) this.add(id, time < 0, Math.abs(time))
    }
  }

  /** What survives a restart. */
  *entries(): Generator<readonly [id: string, at: number]> {
    for (const entry of this.times) if (entry[1] >= 0) yield entry
  }
}
