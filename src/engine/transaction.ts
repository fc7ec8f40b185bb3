import type { MillraceError } from '../model/errors.ts'
import type { Settlement } from './api.ts'
import type { Connection } from './connection.ts'
import type { Consumer, Unsettled } from './consumer.ts'
import { SeenIds } from './deduplication.ts'
import { EntryFlag } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import { LsnList } from './index/lsn-list.ts'
import type { Queue } from './queue.ts'
import type { ScheduledRows } from './schedule/undecided-schedule.ts'
import type { UndecidedRow } from './undecided.ts'

/** Deliveries of one consumer that are to be settled alike. */
interface Enlisted {
  readonly settlement: Settlement
  /** First and last tag of each range; all in it were enlisted by this transaction. */
  readonly ranges: number[]
}

/** Messages of one lane that are settled alike when the transaction is committed. */
export interface SettledRow {
  readonly queue: Queue
  readonly lane: Lane
  readonly settlement: Settlement
  /** Undefined: it was found in the journal. */
  readonly consumer: Consumer | undefined
  /** Of level 'memory': the journal does not know them. */
  readonly isVolatile: boolean
  readonly lsns: LsnList
}

/** Among so many of the newest kinds of settlement a like one is looked for. */
const ALIKE = 4

const found: Unsettled = { lane: null as never, chunk: null as never, slot: 0 }

/** A transaction: what it has stored, what it has settled, and nothing else. About ten bytes an operation, 32 if it is scheduled. */
export class Transaction {
  readonly id: number
  /** Undefined: it was found in the journal. */
  readonly connection: Connection | undefined
  readonly stored: Map<Lane, UndecidedRow> = new Map()
  /** Deduplication ids of what it has stored: a repetition within it is known, others' when it is committed. */
  readonly seen: Map<Queue, SeenIds> = new Map()
  readonly scheduled: ScheduledRows = new Map()
  /** What is to be settled, once it is decided that it is. */
  settled: SettledRow[] = []
  /** Settlements, and messages times their queues. */
  operations = 0
  /** Something of it is in the journal. */
  journalled = false
  /** It is rolled back, and why; its owner has not asked yet. */
  cause: MillraceError | null = null
  /** Publications that wait for room, and what is to be told when the commit that waits for them is done. */
  readonly held: Set<number> = new Set()
  committing: ((error: MillraceError | undefined) => void) | null = null
  /** Monotonic. */
  usedAt = 0
  private readonly enlisted: Map<Consumer, Enlisted[]> = new Map()

  constructor(id: number, connection?: Connection) {
    this.id = id
    this.connection = connection
  }

  /** A message was stored. */
  add(queue: Queue, priority: number, lsn: number): void {
    const lane = queue.lane(priority)
    let row = this.stored.get(lane)
    if (row === undefined) {
      row = { queue, lane, lsns: new LsnList() }
      this.stored.set(lane, row)
    }
    row.lsns.push(lsn)
  }

  /** A message of this deduplication id was stored; `at` is its publication. Wall milliseconds. */
  remember(queue: Queue, id: string, isVolatile: boolean, at: number): void {
    const { deduplication } = queue.policy
    if (deduplication === undefined) return
    const seen = this.seen.get(queue) ?? new SeenIds(deduplication)
    this.seen.set(queue, seen)
    seen.add(id, isVolatile, at)
  }

  /** Takes the delivery from its consumer's hands, though it stays with it. False when there is no such delivery. */
  enlist(consumer: Consumer, tag: number, settlement: Settlement): boolean {
    if (!consumer.enlist(tag, found)) return false
    const rows = this.enlisted.get(consumer) ?? []
    if (rows.length === 0) this.enlisted.set(consumer, rows)
    const row = rows.slice(-ALIKE).find((other) => isAlike(other.settlement, settlement))
    if (row === undefined) rows.push({ settlement, ranges: [tag, tag] })
    else if (row.ranges[row.ranges.length - 1] === tag - 1) row.ranges[row.ranges.length - 1] = tag
    else row.ranges.push(tag, tag)
    return true
  }

  has(consumer: Consumer, tag: number): boolean {
    const rows = this.enlisted.get(consumer) ?? []
    return rows.some(({ ranges }) => isInside(ranges, tag))
  }

  /** The deliveries leave their consumers: what becomes of them is decided. Answers the consumers. */
  takeOver(): Consumer[] {
    for (const [consumer, rows] of this.enlisted) {
      for (const { settlement, ranges } of rows) {
        const settled: SettledRow[] = []
        forEachTag(ranges, (tag) => {
          if (consumer.release(tag) && consumer.letGo(tag, found)) addSettled(settled, consumer, settlement)
        })
        for (const row of settled) this.settled.push(row)
      }
    }
    return this.forgetEnlisted()
  }

  /** The deliveries are their consumers' again. Answers the consumers. */
  giveUp(): Consumer[] {
    for (const [consumer, rows] of this.enlisted) {
      for (const { ranges } of rows) forEachTag(ranges, (tag) => consumer.release(tag))
    }
    return this.forgetEnlisted()
  }

  private forgetEnlisted(): Consumer[] {
    const consumers = [...this.enlisted.keys()]
    this.enlisted.clear()
    return consumers
  }
}

/** Adds the delivery in `found` to the row of its lane. */
function addSettled(rows: SettledRow[], consumer: Consumer, settlement: Settlement): void {
  const { lane, chunk, slot } = found
  const isVolatile = (chunk.flagsOf(slot) & EntryFlag.memory) !== 0
  let row = rows.find((other) => other.lane === lane && other.isVolatile === isVolatile)
  if (row === undefined) {
    row = { queue: consumer.queue, lane, settlement, consumer, isVolatile, lsns: new LsnList() }
    rows.push(row)
  }
  row.lsns.push(chunk.lsnOf(slot))
}

function isAlike(a: Settlement, b: Settlement): boolean {
  return (
    a.outcome === b.outcome &&
    a.deliveryFailed === b.deliveryFailed &&
    a.undeliverableHere === b.undeliverableHere &&
    a.delay === b.delay &&
    a.reason === b.reason &&
    a.description === b.description
  )
}

function isInside(ranges: readonly number[], tag: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (tag >= ranges[i]! && tag <= ranges[i + 1]!) return true
  return false
}

function forEachTag(ranges: readonly number[], visit: (tag: number) => void): void {
  for (let i = 0; i < ranges.length; i += 2) {
    for (let tag = ranges[i]!; tag <= ranges[i + 1]!; tag++) visit(tag)
  }
}
