import { dateMillis, invalid } from './checks.ts'
import { type AmqpArray, type TypeName, typeCodes } from './values.ts'
import type { Writer } from './writer.ts'

/**
 * The explicit encodings: a value of a type that was asked for by name, and arrays, whose elements share one constructor.
 */

/** Least and greatest value of the integer types that are written as numbers. */
const ranges: Partial<Record<TypeName, readonly [number, number]>> = {
  ubyte: [0, 0xff],
  ushort: [0, 0xffff],
  uint: [0, 0xffff_ffff],
  byte: [-0x80, 0x7f],
  short: [-0x8000, 0x7fff],
  int: [-0x8000_0000, 0x7fff_ffff],
}

/** The value with the widest constructor of its type. Throws `message-invalid` when it does not fit the type. */
export function writeTyped(writer: Writer, type: TypeName, value: unknown): void {
  writer.byte(typeCodes[type])
  writeBody(writer, type, value)
}

/** An array after its constructor 0xf0: size, count, constructor of the elements, elements. */
export function writeArray(writer: Writer, array: AmqpArray): void {
  const start = writer.at
  writer.uint32(0)
  writer.uint32(array.items.length)
  if (array.descriptor !== undefined) {
    writer.byte(0x00)
    writer.value(array.descriptor)
  }
  writer.byte(typeCodes[array.type])
  for (const item of array.items) writeBody(writer, array.type, item)
  writer.bytes.writeUInt32BE(writer.at - start - 4, start)
}

function writeBody(writer: Writer, type: TypeName, value: unknown): void {
  const range = ranges[type]
  if (range) return writeInteger(writer, type, value, range)
  switch (type) {
    case 'null':
      return
    case 'boolean':
      return writer.byte(value ? 1 : 0)
    case 'ulong':
    case 'long':
      return writeLong(writer, type, value)
    case 'float':
    case 'double':
      return writeFloat(writer, type, value)
    case 'timestamp':
      return writer.millis(value instanceof Date ? dateMillis(value) : Number(value))
    case 'char':
      return writer.uint32(String(value).codePointAt(0) ?? 0)
    case 'uuid':
      return writeFixed(writer, type, value, 16)
    case 'decimal32':
    case 'decimal64':
    case 'decimal128':
      return writeFixed(writer, type, value, Number(type.slice(7)) / 8)
    default:
      return writeVariable(writer, type, value)
  }
}

function writeInteger(
  writer: Writer,
  type: TypeName,
  value: unknown,
  range: readonly [number, number],
): void {
  const number = Number(value)
  if (!(Number.isInteger(number) && number >= range[0] && number <= range[1])) {
    throw invalid(`${String(value)} is not a value of the AMQP type ${type}`)
  }
  const size = range[1] - range[0] > 0xffff ? 4 : range[1] - range[0] > 0xff ? 2 : 1
  writer.reserve(size)
  writer.at = writer.bytes.writeUIntBE(range[0] < 0 ? wrap(number, size) : number, writer.at, size)
}

/** Two's complement of `size` bytes. */
function wrap(value: number, size: number): number {
  return value < 0 ? value + 2 ** (size * 8) : value
}

function writeLong(writer: Writer, type: 'long' | 'ulong', value: unknown): void {
  const number = typeof value === 'bigint' ? value : BigInt(Math.trunc(Number(value)))
  const fits = type === 'long' ? BigInt.asIntN(64, number) === number : BigInt.asUintN(64, number) === number
  if (!fits) throw invalid(`${number} is not a value of the AMQP type ${type}`)
  writer.reserve(8)
  writer.at = writer.bytes.writeBigUInt64BE(BigInt.asUintN(64, number), writer.at)
}

function writeFloat(writer: Writer, type: 'float' | 'double', value: unknown): void {
  writer.reserve(8)
  writer.at =
    type === 'float'
      ? writer.bytes.writeFloatBE(Number(value), writer.at)
      : writer.bytes.writeDoubleBE(Number(value), writer.at)
}

function writeFixed(writer: Writer, type: TypeName, value: unknown, size: number): void {
  const bytes = (value as { bytes?: unknown } | null)?.bytes
  if (!(bytes instanceof Uint8Array) || bytes.length !== size) {
    throw invalid(`a value of the AMQP type ${type} has ${size} bytes`)
  }
  writer.raw(bytes)
}

/** Types with a size in front, always in the wide form: elements of an array must all have the same. */
function writeVariable(writer: Writer, type: TypeName, value: unknown): void {
  if (type === 'binary' || type === 'string' || type === 'symbol') {
    const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value))
    writer.uint32(bytes.length)
    return writer.raw(bytes)
  }
  if (type === 'array') return writeArray(writer, value as AmqpArray)
  const start = writer.at
  writer.uint32(0)
  writer.uint32(0)
  let count = 0
  for (const item of type === 'map' ? (value as Map<unknown, unknown>) : (value as unknown[])) {
    if (type === 'map') {
      const [key, entry] = item as [unknown, unknown]
      writer.value(key)
      writer.value(entry)
    } else {
      writer.value(item)
    }
    count += type === 'map' ? 2 : 1
  }
  writer.bytes.writeUInt32BE(writer.at - start - 4, start)
  writer.bytes.writeUInt32BE(count, start + 4)
}
