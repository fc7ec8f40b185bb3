import type { Durability } from '../../model/delivery.ts'
import { Reader } from '../../wire/amqp10/reader.ts'
import { Section } from '../../wire/amqp10/sections.ts'
import { AmqpSymbol, Typed } from '../../wire/amqp10/values.ts'
import { Writer } from '../../wire/amqp10/writer.ts'

/** Annotations of our own on deliveries (docs/spec/amqp.md). */
export const LSN_KEY = 'x-opt-lsn'
export const DEAD_LETTER_KEY = 'x-opt-dead-letter'
export const PREPARED_KEY = 'x-opt-prepared-id'
const DURABILITY_KEY = 'x-opt-durability'
const PREPARE_KEY = 'x-opt-prepare'

const NORMAL_PRIORITY = 4
/** The longest time to live that a header can say, 49 days. Milliseconds. */
export const MAX_TTL = 0xffff_ffff

const writer = new Writer(64)
const prefixes = new Map<number, Uint8Array>()

/**
 * The sections in front of the payload of a send: the header (core 3.2.1) and, where that cannot say it, the durability
 * asked for as delivery annotation, as the group is for which a half message is prepared. `left`: milliseconds to live; 0: for
 * ever. What is more than a header can say is left to the absolute-expiry-time.
 */
export function sendPrefix(
  durability: Durability,
  priority: number,
  left: number,
  prepare?: string,
): Uint8Array {
  const ttl = left > MAX_TTL ? 0 : left
  if (ttl > 0 || prepare !== undefined) return writePrefix(durability, priority, ttl, prepare)
  const key = priority * 4 + (durability === 'disk' ? 0 : durability === 'os' ? 1 : 2)
  let prefix = prefixes.get(key)
  if (!prefix) {
    prefix = writePrefix(durability, priority, 0)
    prefixes.set(key, prefix)
  }
  return prefix
}

function writePrefix(durability: Durability, priority: number, ttl: number, prepare?: string): Uint8Array {
  writer.reset()
  writer.descriptor(Section.header)
  const header = writer.beginCompound(0xc0)
  writer.boolean(durability !== 'memory')
  if (ttl > 0 || priority !== NORMAL_PRIORITY) writer.ubyte(priority)
  if (ttl > 0) writer.uint(Math.ceil(ttl))
  writer.endCompound(header, ttl > 0 ? 3 : priority === NORMAL_PRIORITY ? 1 : 2)
  const annotations: [AmqpSymbol, string][] = []
  if (durability === 'os') annotations.push([new AmqpSymbol(DURABILITY_KEY), durability])
  if (prepare !== undefined) annotations.push([new AmqpSymbol(PREPARE_KEY), prepare])
  if (annotations.length > 0) {
    writer.descriptor(Section.deliveryAnnotations)
    writer.map(annotations)
  }
  return Uint8Array.from(writer.slice())
}

/** What the sections in front of the payload say. */
export interface Envelope {
  readonly durable: boolean
  readonly priority: number
  /** Milliseconds left to live; undefined: for ever. */
  readonly ttl: number | undefined
  /** Deliveries before this one that failed. */
  readonly failures: number
  readonly annotations: ReadonlyMap<unknown, unknown> | undefined
  /** Where the payload begins. */
  readonly payloadStart: number
}

const reader = new Reader()

/** Reads header and delivery annotations of bytes[start, end). Throws `message-invalid`. */
export function readEnvelope(bytes: Uint8Array, start: number, end: number): Envelope {
  reader.reset(bytes, start, end)
  let header: readonly unknown[] = []
  let annotations: ReadonlyMap<unknown, unknown> | undefined
  let payloadStart = start
  for (;;) {
    const code = reader.done ? -1 : reader.descriptor()
    if (code === Section.header) header = listOf(reader.value())
    else if (code === Section.deliveryAnnotations) annotations = mapOf(reader.value())
    else break
    payloadStart = reader.at
  }
  const [durable, priority, ttl, , deliveryCount] = header
  return {
    durable: durable === true,
    priority: typeof priority === 'number' ? priority : NORMAL_PRIORITY,
    ttl: typeof ttl === 'number' ? ttl : undefined,
    failures: typeof deliveryCount === 'number' ? deliveryCount : 0,
    annotations,
    payloadStart,
  }
}

/** Milliseconds left to live, without decoding more than that; undefined: for ever, or the bytes are no message. */
export function readTtl(bytes: Uint8Array, start: number, end: number): number | undefined {
  reader.reset(bytes, start, end)
  try {
    if (reader.done || reader.descriptor() !== Section.header) return undefined
    if (reader.compound() < 3) return undefined
    reader.skip()
    reader.skip()
    const ttl = reader.value()
    return typeof ttl === 'number' ? ttl : undefined
  } catch {
    return undefined
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function mapOf(value: unknown): ReadonlyMap<unknown, unknown> | undefined {
  return value instanceof Map ? value : undefined
}

/** An annotation by the name of its symbol. */
export function annotation(annotations: ReadonlyMap<unknown, unknown> | undefined, name: string): unknown {
  if (!annotations) return undefined
  for (const [key, value] of annotations) {
    if (key instanceof AmqpSymbol ? key.value === name : key === name) return value
  }
  return undefined
}

/** A number that is written as ulong. */
export function ulong(value: number): Typed {
  return new Typed('ulong', BigInt(value))
}
