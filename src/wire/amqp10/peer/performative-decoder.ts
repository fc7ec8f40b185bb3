import { Reader } from '../reader.ts'
import { descriptorCode } from './descriptors.ts'
import { readError } from './error-codec.ts'
import { FieldAccess } from './field-access.ts'
import { type AmqpError, type Attach, type Fields, noFields, type Open } from './performatives.ts'
import { readSource, readTarget } from './terminus-codec.ts'
import { undecodable } from './violation.ts'

/** Decoders of the performatives that come seldom (2.7). Each throws Violation or `message-invalid`. */

export interface BeginFrame {
  /** The channel of ours that it answers; -1 when it answers none. */
  readonly remoteChannel: number
  readonly nextOutgoingId: number
  readonly incomingWindow: number
  readonly outgoingWindow: number
  readonly handleMax: number
}

export interface AttachFrame {
  readonly attach: Attach
  readonly handle: number
  readonly initialDeliveryCount: number
}

export interface DetachFrame {
  readonly handle: number
  readonly closed: boolean
  readonly error: AmqpError | undefined
}

const reader = new Reader()

/** The code that describes what is at `start`, NaN for an unknown one, and where the described value begins. */
export function readDescriptor(
  bytes: Uint8Array,
  start: number,
  end: number,
): { readonly code: number; readonly at: number } {
  reader.reset(bytes, start, end)
  if (reader.byte() !== 0x00) throw undecodable('the body of a frame is not a described value')
  return { code: descriptorCode(reader.value()), at: reader.at }
}

/** The list at bytes[start, end), of which the descriptor has been read. */
export function readList(name: string, bytes: Uint8Array, start: number, end: number): FieldAccess {
  return new FieldAccess(name, reader.reset(bytes, start, end).value())
}

export function readOpen(fields: FieldAccess): Open {
  return {
    containerId: fields.string(0) ?? fields.wrong(0, 'there, although it is mandatory'),
    hostname: fields.string(1),
    maxFrameSize: fields.uint(2, 0xffff_ffff),
    channelMax: fields.uint(3, 0xffff, 0xffff),
    idleTimeOut: fields.uint(4, 0),
    offeredCapabilities: fields.symbols(7),
    desiredCapabilities: fields.symbols(8),
    properties: fields.fields(9) ?? noFields,
  }
}

export function readBegin(fields: FieldAccess): BeginFrame {
  return {
    remoteChannel: fields.uint(0, -1, 0xffff),
    nextOutgoingId: fields.uint(1),
    incomingWindow: fields.uint(2),
    outgoingWindow: fields.uint(3),
    handleMax: fields.uint(4, 0xffff_ffff),
  }
}

export function readAttach(fields: FieldAccess): AttachFrame {
  const role = fields.boolean(2) ? 'receiver' : 'sender'
  const attach: Attach = {
    name: fields.string(0) ?? fields.wrong(0, 'there, although it is mandatory'),
    role,
    sndSettleMode: fields.choice(3, ['unsettled', 'settled', 'mixed'], 'mixed'),
    rcvSettleMode: fields.choice(4, ['first', 'second'], 'first'),
    source: readSource(fields.value(5)),
    target: readTarget(fields.value(6)),
    maxMessageSize: fields.uint(10, 0, 2 ** 64),
    offeredCapabilities: fields.symbols(11),
    desiredCapabilities: fields.symbols(12),
    properties: fields.fields(13) ?? noFields,
  }
  // 2.7.3: the initial delivery-count is mandatory when the sender says it, and means nothing otherwise.
  const initialDeliveryCount = fields.uint(9, role === 'receiver' ? 0 : undefined)
  return { attach, handle: fields.uint(1), initialDeliveryCount }
}

export function readDetach(fields: FieldAccess): DetachFrame {
  return {
    handle: fields.uint(0),
    closed: fields.boolean(1, false),
    error: readError(fields.value(2)),
  }
}

/** Of an end or a close. */
export function readReason(fields: FieldAccess): AmqpError | undefined {
  return readError(fields.value(0))
}

export function readProperties(bytes: Uint8Array, start: number, end: number): Fields | undefined {
  return new FieldAccess('flow', [reader.reset(bytes, start, end).value()]).fields(0)
}
