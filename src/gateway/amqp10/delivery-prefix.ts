import type { Delivery, PreparedCheck } from '../../engine/api.ts'
import { Section } from '../../wire/amqp10/sections.ts'
import { Writer } from '../../wire/amqp10/writer.ts'

/** Delivery annotations by which our own clients learn what the message has become at the broker. */
const LSN_KEY = 'x-opt-lsn'
const DEAD_LETTER_KEY = 'x-opt-dead-letter'

const PREPARED_KEY = 'x-opt-prepared-id'

/** Positions of the fields in the fixed layouts below. */
const DURABLE = 6
const PRIORITY = 8
const TTL = 10
const NULL = 0x40
const MAX_TTL = 0xffff_ffff

type Annotated = 'plain' | 'lsn'

/**
 * The sections in front of a payload: the header as the broker sees the message now (core 3.2.1), and delivery annotations for
 * our own clients. Written into templates of fixed layout; the answer is valid until the next call.
 */
export class DeliveryPrefix {
  private readonly annotated: boolean
  private readonly timeless: Buffer
  private readonly timed: Buffer

  constructor(annotated: boolean) {
    this.annotated = annotated
    this.timeless = template(false, annotated ? 'lsn' : 'plain')
    this.timed = template(true, annotated ? 'lsn' : 'plain')
  }

  /**
   * `left`: milliseconds to live; undefined: for ever. What is more than a header can say is left to the absolute-expiry-time.
   */
  of(delivery: Omit<Delivery, 'tag'>, left: number | undefined): Uint8Array {
    const ttl = left !== undefined && left > MAX_TTL ? undefined : left
    const bytes = ttl === undefined ? this.timeless : this.timed
    bytes[DURABLE] = boolean(delivery.durable)
    bytes[PRIORITY] = delivery.priority
    if (ttl !== undefined) writeUint(bytes, TTL, Math.ceil(ttl))
    const first = ttl === undefined ? TTL : TTL + 4
    bytes[first] = boolean(delivery.deliveryCount <= 1)
    writeUint(bytes, first + 2, delivery.deliveryCount - 1)
    if (this.annotated) {
      if (delivery.annotations !== '') return this.withHistory(bytes, first + 6, delivery)
      writeUlong(bytes, bytes.length - 8, delivery.lsn)
    }
    return bytes
  }

  private withHistory(bytes: Buffer, headerEnd: number, delivery: Omit<Delivery, 'tag'>): Uint8Array {
    return annotate(bytes.subarray(0, headerEnd), delivery.lsn, DEAD_LETTER_KEY, delivery.annotations)
  }
}

/** In front of a half message that its producers are asked for: its header and the id by which it is decided. */
export function checkPrefix(check: PreparedCheck, ttl: number | undefined): Uint8Array {
  return annotate(plain.of(check, ttl), check.lsn, PREPARED_KEY, check.id)
}

function annotate(header: Uint8Array, lsn: number, key: string, value: string): Uint8Array {
  const writer = new Writer(256)
  writer.raw(header)
  writer.descriptor(Section.deliveryAnnotations)
  const mark = writer.beginCompound(0xc1)
  writer.symbol(LSN_KEY)
  writer.ulong(lsn)
  writer.symbol(key)
  writer.string(value)
  writer.endCompound(mark, 4)
  return writer.slice()
}

const plain = new DeliveryPrefix(false)

/** durable, priority (ubyte), ttl (null or uint of four bytes), first-acquirer, delivery-count (uint of four bytes). */
function template(timed: boolean, annotated: Annotated): Buffer {
  const writer = new Writer(64)
  writer.descriptor(Section.header)
  const mark = writer.beginCompound(0xc0)
  writer.boolean(true)
  writer.ubyte(0)
  writer.byte(timed ? 0x70 : NULL)
  if (timed) writer.uint32(0)
  writer.boolean(true)
  writer.byte(0x70)
  writer.uint32(0)
  writer.endCompound(mark, 5)
  if (annotated === 'lsn') {
    writer.descriptor(Section.deliveryAnnotations)
    const map = writer.beginCompound(0xc1)
    writer.symbol(LSN_KEY)
    writer.byte(0x80)
    writer.raw(new Uint8Array(8))
    writer.endCompound(map, 2)
  }
  return Buffer.from(writer.slice())
}

function boolean(value: boolean): number {
  return value ? 0x41 : 0x42
}

function writeUint(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

function writeUlong(bytes: Uint8Array, at: number, value: number): void {
  writeUint(bytes, at, Math.floor(value / 0x1_0000_0000))
  writeUint(bytes, at + 4, value >>> 0)
}
