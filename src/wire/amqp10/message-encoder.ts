import type { Body, MessageContent, PropertyValue } from '../../model/message.ts'
import { invalid } from './checks.ts'
import {
  DESTINATION_KEY,
  destinationKinds,
  Field,
  JmsType,
  JSON_CONTENT_TYPE,
  MESSAGE_TYPE_KEY,
  REPLY_TO_KEY,
  Section,
} from './sections.ts'
import { Uuid } from './values.ts'
import { Writer } from './writer.ts'

/** A writer that has grown for a large message goes back to this size afterwards. */
const KEPT_BYTES = 1 << 20

const shared = new Writer(4096)

/** The sections of `content` in a buffer of its own. Throws `message-invalid`. */
export function encodeMessage(content: MessageContent): Buffer {
  return Buffer.from(encodeShared(content))
}

/**
 * The same in memory that the next call overwrites, for a caller that copies or sends at once.
 */
export function encodeShared(content: MessageContent): Buffer {
  if (shared.bytes.length > KEPT_BYTES) shared.bytes = Buffer.allocUnsafeSlow(4096)
  writeMessage(shared.reset(), content)
  return shared.slice()
}

export function writeMessage(writer: Writer, content: MessageContent): void {
  writeAnnotations(writer, content)
  writeProperties(writer, content)
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

function writeAnnotations(writer: Writer, content: MessageContent): void {
  const type = jmsType(content.body)
  const { to, replyTo } = content
  if (!to && !replyTo && type !== undefined) {
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
  writer.endCompound(mark, count)
  if (count === 0) writer.at = start
}

function jmsType(body: Body): number | undefined {
  switch (body.kind) {
    case 'text':
      return JmsType.text
    case 'bytes':
    case 'json':
      return JmsType.bytes
    case 'value':
      if (body.value === null || body.value === undefined) return JmsType.message
      if (body.value instanceof Map) return JmsType.map
      return Array.isArray(body.value) ? JmsType.stream : undefined
  }
}

function writeProperties(writer: Writer, content: MessageContent): void {
  const contentType = content.contentType ?? (content.body.kind === 'json' ? JSON_CONTENT_TYPE : undefined)
  const fields = lastField(content, contentType) + 1
  if (fields === 0) return
  writer.descriptor(Section.properties)
  const mark = writer.beginCompound(0xc0)
  writeId(writer, content.messageId)
  for (let field = 1; field < fields; field++) writeField(writer, field, content, contentType)
  writer.endCompound(mark, fields)
}

/** Trailing nulls of a list may be left out; answers the last field that has a value, or -1. */
function lastField(content: MessageContent, contentType: string | undefined): number {
  if (content.groupSequence !== undefined) return Field.groupSequence
  if (content.groupId !== undefined) return Field.groupId
  if (content.timestamp !== undefined) return Field.creationTime
  if (content.expiration !== undefined) return Field.absoluteExpiry
  if (contentType !== undefined) return Field.contentType
  if (content.correlationId !== undefined) return Field.correlationId
  if (content.replyTo !== undefined) return Field.replyTo
  if (content.type !== undefined) return Field.subject
  if (content.to !== undefined) return Field.to
  return content.messageId === undefined ? -1 : Field.messageId
}

function writeField(
  writer: Writer,
  field: number,
  content: MessageContent,
  contentType: string | undefined,
): void {
  switch (field) {
    case Field.to:
      return writeText(writer, content.to?.name)
    case Field.subject:
      return writeText(writer, content.type)
    case Field.replyTo:
      return writeText(writer, content.replyTo?.name)
    case Field.correlationId:
      return writeId(writer, content.correlationId)
    case Field.contentType:
      return contentType === undefined ? writer.null() : writer.symbol(contentType)
    case Field.absoluteExpiry:
      return writeTime(writer, content.expiration)
    case Field.creationTime:
      return writeTime(writer, content.timestamp)
    case Field.groupId:
      return writeText(writer, content.groupId)
    case Field.groupSequence:
      return content.groupSequence === undefined ? writer.null() : writer.uint(content.groupSequence >>> 0)
    default:
      return writer.null()
  }
}

function writeText(writer: Writer, value: string | undefined): void {
  if (value === undefined) writer.null()
  else writer.string(value)
}

function writeTime(writer: Writer, value: number | undefined): void {
  if (value === undefined) writer.null()
  else writer.timestamp(value)
}

/** An id that came as another type than text is shown with a prefix (JMS mapping), and goes back as that type. */
function writeId(writer: Writer, id: string | undefined): void {
  if (id === undefined) return writer.null()
  if (!id.startsWith('ID:AMQP_')) return writer.string(id)
  const [, type, rest] = /^ID:AMQP_(UUID|ULONG|BINARY):(.+)$/.exec(id) ?? []
  const uuid = type === 'UUID' ? Uuid.parse(rest!) : undefined
  if (uuid) writer.value(uuid)
  else if (type === 'ULONG' && /^\d{1,19}$/.test(rest!)) writer.ulong(BigInt(rest!))
  else if (type === 'BINARY' && /^([0-9A-F]{2})+$/.test(rest!)) writer.binary(Buffer.from(rest!, 'hex'))
  else writer.string(id)
}

function writeApplicationProperties(
  writer: Writer,
  properties: Readonly<Record<string, PropertyValue>>,
): void {
  writer.descriptor(Section.applicationProperties)
  const mark = writer.beginCompound(0xc1)
  let count = 0
  for (const name of Object.keys(properties)) {
    const value = properties[name]
    if (value === undefined) continue
    writer.string(name)
    if (typeof value === 'object' && value !== null && !isSimpleObject(value)) {
      throw invalid(
        `property ${JSON.stringify(name)} is neither text, number, boolean, bigint, Date, bytes nor null`,
      )
    }
    writer.value(value)
    count += 2
  }
  writer.endCompound(mark, count)
}

function isSimpleObject(value: object): boolean {
  return value instanceof Date || value instanceof Uint8Array
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
    case 'value':
      writer.descriptor(Section.value)
      return writer.value(body.value)
  }
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
