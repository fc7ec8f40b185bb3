import type { MessageLocation, ScheduledMessage, ScheduledPage } from '../api.ts'
import type { Core } from '../core.ts'
import { DeliveryRecord } from '../delivery-record.ts'
import {
  OperationReader,
  PublishFlag,
  PublishHead,
  readPublish,
  SCHEDULE_QUEUE,
} from '../ports/operations.ts'
import { Slice } from '../ports/store.ts'
import type { Queue } from '../queue.ts'
import { type DueEntry, DueFlag, type DueKey } from './due-entry.ts'
import { timeOf } from './due-pages.ts'
import type { ScannedEntry } from './due-scan.ts'
import type { Schedule } from './schedule.ts'

/** Entries that are looked at for one page, or cancelled at once; then others have their turn. */
const STEP = 20_000
/** Bytes of messages that are read together to be listed. */
const STEP_BYTES = 1 << 20
const BEGINNING: DueKey = { at: -1, lsn: 0 }

const reader = new OperationReader()

/** What a stored scheduled message says of itself. */
interface Facts {
  readonly head: PublishHead
  readonly message: Slice
  readonly isVolatile: number
}

/** Looks at what is scheduled, and cancels it. */
export class ScheduleQueries {
  private readonly core: Core
  private readonly schedule: Schedule

  constructor(schedule: Schedule) {
    this.core = schedule.core
    this.schedule = schedule
  }

  /** In the order in which they are due; of a queue, or of all. A page may have fewer than `limit`, or none, and a next one. */
  list(queue: Queue | undefined, after: string, limit: number, done: (page: ScheduledPage) => void): void {
    const wants = ({ target }: DueEntry): boolean =>
      queue === undefined || target === 0 || target === queue.id
    const bounds = { after: parsePosition(after), limit, most: STEP }
    const { index, firing } = this.schedule
    index.scan(bounds, firing.values(), wants, (found, last) => {
      this.describeAll(found, (messages) => {
        const next = last === undefined ? undefined : `${last.at}:${last.lsn}`
        const isWanted = ({ targets }: ScheduledMessage): boolean =>
          queue === undefined || targets.includes(queue.name)
        done({ messages: messages.filter(isWanted), next })
      })
    })
  }

  /** False: it is not scheduled, or not any more. True: that is durable. */
  cancel(lsn: number, done: (cancelled: boolean) => void): void {
    this.find(lsn, (facts) => {
      if (facts === undefined) return done(false)
      const { schedule } = this
      const leave = (removed: boolean): void => {
        if (!removed && !schedule.firing.delete(lsn)) return done(false)
        schedule.leave(lsn, facts.isVolatile, facts.head.targets, 'cancelled')
        this.whenDurable(() => done(true))
      }
      schedule.index.remove(this.entryOf(lsn, facts), leave)
    })
  }

  /** Cancels all that are for this queue alone; those that others get too stay. Done when that is durable. */
  cancelAll(queue: Queue, done: (messages: number) => void): void {
    this.cancelFrom(queue, BEGINNING, 0, (messages) => this.whenDurable(() => done(messages)))
  }

  /** Where the message waits: once for each queue that it is for. */
  locate(lsn: number, done: (locations: readonly MessageLocation[]) => void): void {
    this.find(lsn, (facts) => {
      if (facts === undefined) return done([])
      const { schedule } = this
      const { head } = facts
      schedule.index.has(this.entryOf(lsn, facts), (found) => {
        if (!found && !schedule.firing.has(lsn)) return done([])
        const locations = this.namesOf(head).map((queue) => ({
          queue,
          lsn,
          state: 'scheduled',
          size: head.size,
          priority: head.priority,
          deliveryCount: 0,
          failures: 0,
          expiry: head.expiry,
          due: schedule.repeating.get(lsn)?.due ?? head.due,
        }))
        done(locations)
      })
    })
  }

  private whenDurable(give: () => void): void {
    // When the journal fails, everybody is told so.
    this.core.whenDurable((error) => error ?? give())
  }

  private cancelFrom(queue: Queue, after: DueKey, before: number, done: (messages: number) => void): void {
    const { schedule, core } = this
    if (queue.scheduledMessages + queue.scheduledInMemory === 0) return done(before)
    const wants = ({ target }: DueEntry): boolean => target === queue.id
    const bounds = { after, limit: STEP, most: STEP }
    schedule.index.scan(bounds, schedule.firing.values(), wants, (found, last) => {
      if (core.ended !== null) return
      let count = before
      let open = 1
      const finished = (): void => {
        if (--open > 0) return
        if (last === undefined) done(count)
        else core.clock.defer(() => this.cancelFrom(queue, last, count, done))
      }
      for (const scanned of found) {
        open++
        schedule.index.discard(scanned, (removed) => {
          const { lsn, flags } = scanned.entry
          if (removed || schedule.firing.delete(lsn)) {
            schedule.leave(lsn, flags & DueFlag.memory, [queue.id], 'cancelled')
            count++
          }
          finished()
        })
      }
      finished()
    })
  }

  private entryOf(lsn: number, { head, isVolatile }: Facts): Pick<DueEntry, 'at' | 'lsn' | 'flags'> {
    const { due, flags } = this.schedule.repeating.get(lsn) ?? { due: head.due, flags: isVolatile }
    return { at: timeOf(due, head.expiry), lsn, flags }
  }

  /** Reads the message, if there is a scheduled one of that number, or was. */
  private find(lsn: number, done: (facts: Facts | undefined) => void): void {
    const { schedule, core } = this
    core.commit()
    if (schedule.read(lsn, new Slice())) done(this.factsOf(lsn))
    else core.store.load(SCHEDULE_QUEUE, [lsn], () => done(this.factsOf(lsn)))
  }

  /** Undefined when the message is not in memory, or was never a scheduled one. */
  private factsOf(lsn: number): Facts | undefined {
    const message = new Slice()
    const head = new PublishHead()
    const isRead =
      this.schedule.read(lsn, message) &&
      readPublish(reader.reset(message.bytes, message.start, message.end), head)
    if (!isRead || (head.flags & PublishFlag.due) === 0) return undefined
    return { head, message, isVolatile: this.core.volatile.read(lsn, message) ? 1 : 0 }
  }

  private describeAll(
    found: readonly ScannedEntry[],
    done: (messages: readonly ScheduledMessage[]) => void,
  ): void {
    const messages: ScheduledMessage[] = []
    const step = (from: number): void => {
      if (from === found.length) return done(messages)
      let to = from
      for (let bytes = 0; to < found.length && bytes < STEP_BYTES; to++) bytes += found[to]!.entry.size
      const part = found.slice(from, to).map(({ entry }) => entry)
      this.bringIn(part, (facts) => {
        for (const [i, entry] of part.entries()) if (facts[i]) messages.push(this.describe(entry, facts[i]))
        step(to)
      })
    }
    step(0)
  }

  /** Each is read once: that it is in memory now does not say that it is when others have been read. */
  private bringIn(entries: readonly DueEntry[], done: (facts: readonly (Facts | undefined)[]) => void): void {
    const { core } = this
    core.commit()
    const read = (): (Facts | undefined)[] => entries.map(({ lsn }) => this.factsOf(lsn))
    const facts = read()
    const stored = entries.filter(({ flags }) => !(flags & DueFlag.memory)).map(({ lsn }) => lsn)
    const isWhole = entries.every(({ flags }, i) => facts[i] !== undefined || flags & DueFlag.memory)
    if (isWhole) done(facts)
    else core.store.load(SCHEDULE_QUEUE, stored, () => done(read()))
  }

  private describe({ lsn }: DueEntry, { head, message, isVolatile }: Facts): ScheduledMessage {
    const record = new DeliveryRecord()
    const targets = this.namesOf(head)
    record.read(message, targets[0] ?? '')
    record.lsn = lsn
    record.durable = isVolatile === 0
    const state = this.schedule.repeating.get(lsn)
    return {
      ...record,
      targets,
      due: state?.due ?? head.due,
      fired: state?.fired ?? 0,
      repetition: head.repetition === '' ? undefined : JSON.parse(head.repetition),
    }
  }

  private namesOf({ targets }: PublishHead): string[] {
    return targets.flatMap((id) => this.core.topology.byId.get(id)?.name ?? [])
  }
}

function parsePosition(text: string): DueKey {
  const match = /^(\d+):(\d+)$/.exec(text)
  return match === null ? BEGINNING : { at: Number(match[1]), lsn: Number(match[2]) }
}
