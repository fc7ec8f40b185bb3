import { createHash } from 'node:crypto'
import type { Message } from '../../client/message.ts'
import { MillraceError } from '../../model/errors.ts'
import { bodyBytes } from '../bodies.ts'
import type { Identity } from './records.ts'

const MAX_ID_BYTES = 255

/**
 * By what a message is told from others. One that its sender has given no id that can be kept is dead-lettered, since that
 * helps no other time either. Rejects with `message-invalid`, also when its body cannot be read.
 */
export async function identityOf(message: Message): Promise<Identity> {
  try {
    return { messageId: idOf(message), digest: digestOf(message) }
  } catch (error) {
    if (error instanceof Unidentified && !message.settled) await message.reject(error.message)
    throw error
  }
}

class Unidentified extends MillraceError {
  constructor(messageId: string | undefined) {
    super(
      'message-invalid',
      `an inbox knows messages by ids of 1 to ${MAX_ID_BYTES} bytes; this one has ${messageId === undefined ? 'none' : JSON.stringify(messageId).slice(0, 60)}`,
    )
  }
}

function idOf({ messageId }: Message): string {
  if (messageId !== undefined && messageId !== '' && Buffer.byteLength(messageId) <= MAX_ID_BYTES)
    return messageId
  throw new Unidentified(messageId)
}

/** The same for messages of one body, in whatever order the members of its objects came. Throws `message-invalid` when it cannot be read. */
function digestOf(message: Message): string {
  const sent = message.incoming.content.body
  const body = sent.kind === 'json' ? { ...sent, value: inOrder(sent.value) } : sent
  return createHash('sha256')
    .update(body.kind)
    .update('\0')
    .update(bodyBytes(body))
    .digest('base64url')
    .slice(0, 32)
}

/** A database or another program that has kept a body to send it again may have changed the order. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder)
  if (typeof value !== 'object' || value === null) return value
  const names = Object.keys(value).sort()
  return Object.fromEntries(names.map((name) => [name, inOrder((value as Record<string, unknown>)[name])]))
}
