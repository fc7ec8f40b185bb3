import { type Destination, parseComposite } from '../../model/destination.ts'
import { MessageView } from '../message-format.ts'
import type { DeadLetter, IncomingBrowsed, IncomingCheck } from '../provider.ts'
import {
  annotation,
  DEAD_LETTER_KEY,
  type Envelope,
  LSN_KEY,
  MAX_TTL,
  PREPARED_KEY,
  readEnvelope,
  readTtl,
} from './envelope.ts'

/** The parts of a dead letter's history as a Millrace broker annotates it (engine/dead-letters.ts). */
type AnnotatedHistory = Omit<DeadLetter, 'origin'> & {
  readonly origin: Omit<DeadLetter['origin'], 'brokerId'> & { readonly lsn: number }
}

/** A delivery over its bytes; everything is decoded when it is looked at. */
export class AmqpIncoming implements IncomingCheck {
  readonly tag: number
  private readonly source: Destination
  private readonly receivedAt: number
  private readonly bytes: Uint8Array
  private readonly start: number
  private readonly end: number
  private view: MessageView | undefined
  private read: Envelope | undefined

  /** `source`: what is received from; `receivedAt`: wall milliseconds, for the time to live. */
  constructor(
    tag: number,
    source: Destination,
    receivedAt: number,
    bytes: Uint8Array,
    start: number,
    end: number,
  ) {
    this.tag = tag
    this.source = source
    this.receivedAt = receivedAt
    this.bytes = bytes
    this.start = start
    this.end = end
  }

  get content(): MessageView {
    this.view ??= new MessageView(this.bytes, this.start, this.end)
    return this.view
  }

  private get envelope(): Envelope {
    this.read ??= readEnvelope(this.bytes, this.start, this.end)
    return this.read
  }

  /** Where it was sent to; senders that do not say, or name several, mean the link's address. */
  get destination(): Destination {
    const { to } = this.content
    return to === undefined || parseComposite(to.name) ? this.source : to
  }

  get priority(): number {
    return this.envelope.priority
  }

  get deliveryCount(): number {
    return this.envelope.failures + 1
  }

  get durable(): boolean {
    return this.envelope.durable
  }

  get expiry(): number {
    const { livesUntil } = this
    if (livesUntil > 0) return livesUntil
    const { expiration = 0 } = this.content
    return this.hasNumber && expiration <= this.receivedAt + MAX_TTL ? 0 : expiration
  }

  /** By the header alone, which brokers write anew for each delivery. */
  get livesUntil(): number {
    const ttl = this.read ? this.read.ttl : readTtl(this.bytes, this.start, this.end)
    return ttl === undefined ? 0 : this.receivedAt + ttl
  }

  /** It comes from a Millrace broker, whose header is all there is to say of its time to live, unless that is too long for it. */
  private get hasNumber(): boolean {
    return annotation(this.envelope.annotations, LSN_KEY) !== undefined
  }

  get size(): number {
    return this.end - this.envelope.payloadStart
  }

  /** Brokers without ids of their own know a message by its message id. */
  get brokerId(): string {
    const lsn = annotation(this.envelope.annotations, LSN_KEY)
    return typeof lsn === 'bigint' ? lsn.toString() : (this.content.messageId ?? '')
  }

  /** '' for a whole message. */
  get preparedId(): string {
    const id = annotation(this.envelope.annotations, PREPARED_KEY)
    return typeof id === 'string' ? id : ''
  }

  get deadLetter(): DeadLetter | undefined {
    const text = annotation(this.envelope.annotations, DEAD_LETTER_KEY)
    if (typeof text !== 'string' || text === '') return undefined
    const { origin, ...rest } = JSON.parse(text) as AnnotatedHistory
    const { lsn, ...address } = origin
    return { ...rest, origin: { ...address, brokerId: String(lsn) } }
  }
}

/** A message that was looked at and not taken. */
export class AmqpBrowsed extends AmqpIncoming implements IncomingBrowsed {
  readonly state: string

  constructor(state: string, source: Destination, receivedAt: number, bytes: Uint8Array) {
    super(0, source, receivedAt, bytes, 0, bytes.length)
    this.state = state
  }
}
