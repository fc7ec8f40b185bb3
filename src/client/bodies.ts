import { MillraceError } from '../model/errors.ts'
import type { Body } from '../model/message.ts'
import { copyValue } from './properties.ts'

/** How a body may be sent (JMS 3.11): text, bytes, map and stream messages, and structured values as JSON. */
export type BodyKind = 'text' | 'bytes' | 'json' | 'map' | 'stream'

/**
 * By default text, bytes or nothing are sent as such, and everything else as JSON. Throws `message-format-invalid` when the
 * body is not of the kind asked for.
 */
export function toBody(body: unknown, kind: BodyKind | undefined): Body {
  switch (kind) {
    case undefined:
      return natural(body)
    case 'json':
      return { kind, value: body }
    case 'text':
      if (typeof body === 'string') return { kind, value: body }
      break
    case 'bytes':
      if (body instanceof Uint8Array) return { kind, value: body }
      break
    case 'map':
      if (isRecord(body)) return { kind, value: entriesOf(body) }
      break
    case 'stream':
      if (Array.isArray(body)) return { kind, value: body }
      break
    default:
      throw new MillraceError(
        'argument-invalid',
        `kind is one of ${Object.keys(forms).join(', ')}, not ${String(kind)}`,
      )
  }
  throw new MillraceError('message-format-invalid', `a body of kind '${kind}' is ${forms[kind]}`)
}

const forms: Readonly<Record<BodyKind, string>> = {
  text: 'a string',
  bytes: 'a Uint8Array',
  json: 'what JSON can say',
  map: 'a plain object of simple values',
  stream: 'an array of simple values',
}

function natural(body: unknown): Body {
  if (typeof body === 'string') return { kind: 'text', value: body }
  if (body instanceof Uint8Array) return { kind: 'bytes', value: body }
  if (body === undefined) return { kind: 'value', value: null }
  return { kind: 'json', value: body }
}

function isRecord(body: unknown): body is Record<string, unknown> {
  if (typeof body !== 'object' || body === null) return false
  const prototype: unknown = Object.getPrototypeOf(body)
  return prototype === Object.prototype || prototype === null
}

/** An entry that is undefined is none. */
function entriesOf(body: Record<string, unknown>): Map<string, unknown> {
  const entries = new Map(Object.entries(body).filter(([, value]) => value !== undefined))
  if (!entries.has('')) return entries
  throw new MillraceError('message-format-invalid', 'an entry of a map has a name')
}

/** The body as the application sees it; a message without body (JMS Message) has undefined. */
export function plain(body: Body): unknown {
  switch (body.kind) {
    case 'value':
      return body.value === null ? undefined : body.value
    case 'map':
      return Object.freeze(Object.fromEntries(body.value))
    case 'stream':
      return Object.freeze(body.value)
    default:
      return body.value
  }
}

/** A copy that the sender of the message cannot change any more. Throws `message-invalid`. */
export function copyBody(body: Body): Body {
  switch (body.kind) {
    case 'bytes':
      return { kind: 'bytes', value: copyValue(body.value) }
    case 'map':
      return { kind: 'map', value: new Map([...body.value].map(([name, value]) => [name, copyValue(value)])) }
    case 'stream':
      return { kind: 'stream', value: body.value.map(copyValue) }
    case 'json':
      return { kind: 'json', value: copyJson(body.value) }
    default:
      return body
  }
}

function copyJson(value: unknown): unknown {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new MillraceError('message-invalid', 'the body cannot be written as JSON', { cause })
  }
  if (text !== undefined) return JSON.parse(text)
  throw new MillraceError('message-invalid', `the body cannot be written as JSON: it is a ${typeof value}`)
}
