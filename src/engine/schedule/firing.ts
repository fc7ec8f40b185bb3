import type { Repetition } from '../../model/schedule.ts'
import type { Core } from '../core.ts'
import { encodeVolatile, enqueue } from '../enqueue.ts'
import { EntryFlag } from '../index/chunk.ts'
import { hasRoom, type Overflow } from '../overflow.ts'
import {
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  readPublish,
  SCHEDULE_QUEUE,
  writePublish,
} from '../ports/operations.ts'
import { Slice } from '../ports/store.ts'
import type { Queue } from '../queue.ts'
import { replacedIn } from '../replacement.ts'
import type { Settlements } from '../settlements.ts'
import { DueEntry, DueFlag } from './due-entry.ts'
import { nextTime } from './occurrences.ts'
import type { Schedule } from './schedule.ts'

/** However far away the next one is: the wall clock may jump, so it is looked at again after this many milliseconds. */
const MAX_WAIT = 60_000
/** Messages, and bytes of them, that are read together and delivered in one turn; then others have their turn. */
const STEP = 256
const STEP_BYTES = 1 << 20

/** Of what a scheduled message says of itself, the message that it becomes does without this. */
const dropped =
  PublishFlag.due |
  PublishFlag.repeating |
  PublishFlag.producer |
  PublishFlag.deduplicated |
  PublishFlag.transacted |
  PublishFlag.prepared

/**
 * Puts scheduled messages into their queues when they are due: never before, by the clock on the wall; in the order of their
 * times; and each by an operation that replaces what was scheduled, so that it is at every moment in one place.
 */
export class Firing {
  private readonly core: Core
  private readonly schedule: Schedule
  private readonly settlements: Settlements
  private readonly overflow: Overflow
  private readonly reader = new OperationReader()
  private readonly entry = new DueEntry()
  private head = new PublishHead()
  private started = false
  private running = false
  /** What is due next waits until it is durable. */
  private waiting = false
  /** Monotonic time for which the deadline is set. */
  private plannedFor: number = Number.POSITIVE_INFINITY

  constructor(schedule: Schedule, settlements: Settlements, overflow: Overflow) {
    this.core = schedule.core
    this.schedule = schedule
    this.settlements = settlements
    this.overflow = overflow
    schedule.dueAt = (at) => this.plan(at)
  }

  /** Recovery is over. */
  start(): void {
    this.started = true
    this.run()
  }

  /** The journal has got further. */
  durable(): void {
    if (!this.waiting) return
    this.waiting = false
    this.run()
  }

  private plan(at: number): void {
    if (!this.started || this.running || this.waiting || at === Number.POSITIVE_INFINITY) return
    const { clock, deadlines } = this.core
    const planned = clock.monotonic() + Math.min(Math.max(0, at - clock.wall()), MAX_WAIT)
    if (planned >= this.plannedFor) return
    this.plannedFor = planned
    deadlines.add(planned, () => {
      // A later plan for an earlier time has taken this one's place.
      if (this.plannedFor !== planned) return
      this.plannedFor = Number.POSITIVE_INFINITY
      this.run()
    })
  }

  private run(): void {
    if (this.running) return
    this.running = true
    this.step()
  }

  private readonly step = (): void => {
    const { core, schedule } = this
    if (core.ended !== null) return
    const { index } = schedule
    const now = core.clock.wall()
    const batch: DueEntry[] = []
    let bytes = 0
    let taken = index.take(now, this.entry)
    while (taken === 'taken') {
      batch.push(this.entry.copy())
      bytes += this.entry.size
      if (batch.length === STEP || bytes > STEP_BYTES) break
      taken = index.take(now, this.entry)
    }
    if (batch.length > 0) this.read(batch)
    else if (taken === 'unloaded') index.load(this.step)
    else this.rest(taken === 'undurable')
  }

  private rest(waiting: boolean): void {
    this.running = false
    this.waiting = waiting
    this.plan(this.schedule.index.nextAt())
  }

  /** Brings in what is not in memory, then delivers all in their order. */
  private read(batch: readonly DueEntry[]): void {
    const { core, schedule } = this
    for (const entry of batch) schedule.firing.set(entry.lsn, entry)
    const messages = this.messagesOf(batch)
    if (messages.every((message) => message !== null)) {
      this.fireAll(batch, messages)
      return
    }
    // What is in memory now may be gone from there when the others have come.
    const stored = batch.filter(({ flags }) => !(flags & DueFlag.memory)).map(({ lsn }) => lsn)
    core.store.load(SCHEDULE_QUEUE, stored, () => {
      if (core.ended === null) this.fireAll(batch, this.messagesOf(batch))
    })
  }

  /** All of them before anything is written, which may take the place of others in memory; and once, since to read one may do so too. */
  private messagesOf(batch: readonly DueEntry[]): (Slice | null)[] {
    return batch.map(({ lsn }) => {
      const message = new Slice()
      return this.schedule.read(lsn, message) ? message : null
    })
  }

  private fireAll(batch: readonly DueEntry[], messages: readonly (Slice | null)[]): void {
    const { schedule } = this
    for (const [i, entry] of batch.entries()) {
      // Otherwise it was cancelled meanwhile.
      if (schedule.firing.delete(entry.lsn)) this.fire(entry, messages[i]!)
    }
    this.core.schedule()
    this.core.clock.defer(this.step)
  }

  private fire(entry: DueEntry, message: Slice | null): void {
    const { schedule, reader } = this
    const { lsn, flags, target } = entry
    const head = new PublishHead()
    if (message === null || !readPublish(reader.reset(message.bytes, message.start, message.end), head)) {
      schedule.leave(lsn, flags & DueFlag.memory, target === 0 ? [] : [target], 'quarantined')
      return
    }
    const queues = head.targets.flatMap((id) => this.living(id))
    if (queues.length === 0) {
      schedule.leave(lsn, flags & DueFlag.memory, head.targets, 'purged')
      return
    }
    const isExpired = this.isExpired(entry, head)
    const next = isExpired ? undefined : this.next(lsn, head)
    const payload = message.bytes.subarray(head.payloadStart, head.payloadEnd)
    this.head = head
    // What nobody will see replaces nothing.
    if (isExpired) head.flags &= ~PublishFlag.keyed
    if (next === undefined) {
      this.end(entry, queues)
      this.deliver(entry, payload, queues, true)
      if (isExpired) for (const queue of queues) this.expireNewest(queue)
    } else {
      this.deliver(entry, payload, this.takers(queues, flags & DueFlag.memory ? message : null), false)
      this.repeat(lsn, next)
    }
    for (const queue of queues) this.overflow.trim(queue)
  }

  /** Something taken before its time was taken because it expires before: it has, though the clock was set back meanwhile. */
  private isExpired({ at, lsn }: DueEntry, { due, expiry }: PublishHead): boolean {
    if (expiry === 0) return false
    return expiry <= this.core.clock.wall() || at < (this.schedule.repeating.get(lsn)?.due ?? due)
  }

  /**
   * A queue that is full and keeps what it has takes no further copy of what repeats, nor does any when the copy would be
   * kept in memory and there is no room: nothing would bound it. `kept`: as it is kept in memory.
   */
  private takers(queues: readonly Queue[], kept: Slice | null): readonly Queue[] {
    const { size } = this.head
    const hasMemory = kept === null || this.core.volatile.hasRoomFor(kept.end - kept.start)
    return queues.filter((queue) => {
      const { overflow } = queue.policy
      const makesRoom = overflow === 'drop-oldest' || overflow === 'dead-letter'
      if (hasMemory && (makesRoom || hasRoom(queue, size, replacedIn(queue, this.head)))) return true
      queue.published++
      queue.departed.dropped++
      return false
    })
  }

  /** What was put into the queue just now goes as expired, as if it had waited there. */
  private expireNewest(queue: Queue): void {
    const lane = queue.lane(this.head.priority)
    const chunk = lane.chunks.at(-1)!
    this.settlements.expire(queue, lane, chunk, chunk.length - 1)
  }

  private living(id: number): Queue[] {
    const queue = this.core.topology.byId.get(id)
    return queue === undefined || queue.deleting ? [] : [queue]
  }

  /** When it is to be delivered again; undefined: this is the last time. */
  private next(lsn: number, head: PublishHead): number | undefined {
    const state = this.schedule.repeating.get(lsn)
    if (state === undefined) return undefined
    const repetition = JSON.parse(head.repetition) as Repetition
    if (state.fired + 1 >= (repetition.times ?? Number.POSITIVE_INFINITY)) return undefined
    return nextTime(this.core.calendar, repetition, state.due, this.core.clock.wall())
  }

  private end({ lsn, flags }: DueEntry, queues: readonly Queue[]): void {
    this.schedule.repeating.delete(lsn)
    for (const { id } of queues) this.schedule.count(id, -1, flags & DueFlag.memory)
  }

  /** The copy is in the log before the next time is: a crash between them repeats, and loses nothing. */
  private repeat(lsn: number, next: number): void {
    const { schedule, core } = this
    const state = schedule.repeating.get(lsn)!
    state.due = next
    state.fired++
    if (!(state.flags & DueFlag.memory)) core.log.rescheduled(lsn, state.fired, next)
    schedule.indexRepeating(lsn)
  }

  /** As a message that is sent now, but with the expiry that it has had from the beginning. */
  private deliver(entry: DueEntry, payload: Uint8Array, queues: readonly Queue[], moves: boolean): void {
    const { core, head } = this
    if (queues.length === 0) return
    head.flags &= ~dropped
    head.publishedAt = core.wall()
    head.queues = queues.map(({ id }) => id)
    const isVolatile = entry.flags & DueFlag.memory
    const lsn = isVolatile ? this.keep(entry.lsn, payload, moves) : this.journal(entry.lsn, payload, moves)
    const flags = isVolatile ? EntryFlag.memory : head.flags & PublishFlag.os ? EntryFlag.os : 0
    for (const queue of queues) enqueue(core, queue, lsn, head, flags)
  }

  private keep(old: number, payload: Uint8Array, moves: boolean): number {
    const { head } = this
    const { volatile, log } = this.core
    const holders = head.queues.length
    head.queues = []
    const lsn = log.skip()
    volatile.add(lsn, encodeVolatile(head, payload), holders)
    if (moves) volatile.release(old)
    return lsn
  }

  private journal(old: number, payload: Uint8Array, moves: boolean): number {
    const { head } = this
    const { log } = this.core
    if (moves) {
      head.flags |= PublishFlag.replaces
      head.replacedQueue = SCHEDULE_QUEUE
      head.replacedLsn = old
    }
    writePublish(log.begin(OperationType.publish), head, payload)
    log.end()
    return log.lastOperation
  }
}
