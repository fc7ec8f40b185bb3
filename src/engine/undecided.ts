import type { Core } from './core.ts'
import { type Chunk, EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { LsnList } from './index/lsn-list.ts'
import { eventCode, isUndecided, transition } from './lifecycle.ts'
import type { Overflow } from './overflow.ts'
import type { Queue } from './queue.ts'
import type { UndecidedSchedule } from './schedule/undecided-schedule.ts'

const COMMIT = eventCode('commit')
const ROLLBACK = eventCode('rollback')

/** Messages in one lane of a queue that become ready, or go, together. */
export interface UndecidedRow {
  readonly queue: Queue
  readonly lane: Lane
  readonly lsns: LsnList
}

/** What is done with messages that wait for a decision. Those that have gone meanwhile, with their queue, are passed over. */
export class Undecided {
  /** Those that are not in their queues yet even when they are decided. */
  readonly scheduled: UndecidedSchedule
  private readonly core: Core
  private readonly overflow: Overflow
  private readonly schedule: (queue: Queue) => void

  constructor(
    core: Core,
    scheduled: UndecidedSchedule,
    overflow: Overflow,
    schedule: (queue: Queue) => void,
  ) {
    this.core = core
    this.scheduled = scheduled
    this.overflow = overflow
    this.schedule = schedule
  }

  /** They are messages now, in the places where they were stored; the decision is durable. */
  commit(row: UndecidedRow): void {
    this.makeReady(row)
    this.overflow.trim(row.queue)
    this.schedule(row.queue)
  }

  /** The same while the journal is read: nothing else happens. */
  makeReady({ queue, lane, lsns }: UndecidedRow): void {
    let expiry = Number.POSITIVE_INFINITY
    forEachEntry(lane, lsns.rising(), (chunk, slot) => {
      queue.setState(lane, chunk, slot, transition(chunk.stateOf(slot), COMMIT))
      if (queue.values !== null) this.core.decided(queue, chunk.lsnOf(slot), chunk.flagsOf(slot))
      const expires = chunk.expiryOf(slot)
      if (expires === 0) return
      chunk.minExpiry = Math.min(chunk.minExpiry, expires)
      expiry = Math.min(expiry, expires)
    })
    if (expiry < Number.POSITIVE_INFINITY) this.core.expiring(queue, expiry)
  }

  /** They never were. */
  rollBack({ queue, lane, lsns }: UndecidedRow): void {
    const journalled = new LsnList()
    forEachEntry(lane, lsns.rising(), (chunk, slot) => {
      const lsn = chunk.lsnOf(slot)
      if (chunk.flagsOf(slot) & EntryFlag.memory) this.core.volatile.release(lsn)
      else journalled.push(lsn)
      queue.departed['rolled-back']++
      queue.setState(lane, chunk, slot, transition(chunk.stateOf(slot), ROLLBACK))
    })
    if (journalled.count > 0) this.core.log.left(queue, 'rolled-back', journalled.rising())
    this.core.schedule()
    if (queue.held > 0) this.core.roomIn(queue)
  }
}

/** Visits the entries of a lane that are undecided still; `visit` may end them. */
function forEachEntry(lane: Lane, lsns: Float64Array, visit: (chunk: Chunk, slot: number) => void): void {
  let chunk: Chunk | null = null
  for (const lsn of lsns) {
    if (chunk === null || lsn > chunk.lastLsn || chunk.live === 0) chunk = lane.chunkOf(lsn)
    // A chunk that holds anything undecided is in memory.
    if (!chunk?.resident) continue
    const slot = chunk.find(lsn)
    if (slot >= 0 && isUndecided(chunk.stateOf(slot))) visit(chunk, slot)
  }
}
