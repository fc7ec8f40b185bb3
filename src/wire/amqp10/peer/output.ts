import { SpareBlocks } from '../spare-blocks.ts'

/** Least that is allocated at once. */
const SMALLEST = 512
/** Of what goes round. */
const LARGEST = 0x40000

const FRAME_HEADER = 8

/**
 * What output is written into: of many connections, mostly one after the other. As garbage it would be what makes V8 search the
 * whole heap, which counts what lies outside.
 */
const pools = [
  new SpareBlocks(SMALLEST, 256),
  new SpareBlocks(0x800, 64),
  new SpareBlocks(0x2000, 32),
  new SpareBlocks(0x8000, 16),
  new SpareBlocks(0x10000, 8),
  new SpareBlocks(LARGEST, 8),
]
/** A buffer with at least so much in it is left as it is when there is no room; one with less is copied into a larger one. Bytes. */
const WORTH_KEEPING = 16 * 1024

/** What has been taken to be written: `pieces` in that order, of `length` bytes together. */
export interface TakenOutput {
  readonly length: number
  readonly pieces: readonly Uint8Array[]
  /** Memory of the pieces that may be used again when they have been written. */
  readonly blocks: readonly Buffer[]
}

/**
 * What is to be sent: a growing buffer per turn, more of them when there is much, and between them what others have in memory
 * anyway. Ownership of the bytes goes to whoever takes them, so an idle connection holds none; who has written them may recycle
 * them.
 */
export class Output {
  bytes: Buffer = none
  at = 0
  /** Where the piece begins that `at` ends. */
  private from = 0
  /** Undefined as long as there are none: mostly what is taken is one piece of one block. */
  private pieces: Uint8Array[] | undefined
  private used: Buffer[] | undefined
  /** Of the pieces. */
  private closed = 0
  /** Of them those that are written here. */
  private own = 0
  private largest = SMALLEST

  get length(): number {
    return this.closed + this.at - this.from
  }

  /** Room for `size` more bytes in a row. */
  reserve(size: number): void {
    const { at, bytes } = this
    if (at + size <= bytes.length) return
    if (at - this.from >= WORTH_KEEPING) this.close()
    const { from } = this
    const kept = at - from
    const grown = allocate(Math.max(kept + size, Math.min(LARGEST, bytes.length * 2), this.largest))
    bytes.copy(grown, 0, from, at)
    if (from > 0) this.use(bytes)
    else giveBack(bytes)
    this.bytes = grown
    this.from = 0
    this.at = kept
  }

  take(): TakenOutput | null {
    const { length } = this
    if (length === 0) return null
    const taken = this.pieces ? this.takeSeveral(this.pieces, length) : this.takeOne()
    // A guess at the next turn's need: quick to grow, slow to shrink.
    this.largest = Math.min(LARGEST, Math.max(SMALLEST, this.own, this.largest - (this.largest >> 3)))
    this.bytes = none
    this.at = this.from = this.closed = this.own = 0
    return taken
  }

  private takeOne(): TakenOutput {
    const { bytes, at } = this
    this.own = at
    return { length: at, pieces: [bytes.subarray(0, at)], blocks: [bytes] }
  }

  private takeSeveral(pieces: readonly Uint8Array[], length: number): TakenOutput {
    this.close()
    const taken = { length, pieces, blocks: [...(this.used ?? []), this.bytes] }
    this.pieces = this.used = undefined
    return taken
  }

  private use(block: Buffer): void {
    this.used ??= []
    this.used.push(block)
  }

  /** What is written next begins another piece. */
  private close(): void {
    const { bytes, from, at } = this
    if (from === at) return
    this.add(bytes.subarray(from, at))
    this.closed += at - from
    this.own += at - from
    this.from = at
  }

  /** bytes[start, end) without copying them: they stay as they are until they have been written. */
  refer(bytes: Uint8Array, start: number, end: number): void {
    this.close()
    this.add(bytes.subarray(start, end))
    this.closed += end - start
  }

  private add(piece: Uint8Array): void {
    this.pieces ??= []
    this.pieces.push(piece)
  }

  raw(bytes: Uint8Array, start: number, end: number): void {
    this.reserve(end - start)
    this.copy(bytes, start, end)
  }

  /** As `raw`, when there is room. Short ones are quicker without a call into the runtime. */
  copy(from: Uint8Array, start: number, end: number): void {
    const { bytes, at } = this
    const size = end - start
    if (size < 48) for (let i = 0; i < size; i++) bytes[at + i] = from[start + i]!
    else bytes.set(start === 0 && end === from.length ? from : from.subarray(start, end), at)
    this.at = at + size
  }

  /** A whole frame; type 0 is AMQP, 1 SASL. */
  frame(type: number, channel: number, body: Uint8Array): void {
    const start = this.beginFrame(type, channel, body.length)
    this.copy(body, 0, body.length)
    this.endFrame(start)
  }

  /** Opens a frame whose body has at most `room` bytes and answers its mark. */
  beginFrame(type: number, channel: number, room: number): number {
    this.reserve(FRAME_HEADER + room)
    const { bytes, at } = this
    bytes[at + 4] = 2
    bytes[at + 5] = type
    bytes[at + 6] = channel >>> 8
    bytes[at + 7] = channel
    this.at = at + FRAME_HEADER
    return at
  }

  /** `more`: bytes of the frame that follow without being copied. */
  endFrame(mark: number, more = 0): void {
    this.word(mark, this.at - mark + more)
  }

  byte(value: number): void {
    this.bytes[this.at++] = value
  }

  /** A uint in its smallest form; there is room. */
  uint(value: number): void {
    const { bytes, at } = this
    if (value === 0) {
      bytes[at] = 0x43
      this.at = at + 1
    } else if (value < 256) {
      bytes[at] = 0x52
      bytes[at + 1] = value
      this.at = at + 2
    } else {
      bytes[at] = 0x70
      this.word(at + 1, value)
      this.at = at + 5
    }
  }

  boolean(value: boolean): void {
    this.bytes[this.at++] = value ? 0x41 : 0x42
  }

  /** Descriptor of a performative and a list of at most 255 bytes; answers the mark for endList. */
  beginList(descriptor: number): number {
    const { bytes, at } = this
    bytes[at] = 0x00
    bytes[at + 1] = 0x53
    bytes[at + 2] = descriptor
    bytes[at + 3] = 0xc0
    this.at = at + 6
    return at + 4
  }

  endList(mark: number, count: number): void {
    this.bytes[mark] = this.at - mark - 1
    this.bytes[mark + 1] = count
  }

  private word(at: number, value: number): void {
    const bytes = this.bytes
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
  }
}

const none: Buffer = Buffer.alloc(0)

function allocate(size: number): Buffer {
  for (const pool of pools) if (size <= pool.size) return pool.take()
  return Buffer.allocUnsafeSlow(size)
}

/** Whoever has taken this looks at it no more: other output may be written into its memory. */
export function recycle(taken: TakenOutput): void {
  for (const block of taken.blocks) giveBack(block)
}

function giveBack(block: Buffer): void {
  for (const pool of pools) if (block.length === pool.size) return pool.give(block)
}
