import { Described } from '../values.ts'
import type { Writer } from '../writer.ts'
import { Descriptor, descriptorCode } from './descriptors.ts'
import { FieldAccess } from './field-access.ts'
import type { AmqpError, Fields } from './performatives.ts'
import { invalidField } from './violation.ts'

/** Bytes. */
const MAX_DESCRIPTION = 380

/** 2.8.14: [condition, description, info]; null for none. */
export function readError(value: unknown): AmqpError | undefined {
  if (value === null) return undefined
  if (!(value instanceof Described) || descriptorCode(value.descriptor) !== Descriptor.error) {
    throw invalidField('an error was expected')
  }
  const fields = new FieldAccess('error', value.value)
  const condition = fields.symbol(0) ?? fields.wrong(0, 'there, although it is mandatory')
  return { condition, description: fields.string(1), info: fields.fields(2) }
}

export function writeError(writer: Writer, error: AmqpError | undefined): void {
  if (!error) return writer.null()
  writer.descriptor(Descriptor.error)
  const mark = writer.beginCompound(0xc0)
  writer.symbol(error.condition)
  if (error.description === undefined) writer.null()
  else writer.string(shortened(error.description))
  writeFields(writer, error.info)
  writer.endCompound(mark, 3)
}

/** Descriptions repeat what the other end said, which may have been more than it takes in one frame. */
function shortened(description: string): string {
  if (description.length * 3 <= MAX_DESCRIPTION) return description
  const bytes = Buffer.from(description)
  if (bytes.length <= MAX_DESCRIPTION) return description
  return `${bytes.toString('utf8', 0, MAX_DESCRIPTION).replace(/\ufffd+$/, '')}…`
}

/** A map with symbols as keys, null when it is absent. */
export function writeFields(writer: Writer, fields: Fields | undefined): void {
  if (fields === undefined) return writer.null()
  const mark = writer.beginCompound(0xc1)
  for (const [key, value] of fields) {
    writer.symbol(key)
    writer.value(value)
  }
  writer.endCompound(mark, fields.size * 2)
}

/** A field declared multiple. */
export function writeSymbols(writer: Writer, symbols: readonly string[]): void {
  if (symbols.length === 0) return writer.null()
  writer.byte(0xf0)
  const start = writer.at
  writer.uint32(0)
  writer.uint32(symbols.length)
  writer.byte(0xb3)
  for (const symbol of symbols) {
    const bytes = Buffer.from(symbol)
    writer.uint32(bytes.length)
    writer.raw(bytes)
  }
  writer.bytes.writeUInt32BE(writer.at - start - 4, start)
}
