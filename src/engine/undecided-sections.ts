import type { HalfMessage } from './half-messages.ts'
import { type JournalledSettlement, leavesTrace, readSettlement, writeSettlement } from './ports/decisions.ts'
import type { ByteWriter } from './ports/operations.ts'
import { forEachInRuns, type OperationReader, readList, writeRuns } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import type { Transaction } from './transaction.ts'

/*
 * What a checkpoint says of transactions and half messages.
 *
 * undecided := varint n, part[n]
 * part      := varint transaction | u8 bits (1: committed, 2: settled, otherwise stored; 4: ids) | varint queue
 *              | u8 priority | settled: settlement | ids: varint n, (text id, varint wall ms)[n] | runs of LSNs
 * prepared  := varint n, half[n]
 * half      := varint lsn | u8 committed | varint checks | text group | text exchange | text key | varint size
 *              | varint since | u8 priority | list queues
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

/** Some messages of one transaction in one lane. */
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
  const { id, stored, settled, seen } = transaction
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
    if (reader.failed) return
    visit({ transaction, isCommitted: (bits & COMMITTED) !== 0, queue, priority, settlement, ids }, lsns)
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
    writer.putList(half.queues.map((queue: Queue) => queue.id))
  }
}

/** A half message as a checkpoint has it. */
export interface RecoveredHalf {
  readonly lsn: number
  readonly isCommitted: boolean
  readonly checks: number
  readonly producerGroup: string
  readonly exchange: string
  readonly key: string
  readonly size: number
  readonly publishedAt: number
  readonly priority: number
  readonly queues: readonly number[]
}

export function readHalves(reader: OperationReader, visit: (half: RecoveredHalf) => void): void {
  for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
    const queues: number[] = []
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
      queues,
    }
    readList(reader, queues)
    if (!reader.failed) visit(half)
  }
}
