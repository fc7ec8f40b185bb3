import type { Destination } from '../../model/destination.ts'
import { type Body, type MessageContent, PlainContent, type SentValue } from '../../model/message.ts'
import type { Repetition } from '../../model/schedule.ts'
import { formatInvalid, invalid } from './checks.ts'
import { headOf } from './plain-heads.ts'
import {
  DEDUPLICATION_KEY,
  DELIVERY_TIME_KEY,
  DESTINATION_KEY,
  destinationKinds,
  Field,
  JmsType,
  JSON_CONTENT_TYPE,
  MESSAGE_TYPE_KEY,
  REPEAT_PREFIX,
  REPLY_TO_KEY,
  repetitionFields,
  Section,
} from './sections.ts'
import { Typed, Uuid } from './values.ts'
import { Writer } from './writer.ts'

/** A writer that has grown for a large message goes back to this size afterwards. */
const KEPT_BYTES = 1 << 20

/** Of the shared writer. */
const FIRST_BYTES = 4096

const shared = new Writer(FIRST_BYTES)

/** The sections of `content` in a buffer of its own. Throws `message-invalid`, `message-format-invalid`. */
export function encodeMessage(content: MessageContent): Buffer {
  return Buffer.from(encodeShared(content))
}

/**
 * The same in memory that the next call overwrites, for a caller that copies or sends at once. `to` is the destination that
 * the message names.
 */
export function encodeShared(content: MessageContent, to: Destination | undefined = content.to): Buffer {
  if (shared.bytes.length > KEPT_BYTES) shared.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  const head = content instanceof PlainContent ? headOf(content, to, encodePlain) : undefined
  if (head === undefined) writeMessage(shared.reset(), content, to)
  else {
    head.write(shared.reset(), content as PlainContent)
    writeBody(shared, content.body)
  }
  return viewOfShared()
}

/**
 * Leaves the memory of what was encoded last to whoever has it, when that fills at least half of it: the next message is
 * written elsewhere. False when it must be copied.
 */
export function keepEncoded(): boolean {
  if (shared.at * 2 < shared.bytes.length) return false
  shared.bytes = Buffer.allocUnsafeSlow(FIRST_BYTES)
  return true
}

/** Views of the shared writer's bytes, by length: most messages resemble one that came before. */
const views: (Buffer | undefined)[] = new Array(4096)
let viewed = shared.bytes

function viewOfShared(): Buffer {
  const { bytes, at } = shared
  if (at >= views.length) return shared.slice()
  if (bytes !== viewed) {
    views.fill(undefined)
    viewed = bytes
  }
  const view = views[at] ?? shared.slice()
  views[at] = view
  return view
}

function encodePlain(content: PlainContent, to: Destination | undefined): Buffer {
  const writer = new Writer()
  writeMessage(writer, content, to)
  return writer.slice()
}

function writeMessage(writer: Writer, content: MessageContent, to: Destination | undefined): void {
  writeAnnotations(writer, content, to)
  writeProperties(writer, content, to)
  if (content.properties) writeApplicationProperties(writer, content.properties)
  writeBody(writer, content.body)
}

/** The annotations section with nothing but the message type, its value excluded; nearly every message begins with it. */
const typeAnnotation = annotationPrefix()

function annotationPrefix(): Uint8Array {
  const writer = new Writer(64)
  writer.descriptor(Section.messageAnnotations)
  const mark = writer.beginCompound(0xc1)
  writer.symbol(MESSAGE_TYPE_KEY)
  writer.byte(0x51)
  writer.byte(0)
  writer.endCompound(mark, 2)
  return Uint8Array.from(writer.slice().subarray(0, -1))
}

function writeAnnotations(writer: Writer, content: MessageContent, to: Destination | undefined): void {
  const type = jmsType(content.body)
  const { replyTo, deduplicationId, deliveryTime, repetition } = content
  const isScheduled = deliveryTime !== undefined || repetition !== undefined
  if (!to && !replyTo && deduplicationId === undefined && !isScheduled && type !== undefined) {
    writer.raw(typeAnnotation)
    return writer.byte(type)
  }
  let count = 0
  const start = writer.at
  writer.descriptor(Section.messageAnnotations)
  const mark = writer.beginCompound(0xc1)
  const put = (key: string, value: number) => {
    writer.symbol(key)
    writer.byte(0x51)
    writer.byte(value)
    count += 2
  }
  if (type !== undefined) put(MESSAGE_TYPE_KEY, type)
  if (to) put(DESTINATION_KEY, destinationKinds.indexOf(to.kind))
  if (replyTo) put(REPLY_TO_KEY, destinationKinds.indexOf(replyTo.kind))
  if (deduplicationId !== undefined) {
    writer.symbol(DEDUPLICATION_KEY)
    writer.string(deduplicationId)
    count += 2
  }
  if (isScheduled) count += writeSchedule(writer, deliveryTime, repetition)
  writer.endCompound(mark, count)
  if (count === 0) writer.at = start
}

/** Answers the number of keys and values. */
function writeSchedule(
  writer: Writer,
  deliveryTime: number | undefined,
  repetition: Repetition | undefined,
): number {
  let count = 0
  const put = (key: string, value: number | string | undefined): void => {
    if (value === undefined) return
    writer.symbol(key)
    if (typeof value === 'number') writer.long(BigInt(value))
    else writer.string(value)
    count += 2
  }
  put(DELIVERY_TIME_KEY, deliveryTime)
  const fields: Readonly<Record<string, number | string | undefined>> = { ...repetition }
  for (const name of repetitionFields) put(REPEAT_PREFIX + name, fields[name])
  return count
}

function jmsType(body: Body): number | undefined {
  switch (body.kind) {
    case 'text':
      return JmsType.text
    case 'bytes':
    case 'json':
      return JmsType.bytes
    case 'map':
      return JmsType.map
    case 'stream':
      return JmsType.stream
    case 'value':
      if (body.value === null || body.value === undefined) return JmsType.message
      if (body.value instanceof Map) return JmsType.map
      return Array.isArray(body.value) ? JmsType.stream : undefined
  }
}

function writeProperties(writer: Writer, content: MessageContent, to: Destination | undefined): void {
  const contentType = content.contentType ?? (content.body.kind === 'json' ? JSON_CONTENT_TYPE : undefined)
  const start = writer.at
  writer.descriptor(Section.properties)
  const mark = writer.beginCompound(0xc0)
  const list = fields.begin(writer)
  if (content.messageId !== undefined) writeId(list.at(Field.messageId), content.messageId)
  if (content.userId !== undefined) list.at(Field.userId).utf8(content.userId)
  if (to !== undefined) list.at(Field.to).string(to.name)
  if (content.type !== undefined) list.at(Field.subject).string(content.type)
  if (content.replyTo !== undefined) list.at(Field.replyTo).string(content.replyTo.name)
  if (content.correlationId !== undefined) writeId(list.at(Field.correlationId), content.correlationId)
  if (contentType !== undefined) list.at(Field.contentType).symbol(contentType)
  if (content.expiration !== undefined) list.at(Field.absoluteExpiry).timestamp(content.expiration)
  if (content.timestamp !== undefined) list.at(Field.creationTime).timestamp(content.timestamp)
  if (content.groupId !== undefined) list.at(Field.groupId).string(content.groupId)
  if (content.groupSequence !== undefined) list.at(Field.groupSequence).uint(content.groupSequence >>> 0)
  writer.endCompound(mark, list.count)
  if (list.count === 0) writer.at = start
}

/** Writes the nulls between the fields of a list that have values; those behind the last are left out. */
class FieldList {
  count = 0
  private writer: Writer = shared

  begin(writer: Writer): this {
    this.writer = writer
    this.count = 0
    return this
  }

  /** The writer, where field `index` goes. */
  at(index: number): Writer {
    this.writer.nulls(index - this.count)
    this.count = index + 1
    return this.writer
  }
}

/** One for all messages: they are written one after the other. */
const fields = new FieldList()

/** An id that came as another type than text is shown with a prefix (JMS mapping), and goes back as that type. */
function writeId(writer: Writer, id: string): void {
  if (!id.startsWith('ID:AMQP_')) return writer.string(id)
  const [, type, rest] = /^ID:AMQP_(UUID|ULONG|BINARY):(.+)$/.exec(id) ?? []
  const uuid = type === 'UUID' ? Uuid.parse(rest!) : undefined
  if (uuid) writer.value(uuid)
  else if (type === 'ULONG' && /^\d{1,19}$/.test(rest!)) writer.ulong(BigInt(rest!))
  else if (type === 'BINARY' && /^([0-9A-F]{2})+$/.test(rest!)) writer.binary(Buffer.from(rest!, 'hex'))
  else writer.string(id)
}

function writeApplicationProperties(writer: Writer, properties: Readonly<Record<string, SentValue>>): void {
  writer.descriptor(Section.applicationProperties)
  const mark = writer.beginCompound(0xc1)
  let count = 0
  for (const name of Object.keys(properties)) {
    const value = properties[name]
    if (value === undefined) continue
    writer.string(name)
    writeSimple(writer, value, 'property', name)
    count += 2
  }
  writer.endCompound(mark, count)
}

/** A value of the types that properties, maps and streams have (JMS 3.5.3, 3.11.3). */
function writeSimple(writer: Writer, value: unknown, part: string, name: string | number): void {
  if (!isSimple(value)) {
    throw formatInvalid(
      `the ${part} ${JSON.stringify(name)} is neither text, number, boolean, bigint of 64 bits, valid Date, bytes nor null`,
    )
  }
  writer.value(value)
}

function isSimple(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
      return true
    case 'bigint':
      return BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value
    case 'object':
      if (value instanceof Date) return !Number.isNaN(value.getTime())
      return value === null || value instanceof Uint8Array || value instanceof Typed
    default:
      return false
  }
}

function writeBody(writer: Writer, body: Body): void {
  switch (body.kind) {
    case 'text':
      writer.descriptor(Section.value)
      return writer.string(body.value)
    case 'bytes':
      writer.descriptor(Section.data)
      return writer.binary(body.value)
    case 'json':
      return writeJson(writer, body.value)
    case 'map':
      writer.descriptor(Section.value)
      return writeMap(writer, body.value)
    case 'stream':
      writer.descriptor(Section.sequence)
      return writeStream(writer, body.value)
    case 'value':
      writer.descriptor(Section.value)
      return writer.value(body.value)
  }
}

function writeMap(writer: Writer, entries: ReadonlyMap<string, unknown>): void {
  const mark = writer.beginCompound(0xc1)
  for (const [name, value] of entries) {
    writer.string(name)
    writeSimple(writer, value, 'entry', name)
  }
  writer.endCompound(mark, entries.size * 2)
}

function writeStream(writer: Writer, elements: readonly unknown[]): void {
  const mark = writer.beginCompound(0xc0)
  for (let i = 0; i < elements.length; i++) writeSimple(writer, elements[i], 'element', i)
  writer.endCompound(mark, elements.length)
}

function writeJson(writer: Writer, value: unknown): void {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw Object.assign(invalid('the body cannot be written as JSON'), { cause })
  }
  if (text === undefined) throw invalid(`the body cannot be written as JSON: it is a ${typeof value}`)
  writer.descriptor(Section.data)
  writer.utf8(text)
}
