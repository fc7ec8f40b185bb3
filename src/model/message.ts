import type { Destination } from './destination.ts'

/** Values of application properties: what JMS allows, plus bigint for 64-bit integers and bytes for AMQP's sake. */
export type PropertyValue = string | number | bigint | boolean | Date | Uint8Array | null

/**
 * The body, as the sender meant it.
 * text = amqp-value string; bytes = data; json = data with content type application/json (never native serialization);
 * value = any other amqp-value or amqp-sequence, as decoded, for interoperation.
 */
export type Body =
  | { readonly kind: 'text'; readonly value: string }
  | { readonly kind: 'bytes'; readonly value: Uint8Array }
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'value'; readonly value: unknown }

/** The parts of a message that travel unchanged from sender to receiver (AMQP 1.0: the bare message and annotations). */
export interface MessageContent {
  readonly body: Body
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined
  readonly messageId?: string | undefined
  readonly correlationId?: string | undefined
  readonly replyTo?: Destination | undefined
  readonly to?: Destination | undefined
  /** JMSType; AMQP subject. */
  readonly type?: string | undefined
  readonly contentType?: string | undefined
  readonly groupId?: string | undefined
  readonly groupSequence?: number | undefined
  /** Wall milliseconds of the send call. */
  readonly timestamp?: number | undefined
  /** Wall milliseconds after which it must not be delivered. */
  readonly expiration?: number | undefined
}

/** Number under which the engine knows the encoding of a payload: AMQP 1.0 sections without the header section. */
export const FORMAT_AMQP10 = 1
