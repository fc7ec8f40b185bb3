import { typed } from '../client/typed.ts'
import { MillraceError } from '../model/errors.ts'
import type { TypeName } from '../model/message.ts'

/**
 * Values of messages as JSON. What JSON has no word for stands in an object of one member whose name begins with '$':
 * $bytes (base64), $date (wall milliseconds), $bigint, $number (NaN and the infinities), $typed, $map, and $object for an
 * object that would be mistaken for one of these.
 */
export function writeValue(value: unknown): unknown {
  switch (typeof value) {
    case 'bigint':
      return { $bigint: String(value) }
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $number: Object.is(value, -0) ? '-0' : String(value) }
    case 'object':
      return value === null ? null : writeObject(value)
    default:
      return value
  }
}

function writeObject(value: object): unknown {
  if (value instanceof Uint8Array)
    return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64') }
  if (value instanceof Date) return { $date: value.getTime() }
  if (value instanceof Map) return { $map: [...value].map(([key, entry]) => [key, writeValue(entry)]) }
  if (Array.isArray(value)) return value.map(writeValue)
  const { type } = value as { readonly type?: unknown }
  if (!isPlain(value) && typeof type === 'string')
    return { $typed: [type, writeValue((value as { readonly value?: unknown }).value)] }
  const written = writeRecord(value as Record<string, unknown>)
  return Object.keys(value).some((key) => key.startsWith('$')) ? { $object: written } : written
}

/** An object whose values are any. */
export function writeRecord(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, writeValue(value)]))
}

/** What `writeValue` has written. Throws `message-invalid`. */
export function readValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(readValue)
  const [tag] = Object.keys(value)
  const held = (value as Record<string, unknown>)[tag ?? '']
  switch (tag) {
    case '$bytes':
      return new Uint8Array(Buffer.from(held as string, 'base64'))
    case '$date':
      return new Date(held as number)
    case '$bigint':
      return BigInt(held as string)
    case '$number':
      return Number(held)
    case '$map':
      return new Map((held as [unknown, unknown][]).map(([key, entry]) => [key, readValue(entry)]))
    case '$typed': {
      const [type, inner] = held as [Exclude<TypeName, 'char'>, unknown]
      return typed(type, readValue(inner) as number)
    }
    case '$object':
      return readRecord(held as Record<string, unknown>)
    default:
      if (tag?.startsWith('$'))
        throw new MillraceError('message-invalid', `the outbox holds a value ${tag} that is not known`)
      return readRecord(value as Record<string, unknown>)
  }
}

export function readRecord(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, readValue(value)]))
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
