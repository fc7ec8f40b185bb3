import { invalid } from './checks.ts'
import { Descriptor, descriptorCode } from './peer/descriptors.ts'
import { Reader } from './reader.ts'
import { Section } from './sections.ts'
import { Described } from './values.ts'
import { Writer } from './writer.ts'

/**
 * What is said to a coordinator (core 4.5), each in a message whose body is an amqp-value:
 *
 *   declare := 0x31 [global-id]
 *   discharge := 0x32 [txn-id, fail]
 */
export type Coordination =
  | { readonly kind: 'declare' /** Of a distributed transaction. */; readonly global: boolean }
  | { readonly kind: 'discharge'; readonly transaction: Uint8Array; readonly fail: boolean }

export function encodeDeclare(): Uint8Array {
  return valueMessage((writer) => {
    writer.descriptor(Descriptor.declare)
    writer.endCompound(writer.beginCompound(0xc0), 0)
  })
}

/** `fail`: roll back. */
export function encodeDischarge(transaction: Uint8Array, fail: boolean): Uint8Array {
  return valueMessage((writer) => {
    writer.descriptor(Descriptor.discharge)
    const mark = writer.beginCompound(0xc0)
    writer.binary(transaction)
    writer.boolean(fail)
    writer.endCompound(mark, 2)
  })
}

function valueMessage(write: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(64)
  writer.descriptor(Section.value)
  write(writer)
  return writer.slice()
}

/** Reads bytes[start, end). Throws `message-invalid`. */
export function readCoordination(bytes: Uint8Array, start: number, end: number): Coordination {
  const body = bodyOf(new Reader(bytes, start, end))
  const fields = body instanceof Described && Array.isArray(body.value) ? body.value : undefined
  const code = fields ? descriptorCode((body as Described).descriptor) : Number.NaN
  if (code === Descriptor.declare) return { kind: 'declare', global: (fields![0] ?? null) !== null }
  if (code !== Descriptor.discharge) throw invalid('a coordinator takes declare and discharge, nothing else')
  const [transaction, fail = null] = fields!
  if (!(transaction instanceof Uint8Array)) throw invalid('a discharge names its transaction, as binary')
  if (fail !== null && typeof fail !== 'boolean') throw invalid('the field fail of a discharge is a boolean')
  return { kind: 'discharge', transaction: Uint8Array.from(transaction), fail: fail === true }
}

/** What stands in front of the body is of no use to a coordinator. */
function bodyOf(reader: Reader): unknown {
  while (!reader.done) {
    if (reader.descriptor() === Section.value) return reader.value()
    reader.skip()
  }
  throw invalid('a message to a coordinator has an amqp-value as its body')
}
