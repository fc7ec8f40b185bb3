/** Least that is allocated at once. */
const SMALLEST = 512

const FRAME_HEADER = 8

/**
 * What is to be sent, as one growing buffer per turn. Ownership of the bytes goes to whoever takes them, so an idle
 * connection holds none.
 */
export class Output {
  bytes: Buffer = none
  at = 0
  private largest = SMALLEST

  /** Room for `size` more bytes. */
  reserve(size: number): void {
    const needed = this.at + size
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2, this.largest))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
  }

  take(): Buffer | null {
    if (this.at === 0) return null
    const taken = this.bytes.subarray(0, this.at)
    // A guess at the next turn's need: quick to grow, slow to shrink.
    this.largest = Math.max(SMALLEST, this.at, this.largest - (this.largest >> 3))
    if (this.largest > 0x10000) this.largest = 0x10000
    this.bytes = none
    this.at = 0
    return taken
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

  endFrame(mark: number): void {
    this.word(mark, this.at - mark)
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
