import type { Core } from './core.ts'
import type { Chunk } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { StateCode } from './lifecycle.ts'
import type { Queue } from './queue.ts'
import type { Settlements } from './settlements.ts'

/** However far away an expiry is: the wall clock may jump, so it is looked at again after this many milliseconds. */
const MAX_WAIT = 60_000

/** Lets messages expire when nobody asks for them, one deadline a queue. */
export class Expiry {
  private readonly core: Core
  private readonly settlements: Settlements

  constructor(core: Core, settlements: Settlements) {
    this.core = core
    this.settlements = settlements
  }

  start(): void {
    this.core.expiring = (queue, expiry) => this.plan(queue, expiry)
  }

  private plan(queue: Queue, expiry: number): void {
    if (expiry >= queue.sweepAt) return
    queue.sweepAt = expiry
    const wait = Math.min(Math.max(0, expiry - this.core.clock.wall()), MAX_WAIT)
    this.core.deadlines.add(this.core.clock.monotonic() + wait, () => {
      // A later plan for an earlier time has taken this one's place.
      if (queue.sweepAt !== expiry) return
      queue.sweepAt = Number.POSITIVE_INFINITY
      this.sweep(queue)
    })
  }

  private sweep(queue: Queue): void {
    const now = this.core.clock.wall()
    let next = Number.POSITIVE_INFINITY
    for (const lane of queue.urgentFirst()) {
      for (const chunk of [...lane.chunks]) {
        if (chunk.live === 0) continue
        if (chunk.minExpiry <= now) this.sweepChunk(queue, lane, chunk, now)
        // A chunk that is being loaded is swept when it has come.
        if (chunk.live > 0 && !chunk.loading) next = Math.min(next, chunk.minExpiry)
      }
    }
    if (next < Number.POSITIVE_INFINITY) this.plan(queue, Math.max(next, now + 1))
  }

  private sweepChunk(queue: Queue, lane: Lane, chunk: Chunk, now: number): void {
    if (!chunk.resident) {
      this.core.pager.load(queue, lane, chunk, () => this.plan(queue, now))
      return
    }
    let min = Number.POSITIVE_INFINITY
    const { length } = chunk
    for (let slot = 0; slot < length && chunk.live > 0; slot++) {
      const state = chunk.states[slot]
      const expiry = chunk.expiryOf(slot)
      if (expiry === 0 || (state !== StateCode.ready && state !== StateCode.waiting)) continue
      if (expiry <= now) this.settlements.expire(queue, lane, chunk, slot)
      else if (expiry < min) min = expiry
    }
    chunk.minExpiry = min
  }
}
