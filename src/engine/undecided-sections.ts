import type { HalfHead, HalfMessage } from './half-messages.ts'
import { type JournalledSettlement, leavesTrace, readSettlement, writeSettlement } from './ports/decisions.ts'
import type { ByteWriter } from './ports/operations.ts'
import { type OperationReader, PublishFlag, readList, SCHEDULE_QUEUE } from './ports/operations.ts'
import { forEachInRuns, writeRuns } from './ports/settle-operation.ts'
import type { Queue } from './queue.ts'
import { DueFlag } from './schedule/due-entry.ts'
import { ScheduledRow } from './schedule/undecided-schedule.ts'
import type { Transaction } from './transaction.ts'

/*
 * What a checkpoint says of transactions and half messages.
 *
 * undecided := varint n, part[n]
 * part      := varint transaction | u8 bits (1: committed, 2: settled, otherwise stored; 4: ids) | varint queue
 *              | u8 priority | settled: settlement | ids: varint n, (text id, varint wall ms)[n] | runs of LSNs
 *              | in the schedule (queue 1): u8 flags | list targets | (varint due, expiry, size) of each LSN
 * prepared  := varint n, half[n]
 * half      := varint lsn | u8 committed | varint checks | text group | text exchange | text key | varint size
 *              | varint since | u8 priority | list queues | varint due | unless it is 0: u8 flags | varint expiry
 * flags     := those of the schedule's index
 */
const COMMITTED = 1
const SETTLED = 2
const IDS = 4

/** LSNs, and parts, of one section: some megabytes at most. */
const LSNS_A_SECTION = 500_000
const PARTS_A_SECTION = 2_000
/** An id takes the room of so many LSNs. */
const ID_IN_LSNS = 25

type Ids = readonly (readonly [id: string, at: number])[]

const none: Ids = []

/** Some messages of one transaction in one lane, or in the schedule. */
export interface UndecidedPart {
  readonly transaction: number
  readonly isCommitted: boolean
  readonly queue: number
  readonly priority: number
  /** Undefined: they were stored. */
  readonly settlement: JournalledSettlement | undefined
  /** Deduplication ids of messages that were stored in the queue, and when these were published. */
  readonly ids: Ids
  readonly lsns: Float64Array
  /** Of those in the schedule. */
  readonly scheduled?: ScheduledRow | undefined
}

/** Writers of as many sections as it takes. */
export function transactionSections(
  all: Iterable<{ transaction: Transaction; isDecided: boolean }>,
): ((writer: ByteWriter) => void)[] {
  const sections: UndecidedPart[][] = []
  let room = 0
  for (const { transaction, isDecided } of all) {
    for (const part of partsOf(transaction, isDecided)) {
      const last = sections[sections.length - 1]
      const size = part.lsns.length + part.ids.length * ID_IN_LSNS
      if (last === undefined || room < size || last.length === PARTS_A_SECTION) {
        sections.push([part])
        room = LSNS_A_SECTION
      } else {
        last.push(part)
      }
      room -= size
    }
  }
  return sections.map((parts) => (writer) => {
    writer.putVarint(parts.length)
    for (const part of parts) writePart(writer, part)
  })
}

function* partsOf(transaction: Transaction, isCommitted: boolean): Generator<UndecidedPart> {
  const { id, stored, scheduled, settled, seen } = transaction
  for (const { queue, lane, lsns } of stored.values())
    yield* inParts(
      {
        transaction: id,
        isCommitted,
        queue: queue.id,
        priority: lane.priority,
        settlement: undefined,
        ids: none,
      },
      lsns.rising(),
    )
  // Once it is committed its queues have them.
  for (const [queue, ids] of isCommitted ? [] : seen)
    yield* inIdParts({ transaction: id, isCommitted, queue: queue.id, priority: 0, settlement: undefined }, [
      ...ids.entries(),
    ])
  for (const row of scheduled.values()) {
    if (row.flags & DueFlag.memory) continue
    const part = {
      transaction: id,
      isCommitted,
      queue: SCHEDULE_QUEUE,
      priority: 0,
      settlement: undefined,
      ids: none,
      scheduled: row,
    }
    yield* inParts(part, row.lsns())
  }
  // What is only enlisted is forgotten with the connection; what is committed is not.
  for (const { queue, lane, settlement, isVolatile, lsns } of settled) {
    if (isVolatile || !leavesTrace(settlement)) continue
    yield* inParts(
      { transaction: id, isCommitted, queue: queue.id, priority: lane.priority, settlement, ids: none },
      lsns.rising(),
    )
  }
}

function* inParts(part: Omit<UndecidedPart, 'lsns'>, lsns: Float64Array): Generator<UndecidedPart> {
  for (let from = 0; from < lsns.length; from += LSNS_A_SECTION)
    yield { ...part, lsns: lsns.subarray(from, from + LSNS_A_SECTION) }
}

function* inIdParts(part: Omit<UndecidedPart, 'ids' | 'lsns'>, ids: Ids): Generator<UndecidedPart> {
  const step = LSNS_A_SECTION / ID_IN_LSNS
  for (let from = 0; from < ids.length; from += step)
    yield { ...part, ids: ids.slice(from, from + step), lsns: new Float64Array(0) }
}

function writePart(writer: ByteWriter, part: UndecidedPart): void {
  const { settlement, ids } = part
  writer.putVarint(part.transaction)
  const settled = settlement === undefined ? 0 : SETTLED
  writer.putByte((part.isCommitted ? COMMITTED : 0) | settled | (ids.length === 0 ? 0 : IDS))
  writer.putVarint(part.queue)
  writer.putByte(part.priority)
  if (settlement !== undefined) writeSettlement(writer, settlement)
  if (ids.length > 0) writeIds(writer, ids)
  writeRuns(writer, part.lsns)
  if (part.scheduled !== undefined) writeScheduled(writer, part.scheduled, part.lsns)
}

function writeScheduled(writer: ByteWriter, row: ScheduledRow, lsns: Float64Array): void {
  writer.putByte(row.flags)
  writer.putList([...row.targets])
  const from = row.indexOf(lsns[0]!)
  row.forEach(
    (_, { due, expiry, size }) => {
      for (const value of [due, expiry, size]) writer.putVarint(value)
    },
    from,
    from + lsns.length,
  )
}

function readScheduled(reader: OperationReader, lsns: readonly number[]): ScheduledRow {
  const flags = reader.byte()
  const targets = readList(reader)
  const row = new ScheduledRow(targets, flags)
  for (const lsn of lsns)
    row.add(lsn, { due: reader.varint(), expiry: reader.varint(), size: reader.varint(), targets })
  return row
}

function writeIds(writer: ByteWriter, ids: Ids): void {
  writer.putVarint(ids.length)
  for (const [id, at] of ids) {
    writer.putText(id)
    writer.putVarint(at)
  }
}

function readIds(reader: OperationReader): Ids {
  const ids: [string, number][] = []
  for (let left = reader.varint(); left > 0 && !reader.failed; left--)
    ids.push([reader.text(), reader.varint()])
  return ids
}

/** Reads what transactionSections wrote. */
export function readTransactionSection(
  reader: OperationReader,
  visit: (part: Omit<UndecidedPart, 'lsns'>, lsns: readonly number[]) => void,
): void {
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const transaction = reader.varint()
    const bits = reader.byte()
    const queue = reader.varint()
    const priority = reader.byte()
    const settlement = bits & SETTLED ? readSettlement(reader) : undefined
    const ids = bits & IDS ? readIds(reader) : none
    const lsns: number[] = []
    forEachInRuns(reader, (lsn) => lsns.push(lsn), Number.MAX_SAFE_INTEGER)
    const scheduled = queue === SCHEDULE_QUEUE ? readScheduled(reader, lsns) : undefined
    if (reader.failed) return
    const isCommitted = (bits & COMMITTED) !== 0
    visit({ transaction, isCommitted, queue, priority, settlement, ids, scheduled }, lsns)
  }
}

export function writeHalves(writer: ByteWriter, halves: readonly HalfMessage[]): void {
  writer.putVarint(halves.length)
  for (const half of halves) {
    writer.putVarint(half.lsn)
    writer.putByte(half.verdict === 'commit' ? COMMITTED : 0)
    writer.putVarint(half.checks)
    writer.putText(half.group)
    writer.putText(half.exchange)
    writer.putText(half.key)
    writer.putVarint(half.size)
    writer.putVarint(half.since)
    writer.putByte(half.priority)
    writePlaces(writer, half)
  }
}

function writePlaces(writer: ByteWriter, { queues, scheduled }: HalfMessage): void {
  const row = scheduled.values().next().value
  writer.putList(row === undefined ? queues.map((queue: Queue) => queue.id) : [...row.targets])
  if (row === undefined) writer.putVarint(0)
  row?.forEach((_, { due, expiry }) => {
    writer.putVarint(due)
    writer.putByte(row.flags)
    writer.putVarint(expiry)
  })
}

/** A half message as a checkpoint has it; `targets` are its queues. */
export interface RecoveredHalf extends HalfHead {
  readonly lsn: number
  readonly isCommitted: boolean
  readonly checks: number
}

export function readHalves(reader: OperationReader, visit: (half: RecoveredHalf) => void): void {
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const half = {
      lsn: reader.varint(),
      isCommitted: reader.byte() === COMMITTED,
      checks: reader.varint(),
      producerGroup: reader.text(),
      exchange: reader.text(),
      key: reader.text(),
      size: reader.varint(),
      publishedAt: reader.varint(),
      priority: reader.byte(),
      targets: readList(reader),
    }
    const due = reader.varint()
    const isRepeating = due > 0 && (reader.byte() & DueFlag.repeats) !== 0
    const expiry = due > 0 ? reader.varint() : 0
    const flags = (due > 0 ? PublishFlag.due : 0) | (isRepeating ? PublishFlag.repeating : 0)
    if (!reader.failed) visit({ ...half, due, expiry, flags })
  }
}
