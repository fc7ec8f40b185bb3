import { MessageView } from '../client/message-format.ts'
import type { DeadLetter, Incoming } from '../client/provider.ts'
import type { Delivery } from '../engine/api.ts'
import type { DeadLetterHistory } from '../engine/dead-letters.ts'
import {
  DEFAULT_EXCHANGE,
  type Destination,
  TEMPORARY_QUEUE,
  TEMPORARY_TOPIC,
  TOPIC_EXCHANGE,
} from '../model/destination.ts'

type Envelope = Omit<Delivery, 'tag'>

/** What is kept of an engine's delivery, whose object the engine uses again. */
export class EmbeddedIncoming implements Incoming {
  readonly tag: number
  readonly priority: number
  readonly deliveryCount: number
  readonly durable: boolean
  readonly expiry: number
  readonly size: number
  private readonly lsn: number
  private readonly queue: string
  private readonly exchange: string
  private readonly key: string
  private readonly annotations: string
  private readonly bytes: Uint8Array
  private readonly start: number
  private readonly end: number
  private view: MessageView | undefined

  constructor(tag: number, delivery: Envelope, bytes: Uint8Array, start: number, end: number) {
    this.tag = tag
    this.priority = delivery.priority
    this.deliveryCount = delivery.deliveryCount
    this.durable = delivery.durable
    this.expiry = delivery.expiry
    this.size = delivery.size
    this.lsn = delivery.lsn
    this.queue = delivery.queue
    this.exchange = delivery.exchange
    this.key = delivery.key
    this.annotations = delivery.annotations
    this.bytes = bytes
    this.start = start
    this.end = end
  }

  get content(): MessageView {
    this.view ??= new MessageView(this.bytes, this.start, this.end)
    return this.view
  }

  get livesUntil(): number {
    return this.expiry
  }

  get brokerId(): string {
    return String(this.lsn)
  }

  get destination(): Destination {
    const { exchange, key } = this
    if (exchange === TOPIC_EXCHANGE) {
      return { kind: key.startsWith(TEMPORARY_TOPIC) ? 'temporary-topic' : 'topic', name: key }
    }
    const name = exchange === DEFAULT_EXCHANGE ? key : this.queue
    return { kind: name.startsWith(TEMPORARY_QUEUE) ? 'temporary-queue' : 'queue', name }
  }

  get deadLetter(): DeadLetter | undefined {
    if (this.annotations === '') return undefined
    const { origin, ...rest } = JSON.parse(this.annotations) as DeadLetterHistory
    const { lsn, ...address } = origin
    return { ...rest, origin: { ...address, brokerId: String(lsn) } }
  }
}
