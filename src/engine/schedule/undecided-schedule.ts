import { PublishFlag, type PublishHead } from '../ports/operations.ts'
import { DueFlag } from './due-entry.ts'
import { timeOf } from './due-pages.ts'
import type { Schedule, ScheduledFacts } from './schedule.ts'

/** Of each message: LSN, due, expiry, size. */
const WIDTH = 4

/** Scheduled messages that wait for the same decision, and are for the same queues. 32 bytes a message. */
export class ScheduledRow {
  readonly targets: readonly number[]
  /** As in DueEntry; those of all its messages. */
  readonly flags: number
  /** In order of LSN. */
  private facts: number[] = []

  constructor(targets: readonly number[], flags: number) {
    this.targets = targets
    this.flags = flags
  }

  get count(): number {
    return this.facts.length / WIDTH
  }

  add(lsn: number, { due, expiry, size }: ScheduledFacts): void {
    this.facts.push(lsn, due, expiry, size)
  }

  lsns(): Float64Array {
    return Float64Array.from({ length: this.count }, (_, i) => this.facts[i * WIDTH]!)
  }

  /** What is told of a message is the same object each time. */
  forEach(visit: (lsn: number, facts: ScheduledFacts) => void, from = 0, to: number = this.count): void {
    const { facts, targets } = this
    const told = { due: 0, expiry: 0, size: 0, targets }
    for (let at = from * WIDTH; at < to * WIDTH; at += WIDTH) {
      told.due = facts[at + 1]!
      told.expiry = facts[at + 2]!
      told.size = facts[at + 3]!
      visit(facts[at]!, told)
    }
  }

  /** Where it is, or would be. */
  indexOf(lsn: number): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.facts[middle * WIDTH]! < lsn) low = middle + 1
      else high = middle
    }
    return low
  }

  has(lsn: number): boolean {
    return this.facts[this.indexOf(lsn) * WIDTH] === lsn
  }

  /** Leaves out messages that are gone. */
  drop(gone: ReadonlySet<number>): void {
    const kept: number[] = []
    this.forEach((lsn, { due, expiry, size }) => {
      if (!gone.has(lsn)) kept.push(lsn, due, expiry, size)
    })
    this.facts = kept
  }
}

/** What one transaction, or half message, has in the schedule, by queues and flags. */
export type ScheduledRows = Map<string, ScheduledRow>

/**
 * Scheduled messages that wait for a decision. They are stored in the schedule's place, and their queues count them; but the
 * index does not know them, so that they are neither delivered nor listed nor cancelled.
 */
export class UndecidedSchedule {
  private readonly schedule: Schedule
  private readonly rows = new Set<ScheduledRow>()

  constructor(schedule: Schedule) {
    this.schedule = schedule
    schedule.undecided = this
  }

  /** Messages among them that repeat. */
  get repeating(): number {
    let count = 0
    for (const row of this.rows) if (row.flags & DueFlag.repeats) count += row.count
    return count
  }

  has(lsn: number): boolean {
    for (const row of this.rows) if (row.has(lsn)) return true
    return false
  }

  /** Later than all others in `rows`, which are those of its transaction. */
  add(rows: ScheduledRows, lsn: number, facts: ScheduledFacts, flags: number): void {
    const { targets } = facts
    const key = `${flags} ${targets.join()}`
    let row = rows.get(key)
    if (row === undefined) {
      row = new ScheduledRow([...targets], flags)
      rows.set(key, row)
      this.rows.add(row)
    }
    row.add(lsn, facts)
  }

  /** They are scheduled messages now; the decision is durable. What is due already is delivered next. */
  commit(rows: ScheduledRows): void {
    const { schedule } = this
    for (const row of rows.values()) {
      this.makeScheduled(row)
      row.forEach((lsn, { due, expiry }) => {
        if (row.flags & DueFlag.repeats) schedule.indexRepeating(lsn)
        schedule.dueAt(timeOf(due, expiry))
      })
    }
    rows.clear()
  }

  /** The same while the journal is read: those that repeat are indexed at its end, and nothing is delivered yet. */
  recoverCommitted(rows: ScheduledRows): void {
    for (const row of rows.values()) this.makeScheduled(row)
    rows.clear()
  }

  /** They have been rolled back already. */
  forget(rows: ScheduledRows): void {
    for (const row of rows.values()) this.rows.delete(row)
    rows.clear()
  }

  /** They never were. */
  rollBack(rows: ScheduledRows): void {
    for (const row of rows.values()) {
      if (row.count > 0) this.schedule.rolledBack(row.lsns(), row.flags & DueFlag.memory, row.targets)
    }
    this.forget(rows)
  }

  private makeScheduled(row: ScheduledRow): void {
    const { schedule } = this
    const isVolatile = row.flags & DueFlag.memory
    this.rows.delete(row)
    row.forEach((lsn, facts) => {
      if (row.flags & DueFlag.repeats) schedule.repeat(lsn, facts, isVolatile)
      else schedule.indexOnce(lsn, facts, isVolatile)
    })
  }
}

/** Whether the message becomes one when its transaction is committed, or its sender decides. */
export function awaitsDecision({ flags }: PublishHead): boolean {
  return (flags & (PublishFlag.transacted | PublishFlag.prepared)) !== 0
}

/** Flags of a scheduled message in the index. */
export function dueFlagsOf({ flags }: Pick<PublishHead, 'flags'>, isVolatile: boolean): number {
  return (flags & PublishFlag.repeating ? DueFlag.repeats : 0) | (isVolatile ? DueFlag.memory : 0)
}
