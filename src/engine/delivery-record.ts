import { DEFAULT_EXCHANGE } from '../model/destination.ts'
import type { Delivery } from './api.ts'
import { isSentTo, OperationReader, PublishFlag, PublishHead, readPublish } from './ports/operations.ts'
import type { Slice } from './ports/store.ts'

const reader = new OperationReader()
const fresh = new PublishHead()
const noChunks: readonly number[] = []
const noQueues: readonly number[] = []
const noBytes = new Uint8Array(0)

/** Records that nobody fills at present, for all consumers: what each would keep for itself adds up when there are many. */
const spare: DeliveryRecord[] = []
const MOST_SPARE = 16_384
const spareLists: DeliveryRecord[][] = []
const MOST_SPARE_LISTS = 1_024

/** Queues in whose list it is worth while to look no more than once. */
const MANY_QUEUES = 4
/** Messages whose heads are remembered: a queue may be given 512 before the next one has its turn, and not every LSN is a message. */
const REMEMBERED = 2_048
/** What may be long is not remembered. */
const LONG = PublishFlag.annotated | PublishFlag.composite | PublishFlag.chunked | PublishFlag.keyed

/**
 * Heads of messages that are in many queues, so that each of a thousand subscribers is not made to read past the numbers of all
 * others. An LSN means one message for as long as the engine runs.
 */
export class SharedHeads {
  private readonly lsns: Float64Array = new Float64Array(REMEMBERED)
  private readonly heads: PublishHead[] = []

  /** Its payload lies at so many bytes from the begin of the operation. */
  find(lsn: number): PublishHead | undefined {
    const at = lsn % REMEMBERED
    return this.lsns[at] === lsn ? this.heads[at] : undefined
  }

  /** `head` was read from an operation that began at `start`. */
  note(lsn: number, head: PublishHead, start: number): void {
    if (head.queues.length < MANY_QUEUES || head.flags & LONG) return
    const at = lsn % REMEMBERED
    this.lsns[at] = lsn
    const { payloadStart, payloadEnd } = head
    const relative = { payloadStart: payloadStart - start, payloadEnd: payloadEnd - start, queues: noQueues }
    this.heads[at] = Object.assign(new PublishHead(), head, relative)
  }
}

/** A delivery to be filled again and again (see ConnectionSink.deliver). */
export class DeliveryRecord implements Delivery {
  tag = 0
  lsn = 0
  queue = ''
  exchange = ''
  key = ''
  format = 0
  priority = 4
  publishedAt = 0
  expiry = 0
  deliveryCount = 1
  durable = true
  annotations = ''
  bytes: Uint8Array = noBytes
  start = 0
  end = 0
  size = 0
  chunks: readonly number[] = noChunks

  /**
   * Takes everything that the stored publish operation says, or what is remembered of it. False when its bytes do not fit the
   * grammar.
   */
  read(slice: Slice, queue: string, shared?: SharedHeads, lsn = 0): boolean {
    const known = shared?.find(lsn)
    if (known !== undefined) {
      this.take(known, slice, slice.start, queue)
      return true
    }
    if (!readPublish(reader.reset(slice.bytes, slice.start, slice.end), fresh)) return false
    shared?.note(lsn, fresh, slice.start)
    this.take(fresh, slice, 0, queue)
    return true
  }

  /** `from`: what the places in the head count from. */
  private take(head: PublishHead, slice: Slice, from: number, queue: string): void {
    this.queue = queue
    const direct = isSentTo(head, queue)
    this.exchange = direct ? DEFAULT_EXCHANGE : head.exchange
    this.key = direct ? queue : head.key
    this.format = head.format
    this.priority = head.priority
    this.publishedAt = head.publishedAt
    this.expiry = head.expiry
    this.annotations = head.annotations
    this.bytes = slice.bytes
    this.start = from + head.payloadStart
    this.end = from + head.payloadEnd
    this.size = head.size
    this.chunks = head.chunks
  }
}

export function takeRecord(): DeliveryRecord {
  return spare.pop() ?? new DeliveryRecord()
}

/** A record lets go of its message, which would keep a whole piece of the journal in memory. */
export function giveBackRecord(record: DeliveryRecord): void {
  record.bytes = noBytes
  record.chunks = noChunks
  if (spare.length < MOST_SPARE) spare.push(record)
}

/** An empty list for the records of one consumer. */
export function takeList(): DeliveryRecord[] {
  return spareLists.pop() ?? []
}

/** The records have been handed over. */
export function giveBackList(records: DeliveryRecord[]): void {
  for (const record of records) giveBackRecord(record)
  records.length = 0
  if (spareLists.length < MOST_SPARE_LISTS) spareLists.push(records)
}
