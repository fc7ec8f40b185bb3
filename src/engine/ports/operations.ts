import { assert } from '../../model/errors.ts'

/**
 * The logical operations an engine commits to its store, and their byte encoding. The journal keeps these bytes
 * as they are and a replica will be sent them, so this encoding is part of docs/spec/journal.md.
 *
 * operation := u8 type | u24le lsnDelta | u32le length | body[length]
 *
 * An operation's LSN is the previous one's plus `lsnDelta`; the delta of a frame's first operation is ignored,
 * because the frame names its first LSN. All varints are little-endian base 128 and hold up to 2^53 - 1.
 */
export const OperationType = {
  /** One message and the queues that hold it. */
  publish: 1,
  /** A piece of a large body; alive as long as a publish operation that lists it. */
  chunk: 2,
  /** Messages that left a queue. */
  settle: 3,
  /** Redelivery state of messages that stay in a queue. */
  requeue: 4,
  /** Topology, producers and other rare things, as JSON. */
  meta: 5,
  /** What becomes of a transaction or a half message. */
  decide: 6,
  /** Messages that leave, or fail, when a transaction is committed. */
  enlist: 7,
} as const

export const OPERATION_HEADER = 8

/**
 * The number under which scheduled messages are held, as far as a store is concerned: a queue like any other. To the engine it
 * is none: nothing is routed to it, and it has no name.
 */
export const SCHEDULE_QUEUE = 1

/** A growing buffer of bytes, varints and texts. */
export class ByteWriter {
  bytes: Buffer
  length = 0

  constructor(bytes = 4096) {
    this.bytes = Buffer.allocUnsafe(bytes)
  }

  putByte(value: number): void {
    this.reserve(1)
    this.bytes[this.length++] = value
  }

  putVarint(value: number): void {
    this.reserve(8)
    this.length = writeVarint(this.bytes, this.length, value)
  }

  putBytes(value: Uint8Array): void {
    this.reserve(value.length)
    this.bytes.set(value, this.length)
    this.length += value.length
  }

  putText(value: string): void {
    const size = Buffer.byteLength(value)
    this.putVarint(size)
    this.reserve(size)
    this.length += this.bytes.write(value, this.length, size)
  }

  putList(values: readonly number[]): void {
    this.putVarint(values.length)
    for (let i = 0; i < values.length; i++) this.putVarint(values[i]!)
  }

  reserve(size: number): void {
    const needed = this.length + size
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }
}

/**
 * Operations gathered during one turn of the engine, in LSN order. The store takes ownership with `commit`:
 * neither side writes to `bytes` afterwards, so that views of it can be handed out as message bodies.
 */
export class OperationBatch extends ByteWriter {
  count = 0
  lsns: Float64Array
  /** Start of each operation (its header) in `bytes`. */
  offsets: Uint32Array
  types: Uint8Array

  constructor(bytes = 4096, operations = 32) {
    super(bytes)
    this.lsns = new Float64Array(operations)
    this.offsets = new Uint32Array(operations)
    this.types = new Uint8Array(operations)
  }

  /** Starts an operation; the body is then written with the put methods, then `end()` closes it. */
  begin(type: number, lsn: number): void {
    if (this.count === this.lsns.length) this.growOperations()
    const delta = this.count === 0 ? 0 : lsn - this.lsns[this.count - 1]!
    assert(delta >= 0 && delta < 0x1000000, 'operations of one batch are close together')
    this.reserve(OPERATION_HEADER)
    const at = this.length
    this.lsns[this.count] = lsn
    this.offsets[this.count] = at
    this.types[this.count] = type
    this.bytes.writeUInt32LE((type | (delta << 8)) >>> 0, at)
    this.length = at + OPERATION_HEADER
  }

  end(): void {
    const at = this.offsets[this.count]!
    this.bytes.writeUInt32LE(this.length - at - OPERATION_HEADER, at + 4)
    this.count++
  }

  /** Bytes of operation `index`, header excluded: from `bodyStart` to `bodyEnd` of `bytes`. */
  bodyStart(index: number): number {
    return this.offsets[index]! + OPERATION_HEADER
  }

  bodyEnd(index: number): number {
    return index + 1 < this.count ? this.offsets[index + 1]! : this.length
  }

  /** Moves the operations into a batch that is no larger than they are; this one is empty then, with the memory that it had. */
  takeOut(): OperationBatch {
    const { count, length } = this
    const batch = new OperationBatch(length, count)
    batch.count = count
    batch.length = length
    batch.bytes.set(this.bytes.subarray(0, length))
    batch.lsns.set(this.lsns.subarray(0, count))
    batch.offsets.set(this.offsets.subarray(0, count))
    batch.types.set(this.types.subarray(0, count))
    this.count = 0
    this.length = 0
    return batch
  }

  private growOperations(): void {
    const size = this.lsns.length * 2
    const lsns = new Float64Array(size)
    lsns.set(this.lsns)
    this.lsns = lsns
    const offsets = new Uint32Array(size)
    offsets.set(this.offsets)
    this.offsets = offsets
    const types = new Uint8Array(size)
    types.set(this.types)
    this.types = types
  }
}

/** Writes `value` (0 to 2^53 - 1) at `at` and answers the position after it. Needs 8 bytes of room. */
export function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let rest = value
  while (rest > 0x7fffffff) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest = Math.floor(rest / 128)
  }
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  return at
}

/**
 * A cursor over the body of an operation. Reading past `end` yields zeros and sets `failed`, so that damaged input is
 * noticed once, at the end, and cannot run away.
 */
export class OperationReader {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0
  failed = false

  reset(bytes: Uint8Array, at: number, end: number): this {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.failed = false
    return this
  }

  byte(): number {
    if (this.at >= this.end) {
      this.failed = true
      return 0
    }
    return this.bytes[this.at++]!
  }

  varint(): number {
    // Most are small; this path is taken several times a message.
    if (this.at < this.end && this.bytes[this.at]! < 0x80) return this.bytes[this.at++]!
    return this.longVarint()
  }

  private longVarint(): number {
    // In halves, so that it is whole numbers of 32 bits that are shifted.
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return low
    }
    let high = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte()
      high |= (byte & 0x7f) << shift
      if (byte < 0x80) return high * 0x1000_0000 + low
    }
    this.failed = true
    return 0
  }

  text(): string {
    const size = this.varint()
    const start = this.skip(size)
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + start, this.at - start).toString()
  }

  /** Steps over `size` bytes and answers where they began. */
  skip(size: number): number {
    const start = this.at
    if (size > this.end - start) {
      this.failed = true
      return start
    }
    this.at = start + size
    return start
  }
}

/** Bits of a publish operation's flags; the frequent ones fit in one byte. */
export const PublishFlag = {
  /** Confirmed at level 'os': written, not synced. */
  os: 1,
  expires: 2,
  producer: 4,
  /** Sent to a queue by its name: exchange and key are left out; the key is the queue's name. */
  direct: 8,
  /** Member of a message group. */
  grouped: 16,
  annotated: 32,
  replaces: 64,
  chunked: 128,
  /** Scheduled: not to be delivered before its time. */
  due: 256,
  /** Part of a transaction, or prepared: it counts once that is committed. */
  transacted: 512,
  /** Bears an id by which its sender's repetitions are recognized. */
  deduplicated: 1024,
  /** A half message: a transaction of its own, whose number is its LSN. Bears the group of its producers. */
  prepared: 2048,
  /** Scheduled, and stays when it was delivered, for the next time. */
  repeating: 4096,
  /** Bears, for the queues that keep the last value of each key, its keys. */
  keyed: 8192,
  /** Sent to several destinations; the exchange and the key are those of the first topic among them. */
  composite: 16_384,
} as const

/** The key of a message in a queue that keeps the last value of each. */
export interface QueueKey {
  readonly queue: number
  readonly key: string
}

const noKeys: readonly QueueKey[] = []
/** Lists in a head are replaced and not changed: emptying an array costs more than making one. */
const noNumbers: readonly number[] = []

/**
 * publish := varint flags | u8 priority | varint format | varint publishedAt
 *   | varint n, varint queue[n]
 *   | expires: varint wall ms | due: varint wall ms, varint m, varint target[m]
 *   | producer: varint handle, varint sequence
 *   | replaces: varint queue, varint lsn                     (that message leaves that queue in the same step)
 *   | transacted: varint transaction | prepared: text producerGroup | grouped: text group | deduplicated: text id
 *   | repeating: text JSON (Repetition) | keyed: varint n, (varint queue, text key)[n]
 *   | unless direct: text exchange, text key | composite: text JSON (names of queues that it was sent to) | annotated: text JSON
 *   | chunked: varint size, varint n, varint lsn[n]  otherwise: payload to the end
 *
 * The head of a publish operation, decoded into a reusable object.
 */
export class PublishHead {
  flags = 0
  priority = 4
  format = 0
  publishedAt = 0
  queues: readonly number[] = noNumbers
  expiry = 0
  due = 0
  /** Queues that a scheduled message goes to when it is due. */
  targets: readonly number[] = noNumbers
  producer = 0
  sequence = 0
  replacedQueue = 0
  replacedLsn = 0
  transaction = 0
  producerGroup = ''
  group = ''
  deduplicationId = ''
  /** JSON of the repetition of a scheduled message, or ''. */
  repetition = ''
  keys: readonly QueueKey[] = noKeys
  exchange = ''
  key = ''
  /** JSON of the names of queues that a message to several destinations was sent to, or ''. */
  named = ''
  annotations = ''
  /** Size of the whole body and the LSNs of its chunks, when chunked. */
  size = 0
  chunks: readonly number[] = noNumbers
  /** Where an unchunked payload lies in the bytes that were read. */
  payloadStart = 0
  payloadEnd = 0
}

/** Decodes a publish body. False when the bytes do not fit the grammar. */
export function readPublish(reader: OperationReader, head: PublishHead): boolean {
  const flags = reader.varint()
  head.flags = flags
  head.priority = reader.byte()
  head.format = reader.varint()
  head.publishedAt = reader.varint()
  head.queues = readList(reader)
  head.expiry = flags & PublishFlag.expires ? reader.varint() : 0
  readDue(reader, flags & PublishFlag.due, head)
  const produced = flags & PublishFlag.producer
  head.producer = produced ? reader.varint() : 0
  head.sequence = produced ? reader.varint() : 0
  const replaces = flags & PublishFlag.replaces
  head.replacedQueue = replaces ? reader.varint() : 0
  head.replacedLsn = replaces ? reader.varint() : 0
  head.transaction = flags & PublishFlag.transacted ? reader.varint() : 0
  head.producerGroup = flags & PublishFlag.prepared ? reader.text() : ''
  head.group = flags & PublishFlag.grouped ? reader.text() : ''
  head.deduplicationId = flags & PublishFlag.deduplicated ? reader.text() : ''
  head.repetition = flags & PublishFlag.repeating ? reader.text() : ''
  head.keys = flags & PublishFlag.keyed ? readKeys(reader) : noKeys
  const direct = flags & PublishFlag.direct
  head.exchange = direct ? '' : reader.text()
  head.key = direct ? '' : reader.text()
  head.named = flags & PublishFlag.composite ? reader.text() : ''
  head.annotations = flags & PublishFlag.annotated ? reader.text() : ''
  const chunked = flags & PublishFlag.chunked
  head.size = chunked ? reader.varint() : reader.end - reader.at
  head.chunks = chunked ? readList(reader) : noNumbers
  head.payloadStart = reader.at
  head.payloadEnd = chunked ? reader.at : reader.end
  return !reader.failed
}

function readKeys(reader: OperationReader): QueueKey[] {
  const keys: QueueKey[] = []
  for (let left = reader.varint(); left > 0 && !reader.failed; left--)
    keys.push({ queue: reader.varint(), key: reader.text() })
  return keys
}

function writeKeys(batch: ByteWriter, keys: readonly QueueKey[]): void {
  batch.putVarint(keys.length)
  for (const { queue, key } of keys) {
    batch.putVarint(queue)
    batch.putText(key)
  }
}

/** Whether the message came to the queue because it was sent to it, and not through an exchange. */
export function isSentTo(head: PublishHead, queue: string): boolean {
  if (head.flags & PublishFlag.direct) return true
  return head.named !== '' && (JSON.parse(head.named) as string[]).includes(queue)
}

function readDue(reader: OperationReader, scheduled: number, head: PublishHead): void {
  head.due = scheduled ? reader.varint() : 0
  head.targets = scheduled ? readList(reader) : noNumbers
}

/** Reads a counted list of varints; a count that cannot fit in the bytes left marks the reader as failed. */
export function readList(reader: OperationReader): readonly number[] {
  const count = reader.varint()
  if (count === 1) return listOf(reader.varint())
  if (count > reader.end - reader.at) {
    reader.failed = true
    return noNumbers
  }
  const list: number[] = []
  for (let i = 0; i < count; i++) list.push(reader.varint())
  return list
}

/** Lists of one are mostly those of the same queue, and are shared. */
let single: readonly number[] = [0]

function listOf(value: number): readonly number[] {
  if (single[0] !== value) single = [value]
  return single
}

/** Flags of messages in whose heads there is nothing of variable length. */
const ORDINARY = PublishFlag.os | PublishFlag.expires | PublishFlag.producer | PublishFlag.direct
/** More than the head of an ordinary message takes, beside its queues. */
const ORDINARY_BYTES = 64

export function writePublish(batch: ByteWriter, head: PublishHead, payload: Uint8Array): void {
  const flags = head.flags
  if ((flags & ~ORDINARY) === 0 && flags & PublishFlag.direct) {
    writeOrdinary(batch, head, payload)
    return
  }
  batch.putVarint(flags)
  batch.putByte(head.priority)
  batch.putVarint(head.format)
  batch.putVarint(head.publishedAt)
  batch.putList(head.queues)
  if (flags & PublishFlag.expires) batch.putVarint(head.expiry)
  if (flags & PublishFlag.due) {
    batch.putVarint(head.due)
    batch.putList(head.targets)
  }
  if (flags & PublishFlag.producer) {
    batch.putVarint(head.producer)
    batch.putVarint(head.sequence)
  }
  if (flags & PublishFlag.replaces) {
    batch.putVarint(head.replacedQueue)
    batch.putVarint(head.replacedLsn)
  }
  if (flags & PublishFlag.transacted) batch.putVarint(head.transaction)
  if (flags & PublishFlag.prepared) batch.putText(head.producerGroup)
  if (flags & PublishFlag.grouped) batch.putText(head.group)
  if (flags & PublishFlag.deduplicated) batch.putText(head.deduplicationId)
  if (flags & PublishFlag.repeating) batch.putText(head.repetition)
  if (flags & PublishFlag.keyed) writeKeys(batch, head.keys)
  if (!(flags & PublishFlag.direct)) {
    batch.putText(head.exchange)
    batch.putText(head.key)
  }
  if (flags & PublishFlag.composite) batch.putText(head.named)
  if (flags & PublishFlag.annotated) batch.putText(head.annotations)
  if (flags & PublishFlag.chunked) {
    batch.putVarint(head.size)
    batch.putList(head.chunks)
  } else {
    batch.putBytes(payload)
  }
}

/** The same for nearly all messages, at once. */
function writeOrdinary(batch: ByteWriter, head: PublishHead, payload: Uint8Array): void {
  const { flags, queues } = head
  batch.reserve(ORDINARY_BYTES + queues.length * 8 + payload.length)
  const { bytes } = batch
  let at = writeVarint(bytes, batch.length, flags)
  bytes[at++] = head.priority
  at = writeVarint(bytes, at, head.format)
  at = writeTime(bytes, at, head.publishedAt)
  at = writeVarint(bytes, at, queues.length)
  for (let i = 0; i < queues.length; i++) at = writeVarint(bytes, at, queues[i]!)
  if (flags & PublishFlag.expires) at = writeVarint(bytes, at, head.expiry)
  if (flags & PublishFlag.producer) {
    at = writeVarint(bytes, at, head.producer)
    at = writeVarint(bytes, at, head.sequence)
  }
  bytes.set(payload, at)
  batch.length = at + payload.length
}

/** The varint that was written last of a time: it is the same throughout a turn. */
const lastTime = new Uint8Array(8)
let lastTimeValue = -1
let lastTimeBytes = 0

function writeTime(bytes: Uint8Array, at: number, time: number): number {
  if (time !== lastTimeValue) {
    lastTimeBytes = writeVarint(lastTime, 0, time)
    lastTimeValue = time
  }
  for (let i = 0; i < lastTimeBytes; i++) bytes[at + i] = lastTime[i]!
  return at + lastTimeBytes
}
