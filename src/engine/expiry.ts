import type { Core } from './core.ts'
import type { Chunk } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { StateCode } from './lifecycle.ts'
import type { Queue } from './queue.ts'
import type { Settlements } from './settlements.ts'

/** However far away an expiry is: the wall clock may jump, so it is looked at again after this many milliseconds. */
const MAX_WAIT = 60_000
/** Chunks that a sweep looks at before others have their turn, and messages that it lets expire. */
const LOOKS = 4_096
const STEP = 512
/** A sweep looks at every chunk of its queue: it begins at most once in a millisecond for so many. */
const CHUNKS_A_MILLISECOND = 1_000

/** How far a sweep has got. */
interface Sweep {
  readonly queue: Queue
  readonly now: number
  priority: number
  /** The next chunk to be looked at. */
  number: number
  /** Chunks looked at. */
  looked: number
  /** When the next message expires, of those that have been looked at. */
  next: number
}

/** Lets messages expire when nobody asks for them, one deadline a queue, and a few at a time when many are due. */
export class Expiry {
  private readonly core: Core
  private readonly settlements: Settlements
  private readonly sweeping: Set<Queue> = new Set()

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
      this.begin(queue)
    })
  }

  private begin(queue: Queue): void {
    const now = this.core.clock.wall()
    // The sweep that goes on may have passed what is due now.
    if (this.sweeping.has(queue)) return this.plan(queue, now + 1)
    this.sweeping.add(queue)
    const priority = queue.lanes.length - 1
    this.step({ queue, now, priority, number: 0, looked: 0, next: Number.POSITIVE_INFINITY })
  }

  private step(sweep: Sweep): void {
    const { queue } = sweep
    if (this.core.ended !== null || queue.deleting) {
      this.sweeping.delete(queue)
      return
    }
    const until = sweep.looked + LOOKS
    let left = STEP
    for (; sweep.priority >= 0; sweep.priority--, sweep.number = 0) {
      const lane = queue.lanes[sweep.priority]
      if (lane === undefined || lane.live === 0) continue
      for (let chunk = lane.numbered(sweep.number); chunk; chunk = lane.numbered(sweep.number)) {
        if (left <= 0 || sweep.looked >= until) return this.goOn(sweep)
        sweep.number = chunk.number
        if (chunk.live > 0 && chunk.minExpiry <= sweep.now) {
          if (!chunk.resident) return this.core.pager.load(queue, lane, chunk, () => this.step(sweep))
          left -= this.expireIn(queue, lane, chunk, sweep.now, left)
          if (chunk.live > 0 && chunk.minExpiry <= sweep.now) continue
        }
        if (chunk.live > 0) sweep.next = Math.min(sweep.next, chunk.minExpiry)
        sweep.number++
        sweep.looked++
      }
    }
    this.end(sweep)
  }

  /** Others have their turn; and dead letters of this queue are not begun without end. */
  private goOn(sweep: Sweep): void {
    this.settlements.transfers.afterAll(() => this.core.clock.defer(() => this.step(sweep)))
  }

  private end({ queue, now, looked, next }: Sweep): void {
    this.sweeping.delete(queue)
    if (next === Number.POSITIVE_INFINITY) return
    const pause = Math.max(1, Math.ceil(looked / CHUNKS_A_MILLISECOND))
    this.plan(queue, Math.max(next, now + pause))
  }

  /** Lets up to `most` messages expire; answers how many it did. Fewer: the chunk has no more that are due. */
  private expireIn(queue: Queue, lane: Lane, chunk: Chunk, now: number, most: number): number {
    let min = Number.POSITIVE_INFINITY
    let count = 0
    const { length } = chunk
    for (let slot = 0; slot < length && chunk.live > 0; slot++) {
      const state = chunk.stateOf(slot)
      const expiry = chunk.expiryOf(slot)
      if (expiry === 0 || (state !== StateCode.ready && state !== StateCode.waiting)) continue
      if (expiry > now) min = Math.min(min, expiry)
      else if (count === most) return count
      else {
        this.settlements.expire(queue, lane, chunk, slot)
        count++
      }
    }
    chunk.minExpiry = min
    return count
  }
}
