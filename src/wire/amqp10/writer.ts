import { dateMillis, invalid, MAX_DEPTH, tooDeep } from './checks.ts'
import { writeArray, writeTyped } from './typed-writer.ts'
import { AmqpArray, AmqpChar, AmqpSymbol, Decimal, Described, Typed, Uuid } from './values.ts'

/** Below this length a loop over the characters, or the bytes, beats the call into the runtime. */
const SHORT = 32

/**
 * Writes AMQP 1.0 values into a buffer that grows, in the smallest encoding of each. One writer serves many messages:
 * `reset()`, write, take `slice()` before the next reset.
 */
export class Writer {
  bytes: Buffer
  at = 0
  private depth = 0

  constructor(size = 1024) {
    this.bytes = Buffer.allocUnsafeSlow(size)
  }

  reset(): this {
    this.at = 0
    this.depth = 0
    return this
  }

  /** The written bytes, shared with the writer: valid until the next reset. */
  slice(): Buffer {
    return this.bytes.subarray(0, this.at)
  }

  reserve(size: number): void {
    const needed = this.at + size
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at++] = value
  }

  uint32(value: number): void {
    this.reserve(4)
    this.at = this.bytes.writeUInt32BE(value, this.at)
  }

  raw(bytes: Uint8Array): void {
    const size = bytes.length
    this.reserve(size)
    const { at } = this
    if (size < SHORT) for (let i = 0; i < size; i++) this.bytes[at + i] = bytes[i]!
    else this.bytes.set(bytes, at)
    this.at = at + size
  }

  null(): void {
    this.byte(0x40)
  }

  nulls(count: number): void {
    this.reserve(count)
    for (let i = 0; i < count; i++) this.bytes[this.at++] = 0x40
  }

  boolean(value: boolean): void {
    this.byte(value ? 0x41 : 0x42)
  }

  ubyte(value: number): void {
    this.byte(0x50)
    this.byte(value)
  }

  uint(value: number): void {
    if (value === 0) return this.byte(0x43)
    if (value < 256) {
      this.byte(0x52)
      return this.byte(value)
    }
    this.byte(0x70)
    this.uint32(value)
  }

  ulong(value: number | bigint): void {
    if (value === 0 || value === 0n) return this.byte(0x44)
    if (value < 256) {
      this.byte(0x53)
      return this.byte(Number(value))
    }
    this.byte(0x80)
    this.reserve(8)
    this.at = this.bytes.writeBigUInt64BE(BigInt(value), this.at)
  }

  int(value: number): void {
    if (value >= -128 && value < 128) {
      this.byte(0x54)
      return this.byte(value & 0xff)
    }
    this.byte(0x71)
    this.reserve(4)
    this.at = this.bytes.writeInt32BE(value, this.at)
  }

  long(value: bigint): void {
    if (value >= -128n && value < 128n) {
      this.byte(0x55)
      return this.byte(Number(value) & 0xff)
    }
    this.byte(0x81)
    this.reserve(8)
    this.at = this.bytes.writeBigInt64BE(value, this.at)
  }

  double(value: number): void {
    this.byte(0x82)
    this.reserve(8)
    this.at = this.bytes.writeDoubleBE(value, this.at)
  }

  /** Milliseconds since 1970, possibly before. */
  timestamp(value: number): void {
    this.byte(0x83)
    this.millis(value)
  }

  /** The eight bytes of a timestamp, without its constructor. */
  millis(value: number): void {
    this.reserve(8)
    const high = Math.floor(value / 0x1_0000_0000)
    this.word(high)
    this.word(value - high * 0x1_0000_0000)
  }

  /** Four bytes for which there is room; quicker than the checked methods of Buffer. */
  private word(value: number): void {
    const { bytes, at } = this
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
    this.at = at + 4
  }

  string(value: string): void {
    this.text(0xa1, value)
  }

  symbol(value: string): void {
    this.text(0xa3, value)
  }

  binary(value: Uint8Array): void {
    const size = value.length
    if (size < 256) {
      this.byte(0xa0)
      this.byte(size)
    } else {
      this.byte(0xb0)
      this.uint32(size)
    }
    this.raw(value)
  }

  /** Text as binary, in UTF-8, without an intermediate buffer. */
  utf8(value: string): void {
    this.reserve(5 + value.length * 3)
    const size = this.bytes.write(value, this.at + 5)
    this.bytes[this.at] = 0xb0
    this.bytes.writeUInt32BE(size, this.at + 1)
    this.at += 5 + size
  }

  /** Opens a list (0xc0) or map (0xc1) and answers a mark for `endCompound`. */
  beginCompound(code: 0xc0 | 0xc1): number {
    if (++this.depth > MAX_DEPTH) throw tooDeep()
    this.reserve(3)
    this.bytes[this.at] = code
    this.at += 3
    return this.at
  }

  /** Closes the compound of that mark; `count` is of elements, for a map keys and values together. */
  endCompound(mark: number, count: number): void {
    this.depth--
    const size = this.at - mark + 1
    if (size < 256 && count < 256) {
      this.bytes[mark - 2] = size
      this.bytes[mark - 1] = count
      return
    }
    this.reserve(6)
    this.bytes.copyWithin(mark + 6, mark, this.at)
    this.at += 6
    this.bytes[mark - 3]! += 0x10
    this.bytes.writeUInt32BE(size + 3, mark - 2)
    this.bytes.writeUInt32BE(count, mark + 2)
  }

  /** The constructor of a described value whose descriptor is a code of the specification below 256. */
  descriptor(code: number): void {
    this.reserve(3)
    const { bytes, at } = this
    bytes[at] = 0x00
    bytes[at + 1] = 0x53
    bytes[at + 2] = code
    this.at = at + 3
  }

  list(items: readonly unknown[]): void {
    const mark = this.beginCompound(0xc0)
    for (const item of items) this.value(item)
    this.endCompound(mark, items.length)
  }

  map(entries: Iterable<readonly [unknown, unknown]>): void {
    const mark = this.beginCompound(0xc1)
    let count = 0
    for (const [key, value] of entries) {
      this.value(key)
      this.value(value)
      count += 2
    }
    this.endCompound(mark, count)
  }

  /** Any value, by the rules in values.ts. Throws `message-invalid` for what AMQP cannot carry. */
  value(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.string(value)
      case 'number':
        return this.number(value)
      case 'boolean':
        return this.boolean(value)
      case 'bigint':
        return this.integer(value)
      case 'undefined':
        return this.null()
      case 'object':
        return value === null ? this.null() : this.object(value)
      default:
        throw invalid(`a ${typeof value} cannot be carried in a message`)
    }
  }

  number(value: number): void {
    if ((value | 0) === value && !Object.is(value, -0)) this.int(value)
    else this.double(value)
  }

  private integer(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) this.long(value)
    else if (BigInt.asUintN(64, value) === value) this.ulong(value)
    else throw invalid('an integer of more than 64 bits cannot be carried in a message')
  }

  private object(value: object): void {
    if (value instanceof Date) return this.timestamp(dateMillis(value))
    if (value instanceof Uint8Array) return this.binary(value)
    if (Array.isArray(value)) return this.list(value)
    if (value instanceof Map) return this.map(value)
    if (value instanceof AmqpSymbol) return this.symbol(value.value)
    if (value instanceof Described) {
      this.byte(0x00)
      this.value(value.descriptor)
      return this.value(value.value)
    }
    if (value instanceof Typed) return writeTyped(this, value.type, value.value)
    if (value instanceof AmqpArray) return this.array(value)
    if (value instanceof Uuid) return writeTyped(this, 'uuid', value)
    if (value instanceof AmqpChar) return writeTyped(this, 'char', value)
    if (value instanceof Decimal) {
      return writeTyped(this, `decimal${(value.bytes.length * 8) as 32 | 64 | 128}`, value)
    }
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) {
      throw invalid(`an object of class ${prototype.constructor?.name} cannot be carried as an AMQP value`)
    }
    this.map(Object.entries(value))
  }

  private array(value: AmqpArray): void {
    if (++this.depth > MAX_DEPTH) throw tooDeep()
    this.byte(0xf0)
    writeArray(this, value)
    this.depth--
  }

  private text(code: 0xa1 | 0xa3, value: string): void {
    const length = value.length
    if (length > 255) return this.longText(code, value)
    this.reserve(5 + length * 3)
    const start = this.at + 2
    const end = length < SHORT ? this.ascii(value, start) : -1
    const size = end < 0 ? this.bytes.write(value, start) : length
    if (size > 255) return this.longText(code, value)
    this.bytes[this.at] = code
    this.bytes[this.at + 1] = size
    this.at = start + size
  }

  /** Writes `value` at `at` and answers its end, or -1 as soon as a character is not ASCII. */
  private ascii(value: string, at: number): number {
    const bytes = this.bytes
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i)
      if (unit > 127) return -1
      bytes[at + i] = unit
    }
    return at + value.length
  }

  private longText(code: number, value: string): void {
    this.byte(code + 0x10)
    this.reserve(4 + value.length * 3)
    const size = this.bytes.write(value, this.at + 4)
    this.bytes.writeUInt32BE(size, this.at)
    this.at += 4 + size
  }
}
