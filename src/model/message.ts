import type { Destination } from './destination.ts'
import type { Repetition } from './schedule.ts'

/** Values of application properties: what JMS allows, plus bigint for 64-bit integers, Date and bytes for AMQP's sake. */
export type PropertyValue = string | number | bigint | boolean | Date | Uint8Array | null

/** The types of JMS that JavaScript has no type of its own for. */
export type TypeName = 'byte' | 'short' | 'int' | 'long' | 'float' | 'double' | 'char'

/** A value that is to be sent as that type; it is received as number, bigint (long) or string (char). */
export interface TypedValue {
  readonly type: TypeName
  readonly value: number | bigint | string
}

/** What a sender may give as property, as entry of a map or as element of a stream. */
export type SentValue = PropertyValue | TypedValue

/**
 * The body, as the sender meant it (JMS 3.11).
 * text = amqp-value string; bytes = data; json = data with content type application/json (never native serialization);
 * map = amqp-value map with texts as keys; stream = amqp-sequence, or amqp-value list; value = any other amqp-value, as
 * decoded, for interoperation, and null for a message without body.
 */
export type Body =
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'map'; readonly value: ReadonlyMap<string, unknown> }
  | { readonly kind: 'stream'; readonly value: readonly unknown[] }
  | { readonly kind: 'value'; readonly value: unknown }

/** The parts of a message that travel unchanged from sender to receiver (AMQP 1.0: the bare message and annotations). */
export interface MessageContent {
  readonly body: Body
  readonly properties?: Readonly<Record<string, SentValue>> | undefined
  readonly messageId?: string | undefined
  /** Who sent it, as the sender says; JMSXUserID. */
  readonly userId?: string | undefined
  readonly correlationId?: string | undefined
  readonly replyTo?: Destination | undefined
  readonly to?: Destination | undefined
  /** JMSType; AMQP subject. */
  readonly type?: string | undefined
  readonly contentType?: string | undefined
  readonly groupId?: string | undefined
  readonly groupSequence?: number | undefined
  /** By which queues with `deduplication` recognize that the message is sent again. */
  readonly deduplicationId?: string | undefined
  /** Wall milliseconds of the send call. */
  readonly timestamp?: number | undefined
  /** Wall milliseconds after which it must not be delivered. */
  readonly expiration?: number | undefined
  /** Wall milliseconds before which it must not be delivered (JMSDeliveryTime). */
  readonly deliveryTime?: number | undefined
  /** When it is delivered again; read by the broker alone. */
  readonly repetition?: Repetition | undefined
}

const PAIRS = 36 * 36
/** All that two digits of base 36 can say. */
const pairs: readonly string[] = Array.from({ length: PAIRS }, (_, value) =>
  value.toString(36).padStart(2, '0'),
)

/** The ids that one producer gives its messages: a stem of its own, and their numbers in base 36. */
export class IdSeries {
  readonly stem: string
  /** The id without its last two digits, as it was written last: converting a number is slow. */
  private front = ''
  private frontOf = 0

  constructor(stem: string) {
    this.stem = stem
  }

  idOf(number: number): string {
    const front = Math.floor(number / PAIRS)
    if (front === 0) return this.stem + number.toString(36)
    if (front !== this.frontOf) {
      this.front = this.stem + front.toString(36)
      this.frontOf = front
    }
    return this.front + pairs[number - front * PAIRS]!
  }
}

/**
 * What is sent when the sender says nothing but the body. The id is a text only once somebody looks at it: encoders that
 * know this class do without.
 */
export class PlainContent implements MessageContent {
  readonly body: Body
  readonly series: IdSeries
  readonly number: number
  readonly timestamp: number

  constructor(body: Body, series: IdSeries, number: number, timestamp: number) {
    this.body = body
    this.series = series
    this.number = number
    this.timestamp = timestamp
  }

  get messageId(): string {
    return this.series.idOf(this.number)
  }
}

/** The same as it is received: the values are plain. */
export interface ReceivedContent extends MessageContent {
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined
}

/** Number under which the engine knows the encoding of a payload: AMQP 1.0 sections without the header section. */
export const FORMAT_AMQP10 = 1
