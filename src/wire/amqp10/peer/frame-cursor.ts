import { Reader } from '../reader.ts'
import { invalidField, undecodable } from './violation.ts'

/** For the fields that are seldom there, or of a type that only the codec knows. */
const reader = new Reader()

/**
 * Steps through the list of a transfer, flow or disposition without making objects: enter(), then one call per field in
 * order, then leave(). Throws Violation or `message-invalid`; never reads outside [at, end).
 */
export class FrameCursor {
  bytes: Buffer = Buffer.alloc(0)
  at = 0
  /** End of the list. */
  private limit = 0
  /** Fields that have not been read. */
  private left = 0

  enter(bytes: Buffer, at: number, end: number): void {
    this.bytes = bytes
    this.limit = end
    const code = at < end ? bytes[at]! : 0x00
    if (code === 0xc0 && at + 3 <= end) {
      this.head(at + 2, bytes[at + 1]!, bytes[at + 2]!, 1, end)
    } else if (code === 0xd0 && at + 9 <= end) {
      this.head(at + 5, bytes.readUInt32BE(at + 1), bytes.readUInt32BE(at + 5), 4, end)
    } else if (code === 0x45) {
      this.at = this.limit = at + 1
      this.left = 0
    } else {
      throw undecodable('the body of a frame is not a list')
    }
  }

  private head(at: number, size: number, count: number, width: number, end: number): void {
    if (size < width || size > end - at) throw undecodable('a list is longer than its frame')
    if (count > size - width) throw undecodable('a list claims more fields than it has bytes')
    this.limit = at + size
    this.at = at + width
    this.left = count
  }

  /** Passes over the fields nobody asked for; the bytes from `at` on are the payload. */
  leave(): void {
    while (this.left > 0) this.skip()
    if (this.at !== this.limit) throw undecodable('a list and its fields differ in size')
  }

  /** An unsigned integer of 32 bits, or `absent`. */
  uint(absent: number): number {
    if (--this.left < 0) return absent
    const { bytes, at } = this
    switch (at < this.limit ? bytes[at]! : 0x00) {
      case 0x40:
        this.at = at + 1
        return absent
      case 0x43:
        this.at = at + 1
        return 0
      case 0x52:
        this.take(2)
        return bytes[at + 1]!
      case 0x70:
        this.take(5)
        return (
          ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!) >>> 0
        )
      default:
        throw invalidField('a field is not an unsigned integer')
    }
  }

  boolean(absent: boolean): boolean {
    if (--this.left < 0) return absent
    const { bytes, at } = this
    const code = at < this.limit ? bytes[at]! : 0x00
    this.at = at + 1
    if (code === 0x41) return true
    if (code === 0x42) return false
    if (code === 0x40) return absent
    this.at = at
    if (code !== 0x56) throw invalidField('a field is not a boolean')
    this.take(2)
    return bytes[at + 1] !== 0
  }

  /** A boolean that must be there. */
  role(): boolean {
    if (this.left <= 0 || this.bytes[this.at] === 0x40) throw invalidField('role is mandatory')
    return this.boolean(false)
  }

  /** Where the bytes of a binary begin; -1 when it is absent. They end at `at`. */
  binary(): number {
    if (--this.left < 0) return -1
    const { bytes, at } = this
    const code = at < this.limit ? bytes[at]! : 0x00
    if (code === 0x40) {
      this.at = at + 1
      return -1
    }
    if (code === 0xa0 && at + 1 < this.limit) {
      this.take(2 + bytes[at + 1]!)
      return at + 2
    }
    if (code !== 0xb0) throw invalidField('a field is not binary')
    this.take(5)
    this.take(bytes.readUInt32BE(at + 1))
    return at + 5
  }

  /** Where the field begins; -1 when it is absent. It ends at `at`. */
  range(): number {
    if (--this.left < 0) return -1
    const { at } = this
    reader.reset(this.bytes, at, this.limit).skip()
    this.at = reader.at
    return this.bytes[at] === 0x40 ? -1 : at
  }

  skip(): void {
    this.range()
  }

  private take(size: number): void {
    this.at += size
    if (this.at > this.limit) throw undecodable('a field is longer than its list')
  }
}
