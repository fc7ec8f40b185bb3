import type { Durability } from '../../model/delivery.ts'
import { MillraceError } from '../../model/errors.ts'
import { Reader } from '../../wire/amqp10/reader.ts'
import { DESTINATION_KEY, destinationKinds, Field, Section } from '../../wire/amqp10/sections.ts'
import { AmqpSymbol } from '../../wire/amqp10/values.ts'
import { ScheduleHead } from './schedule-head.ts'

/** Delivery annotation that asks for a durability level by name. */
const DURABILITY_KEY = 'x-opt-durability'
/** Delivery annotation of a half message: the group of producers that answers for it. */
const PREPARE_KEY = 'x-opt-prepare'

const levels: ReadonlySet<unknown> = new Set<Durability>(['disk', 'os', 'memory'])

const DEFAULT_PRIORITY = 4

const SYMBOL_8 = 0xa3
const [D, L, P, R] = [0x64, 0x6c, 0x70, 0x72]

const reader = new Reader()
const destinationKey = Uint8Array.of(SYMBOL_8, DESTINATION_KEY.length, ...Buffer.from(DESTINATION_KEY))

/** What messages in a row mostly have in common: the last is recognized by its encoding, and is one value for all of them. */
class Latest {
  value: string | undefined
  private readonly encoded: Uint8Array = new Uint8Array(64)
  private size = 0

  /** Whether the reader stood before the same again; it has then passed over it. */
  isNext(): boolean {
    return this.size > 0 && reader.skipIf(this.encoded, this.size)
  }

  /** What the reader has decoded since it stood at `from`. */
  note(from: number, value: string | undefined): void {
    const { bytes, at } = reader
    if (at - from > this.encoded.length) return
    for (let i = from; i < at; i++) this.encoded[i - from] = bytes[i]!
    this.size = at - from
    this.value = value
  }
}

/**
 * What the broker reads of a message that is sent to it (core 3.2.1, 3.2.2, 3.2.4); one object serves one message after the other.
 * The payload that it keeps begins behind header and delivery annotations, and is not looked into any further.
 */
export class MessageHead {
  durability: Durability = 'disk'
  priority: number = DEFAULT_PRIORITY
  /** Milliseconds; 0 for none, also when the header says 0, as JMS does. */
  ttl: number = 0
  /** Wall milliseconds of absolute-expiry-time, looked up when there is no ttl; 0 when there is none. */
  absoluteExpiry = 0
  /** Undefined: it is a whole message. */
  prepare: string | undefined
  /** properties.group-id; '' when there is none. */
  group = ''
  payloadStart = 0
  /** Read on request: properties.to, and the capability that names its kind. */
  to: string | undefined
  toKind: string | undefined

  readonly schedule: ScheduleHead = new ScheduleHead()
  private latestTo: Latest | undefined
  /** Annotations that say nothing but the kind of `to`. */
  private latestAnnotations: Latest | undefined

  /** `unsaidDurability`: of a message that does not say whether it is durable. Throws `message-invalid`. */
  read(
    bytes: Uint8Array,
    start: number,
    end: number,
    addressed: boolean,
    unsaidDurability: Durability,
  ): void {
    this.durability = unsaidDurability
    this.priority = DEFAULT_PRIORITY
    this.ttl = 0
    this.absoluteExpiry = 0
    this.group = ''
    this.prepare = undefined
    this.to = undefined
    this.toKind = undefined
    this.schedule.reset()
    reader.reset(bytes, start, end)
    let section = start
    let code = reader.done ? Section.value : reader.descriptor()
    if (code === Section.header) {
      this.readHeader()
      section = reader.at
      code = this.nextSection()
    }
    if (code === Section.deliveryAnnotations) {
      this.readDeliveryAnnotations()
      section = reader.at
      code = this.nextSection()
    }
    this.payloadStart = section
    if (code === Section.messageAnnotations) {
      this.readAnnotations(addressed)
      code = this.nextSection()
    }
    if (code === Section.properties) this.readProperties(addressed)
    else if (!(code > Section.properties && code <= Section.footer)) {
      throw new MillraceError('message-invalid', 'the bytes are not the sections of a message')
    }
  }

  /** When it expires, in wall milliseconds; 0 for never. The relative one does not depend on the sender's clock. */
  expiry(wall: () => number): number {
    return this.ttl > 0 ? Math.floor(wall()) + this.ttl : this.absoluteExpiry
  }

  /** A message may end behind any section: its body may be absent. */
  private nextSection(): number {
    return reader.done ? Section.value : reader.descriptor()
  }

  private readHeader(): void {
    const count = reader.compound()
    const { limit } = reader
    const durable = count > 0 ? reader.value() : null
    if (typeof durable === 'boolean') this.durability = durable ? 'disk' : 'memory'
    const priority = count > 1 ? reader.value() : null
    if (typeof priority === 'number') this.priority = Math.min(priority, 9)
    const ttl = count > 2 ? reader.value() : null
    if (typeof ttl === 'number') this.ttl = ttl
    this.leave(limit)
  }

  private readDeliveryAnnotations(): void {
    const count = reader.compound()
    const { limit } = reader
    for (let i = 0; i < count; i += 2) {
      const key = symbolText(reader.value())
      if (key === DURABILITY_KEY) this.readDurability()
      else if (key === PREPARE_KEY) this.readPrepare()
      else reader.skip()
    }
    this.leave(limit)
  }

  private readDurability(): void {
    const level = symbolText(reader.value())
    if (!levels.has(level))
      throw new MillraceError('message-invalid', `${DURABILITY_KEY} is disk, os or memory, not ${level}`)
    this.durability = level as Durability
  }

  private readPrepare(): void {
    this.prepare = symbolText(reader.value())
    if (this.prepare === undefined)
      throw new MillraceError('message-invalid', `${PREPARE_KEY} is the name of a group of producers`)
  }

  private readTo(): string | undefined {
    this.latestTo ??= new Latest()
    const latest = this.latestTo
    if (latest.isNext()) return latest.value
    const from = reader.at
    const to = symbolText(reader.value())
    latest.note(from, to)
    return to
  }

  private readAnnotations(addressed: boolean): void {
    this.latestAnnotations ??= new Latest()
    const latest = this.latestAnnotations
    if (latest.isNext()) {
      this.toKind = latest.value
      return
    }
    const from = reader.at
    this.decodeAnnotations(addressed)
    if (this.schedule.isUnsaid) latest.note(from, this.toKind)
  }

  /** What nobody asks for is passed over without being decoded. */
  private decodeAnnotations(addressed: boolean): void {
    const count = reader.compound()
    const { limit } = reader
    for (let i = 0; i < count; i += 2) {
      if (addressed && reader.skipIf(destinationKey)) {
        this.toKind = destinationKinds[Number(reader.value())]
        continue
      }
      if (!isOfInterest()) {
        reader.skip()
        reader.skip()
        continue
      }
      const key = symbolText(reader.value()) ?? ''
      const value = reader.value()
      if (!this.schedule.read(key, value) && addressed && key === DESTINATION_KEY)
        this.toKind = destinationKinds[Number(value)]
    }
    this.leave(limit)
  }

  private readProperties(addressed: boolean): void {
    const count = reader.compound()
    let at = 0
    if (addressed && count > Field.to) {
      for (; at < Field.to; at++) reader.skip()
      this.to = this.readTo()
      at++
    }
    if (this.ttl === 0 && count > Field.absoluteExpiry) {
      for (; at < Field.absoluteExpiry; at++) reader.skip()
      const expiry = reader.value()
      if (expiry instanceof Date) this.absoluteExpiry = Math.max(1, expiry.getTime())
      at++
    }
    if (count <= Field.groupId) return
    for (; at < Field.groupId; at++) reader.skip()
    const group = reader.value()
    if (typeof group === 'string') this.group = group
  }

  /** The fields that are not read are passed over with the compound. */
  private leave(limit: number): void {
    if (reader.at > limit)
      throw new MillraceError('message-invalid', 'a section and its elements differ in size')
    reader.at = limit
  }
}

/** Whether the key at which the reader stands may be one that says when: x-opt-delivery-…, x-opt-repeat-…. */
function isOfInterest(): boolean {
  const { bytes, at } = reader
  if (bytes[at] !== SYMBOL_8) return true
  const first = bytes[at + 8]
  const third = bytes[at + 10]
  return (first === D && third === L) || (first === R && third === P)
}

function symbolText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return value instanceof AmqpSymbol ? value.value : undefined
}
