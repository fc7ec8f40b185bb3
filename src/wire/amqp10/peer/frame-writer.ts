import { Writer } from '../writer.ts'
import { Descriptor } from './descriptors.ts'
import { writeFields } from './error-codec.ts'
import type { Output } from './output.ts'
import { accepted, type DeliveryState, type Fields, released } from './performatives.ts'
import { writeState } from './state-codec.ts'

/** Encoders of the three performatives that come with every message; they write without making objects. */

/** More than any of them needs beside a state, properties and payload. */
const ROOM = 96

const scratch = new Writer()

/** A session, as far as writing its frames goes. */
export interface FrameTarget {
  readonly output: Output
  readonly channel: number
  /** Writes a frame with this body. */
  write(body: Uint8Array): void
}

/** Link part of a flow frame. */
export interface LinkFlow {
  readonly handle: number
  /** Absent as long as a receiver has not heard of it. */
  readonly deliveryCount: number | undefined
  readonly credit: number
  readonly available: number
  readonly drain: boolean
}

export interface Windows {
  readonly nextIncomingId: number | undefined
  readonly incomingWindow: number
  readonly nextOutgoingId: number
  readonly outgoingWindow: number
}

export function writeFlow(
  target: FrameTarget,
  windows: Windows,
  link: LinkFlow | undefined,
  properties: Fields | undefined,
): void {
  const body = scratch.reset()
  body.descriptor(Descriptor.flow)
  const mark = body.beginCompound(0xc0)
  uintOrNull(body, windows.nextIncomingId)
  body.uint(windows.incomingWindow)
  body.uint(windows.nextOutgoingId)
  body.uint(windows.outgoingWindow)
  if (link) {
    body.uint(link.handle)
    uintOrNull(body, link.deliveryCount)
    body.uint(link.credit)
    body.uint(link.available)
    body.boolean(link.drain)
  }
  if (properties) {
    body.null()
    writeFields(body, properties)
  }
  body.endCompound(mark, link ? (properties ? 11 : 9) : 4)
  target.write(body.slice())
}

function uintOrNull(writer: Writer, value: number | undefined): void {
  if (value === undefined) writer.null()
  else writer.uint(value)
}

export function writeDisposition(
  target: FrameTarget,
  receiver: boolean,
  first: number,
  last: number,
  settled: boolean,
  state: DeliveryState | undefined,
): void {
  if (state !== undefined && state !== accepted && state !== released) {
    return writeLongDisposition(target, receiver, first, last, settled, state)
  }
  const { output, channel } = target
  const frame = output.beginFrame(0, channel, ROOM)
  const list = output.beginList(Descriptor.disposition)
  output.boolean(receiver)
  output.uint(first)
  output.uint(last)
  output.boolean(settled)
  if (state) {
    output.byte(0x00)
    output.byte(0x53)
    output.byte(state === accepted ? Descriptor.accepted : Descriptor.released)
    output.byte(0x45)
  }
  output.endList(list, state ? 5 : 4)
  output.endFrame(frame)
}

function writeLongDisposition(
  target: FrameTarget,
  receiver: boolean,
  first: number,
  last: number,
  settled: boolean,
  state: DeliveryState,
): void {
  const body = scratch.reset()
  body.descriptor(Descriptor.disposition)
  const mark = body.beginCompound(0xc0)
  body.boolean(receiver)
  body.uint(first)
  body.uint(last)
  body.boolean(settled)
  writeState(body, state)
  body.endCompound(mark, 5)
  target.write(body.slice())
}

/** What a delivery says of itself, in the first of its frames only. */
export interface DeliveryHead {
  readonly id: number
  readonly tag: Uint8Array | null
  readonly format: number
  readonly settled: boolean
  readonly state: DeliveryState | undefined
}

/** Where in the output the frame begins, and where it says whether more follow. */
export const opened = { frame: 0, more: 0 }

/** Opens a transfer frame with room for `payload` bytes: of the first one with `head`, of a further one with null. */
export function beginTransfer(
  output: Output,
  channel: number,
  handle: number,
  head: DeliveryHead | null,
  payload: number,
): void {
  if (head?.state) return beginLongTransfer(output, channel, handle, head, head.state, payload)
  opened.frame = output.beginFrame(0, channel, ROOM + payload)
  const list = output.beginList(Descriptor.transfer)
  output.uint(handle)
  if (head) writeHead(output, head)
  else for (let i = 0; i < 4; i++) output.byte(0x40)
  opened.more = output.at
  output.boolean(false)
  output.endList(list, 6)
}

function writeHead(output: Output, head: DeliveryHead): void {
  output.uint(head.id)
  output.byte(0xa0)
  if (head.tag) {
    output.byte(head.tag.length)
    output.copy(head.tag, 0, head.tag.length)
  } else {
    writeOwnTag(output, head.id)
  }
  output.uint(head.format)
  output.boolean(head.settled)
}

/** The delivery-id is unique among the unsettled deliveries of the link, so it will do. */
function writeOwnTag(output: Output, id: number): void {
  output.byte(4)
  output.byte(id >>> 24)
  output.byte(id >>> 16)
  output.byte(id >>> 8)
  output.byte(id)
}

function beginLongTransfer(
  output: Output,
  channel: number,
  handle: number,
  head: DeliveryHead,
  state: DeliveryState,
  payload: number,
): void {
  const body = scratch.reset()
  body.descriptor(Descriptor.transfer)
  const mark = body.beginCompound(0xc0)
  body.uint(handle)
  body.uint(head.id)
  const tag = head.tag ?? Uint8Array.of(head.id >>> 24, head.id >>> 16, head.id >>> 8, head.id)
  body.binary(tag)
  body.uint(head.format)
  body.boolean(head.settled)
  const more = body.at
  body.boolean(false)
  body.null()
  writeState(body, state)
  const before = body.at
  body.endCompound(mark, 8)
  const list = body.slice()
  opened.frame = output.beginFrame(0, channel, list.length + payload)
  // A list of more than 255 bytes is moved up when it is closed.
  opened.more = output.at + more + (body.at - before)
  output.copy(list, 0, list.length)
}

/** A transfer that ends its delivery: whoever has parts of it forgets them. */
export function writeAbort(output: Output, channel: number, handle: number, head: DeliveryHead | null): void {
  const frame = output.beginFrame(0, channel, ROOM)
  const list = output.beginList(Descriptor.transfer)
  output.uint(handle)
  if (head) writeHead(output, head)
  else for (let i = 0; i < 4; i++) output.byte(0x40)
  output.boolean(false)
  for (let i = 0; i < 3; i++) output.byte(0x40)
  output.boolean(true)
  output.endList(list, 10)
  output.endFrame(frame)
}
