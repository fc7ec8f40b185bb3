import { Reader } from './reader.ts'
import { Field, Section } from './sections.ts'
import { AmqpChar, AmqpSymbol, idText, Uuid } from './values.ts'

/** One for all messages: every call positions it anew. */
const reader = new Reader()

/** Identifiers of the selector language that stand for fields of the properties section, by the JMS mapping. */
const fields: Readonly<Record<string, number>> = {
  JMSMessageID: Field.messageId,
  JMSCorrelationID: Field.correlationId,
  JMSType: Field.subject,
  JMSTimestamp: Field.creationTime,
  JMSXUserID: Field.userId,
  JMSXGroupID: Field.groupId,
  JMSXGroupSeq: Field.groupSequence,
}

/**
 * What an identifier of the selector language stands for in the message in bytes[start, end): whole numbers of every width
 * as bigint, float and double as number, timestamps as their milliseconds. Undefined when the message has none, when the
 * type is none of the language, and when the bytes end before it; so those of a message's beginning will do.
 */
export function selectableValue(bytes: Uint8Array, start: number, end: number, identifier: string): unknown {
  const field = Object.hasOwn(fields, identifier) ? fields[identifier]! : -1
  try {
    reader.reset(bytes, start, end)
    const count = enter(field < 0 ? Section.applicationProperties : Section.properties)
    if (field < 0) return property(count, identifier)
    if (field >= count) return undefined
    for (let i = 0; i < field; i++) reader.skip()
    return header(field)
  } catch {
    return undefined
  }
}

function header(field: number): unknown {
  if (field === Field.messageId || field === Field.correlationId) return idText(reader.value())
  if (field !== Field.userId) return value()
  const user = reader.value()
  return user instanceof Uint8Array ? Buffer.from(user).toString() : undefined
}

/** Positions the reader in a section; answers how many elements it has, 0 when the message goes on without it. */
function enter(section: number): number {
  while (!reader.done) {
    const code = reader.descriptor()
    if (code === section) return reader.compound()
    if (!(code < Section.data)) return 0
    reader.skip()
  }
  return 0
}

function property(count: number, name: string): unknown {
  for (let i = 0; i < count; i += 2) {
    if (isKey(name)) return value()
    reader.skip()
  }
  return undefined
}

/** Steps over a key and tells whether it is this one; most are short ASCII, and need not become text for that. */
function isKey(name: string): boolean {
  const { bytes, at } = reader
  if (bytes[at] !== 0xa1) {
    const key = reader.value()
    return key === name || (key instanceof AmqpSymbol && key.value === name)
  }
  reader.skip()
  const size = reader.at - at - 2
  let i = 0
  while (i < size && bytes[at + 2 + i]! < 128) {
    if (bytes[at + 2 + i] !== name.charCodeAt(i)) return false
    i++
  }
  return i === size ? size === name.length : bytes.toString('utf8', at + 2, reader.at) === name
}

function value(): unknown {
  const code = reader.bytes[reader.at]
  const found = reader.value()
  if (typeof found === 'number') return code === 0x72 || code === 0x82 ? found : BigInt(found)
  if (found instanceof AmqpSymbol || found instanceof Uuid || found instanceof AmqpChar) return String(found)
  if (found instanceof Date) return BigInt(found.getTime())
  return found instanceof Uint8Array ? undefined : found
}
