import type { BrowsedMessage, Message } from '../index.ts'
import type { Output } from './output.ts'

/** What `receive` and `browse` print of a message with --json. Bytes are base64, times ISO 8601. */
export function describeMessage(message: Message | BrowsedMessage): Record<string, unknown> {
  return {
    id: message.brokerId,
    messageId: message.messageId,
    state: 'state' in message ? message.state : undefined,
    body: message.body,
    bodyKind: message.kind,
    destination: message.destination,
    properties: message.properties,
    priority: message.priority,
    deliveryMode: message.deliveryMode,
    deliveryCount: message.deliveryCount,
    timestamp: time(message.timestamp),
    expiration: time(message.expiration),
    correlationId: message.correlationId,
    replyTo: message.replyTo,
    type: message.type,
    contentType: message.contentType,
    groupId: message.groupId,
    groupSequence: message.groupSequence,
    deadLetter: message.deadLetter,
  }
}

export function time(wall: number | undefined): string | undefined {
  return wall ? new Date(wall).toISOString() : undefined
}

/** The body as it was sent: text and bytes as they are, everything else as JSON. */
export function bodyForPeople(message: Message | BrowsedMessage): string | Uint8Array {
  const { body } = message
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  return body === undefined ? '' : toText(body)
}

function toText(body: unknown): string {
  return JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? ''
}

/** Writes the message, a line of its own; resolves when the operating system has it. */
export function writeMessage(out: Output, message: Message | BrowsedMessage): Promise<void> {
  if (out.json) return out.document(describeMessage(message))
  const body = bodyForPeople(message)
  return out.write(typeof body === 'string' ? `${body}\n` : Buffer.concat([body, Buffer.from('\n')]))
}
