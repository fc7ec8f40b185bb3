import type { Destination } from '../../model/destination.ts'
import type { Body, PropertyValue, ReceivedContent } from '../../model/message.ts'
import { invalid } from './checks.ts'
import { Reader } from './reader.ts'
import {
  DEDUPLICATION_KEY,
  DEDUPLICATION_PROPERTY,
  DELIVERY_TIME_KEY,
  DESTINATION_KEY,
  destinationKinds,
  Field,
  JSON_CONTENT_TYPE,
  MESSAGE_TYPE_KEY,
  REPLY_TO_KEY,
  Section,
} from './sections.ts'
import { AmqpChar, AmqpSymbol, idText, Uuid } from './values.ts'

const emptyProperties: Readonly<Record<string, PropertyValue>> = Object.freeze({})

/** One reader for all views: every method positions it anew and none keeps it. */
const reader = new Reader()

/** Reads the sections of bytes[start, end) when asked for them; nothing is decoded here. */
export function decodeMessage(bytes: Uint8Array, start = 0, end: number = bytes.length): MessageView {
  return new MessageView(bytes, start, end)
}

/** The value of one application property, without decoding the others; undefined when absent or not decodable. */
export function findProperty(payload: Uint8Array, name: string): unknown {
  return new MessageView(payload, 0, payload.length).property(name)
}

/** The id by which repetitions are recognized; undefined when there is none, or none that is a text. */
export function findDeduplicationId(payload: Uint8Array): string | undefined {
  return new MessageView(payload, 0, payload.length).deduplicationId
}

/**
 * A message over the bytes it came in. Each getter decodes its own part, so that what nobody looks at costs nothing; the
 * sections are located once, at the first use. Getters throw `message-invalid` when the bytes are not a message.
 */
export class MessageView implements ReceivedContent {
  private readonly bytes: Uint8Array
  private readonly start: number
  private readonly end: number
  /** Where the value of each section begins; -1 when absent, and 0 for `located` until they have been looked for. */
  private located = false
  private annotationsAt = -1
  private propertiesAt = -1
  private applicationAt = -1
  private bodyAt = -1
  private decodedProperties: Readonly<Record<string, PropertyValue>> | undefined

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.bytes = bytes
    this.start = start
    this.end = end
  }

  /** Decoded anew each time, so that nobody sees what another has changed in it. */
  get body(): Body {
    this.locate()
    if (this.bodyAt < 0) return { kind: 'value', value: null }
    const json = text(this.field(Field.contentType))?.startsWith(JSON_CONTENT_TYPE)
    reader.reset(this.bytes, this.bodyAt, this.end)
    const code = reader.descriptor()
    if (code === Section.data) return json ? { kind: 'json', value: this.json() } : this.data()
    if (code === Section.sequence) return { kind: 'stream', value: this.sequences().map(simple) }
    return bodyOf(reader.value())
  }

  /** Decoded once, unless something in it could be changed by whoever looks at it. */
  get properties(): Readonly<Record<string, PropertyValue>> {
    if (this.decodedProperties !== undefined) return this.decodedProperties
    const properties = this.decodeProperties()
    if (!Object.values(properties).some(isChangeable)) this.decodedProperties = properties
    return properties
  }

  get messageId(): string | undefined {
    return idText(this.field(Field.messageId))
  }

  /** As text; a sender may have written anything into it. */
  get userId(): string | undefined {
    const value = this.field(Field.userId)
    return value instanceof Uint8Array ? Buffer.from(value).toString() : text(value)
  }

  get correlationId(): string | undefined {
    return idText(this.field(Field.correlationId))
  }

  get to(): Destination | undefined {
    return this.destination(Field.to, DESTINATION_KEY)
  }

  get replyTo(): Destination | undefined {
    return this.destination(Field.replyTo, REPLY_TO_KEY)
  }

  get type(): string | undefined {
    return text(this.field(Field.subject))
  }

  get contentType(): string | undefined {
    return text(this.field(Field.contentType))
  }

  get groupId(): string | undefined {
    return text(this.field(Field.groupId))
  }

  get groupSequence(): number | undefined {
    const value = this.field(Field.groupSequence)
    return typeof value === 'number' ? value : undefined
  }

  get timestamp(): number | undefined {
    return millis(this.field(Field.creationTime))
  }

  get expiration(): number | undefined {
    return millis(this.field(Field.absoluteExpiry))
  }

  get deliveryTime(): number | undefined {
    const value = this.attempt(() => this.annotation(DELIVERY_TIME_KEY))
    return typeof value === 'number' || typeof value === 'bigint' ? Number(value) : undefined
  }

  /** x-opt-jms-msg-type, by which JMS peers name the class of the message. */
  get jmsType(): number | undefined {
    const value = this.annotation(MESSAGE_TYPE_KEY)
    return typeof value === 'number' ? value : undefined
  }

  get deduplicationId(): string | undefined {
    const id = this.attempt(() => this.annotation(DEDUPLICATION_KEY)) ?? this.property(DEDUPLICATION_PROPERTY)
    return typeof id === 'string' ? id : undefined
  }

  /** One application property, without decoding the others. Undefined when absent or not decodable. */
  property(name: string): unknown {
    return this.attempt(() => {
      this.locate()
      return this.lookup(this.applicationAt, name)
    })
  }

  private attempt(read: () => unknown): unknown {
    try {
      return read()
    } catch {
      return undefined
    }
  }

  /** One message annotation; undefined when absent. */
  annotation(name: string): unknown {
    this.locate()
    return this.lookup(this.annotationsAt, name)
  }

  private lookup(at: number, name: string): unknown {
    if (at < 0) return undefined
    reader.reset(this.bytes, at, this.end)
    const count = reader.compound()
    for (let i = 0; i < count; i += 2) {
      const key = reader.value()
      if (key === name || (key instanceof AmqpSymbol && key.value === name)) return simple(reader.value())
      reader.skip()
    }
    return undefined
  }

  private locate(): void {
    if (this.located) return
    reader.reset(this.bytes, this.start, this.end)
    while (!reader.done) {
      const section = reader.at
      const code = reader.descriptor()
      const at = reader.at
      if (code === Section.messageAnnotations) this.annotationsAt = at
      else if (code === Section.properties) this.propertiesAt = at
      else if (code === Section.applicationProperties) this.applicationAt = at
      else if (code >= Section.data && code <= Section.value) {
        // Nothing is behind it that is looked for, and of a large body only the beginning may be there.
        this.bodyAt = section
        break
      } else if (!(code >= Section.header && code <= Section.footer))
        throw invalid('the bytes are not a message')
      reader.skip()
    }
    this.located = true
  }

  private field(index: number): unknown {
    this.locate()
    if (this.propertiesAt < 0) return undefined
    reader.reset(this.bytes, this.propertiesAt, this.end)
    const count = reader.compound()
    if (index >= count) return undefined
    for (let i = 0; i < index; i++) reader.skip()
    return reader.value()
  }

  private destination(field: number, annotation: string): Destination | undefined {
    const name = text(this.field(field))
    if (name === undefined) return undefined
    const kind = destinationKinds[(this.annotation(annotation) as number | undefined) ?? 0]
    return { kind: kind ?? 'queue', name }
  }

  private decodeProperties(): Readonly<Record<string, PropertyValue>> {
    this.locate()
    if (this.applicationAt < 0) return emptyProperties
    reader.reset(this.bytes, this.applicationAt, this.end)
    const count = reader.compound()
    const properties: Record<string, PropertyValue> = {}
    for (let i = 0; i < count; i += 2) {
      const name = reader.value()
      const value = simple(reader.value()) as PropertyValue
      // A plain assignment of "__proto__" would change the object instead of adding to it.
      if (name === '__proto__') Object.defineProperty(properties, name, { value, enumerable: true })
      else properties[String(name)] = value
    }
    return Object.freeze(properties)
  }

  private data(): Body {
    const first = binary(reader.value())
    if (reader.done) return { kind: 'bytes', value: first }
    return { kind: 'bytes', value: concatenate(first, this.following(Section.data, binary)) }
  }

  private json(): unknown {
    const body = this.data().value as Uint8Array
    try {
      return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString())
    } catch (cause) {
      throw Object.assign(invalid('the body is declared as JSON and is not'), { cause })
    }
  }

  private sequences(): unknown[] {
    const first = list(reader.value())
    return [first, ...this.following(Section.sequence, list)].flat()
  }

  /** Further sections of the same kind, which together are one body. */
  private following<T>(section: number, take: (value: unknown) => T): T[] {
    const parts: T[] = []
    while (!reader.done && reader.descriptor() === section) parts.push(take(reader.value()))
    return parts
  }
}

/** The body that an amqp-value section holds. */
function bodyOf(value: unknown): Body {
  if (typeof value === 'string') return { kind: 'text', value }
  if (Array.isArray(value)) return { kind: 'stream', value: value.map(simple) }
  if (value instanceof Uint8Array) return { kind: 'bytes', value }
  if (!(value instanceof Map)) return { kind: 'value', value }
  for (const key of value.keys()) {
    if (typeof key !== 'string') return { kind: 'value', value }
  }
  for (const [key, entry] of value) value.set(key, simple(entry))
  return { kind: 'map', value }
}

function concatenate(first: Uint8Array, rest: readonly Uint8Array[]): Uint8Array {
  return rest.length === 0 ? first : new Uint8Array(Buffer.concat([first, ...rest]))
}

function binary(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw invalid('a data section holds something else than bytes')
}

function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value
  throw invalid('an amqp-sequence section holds something else than a list')
}

function text(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return value instanceof AmqpSymbol ? value.value : undefined
}

function millis(value: unknown): number | undefined {
  return value instanceof Date ? value.getTime() : undefined
}

function isChangeable(value: PropertyValue): boolean {
  return typeof value === 'object' && value !== null
}

/** A property value in the types of the model: what only names things becomes text. */
function simple(value: unknown): unknown {
  return value instanceof AmqpSymbol || value instanceof Uuid || value instanceof AmqpChar
    ? String(value)
    : value
}
