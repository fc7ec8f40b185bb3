import { MillraceError } from '../model/errors.ts'
import type { Body } from '../model/message.ts'
import { readValue, writeValue } from './values.ts'

/** The bytes by which a body is kept, and told from another: the same for the same body. Throws `message-invalid`. */
export function bodyBytes(body: Body): Uint8Array {
  switch (body.kind) {
    case 'text':
      return Buffer.from(body.value)
    case 'bytes':
      return body.value
    case 'json':
      return Buffer.from(jsonOf(body.value))
    default:
      return Buffer.from(JSON.stringify(writeValue(body.value)))
  }
}

function jsonOf(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new MillraceError('message-invalid', 'the body cannot be written as JSON', { cause })
  }
  if (text !== undefined) return text
  throw new MillraceError('message-invalid', `the body cannot be written as JSON: it is a ${typeof value}`)
}

/** What `bodyBytes` has written. Throws. */
export function bodyOf(kind: Body['kind'], bytes: Uint8Array): Body {
  if (kind === 'bytes') return { kind, value: bytes }
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  if (kind === 'text') return { kind, value: text }
  if (kind === 'json') return { kind, value: JSON.parse(text) }
  return { kind, value: readValue(JSON.parse(text)) } as Body
}
