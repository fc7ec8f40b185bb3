import { SpareBlocks } from '../spare-blocks.ts'

/** Who gets what a byte stream is cut into. */
export interface FrameSink {
  /** True while a protocol header is expected and not a frame. */
  readonly expectsHeader: boolean
  /** True while nothing may be handed over; bytes are kept. */
  readonly paused: boolean
  /** Nothing is of interest any more. */
  readonly over: boolean
  /** Largest frame, in bytes. */
  readonly largestFrame: number
  /** Most that is kept while paused, in bytes. */
  readonly largestPause: number
  /** The eight bytes of a header, or fewer as soon as they cannot be the beginning of one. */
  header(bytes: Buffer, start: number, end: number): void
  frame(bytes: Buffer, start: number, end: number): void
  /** A size no frame can have, or too many bytes while paused. */
  malformed(what: string): void
}

const HEADER = 8
const protocol = [0x41, 0x4d, 0x51, 0x50]
const nothing: Buffer = Buffer.alloc(0)
/** For frames of which a good part has come: most are whole before the next of another connection begins. */
const blocks = new SpareBlocks(0x10000, 8)

/**
 * Cuts a byte stream into headers and frames (2.2, 2.3). Frames are handed over where they lie; only what the border of
 * two chunks cuts through is put together, in memory that grows with what has come and not with what is claimed.
 */
export class Framer {
  private readonly sink: FrameSink
  private kept = nothing
  private size = 0

  constructor(sink: FrameSink) {
    this.sink = sink
  }

  feed(bytes: Buffer, start: number, end: number): void {
    if (this.size > 0) start = this.complete(bytes, start, end)
    start = this.cut(bytes, start, end)
    if (start < end && !this.sink.over) this.keep(bytes, start, end)
  }

  /** After a pause: hands over what was kept. */
  resume(): void {
    const bytes = this.kept
    const { size } = this
    this.forget()
    this.feed(bytes, 0, size)
    blocks.give(bytes)
  }

  /** Adds to what is kept until that is a whole, and hands it over; answers where the rest begins. */
  private complete(bytes: Buffer, start: number, end: number): number {
    const { sink } = this
    while (this.size > 0 && start < end && !sink.over && !sink.paused) {
      const taken = Math.min(this.missing(), end - start)
      this.keep(bytes, start, start + taken)
      start += taken
      const kept = this.kept
      const { size } = this
      this.forget()
      const rest = this.cut(kept, 0, size)
      if (rest < size && !sink.over) this.keep(kept, rest, size)
      blocks.give(kept)
    }
    return start
  }

  /** How many more bytes make what is kept a whole, or tell how long it will be. */
  private missing(): number {
    if (this.sink.expectsHeader) return Math.max(1, HEADER - this.size)
    if (this.size < 4) return 4 - this.size
    return Math.max(1, this.kept.readUInt32BE(0) - this.size)
  }

  /** Hands over all that is whole in bytes[start, end); answers where the rest begins. */
  private cut(bytes: Buffer, start: number, end: number): number {
    const { sink } = this
    while (start < end && !sink.over && !sink.paused) {
      const size = sink.expectsHeader ? this.headerSize(bytes, start, end) : this.frameSize(bytes, start, end)
      if (size === 0) break
      const at = start
      start += size
      if (sink.expectsHeader) sink.header(bytes, at, start)
      else sink.frame(bytes, at, start)
    }
    return start
  }

  private headerSize(bytes: Buffer, start: number, end: number): number {
    const size = Math.min(HEADER, end - start)
    if (size === HEADER) return HEADER
    for (let i = 0; i < size && i < protocol.length; i++) if (bytes[start + i] !== protocol[i]) return size
    return 0
  }

  /** 0 when the frame is not all there. */
  private frameSize(bytes: Buffer, start: number, end: number): number {
    if (end - start < 4) return 0
    const size = bytes.readUInt32BE(start)
    if (size < HEADER) this.sink.malformed(`a frame claims to have ${size} bytes`)
    else if (size > this.sink.largestFrame)
      this.sink.malformed(`a frame of ${size} bytes is above max-frame-size ${this.sink.largestFrame}`)
    else if (size <= end - start) return size
    return 0
  }

  private keep(bytes: Buffer, start: number, end: number): void {
    const needed = this.size + end - start
    if (needed > this.kept.length) {
      const grown = this.room(needed)
      this.kept.copy(grown, 0, 0, this.size)
      this.kept = grown
    }
    bytes.copy(this.kept, this.size, start, end)
    this.size = needed
    if (this.sink.paused && needed > this.sink.largestPause) this.sink.malformed('too much came at once')
  }

  private room(needed: number): Buffer {
    if (needed > blocks.size / 4 && needed <= blocks.size) return blocks.take()
    return Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.kept.length * 2, blocks.size / 4), 64))
  }

  /** What was kept may be read from while new bytes are kept. */
  private forget(): void {
    this.kept = nothing
    this.size = 0
  }
}
