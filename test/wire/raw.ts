import type { TakenOutput } from '../../src/wire/amqp10/peer/output.ts'
import { Reader } from '../../src/wire/amqp10/reader.ts'
import { AmqpSymbol, Described, Typed } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'

/** Frames written and read without the machine under test. */

/** A copy of what has been taken, in one piece. */
export function bytesOf({ pieces }: TakenOutput): Buffer {
  return Buffer.concat(pieces)
}

export const amqpHeader: Buffer = Buffer.from('AMQP\0\x01\0\0', 'latin1')
export const saslHeader: Buffer = Buffer.from('AMQP\x03\x01\0\0', 'latin1')

export function frameOf(body: Uint8Array, channel = 0, type = 0, words = 2): Buffer {
  const head = Buffer.alloc(words * 4)
  head.writeUInt32BE(head.length + body.length, 0)
  head[4] = words
  head[5] = type
  head.writeUInt16BE(channel, 6)
  return Buffer.concat([head, body])
}

/** A performative of that code; numbers are written as uint. */
export function performative(
  code: number,
  fields: readonly unknown[],
  payload: string | Uint8Array = '',
): Buffer {
  const writer = new Writer()
  const typed = fields.map((field) => (typeof field === 'number' ? new Typed('uint', field) : field))
  writer.value(new Described(new Typed('ulong', code), typed))
  return Buffer.concat([writer.slice(), typeof payload === 'string' ? Buffer.from(payload) : payload])
}

export function frame(
  channel: number,
  code: number,
  fields: readonly unknown[],
  payload: string | Uint8Array = '',
): Buffer {
  return frameOf(performative(code, fields, payload), channel)
}

export function ubyte(value: number): Typed {
  return new Typed('ubyte', value)
}

export function ushort(value: number): Typed {
  return new Typed('ushort', value)
}

export function symbol(value: string): AmqpSymbol {
  return new AmqpSymbol(value)
}

export const open: Buffer = frame(0, 0x10, ['raw'])
export const begin: Buffer = frame(0, 0x11, [null, 0, 1000, 1000])

/** An attach of the other end as sender (or receiver), to node q. */
export function attach(handle: number, name = 'raw', receiver = false): Buffer {
  const source = new Described(new Typed('ulong', 0x28), ['q'])
  const target = new Described(new Typed('ulong', 0x29), ['q'])
  const count = receiver ? null : 0
  return frame(0, 0x12, [name, handle, receiver, null, null, source, target, null, null, count])
}

export function transfer(handle: number, id: number | null, text = '', more = false): Buffer {
  const tag = id === null ? null : Uint8Array.of(id)
  return frame(0, 0x14, [handle, id, tag, id === null ? null : 0, false, more], text)
}

export interface Parsed {
  readonly channel: number
  /** Of the frame, in bytes. */
  readonly size: number
  readonly code: number
  readonly fields: readonly unknown[]
  /** Condition of the error that an end, detach or close carries. */
  readonly condition: string | undefined
  /** What comes after the performative. */
  readonly payload: Buffer
}

/** The frames in what a peer has written, headers left out. */
export function parse(output: TakenOutput | null): Parsed[] {
  const frames: Parsed[] = []
  const buffer = output ? bytesOf(output) : Buffer.alloc(0)
  for (let at = 0; at < buffer.length; ) {
    if (buffer.toString('latin1', at, at + 4) === 'AMQP') {
      at += 8
      continue
    }
    const size = buffer.readUInt32BE(at)
    const body = at + buffer[at + 4]! * 4
    if (body < at + size) frames.push(parseBody(buffer, body, at + size, buffer.readUInt16BE(at + 6), size))
    at += size
  }
  return frames
}

function parseBody(buffer: Buffer, start: number, end: number, channel: number, size: number): Parsed {
  const reader = new Reader(buffer, start, end)
  const { descriptor, value } = reader.value() as Described
  const fields = value as unknown[]
  const error = fields.find((field) => field instanceof Described && Number(field.descriptor) === 0x1d) as
    | Described
    | undefined
  const condition = error && String((error.value as unknown[])[0])
  return {
    channel,
    size,
    code: Number(descriptor),
    fields,
    condition,
    payload: buffer.subarray(reader.at, end),
  }
}

export function uint(bytes: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(bytes)
  return buffer
}
