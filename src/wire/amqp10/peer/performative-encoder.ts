import { Writer } from '../writer.ts'
import { Descriptor } from './descriptors.ts'
import { writeError, writeFields, writeSymbols } from './error-codec.ts'
import type { AmqpError, Attach, Open } from './performatives.ts'
import { writeSource, writeTarget } from './terminus-codec.ts'

/** Encoders of the performatives that are written seldom. Each answers bytes that are valid until the next call. */

const shared = new Writer()
const sndSettleModes = ['unsettled', 'settled', 'mixed'] as const

function list(descriptor: number, count: number, fields: (writer: Writer) => void): Uint8Array {
  const writer = shared.reset()
  writer.descriptor(descriptor)
  const mark = writer.beginCompound(0xc0)
  fields(writer)
  writer.endCompound(mark, count)
  return writer.slice()
}

export function encodeOpen(open: Open): Uint8Array {
  return list(Descriptor.open, 10, (writer) => {
    writer.string(open.containerId)
    if (open.hostname === undefined) writer.null()
    else writer.string(open.hostname)
    writer.uint(open.maxFrameSize)
    writeUshort(writer, open.channelMax)
    if (open.idleTimeOut === 0) writer.null()
    else writer.uint(open.idleTimeOut)
    writer.nulls(2)
    writeSymbols(writer, open.offeredCapabilities)
    writeSymbols(writer, open.desiredCapabilities)
    writeFields(writer, open.properties)
  })
}

function writeUshort(writer: Writer, value: number): void {
  writer.byte(0x60)
  writer.byte(value >>> 8)
  writer.byte(value & 0xff)
}

/** `remoteChannel`: the channel of the begin that this one answers, or -1. */
export function encodeBegin(
  remoteChannel: number,
  nextOutgoingId: number,
  incomingWindow: number,
  outgoingWindow: number,
  handleMax: number,
): Uint8Array {
  return list(Descriptor.begin, 5, (writer) => {
    if (remoteChannel < 0) writer.null()
    else writeUshort(writer, remoteChannel)
    writer.uint(nextOutgoingId)
    writer.uint(incomingWindow)
    writer.uint(outgoingWindow)
    writer.uint(handleMax)
  })
}

export function encodeAttach(attach: Attach, handle: number, initialDeliveryCount: number): Uint8Array {
  return list(Descriptor.attach, 14, (writer) => {
    writer.string(attach.name)
    writer.uint(handle)
    writer.boolean(attach.role === 'receiver')
    writer.ubyte(sndSettleModes.indexOf(attach.sndSettleMode))
    writer.ubyte(attach.rcvSettleMode === 'second' ? 1 : 0)
    writeSource(writer, attach.source)
    writeTarget(writer, attach.target)
    writer.nulls(2)
    if (attach.role === 'receiver') writer.null()
    else writer.uint(initialDeliveryCount)
    if (attach.maxMessageSize === 0) writer.null()
    else writer.ulong(attach.maxMessageSize)
    writeSymbols(writer, attach.offeredCapabilities)
    writeSymbols(writer, attach.desiredCapabilities)
    writeFields(writer, attach.properties)
  })
}

export function encodeDetach(handle: number, closed: boolean, error: AmqpError | undefined): Uint8Array {
  return list(Descriptor.detach, 3, (writer) => {
    writer.uint(handle)
    writer.boolean(closed)
    writeError(writer, error)
  })
}

export function encodeEnd(error: AmqpError | undefined): Uint8Array {
  return list(Descriptor.end, 1, (writer) => writeError(writer, error))
}

export function encodeClose(error: AmqpError | undefined): Uint8Array {
  return list(Descriptor.close, 1, (writer) => writeError(writer, error))
}
