/**
 * AMQP 1.0 values (core spec part 1) that JavaScript has no type for. What has one is a plain value:
 *
 *   null · boolean · number (ubyte to int, float, double) · bigint (long, ulong) · Date (timestamp) · string
 *   Uint8Array (binary) · Array (list) · Map (map)
 *
 * A number is written as int when it is a whole number of 32 bits, otherwise as double, and a bigint as long, so that what
 * is read back is of the type that was written. `Typed` asks for another type.
 */

/** Names of the primitive types, as in the specification. */
export type TypeName = keyof typeof typeCodes

/** Constructor of the widest encoding of each type. */
export const typeCodes = {
  null: 0x40,
  boolean: 0x56,
  ubyte: 0x50,
  ushort: 0x60,
  uint: 0x70,
  ulong: 0x80,
  byte: 0x51,
  short: 0x61,
  int: 0x71,
  long: 0x81,
  float: 0x72,
  double: 0x82,
  decimal32: 0x74,
  decimal64: 0x84,
  decimal128: 0x94,
  char: 0x73,
  timestamp: 0x83,
  uuid: 0x98,
  binary: 0xb0,
  string: 0xb1,
  symbol: 0xb3,
  list: 0xd0,
  map: 0xd1,
  array: 0xf0,
} as const

/** A symbolic value: ASCII text from a constrained domain. */
export class AmqpSymbol {
  readonly value: string
  constructor(value: string) {
    this.value = value
  }
  toString(): string {
    return this.value
  }
}

/** A single Unicode character. */
export class AmqpChar {
  readonly value: string
  constructor(value: string) {
    this.value = value
  }
  toString(): string {
    return this.value
  }
}

/** An RFC 4122 identifier of 16 bytes. */
export class Uuid {
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Reads the text form of 8-4-4-4-12 hexadecimal digits; undefined when it is not one. */
  static parse(text: string): Uuid | undefined {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return undefined
    return new Uuid(new Uint8Array(Buffer.from(text.replaceAll('-', ''), 'hex')))
  }

  toString(): string {
    const hex = Buffer.from(this.bytes).toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }
}

/** An IEEE 754 decimal of 4, 8 or 16 bytes, carried and never computed with. */
export class Decimal {
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** A value annotated with what it means: a symbol or an unsigned long. */
export class Described {
  readonly descriptor: unknown
  readonly value: unknown
  constructor(descriptor: unknown, value: unknown) {
    this.descriptor = descriptor
    this.value = value
  }
}

/** Elements of one type, written without repeating it. */
export class AmqpArray {
  readonly type: TypeName
  readonly items: readonly unknown[]
  /** When set, each element is of this described type, and `items` are the undescribed values. */
  readonly descriptor: unknown
  constructor(type: TypeName, items: readonly unknown[], descriptor?: unknown) {
    this.type = type
    this.items = items
    this.descriptor = descriptor
  }
}

/** Asks the writer for a type other than the natural one of the value. */
export class Typed {
  readonly type: TypeName
  readonly value: unknown
  constructor(type: TypeName, value: unknown) {
    this.type = type
    this.value = value
  }
}

/** Ids of other types than text get the prefix by which the JMS mapping shows them. */
export function idText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint') return `ID:AMQP_ULONG:${value}`
  if (value instanceof Uuid) return `ID:AMQP_UUID:${value}`
  if (value instanceof Uint8Array) return `ID:AMQP_BINARY:${Buffer.from(value).toString('hex').toUpperCase()}`
  return undefined
}
