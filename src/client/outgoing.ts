import type { Durability } from '../model/delivery.ts'
import type { CompositeDestination, Destination } from '../model/destination.ts'
import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import { type IdSeries, type MessageContent, PlainContent, type SentValue } from '../model/message.ts'
import { isTime, type Repetition, repetitionProblem } from '../model/schedule.ts'
import { type BodyKind, copyBody, toBody } from './bodies.ts'
import { calendar } from './cron.ts'
import { isDestination } from './destinations.ts'
import { checkProperties, copyValues } from './properties.ts'
import type { Outgoing } from './provider.ts'

export interface SendOptions {
  /** How far the message must have got before the send is confirmed. Default 'disk'. */
  readonly durability?: Durability | undefined
  /** 0 to 9; 4 is normal. */
  readonly priority?: number | undefined
  /** It is not delivered any more when it is older than this. */
  readonly ttl?: Duration | undefined
  /** It is not delivered before so long after the call (JMS delivery delay). */
  readonly delay?: Duration | undefined
  /** It is not delivered before this: a Date, or wall milliseconds. A time that has passed is now. Not with `delay`. */
  readonly deliverAt?: Date | number | undefined
  /** It is delivered again and again: from `delay` or `deliverAt` on, otherwise after the first interval. */
  readonly repeat?: RepeatOptions | undefined
  /**
   * How the body is sent. 'map': an object of simple values, 'stream': an array of them, for JMS clients that read such
   * messages. Default: 'text' for a string, 'bytes' for a Uint8Array, 'json' for everything else.
   */
  readonly kind?: BodyKind | undefined
  /**
   * Application properties, under names that a selector can name. A number is sent as a 32-bit integer or a double; give a
   * bigint for a long, `typed('double', 1)` for another type.
   */
  readonly properties?: Readonly<Record<string, SentValue>> | undefined
  /** What the message belongs to: the id of another message, or a text or bytes of the application's own. */
  readonly correlationId?: string | Uint8Array | undefined
  readonly replyTo?: Destination | undefined
  /** Default: 'ID:' and a unique text. */
  readonly messageId?: string | undefined
  /** JMSType. */
  readonly type?: string | undefined
  readonly contentType?: string | undefined
  /** Message group (JMSXGroupID), and the position in it (JMSXGroupSeq). */
  readonly group?: string | undefined
  readonly groupSequence?: number | undefined
  /**
   * An id of the application's own, of at most 256 bytes. A queue whose policy has `deduplication` stores a message of an id
   * once, whoever sends it again; a repetition is confirmed like the original.
   */
  readonly deduplicationId?: string | undefined
  /** Number of the message, from 1, for a producer that was created with an `id`; see ProducerOptions. */
  readonly sequence?: number | undefined
  /** Stops waiting for the confirmation; whether the message was sent is then unknown. */
  readonly signal?: AbortSignal | undefined
}

/** How a message is delivered repeatedly. See Repetition. */
export type RepeatOptions = {
  /** Deliveries in all, the first included. Default: without end. */
  readonly times?: number | undefined
  /** There is none after this: a Date, or wall milliseconds. */
  readonly until?: Date | number | undefined
} & (
  | {
      /** From one planned time to the next, however late a delivery is. */
      readonly every: Duration
      readonly cron?: undefined
    }
  | {
      /** minute, hour, day of the month, month, weekday; with six fields, the second in front. */
      readonly cron: string
      /** IANA name, such as 'Europe/Berlin'. Default UTC. */
      readonly timezone?: string | undefined
      readonly every?: undefined
    }
)

export interface SendDefaults {
  readonly durability: Durability
  readonly priority: number
  readonly ttl: number
  readonly delay: number
  /** Wall milliseconds: the time of the send call, from which a time to live counts. */
  readonly wall: () => number
}

/** The last moment that a Date can say. Wall milliseconds. */
const LATEST = 8.64e15

/** Begins the text form of an id of bytes. */
export const BYTES_ID = 'ID:AMQP_BINARY:'

/**
 * What goes to the provider: message `number` of the series. Throws `argument-invalid`, `duration-invalid`,
 * `schedule-invalid`, `message-format-invalid`.
 */
export function makeOutgoing(
  destination: Destination | CompositeDestination,
  body: unknown,
  options: SendOptions | undefined,
  defaults: SendDefaults,
  series: IdSeries,
  number: number,
): Outgoing {
  const timestamp = defaults.wall()
  const { durability, priority, sequence } = options ?? none
  const expiry = expiryFor(options, defaults.ttl, timestamp)
  const isPlain = expiry === 0 && defaults.delay === 0 && (options === undefined || saysNothing(options))
  return {
    destination,
    content: isPlain
      ? new PlainContent(toBody(body, undefined), series, number, timestamp)
      : describe(body, options ?? none, defaults, series.idOf(number), timestamp, expiry),
    durability: durability === undefined ? defaults.durability : checkDurability(durability),
    priority: priority === undefined ? defaults.priority : checkPriority(priority),
    expiry,
    sequence,
  }
}

const none: SendOptions = {}

/** Whether the options leave the content to be the body alone. */
function saysNothing(options: SendOptions): boolean {
  return (
    options.kind === undefined &&
    options.properties === undefined &&
    options.delay === undefined &&
    options.deliverAt === undefined &&
    options.repeat === undefined &&
    options.correlationId === undefined &&
    options.replyTo === undefined &&
    options.messageId === undefined &&
    options.type === undefined &&
    options.contentType === undefined &&
    options.group === undefined &&
    options.groupSequence === undefined &&
    options.deduplicationId === undefined
  )
}

/** Wall milliseconds; 0: never. */
function expiryFor(options: SendOptions | undefined, usual: number, timestamp: number): number {
  const ttl = options?.ttl === undefined ? usual : milliseconds(options.ttl)
  return ttl === 0 ? 0 : expiryOf(timestamp + ttl)
}

/** Undefined: at once. Throws `schedule-invalid`, `duration-invalid`. */
function deliveryTimeOf(options: SendOptions, usual: number, timestamp: number): number | undefined {
  const { delay, deliverAt } = options
  if (deliverAt === undefined) {
    const wait = delay === undefined ? usual : milliseconds(delay)
    return wait === 0 ? undefined : checkTime(Math.ceil(timestamp + wait))
  }
  if (delay === undefined) return checkTime(Number(deliverAt))
  throw invalidSchedule('a message has either a delay or a time of delivery (deliverAt)')
}

function repetitionOf(options: RepeatOptions, timestamp: number): Repetition {
  if (typeof options !== 'object' || options === null)
    throw invalidSchedule('repeat is an object with every or cron')
  const { every, cron, times } = options
  const until = options.until === undefined ? undefined : Number(options.until)
  const timezone = 'timezone' in options ? options.timezone : undefined
  const repetition =
    every === undefined
      ? { cron: cron!, timezone, times, until }
      : { every: milliseconds(every), cron, timezone, times, until }
  const problem = repetitionProblem(repetition as Repetition)
  if (problem !== undefined) throw invalidSchedule(problem)
  if (cron !== undefined && calendar.next(cron, timezone ?? 'UTC', timestamp) === undefined)
    throw invalidSchedule(`cron expression ${JSON.stringify(cron)} names no time to come`)
  return repetition as Repetition
}

function checkTime(time: number): number {
  if (isTime(time)) return time
  throw invalidSchedule(`a time of delivery is a Date or wall milliseconds, not ${String(time)}`)
}

function invalidSchedule(message: string): MillraceError {
  return new MillraceError('schedule-invalid', message)
}

/** In whole milliseconds; 0, never, when no clock gets there. */
function expiryOf(wall: number): number {
  return wall < LATEST ? Math.ceil(wall) : 0
}

function describe(
  body: unknown,
  options: SendOptions,
  defaults: SendDefaults,
  messageId: string,
  timestamp: number,
  expiry: number,
): MessageContent {
  const { properties, replyTo, correlationId, repeat } = options
  return {
    body: toBody(body, options.kind),
    properties: properties && checkProperties(properties),
    messageId: checkText('messageId', options.messageId) ?? messageId,
    correlationId:
      correlationId instanceof Uint8Array
        ? bytesId(correlationId)
        : checkText('correlationId', correlationId),
    replyTo: replyTo && checkReplyTo(replyTo),
    type: checkText('type', options.type),
    contentType: checkText('contentType', options.contentType),
    groupId: checkText('group', options.group),
    groupSequence: checkGroupSequence(options.groupSequence),
    deduplicationId: checkDeduplicationId(options.deduplicationId),
    timestamp,
    expiration: expiry || undefined,
    deliveryTime: deliveryTimeOf(options, defaults.delay, timestamp),
    repetition: repeat && repetitionOf(repeat, timestamp),
  }
}

/** A copy that the sender of the message cannot change any more. Throws `message-invalid`. */
export function copyContent(content: MessageContent): MessageContent {
  const { body, properties } = content
  if (content instanceof PlainContent)
    return new PlainContent(copyBody(body), content.series, content.number, content.timestamp)
  return { ...content, body: copyBody(body), properties: properties && copyValues(properties) }
}

function checkText(option: string, value: string | undefined): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw new MillraceError('argument-invalid', `${option} is a text, not ${typeof value}`)
}

/** The text that stands for an id of bytes (JMS mapping), and is sent as bytes again. */
function bytesId(bytes: Uint8Array): string {
  if (bytes.length === 0)
    throw new MillraceError('argument-invalid', 'a correlationId of bytes has at least one')
  return BYTES_ID + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex').toUpperCase()
}

function checkReplyTo(replyTo: Destination): Destination {
  if (isDestination(replyTo)) return { kind: replyTo.kind, name: replyTo.name }
  throw new MillraceError(
    'argument-invalid',
    'replyTo is a queue or topic, as queue(name) and topic(name) make them',
  )
}

function checkGroupSequence(value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value < 2 ** 32)) return value
  throw new MillraceError(
    'argument-invalid',
    `groupSequence is a whole number of 32 bits, not ${String(value)}`,
  )
}

function checkDeduplicationId(id: string | undefined): string | undefined {
  if (id === undefined || (typeof id === 'string' && id !== '' && Buffer.byteLength(id) <= 256)) return id
  throw new MillraceError(
    'argument-invalid',
    `deduplicationId is a text of 1 to 256 bytes, not ${JSON.stringify(id)?.slice(0, 60)}`,
  )
}

const durabilities: readonly Durability[] = ['disk', 'os', 'memory']

export function checkDurability(durability: Durability): Durability {
  if (durability === 'disk' || durabilities.includes(durability)) return durability
  throw new MillraceError(
    'argument-invalid',
    `durability is one of ${durabilities.join(', ')}, not ${durability}`,
  )
}

export function checkPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 9) return priority
  throw new MillraceError('argument-invalid', `priority is a whole number from 0 to 9, not ${priority}`)
}
