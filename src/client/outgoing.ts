import type { Durability } from '../model/delivery.ts'
import type { Destination } from '../model/destination.ts'
import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import type { Body, MessageContent, PropertyValue } from '../model/message.ts'
import type { Outgoing } from './provider.ts'

export interface SendOptions {
  /** How far the message must have got before the send is confirmed. Default 'disk'. */
  readonly durability?: Durability | undefined
  /** 0 to 9; 4 is normal. */
  readonly priority?: number | undefined
  /** It is not delivered any more when it is older than this. */
  readonly ttl?: Duration | undefined
  /** Application properties. A number is sent as a 32-bit integer or a double; give a bigint for a long. */
  readonly properties?: Readonly<Record<string, PropertyValue>> | undefined
  readonly correlationId?: string | undefined
  readonly replyTo?: Destination | undefined
  /** Default: 'ID:' and a unique text. */
  readonly messageId?: string | undefined
  /** JMSType. */
  readonly type?: string | undefined
  readonly contentType?: string | undefined
  /** Message group (JMSXGroupID), and the position in it (JMSXGroupSeq). */
  readonly group?: string | undefined
  readonly groupSequence?: number | undefined
  /** Number of the message, from 1, for a producer that was created with an `id`; see ProducerOptions. */
  readonly sequence?: number | undefined
  /** Stops waiting for the confirmation; whether the message was sent is then unknown. */
  readonly signal?: AbortSignal | undefined
}

export interface SendDefaults {
  readonly durability: Durability
  readonly priority: number
  readonly ttl: number
  /** Wall milliseconds: the time of the send call, from which a time to live counts. */
  readonly wall: () => number
}

const none: SendOptions = {}

/** What goes to the provider. Throws `argument-invalid`, `duration-invalid`, `message-invalid`. */
export function makeOutgoing(
  destination: Destination,
  body: unknown,
  options: SendOptions = none,
  defaults: SendDefaults,
  messageId: string,
): Outgoing {
  const timestamp = defaults.wall()
  const ttl = options.ttl === undefined ? defaults.ttl : milliseconds(options.ttl)
  const expiry = ttl === 0 ? 0 : timestamp + ttl
  return {
    destination,
    content:
      options === none
        ? { body: toBody(body), messageId, timestamp, expiration: expiry || undefined }
        : describe(body, options, messageId, timestamp, expiry),
    durability: options.durability === undefined ? defaults.durability : checkDurability(options.durability),
    priority: options.priority === undefined ? defaults.priority : checkPriority(options.priority),
    expiry,
    sequence: options.sequence,
  }
}

function describe(
  body: unknown,
  options: SendOptions,
  messageId: string,
  timestamp: number,
  expiry: number,
): MessageContent {
  const { replyTo } = options
  return {
    body: toBody(body),
    properties: options.properties,
    messageId: options.messageId ?? messageId,
    correlationId: options.correlationId,
    replyTo: replyTo && { kind: replyTo.kind, name: replyTo.name },
    type: options.type,
    contentType: options.contentType,
    groupId: options.group,
    groupSequence: options.groupSequence,
    timestamp,
    expiration: expiry || undefined,
  }
}

/** text, bytes or nothing are sent as such; everything else as JSON. */
function toBody(body: unknown): Body {
  if (typeof body === 'string') return { kind: 'text', value: body }
  if (body instanceof Uint8Array) return { kind: 'bytes', value: body }
  if (body === undefined) return { kind: 'value', value: null }
  return { kind: 'json', value: body }
}

const durabilities: readonly Durability[] = ['disk', 'os', 'memory']

export function checkDurability(durability: Durability): Durability {
  if (durabilities.includes(durability)) return durability
  throw new MillraceError(
    'argument-invalid',
    `durability is one of ${durabilities.join(', ')}, not ${durability}`,
  )
}

export function checkPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 9) return priority
  throw new MillraceError('argument-invalid', `priority is a whole number from 0 to 9, not ${priority}`)
}
