import { composite, type Sendable, type TypedDestination } from '../../client/destinations.ts'
import type { Outgoing } from '../../client/provider.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Body, MessageContent, SentValue } from '../../model/message.ts'
import type { QueuePolicy } from '../../model/policy.ts'
import { bodyBytes, bodyOf } from '../bodies.ts'
import { readRecord, writeRecord } from '../values.ts'

/** A message as a row holds it. */
export interface StoredMessage {
  /** For people. */
  readonly destination: string
  /** JSON: everything but the body. */
  readonly headers: string
  readonly body: Uint8Array
}

/** A member of a destination, with its policy, because whoever sends it may know nothing of it. */
interface StoredDestination {
  readonly kind: 'queue' | 'topic'
  readonly name: string
  readonly policy?: Partial<QueuePolicy>
}

interface Headers {
  readonly to: readonly StoredDestination[]
  readonly body: Body['kind']
  readonly durability: Outgoing['durability']
  readonly priority: number
  readonly expiry: number
  readonly content: Omit<MessageContent, 'body' | 'properties'>
  readonly properties?: Record<string, unknown>
}

/** Throws `message-invalid`, `destination-invalid`. */
export function storedForm(destination: Sendable<never>, outgoing: Outgoing): StoredMessage {
  const members = destination.kind === 'composite' ? destination.members : [destination]
  const { body, properties, ...content } = outgoing.content
  const headers: Headers = {
    to: members.map(storedDestination),
    body: body.kind,
    durability: outgoing.durability,
    priority: outgoing.priority,
    expiry: outgoing.expiry,
    content,
    ...(properties ? { properties: writeRecord(properties) } : {}),
  }
  return { destination: destination.name, headers: JSON.stringify(headers), body: bodyBytes(body) }
}

function storedDestination({ kind, name, policy }: TypedDestination<never>): StoredDestination {
  if (kind === 'queue' || kind === 'topic') return policy ? { kind, name, policy } : { kind, name }
  throw new MillraceError(
    'destination-invalid',
    `a ${kind} has ended with its connection when the outbox is sent`,
  )
}

/** What is to be sent. Destinations are the same objects each time, so that each is declared once. */
export class Restoration {
  private readonly known: Map<string, Sendable<never>> = new Map()

  /** Throws `message-invalid` when somebody has changed the row to what cannot be read. */
  restore(row: { readonly headers: string; readonly body: Uint8Array }): {
    readonly destination: Sendable<never>
    readonly outgoing: Outgoing
  } {
    try {
      const headers = JSON.parse(row.headers) as Headers
      const { durability, priority, expiry, properties } = headers
      const destination = this.destinationOf(headers.to)
      const content: MessageContent = {
        ...headers.content,
        body: bodyOf(headers.body, row.body),
        properties: properties && (readRecord(properties) as Record<string, SentValue>),
      }
      return { destination, outgoing: { destination, content, durability, priority, expiry } }
    } catch (cause) {
      throw new MillraceError('message-invalid', 'the row of the outbox cannot be read', { cause })
    }
  }

  private destinationOf(to: readonly StoredDestination[]): Sendable<never> {
    const key = JSON.stringify(to)
    const known = this.known.get(key)
    if (known) return known
    if (this.known.size >= KNOWN_DESTINATIONS) this.known.clear()
    const members = to.map((member) => Object.freeze({ ...member })) as never[]
    const made: Sendable<never> = members.length === 1 ? members[0]! : composite(...members)
    this.known.set(key, made)
    return made
  }
}

const KNOWN_DESTINATIONS = 10_000
