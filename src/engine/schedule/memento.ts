import type { Departure } from '../../model/delivery.ts'
import { type ByteWriter, type OperationReader, PublishFlag, type PublishHead } from '../ports/operations.ts'
import { DueFlag } from './due-entry.ts'
import type { Schedule } from './schedule.ts'
import { awaitsDecision } from './undecided-schedule.ts'

/**
 * What a checkpoint says of the schedule, and what the journal says after it.
 *
 * schedule  := index | varint n, repeating[n]
 * repeating := varint lsn, due, deliveries, expiry, size, target
 */
export class ScheduleMemento {
  /** The snapshot contains the operations up to here. */
  asOf = 0
  private readonly schedule: Schedule

  constructor(schedule: Schedule) {
    this.schedule = schedule
  }

  write(writer: ByteWriter): void {
    const { index, firing, repeating } = this.schedule
    // They leave by operations that come later.
    index.write(
      writer,
      [...firing.values()].filter(({ flags }) => flags === 0),
    )
    const stored = [...repeating].filter(([, { flags }]) => !(flags & DueFlag.memory))
    writer.putVarint(stored.length)
    for (const [lsn, { due, fired, expiry, size, target }] of stored) {
      for (const value of [lsn, due, fired, expiry, size, target]) writer.putVarint(value)
    }
  }

  read(reader: OperationReader): void {
    const { index, repeating } = this.schedule
    index.read(reader)
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
      const lsn = reader.varint()
      repeating.set(lsn, {
        due: reader.varint(),
        fired: reader.varint(),
        expiry: reader.varint(),
        size: reader.varint(),
        target: reader.varint(),
        flags: DueFlag.repeats,
      })
    }
  }

  /** Repeating messages are put into the index when it is known where they have got to. */
  finish(): void {
    for (const lsn of this.schedule.repeating.keys()) this.schedule.indexRepeating(lsn)
  }

  /** A publish operation of a scheduled message; of one that waits for a decision, only its queues know yet. */
  entered(lsn: number, head: PublishHead): void {
    for (const id of this.behind(head.targets, lsn)) this.schedule.awaited(id, head, 0)
    if (lsn <= this.asOf || awaitsDecision(head)) return
    if (head.flags & PublishFlag.repeating) this.schedule.repeat(lsn, head, 0)
    else this.schedule.indexOnce(lsn, head, 0)
  }

  /** The operation `by` put the message into `queues`. */
  fired(by: number, lsn: number, queues: readonly number[]): void {
    for (const id of this.behind(queues, by)) this.schedule.count(id, -1, 0)
    this.left(by, lsn)
  }

  departed(by: number, lsn: number, targets: readonly number[], departure: Departure): void {
    for (const id of this.behind(targets, by)) this.schedule.departed(id, departure, 0)
    // The index has not known it.
    if (departure !== 'rolled-back') this.left(by, lsn)
  }

  rescheduled(by: number, lsn: number, fired: number, due: number): void {
    const state = this.schedule.repeating.get(lsn)
    if (by <= this.asOf || state === undefined) return
    state.fired = fired
    state.due = due
  }

  private left(by: number, lsn: number): void {
    if (by <= this.asOf) return
    if (!this.schedule.repeating.delete(lsn)) this.schedule.index.left(lsn)
  }

  /** Those of the queues whose part of the snapshot does not contain the operation. */
  private behind(ids: readonly number[], by: number): number[] {
    return ids.filter((id) => by > (this.schedule.core.topology.byId.get(id)?.asOf ?? by))
  }
}
