import type { Core } from './core.ts'
import type { Lane } from './index/lane.ts'
import { isHeld, isUndecided, StateCode } from './lifecycle.ts'
import type { Queue } from './queue.ts'
import type { ScheduleQueries } from './schedule/queries.ts'
import type { Settlements } from './settlements.ts'

/** Empties queues a chunk at a time, so that a deep one does not stop everything else. */
export class Removal {
  private readonly core: Core
  private readonly settlements: Settlements

  private readonly scheduled: ScheduleQueries

  constructor(core: Core, settlements: Settlements, scheduled: ScheduleQueries) {
    this.core = core
    this.scheduled = scheduled
    this.settlements = settlements
  }

  /** What nobody holds leaves as purged. */
  purge(queue: Queue, done: (messages: number) => void): void {
    this.step(queue, queue.newest === 0 ? this.core.log.lastLsn : queue.newest, 0, done)
  }

  /** For a queue that is being deleted: everything leaves, what is scheduled for it alone too, then the queue is forgotten. */
  finish(queue: Queue, done: (messages: number) => void): void {
    this.step(queue, Number.POSITIVE_INFINITY, 0, (messages) => {
      this.scheduled.cancelAll(queue, (scheduled) => {
        this.core.topology.finishDeleting(queue)
        this.core.schedule()
        done(messages + scheduled)
      })
    })
    this.core.schedule()
  }

  private step(queue: Queue, until: number, removed: number, done: (messages: number) => void): void {
    for (const lane of queue.urgentFirst()) {
      for (const chunk of lane.living()) {
        if (chunk.firstLsn > until) break
        if (!chunk.resident) {
          this.core.pager.load(queue, lane, chunk, () => this.step(queue, until, removed, done))
          return
        }
        const count = this.removeFrom(queue, lane, chunk, until)
        if (count === 0) continue
        this.core.clock.defer(() => this.step(queue, until, removed + count, done))
        return
      }
    }
    done(removed)
  }

  private removeFrom(queue: Queue, lane: Lane, chunk: Lane['chunks'][number], until: number): number {
    let count = 0
    const { length } = chunk
    for (let slot = 0; slot < length && chunk.live > 0; slot++) {
      const state = chunk.stateOf(slot)
      if (!isHeld(state) || chunk.lsnOf(slot) > until) continue
      const isHeldByOthers = state === StateCode.acquired || isUndecided(state)
      if (isHeldByOthers && !queue.deleting) continue
      this.settlements.discard(queue, lane, chunk, slot, 'purged')
      count++
    }
    return count
  }
}
