import { MillraceError } from '../model/errors.ts'
import { parseSelector, type Selector } from '../model/selector/selector.ts'
import type { ConnectionSink, ConsumerOptions } from './api.ts'
import type { Connection } from './connection.ts'
import { type DeliveryRecord, giveBackList, giveBackRecord, takeList, takeRecord } from './delivery-record.ts'
import type { Chunk } from './index/chunk.ts'
import type { Lane } from './index/lane.ts'
import type { Queue } from './queue.ts'
import type { Interest } from './selective/interests.ts'
import type { Row } from './selective/row.ts'

/** Deliveries that a consumer has room for at first: where there are thousands, most hold one or two. */
const RING = 4

/** An unsettled delivery, as found by its tag. */
export interface Unsettled {
  lane: Lane
  chunk: Chunk
  slot: number
}

/**
 * A consumer of one queue, with its credit and what it holds. Deliveries are numbered from 1; the unsettled ones lie in a
 * ring addressed by tag, so that settling needs no lookup and no object.
 */
export class Consumer {
  readonly id: number
  readonly queue: Queue
  readonly connection: Connection
  readonly maxBytes: number
  readonly exclusive: boolean
  readonly priority: number
  /** Another one is the single active consumer. */
  standsBy = false
  /** Where priorities differ: who of them was given a message later has more. */
  served = 0
  /** Null: it takes everything. */
  readonly selector: Selector | null
  /** What it competes for, in a queue where somebody does not take everything; otherwise null. */
  interest: Interest | null = null
  /** Messages kept for it alone: of its groups, while it had no credit. Null while there never were any. */
  own: Row | null = null
  /** Message groups that are its own. */
  groups = 0
  credit = 0
  unsettled = 0
  unsettledBytes = 0
  /** Unsettled deliveries that a transaction has settled, and not been committed yet. */
  enlisted = 0
  cancelled = false
  /** Cancelled, and gives back what it cannot settle: what a transaction leaves unsettled goes back too. */
  releasing = false
  /** Messages that this consumer said it cannot take; null while there are none. */
  excluded: Set<number> | null = null
  /** To be told when the credit has been used or has lapsed. */
  readonly draining: ((lapsed: number) => void)[] = []
  /** A deadline for the oldest delivery is set. */
  watched = false
  /** Deliveries of this turn; null: none. */
  private outgoing: DeliveryRecord[] | null = null
  /** Lowest tag that may be unsettled, and the next one to give. */
  firstTag = 1
  nextTag = 1
  private chunks: (Chunk | null)[] = new Array(RING).fill(null)
  private slots: Uint16Array = new Uint16Array(RING)
  private mask = RING - 1
  /** By tag, when the delivery was made; null while nobody has wanted to know. */
  private times: Float64Array | null = null
  /** By tag, whether a transaction has settled the delivery; null before the first one has. */
  private marks: Uint8Array | null = null

  constructor(id: number, queue: Queue, connection: Connection, options: ConsumerOptions) {
    this.id = id
    this.queue = queue
    this.connection = connection
    this.maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY
    this.exclusive = options.exclusive ?? false
    this.priority = options.priority ?? 0
    if (!Number.isSafeInteger(this.priority)) {
      throw new MillraceError(
        'argument-invalid',
        `the priority of a consumer is a whole number, not ${options.priority}`,
      )
    }
    this.selector = options.selector ? parseSelector(options.selector) : null
  }

  get hungry(): boolean {
    if (this.credit === 0 || this.cancelled || this.standsBy) return false
    return this.unsettled === 0 || this.unsettledBytes < this.maxBytes
  }

  /** Takes a slot; answers the delivery's tag. `now` is monotonic; 0: nobody will want to know. */
  hold(chunk: Chunk, slot: number, now: number): number {
    const tag = this.nextTag++
    if (tag - this.firstTag > this.mask) this.grow()
    const at = tag & this.mask
    this.chunks[at] = chunk
    this.slots[at] = slot
    if (now > 0 || this.times !== null) this.noteTime(at, now)
    this.credit--
    this.unsettled++
    this.unsettledBytes += chunk.sizeOf(slot)
    return tag
  }

  private noteTime(at: number, now: number): void {
    this.times ??= new Float64Array(this.mask + 1)
    this.times[at] = now
  }

  /** Fills `into` with the delivery `tag` and forgets it. False when it is not unsettled, or a transaction has settled it. */
  letGo(tag: number, into: Unsettled): boolean {
    if (this.isEnlisted(tag) || !this.find(tag, into)) return false
    this.chunks[tag & this.mask] = null
    this.unsettled--
    this.unsettledBytes -= into.chunk.sizeOf(into.slot)
    while (this.firstTag < this.nextTag && this.chunks[this.firstTag & this.mask] === null) this.firstTag++
    if (this.interest !== null) this.queue.assortment?.wake(this)
    return true
  }

  /** A transaction settles the delivery: from now on nobody else does. False when it is not there to be settled. */
  enlist(tag: number, into: Unsettled): boolean {
    if (this.isEnlisted(tag) || !this.find(tag, into)) return false
    this.marks ??= new Uint8Array(this.mask + 1)
    this.marks[tag & this.mask] = 1
    this.enlisted++
    return true
  }

  isEnlisted(tag: number): boolean {
    return this.enlisted > 0 && tag >= this.firstTag && this.marks![tag & this.mask] === 1
  }

  /** The transaction has ended. False when the delivery was taken from it. */
  release(tag: number): boolean {
    if (!this.isEnlisted(tag)) return false
    this.marks![tag & this.mask] = 0
    this.enlisted--
    return true
  }

  /** The consumer goes, and its queue with it: what transactions have settled is nobody's any more. */
  releaseAll(): void {
    this.marks = null
    this.enlisted = 0
  }

  find(tag: number, into: Unsettled): boolean {
    if (tag < this.firstTag || tag >= this.nextTag) return false
    const at = tag & this.mask
    const chunk = this.chunks[at]
    if (chunk === null || chunk === undefined) return false
    into.chunk = chunk
    into.lane = this.queue.lanes[chunk.priority]!
    into.slot = this.slots[at]!
    return true
  }

  holds(lsn: number): boolean {
    for (let tag = this.firstTag; tag < this.nextTag; tag++) {
      const at = tag & this.mask
      if (this.chunks[at]?.lsnOf(this.slots[at]!) === lsn) return true
    }
    return false
  }

  /** Monotonic time at which the oldest unsettled delivery was made. */
  get oldestTime(): number {
    return this.times === null ? 0 : this.times[this.firstTag & this.mask]!
  }

  /** The next record of this turn's deliveries, to be filled. */
  nextRecord(): DeliveryRecord {
    const record = takeRecord()
    this.outgoing ??= takeList()
    this.outgoing.push(record)
    return record
  }

  /** The last record could not be filled. */
  dropRecord(): void {
    giveBackRecord(this.outgoing!.pop()!)
  }

  /** There is one delivery in this turn, and there was none. */
  get hasFirst(): boolean {
    return this.outgoing!.length === 1
  }

  /** What has not been handed over never will be; answers how many deliveries that are. */
  withhold(): number {
    const records = this.outgoing
    if (records === null) return 0
    const { length } = records
    this.outgoing = null
    giveBackList(records)
    return length
  }

  /** Hands over the deliveries of this turn. */
  flush(sink: ConnectionSink): void {
    const records = this.outgoing
    if (records === null) return
    this.outgoing = null
    if (records.length > 0) sink.deliver(this.id, records, records.length)
    giveBackList(records)
  }

  private grow(): void {
    const size = (this.mask + 1) * 2
    const chunks: (Chunk | null)[] = new Array(size).fill(null)
    const slots = new Uint16Array(size)
    const times = this.times === null ? null : new Float64Array(size)
    const marks = this.marks === null ? null : new Uint8Array(size)
    for (let tag = this.firstTag; tag < this.nextTag - 1; tag++) {
      const from = tag & this.mask
      const to = tag & (size - 1)
      chunks[to] = this.chunks[from]!
      slots[to] = this.slots[from]!
      if (times !== null) times[to] = this.times![from]!
      if (marks !== null) marks[to] = this.marks![from]!
    }
    this.chunks = chunks
    this.slots = slots
    this.times = times
    this.marks = marks
    this.mask = size - 1
  }
}
