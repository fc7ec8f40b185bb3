import type { Rate } from './token-bucket.ts'

/** Keys, and messages with a time kept for them, that are remembered; beyond, the keys used least recently are not. */
const REMEMBERED = 10_000

/** A message that has not come back for so long after its time has gone to somebody else. Milliseconds. */
const PATIENCE = 60_000

/**
 * A rate for each key, as the times at which its messages may begin (the generic cell rate algorithm). A message that comes
 * too early has its time kept for it, so that it waits once, however many are in front of it, and those of a key begin in
 * their order. Times are monotonic milliseconds.
 */
export class KeyRates {
  private readonly interval: number
  /** By how much a message may be ahead of the steady rate. */
  private readonly tolerance: number
  /** When the next message of a key would begin at the steady rate; the key used least recently first. */
  private readonly next: Map<string, number> = new Map()
  private readonly kept: Map<string, number> = new Map()
  private tidyAt = 0

  constructor({ perSecond, burst }: Rate) {
    this.interval = 1_000 / perSecond
    this.tolerance = (burst - 1) * this.interval
  }

  /** Milliseconds for which the message `id` has to wait; 0: it begins now. */
  admit(key: string, id: string, now: number): number {
    const kept = this.kept.get(id)
    if (kept !== undefined) {
      if (kept <= now) this.kept.delete(id)
      return Math.max(0, kept - now)
    }
    const due = Math.max(now, this.next.get(key) ?? 0)
    const begin = Math.max(now, due - this.tolerance)
    if (begin > now) {
      // Without a time kept for it, it asks again when those before it are through.
      if (!this.hasRoom(now)) return begin - now
      this.kept.set(id, begin)
    }
    this.next.delete(key)
    this.next.set(key, due + this.interval)
    this.forgetKeys(now)
    return begin - now
  }

  private hasRoom(now: number): boolean {
    if (this.kept.size < REMEMBERED) return true
    if (now < this.tidyAt) return false
    this.tidyAt = now + PATIENCE / 10
    for (const [id, begin] of this.kept) if (begin + PATIENCE < now) this.kept.delete(id)
    return this.kept.size < REMEMBERED
  }

  private forgetKeys(now: number): void {
    if (this.next.size <= REMEMBERED) return
    for (const [key, due] of this.next) {
      if (this.next.size <= REMEMBERED && due > now) return
      this.next.delete(key)
    }
  }
}
