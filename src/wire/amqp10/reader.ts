import { invalid, MAX_DEPTH, tooDeep } from './checks.ts'
import {
  AmqpArray,
  AmqpChar,
  AmqpSymbol,
  Decimal,
  Described,
  type TypeName,
  typeCodes,
  Uuid,
} from './values.ts'

/** Elements of an array that take no bytes (null, empty lists) could otherwise be claimed by the billion. */
const MAX_EMPTY_ELEMENTS = 65_536

const typeNames = new Map<number, TypeName>(
  (Object.keys(typeCodes) as TypeName[]).map((name) => [typeCodes[name], name]),
)

/** The wide constructor with the same meaning, for the constructors that are abbreviations. */
const widened: Record<number, number> = {
  65: typeCodes.boolean,
  66: typeCodes.boolean,
  67: typeCodes.uint,
  68: typeCodes.ulong,
  69: typeCodes.list,
  82: typeCodes.uint,
  83: typeCodes.ulong,
  84: typeCodes.int,
  85: typeCodes.long,
  160: typeCodes.binary,
  161: typeCodes.string,
  163: typeCodes.symbol,
  192: typeCodes.list,
  193: typeCodes.map,
  224: typeCodes.array,
}

/**
 * A cursor over AMQP 1.0 values in bytes [at, end). Whatever the bytes are, it stays inside them, nests no deeper than
 * MAX_DEPTH and allocates in proportion to them; otherwise it throws `message-invalid`.
 */
export class Reader {
  bytes: Buffer
  at: number
  end: number
  private depth = 0

  constructor(bytes: Uint8Array = Buffer.alloc(0), at = 0, end: number = bytes.length) {
    this.bytes = asBuffer(bytes)
    this.at = at
    this.end = end
  }

  reset(bytes: Uint8Array, at: number, end: number): this {
    if (this.bytes !== bytes) this.bytes = asBuffer(bytes)
    this.at = at
    this.end = end
    this.depth = 0
    return this
  }

  get done(): boolean {
    return this.at >= this.end
  }

  /** Steps over `size` bytes and answers where they began. */
  take(size: number): number {
    const start = this.at
    if (size > this.end - start) throw invalid('the encoding ends in the middle of a value')
    this.at = start + size
    return start
  }

  byte(): number {
    return this.bytes[this.take(1)]!
  }

  uint32(): number {
    return this.bytes.readUInt32BE(this.take(4))
  }

  /** A copy of `size` bytes, so that the reader's memory is neither pinned nor exposed. */
  copy(size: number): Uint8Array {
    const start = this.take(size)
    return new Uint8Array(this.bytes.subarray(start, this.at))
  }

  text(size: number): string {
    const start = this.take(size)
    return decodeText(this.bytes, start, this.at)
  }

  /**
   * The descriptor code of the described value at hand, positioned at the value itself; -1, without moving, when the value
   * is not described, and NaN when its descriptor is not a numeric code.
   */
  descriptor(): number {
    if (this.done || this.bytes[this.at] !== 0x00) return -1
    this.at++
    const code = this.byte()
    if (code === 0x53) return this.byte()
    this.at--
    const value = this.value()
    if (typeof value === 'bigint' || typeof value === 'number') return Number(value)
    return value instanceof AmqpSymbol ? (sectionCodes[value.value] ?? Number.NaN) : Number.NaN
  }

  /** Enters a list or map, answers its number of elements (keys and values counted) and sets `limit` to its end. */
  compound(): number {
    const code = this.byte()
    if (code === 0x45) {
      this.limit = this.at
      return 0
    }
    const wide = code >> 4
    if (wide !== 0xc && wide !== 0xd)
      throw invalid(`a list or map was expected, not constructor ${hex(code)}`)
    return this.compoundHead(code)
  }

  /** End of the compound entered last. */
  limit = 0

  private compoundHead(code: number): number {
    const narrow = code < 0xd0
    const size = narrow ? this.byte() : this.uint32()
    if (size > this.end - this.at) throw invalid('a compound value is longer than the bytes that hold it')
    this.limit = this.at + size
    const count = narrow ? this.byte() : this.uint32()
    if (count > this.limit - this.at) throw invalid('a compound value claims more elements than it has bytes')
    return count
  }

  /** Steps over one value without decoding it. */
  skip(depth = 0): void {
    if (depth > MAX_DEPTH) throw tooDeep()
    const code = this.byte()
    // Most of what is passed over are fields that are absent.
    if (code === 0x40) return
    if (code === 0x00) {
      this.skip(depth + 1)
      this.skip(depth + 1)
    } else {
      this.skipBody(code)
    }
  }

  /** Steps over the value at hand if it is encoded in just these bytes; answers whether it was. */
  skipIf(encoded: Uint8Array, size: number = encoded.length): boolean {
    const { bytes, at } = this
    if (size > this.end - at) return false
    for (let i = 0; i < size; i++) if (bytes[at + i] !== encoded[i]) return false
    this.at = at + size
    return true
  }

  private skipBody(code: number): void {
    switch (code >> 4) {
      case 0x4:
        return
      case 0x5:
        return void this.take(1)
      case 0x6:
        return void this.take(2)
      case 0x7:
        return void this.take(4)
      case 0x8:
        return void this.take(8)
      case 0x9:
        return void this.take(16)
      case 0xa:
      case 0xc:
      case 0xe:
        return void this.take(this.byte())
      case 0xb:
      case 0xd:
      case 0xf:
        return void this.take(this.uint32())
      default:
        throw invalid(`${hex(code)} is not a constructor of the AMQP type system`)
    }
  }

  /** Decodes the value at hand, as values.ts says. */
  value(): unknown {
    const code = this.byte()
    return code === 0x00 ? this.described() : this.body(code)
  }

  private described(): Described {
    this.enter()
    const descriptor = this.value()
    const value = this.value()
    this.depth--
    return new Described(descriptor, value)
  }

  private enter(): void {
    if (++this.depth > MAX_DEPTH) throw tooDeep()
  }

  private body(code: number): unknown {
    switch (code) {
      case 0x40:
        return null
      case 0x41:
        return true
      case 0x42:
        return false
      case 0x43:
        return 0
      case 0x44:
        return 0n
      case 0x45:
        return []
      case 0x56:
        return this.byte() !== 0
      case 0xa0:
        return this.copy(this.byte())
      case 0xb0:
        return this.copy(this.uint32())
      case 0xa1:
        return this.text(this.byte())
      case 0xb1:
        return this.text(this.uint32())
      case 0xa3:
        return new AmqpSymbol(this.text(this.byte()))
      case 0xb3:
        return new AmqpSymbol(this.text(this.uint32()))
      case 0xc0:
      case 0xd0:
        return this.listBody(code)
      case 0xc1:
      case 0xd1:
        return this.mapBody(code)
      case 0xe0:
      case 0xf0:
        return this.arrayBody(code)
      default:
        return this.fixed(code)
    }
  }

  private fixed(code: number): unknown {
    const bytes = this.bytes
    switch (code) {
      case 0x50:
      case 0x52:
        return this.byte()
      case 0x53:
        return BigInt(this.byte())
      case 0x51:
      case 0x54:
        return (this.byte() << 24) >> 24
      case 0x55:
        return BigInt((this.byte() << 24) >> 24)
      case 0x60:
        return bytes.readUInt16BE(this.take(2))
      case 0x61:
        return bytes.readInt16BE(this.take(2))
      case 0x70:
        return this.uint32()
      case 0x71:
        return bytes.readInt32BE(this.take(4))
      case 0x72:
        return bytes.readFloatBE(this.take(4))
      case 0x73:
        return this.char()
      case 0x80:
        return bytes.readBigUInt64BE(this.take(8))
      case 0x81:
        return bytes.readBigInt64BE(this.take(8))
      case 0x82:
        return bytes.readDoubleBE(this.take(8))
      case 0x83:
        return new Date(this.millis())
      case 0x98:
        return new Uuid(this.copy(16))
      case 0x74:
      case 0x84:
      case 0x94:
        return new Decimal(this.copy(code === 0x74 ? 4 : code === 0x84 ? 8 : 16))
      default:
        throw invalid(`${hex(code)} is not a constructor of the AMQP type system`)
    }
  }

  /** The eight bytes of a timestamp: milliseconds since 1970. */
  millis(): number {
    const start = this.take(8)
    return this.bytes.readInt32BE(start) * 0x1_0000_0000 + this.bytes.readUInt32BE(start + 4)
  }

  private char(): AmqpChar {
    const point = this.uint32()
    if (point > 0x10ffff) throw invalid('a char is not a Unicode character')
    return new AmqpChar(String.fromCodePoint(point))
  }

  private listBody(code: number): unknown[] {
    this.enter()
    const count = this.compoundHead(code)
    const limit = this.limit
    const items: unknown[] = []
    for (let i = 0; i < count; i++) items.push(this.value())
    this.leave(limit)
    return items
  }

  private mapBody(code: number): Map<unknown, unknown> {
    this.enter()
    const count = this.compoundHead(code)
    const limit = this.limit
    if (count % 2 !== 0) throw invalid('a map has an odd number of elements')
    const map = new Map<unknown, unknown>()
    for (let i = 0; i < count; i += 2) {
      const key = this.value()
      map.set(key, this.value())
    }
    this.leave(limit)
    return map
  }

  private arrayBody(code: number): AmqpArray {
    this.enter()
    const narrow = code === 0xe0
    const size = narrow ? this.byte() : this.uint32()
    const limit = this.at + size
    if (limit > this.end) throw invalid('an array is longer than the bytes that hold it')
    const count = narrow ? this.byte() : this.uint32()
    let elementCode = this.byte()
    let descriptor: unknown
    if (elementCode === 0x00) {
      descriptor = this.value()
      elementCode = this.byte()
    }
    const empty = elementCode >> 4 === 0x4
    if (count > (empty ? MAX_EMPTY_ELEMENTS : limit - this.at))
      throw invalid('an array claims too many elements')
    const type = typeNames.get(widened[elementCode] ?? elementCode)
    if (!type) throw invalid(`${hex(elementCode)} is not a constructor of the AMQP type system`)
    const items: unknown[] = []
    for (let i = 0; i < count; i++) items.push(this.body(elementCode))
    this.leave(limit)
    return new AmqpArray(type, items, descriptor)
  }

  private leave(limit: number): void {
    if (this.at !== limit) throw invalid('a compound value and its elements differ in size')
    this.depth--
  }
}

/** Symbolic descriptors of the sections of a message; peers may use them instead of the numeric ones. */
const sectionCodes: Record<string, number> = {
  'amqp:header:list': 0x70,
  'amqp:delivery-annotations:map': 0x71,
  'amqp:message-annotations:map': 0x72,
  'amqp:properties:list': 0x73,
  'amqp:application-properties:map': 0x74,
  'amqp:data:binary': 0x75,
  'amqp:amqp-sequence:list': 0x76,
  'amqp:amqp-value:*': 0x77,
  'amqp:footer:map': 0x78,
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** UTF-8; short ASCII, which nearly all names and ids are, without a call into the runtime. */
function decodeText(bytes: Buffer, start: number, end: number): string {
  if (end - start > 24) return decodeUtf8(bytes, start, end)
  let text = ''
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte > 127) return decodeUtf8(bytes, start, end)
    text += String.fromCharCode(byte)
  }
  return text
}

/** The replacement character stands for what is no UTF-8, unless it was written itself. */
function decodeUtf8(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end)
  if (text.includes('\ufffd') && bytes.compare(Buffer.from(text), 0, undefined, start, end) !== 0) {
    throw invalid('a text is not UTF-8')
  }
  return text
}
