import { Described } from '../values.ts'
import type { Writer } from '../writer.ts'
import { Descriptor, descriptorCode } from './descriptors.ts'
import { readError, writeError, writeFields } from './error-codec.ts'
import { FieldAccess } from './field-access.ts'
import { accepted, type DeliveryState, released } from './performatives.ts'
import { invalidField } from './violation.ts'

/** Delivery states (3.4) and outcomes, as described lists. */
export function readState(value: unknown): DeliveryState | undefined {
  if (value === null) return undefined
  if (!(value instanceof Described)) throw invalidField('a delivery state is not a described value')
  switch (descriptorCode(value.descriptor)) {
    case Descriptor.accepted:
      return accepted
    case Descriptor.released:
      return released
    case Descriptor.rejected:
      return { kind: 'rejected', error: readError(new FieldAccess('rejected', value.value).value(0)) }
    case Descriptor.modified:
      return readModified(new FieldAccess('modified', value.value))
    case Descriptor.received: {
      const fields = new FieldAccess('received', value.value)
      return {
        kind: 'received',
        sectionNumber: fields.uint(0),
        sectionOffset: fields.uint(1, undefined, 2 ** 64),
      }
    }
    case Descriptor.declared:
      return { kind: 'declared', transaction: readTransaction(new FieldAccess('declared', value.value)) }
    case Descriptor.transactionalState:
      return readTransactional(new FieldAccess('transactional-state', value.value))
    default:
      return { kind: 'unknown', descriptor: value.descriptor }
  }
}

function readTransactional(fields: FieldAccess): DeliveryState {
  const outcome = readState(fields.value(1))
  if (outcome?.kind === 'transactional')
    throw invalidField('the outcome of a transactional state is one itself')
  return { kind: 'transactional', transaction: readTransaction(fields), outcome }
}

/** A copy: the frame that it came with is not kept. */
function readTransaction(fields: FieldAccess): Uint8Array {
  return Uint8Array.from(fields.binary(0) ?? fields.wrong(0, 'there, although it is mandatory'))
}

function readModified(fields: FieldAccess): DeliveryState {
  return {
    kind: 'modified',
    deliveryFailed: fields.boolean(0, false),
    undeliverableHere: fields.boolean(1, false),
    messageAnnotations: fields.fields(2),
  }
}

export function writeState(writer: Writer, state: DeliveryState | undefined): void {
  if (!state) return writer.null()
  switch (state.kind) {
    case 'accepted':
      return writeEmpty(writer, Descriptor.accepted)
    case 'released':
      return writeEmpty(writer, Descriptor.released)
    case 'rejected':
      return writeList(writer, Descriptor.rejected, 1, () => writeError(writer, state.error))
    case 'modified':
      return writeList(writer, Descriptor.modified, 3, () => {
        writer.boolean(state.deliveryFailed)
        writer.boolean(state.undeliverableHere)
        writeFields(writer, state.messageAnnotations)
      })
    case 'received':
      return writeList(writer, Descriptor.received, 2, () => {
        writer.uint(state.sectionNumber)
        writer.ulong(state.sectionOffset)
      })
    case 'declared':
      return writeList(writer, Descriptor.declared, 1, () => writer.binary(state.transaction))
    case 'transactional':
      return writeList(writer, Descriptor.transactionalState, 2, () => {
        writer.binary(state.transaction)
        writeState(writer, state.outcome)
      })
    case 'unknown':
      writer.byte(0x00)
      writer.value(state.descriptor)
      return writer.byte(0x45)
  }
}

function writeEmpty(writer: Writer, descriptor: number): void {
  writer.descriptor(descriptor)
  writer.byte(0x45)
}

function writeList(writer: Writer, descriptor: number, count: number, fields: () => void): void {
  writer.descriptor(descriptor)
  const mark = writer.beginCompound(0xc0)
  fields()
  writer.endCompound(mark, count)
}
