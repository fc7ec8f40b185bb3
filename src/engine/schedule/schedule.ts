import type { Departure } from '../../model/delivery.ts'
import { MillraceError } from '../../model/errors.ts'
import { isTime, type Repetition, repetitionProblem } from '../../model/schedule.ts'
import type { Core } from '../core.ts'
import { EntryFlag } from '../index/chunk.ts'
import { PublishFlag, type PublishHead, SCHEDULE_QUEUE } from '../ports/operations.ts'
import type { Slice } from '../ports/store.ts'
import type { Queue } from '../queue.ts'
import { DueEntry, DueFlag } from './due-entry.ts'
import { DueIndex } from './due-index.ts'
import { DuePages, targetOf, timeOf } from './due-pages.ts'
import { nextTime } from './occurrences.ts'
import { awaitsDecision, type UndecidedSchedule } from './undecided-schedule.ts'

/** When a message is to be delivered, and to which queues, by their numbers. */
export type ScheduledFacts = Readonly<Pick<PublishHead, 'due' | 'expiry' | 'size'>> & {
  readonly targets: readonly number[]
}

/** What is remembered of a repeating message, all of which stay in memory. */
export interface Repeating {
  /** Wall milliseconds of the next delivery. */
  due: number
  /** Deliveries so far. */
  fired: number
  readonly expiry: number
  readonly size: number
  readonly target: number
  readonly flags: number
}

/** Which messages are scheduled, and for which queues. What happens when they are due is in Firing. */
export class Schedule {
  readonly core: Core
  readonly index: DueIndex
  readonly repeating: Map<number, Repeating> = new Map()
  /** Taken out of the index because they are due, while their messages are being read. */
  readonly firing: Map<number, DueEntry> = new Map()
  /** Something is to be done at this time; set by Firing. */
  dueAt: (at: number) => void = () => {}
  /** Sets itself. */
  undecided!: UndecidedSchedule
  private readonly entry = new DueEntry()
  private started = false

  constructor(core: Core) {
    this.core = core
    const pages = new DuePages(core.store, (lsn) => this.isElsewhere(lsn))
    this.index = new DueIndex(pages, {
      entries: core.options.scheduledEntries,
      durable: () => core.log.durable,
      isStopped: () => !this.started || core.ended !== null,
    })
  }

  /** Recovery is over. */
  start(): void {
    this.started = true
    this.index.start()
  }

  /**
   * When a message that is sent now with these wishes is delivered first, in wall milliseconds; 0: at once. Throws
   * `schedule-invalid`, and `memory-full` when too many repeat.
   */
  firstTime(due: number, repetition: Repetition | undefined): number {
    if (!isTime(due)) throw invalid(`the time of delivery is in wall milliseconds, not ${due}`)
    const now = this.core.clock.wall()
    if (repetition === undefined) return due > now ? Math.ceil(due) : 0
    const problem = repetitionProblem(repetition)
    if (problem !== undefined) throw invalid(problem)
    const { maxRepeating } = this.core.options
    if (this.repeating.size + this.undecided.repeating >= maxRepeating)
      throw new MillraceError('memory-full', `${maxRepeating} messages repeat already (maxRepeating)`)
    const first = this.firstOccurrence(due, repetition, Math.ceil(now))
    if (first !== undefined && first <= (repetition.until ?? first)) return first
    throw invalid('the repetition is over before its first delivery')
  }

  /** An interval begins with the time of delivery, or has passed once before the first; a calendar says itself when. */
  private firstOccurrence(due: number, repetition: Repetition, now: number): number | undefined {
    if (repetition.every === undefined) {
      const after = due > now ? Math.ceil(due) - 1 : now
      return nextTime(this.core.calendar, repetition, after, after)
    }
    return due > 0 ? Math.max(Math.ceil(due), now) : now + repetition.every
  }

  /** Makes the head of a publication that of a scheduled message. */
  address(
    head: PublishHead,
    due: number,
    repetition: Repetition | undefined,
    targets: readonly Queue[],
  ): void {
    head.flags |= PublishFlag.due
    head.due = due
    head.targets = targets.map(({ id }) => id)
    head.queues = [SCHEDULE_QUEUE]
    if (repetition === undefined) return
    head.flags |= PublishFlag.repeating
    head.repetition = JSON.stringify(repetition)
  }

  /** The message has been stored. `flags` are those of an entry in a queue. */
  enter(lsn: number, head: PublishHead, flags: number): void {
    const isVolatile = flags & EntryFlag.memory ? DueFlag.memory : 0
    for (const id of head.targets) this.awaited(id, head, isVolatile)
    if (awaitsDecision(head)) return
    if (head.flags & PublishFlag.repeating) {
      this.repeat(lsn, head, isVolatile)
      this.indexRepeating(lsn)
    } else {
      this.indexOnce(lsn, head, isVolatile)
    }
    this.dueAt(timeOf(head.due, head.expiry))
  }

  /** A queue is to get the message, and knows its deduplication id from now on; that of an undecided one when it is committed. */
  awaited(id: number, head: PublishHead, isVolatile: number): void {
    this.count(id, 1, isVolatile)
    if (head.flags & PublishFlag.deduplicated && !awaitsDecision(head)) {
      const { seen } = this.core.topology.byId.get(id) ?? {}
      seen?.add(head.deduplicationId, isVolatile !== 0, head.publishedAt)
    }
  }

  /** Remembers a repeating message, before its first delivery. */
  repeat(lsn: number, facts: ScheduledFacts, isVolatile: number): void {
    const { due, expiry, size } = facts
    const flags = DueFlag.repeats | isVolatile
    this.repeating.set(lsn, { due, fired: 0, expiry, size, target: targetOf(facts), flags })
  }

  /** Puts a message that is delivered once into the index. */
  indexOnce(lsn: number, facts: ScheduledFacts, isVolatile: number): void {
    const { entry } = this
    entry.at = timeOf(facts.due, facts.expiry)
    entry.lsn = lsn
    entry.size = facts.size
    entry.target = targetOf(facts)
    entry.flags = isVolatile
    this.index.add(entry)
  }

  /** Puts a repeating message into the index, which does not hold it, under its next time. */
  indexRepeating(lsn: number): void {
    const { due, expiry, size, target, flags } = this.repeating.get(lsn)!
    const { entry } = this
    entry.at = timeOf(due, expiry)
    entry.lsn = lsn
    entry.size = size
    entry.target = target
    entry.flags = flags
    this.index.add(entry)
  }

  /** A message leaves for good, other than by being delivered; the index does not hold it any more. */
  leave(lsn: number, isVolatile: number, targets: readonly number[], departure: Departure): void {
    if (isVolatile) this.core.volatile.release(lsn)
    else this.core.log.unscheduled(departure, Float64Array.of(lsn), targets)
    this.repeating.delete(lsn)
    for (const id of targets) this.departed(id, departure, isVolatile)
    this.core.schedule()
  }

  /** Undecided messages, all for these queues, are not to be scheduled. */
  rolledBack(lsns: Float64Array, isVolatile: number, targets: readonly number[]): void {
    if (isVolatile) for (const lsn of lsns) this.core.volatile.release(lsn)
    else this.core.log.unscheduled('rolled-back', lsns, targets)
    for (const id of targets) for (const _ of lsns) this.departed(id, 'rolled-back', isVolatile)
    this.core.schedule()
  }

  /** It counts as taken in by the queue that it was for, and as gone. */
  departed(id: number, departure: Departure, isVolatile: number): void {
    const queue = this.core.topology.byId.get(id)
    if (queue === undefined) return
    this.count(id, -1, isVolatile)
    queue.published++
    queue.departed[departure]++
  }

  count(id: number, difference: number, isVolatile: number): void {
    const queue = this.core.topology.byId.get(id)
    if (queue === undefined) return
    if (isVolatile) queue.scheduledInMemory += difference
    else queue.scheduledMessages += difference
  }

  /** Fills `into` with the publish operation of a scheduled message when it is in memory. */
  read(lsn: number, into: Slice): boolean {
    return this.core.volatile.read(lsn, into) || this.core.store.read(SCHEDULE_QUEUE, lsn, into)
  }

  /** A message that waits for its decision, or has waited, may be older than what is in pages, but is not in one of theirs. */
  private isElsewhere(lsn: number): boolean {
    return this.undecided.has(lsn) || this.firing.has(lsn) || this.index.isInMemory(lsn)
  }
}

function invalid(message: string): MillraceError {
  return new MillraceError('schedule-invalid', message)
}
