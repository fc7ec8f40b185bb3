import type { Durability } from '../../model/delivery.ts'
import { isMillraceError } from '../../model/errors.ts'
import type { RepetitionByInterval } from '../../model/schedule.ts'
import { type Traits, traitsOf } from './choices.ts'

/** Where a producer sends to. */
export interface Target {
  readonly exchange: string
  readonly key: string
}

/** One message in one queue, or in that queue's dead-letter queue: what the reference knows of it. */
export interface Copy {
  readonly message: SentMessage
  /** The queue that it was routed to. */
  readonly queue: string
  readonly level: Durability
  /** Bindings changed between two sends, or while it waited for room: it may be in memory only, or not. */
  mayBeVolatile: boolean
  /** It is certain to have been stored, and to survive what may come. */
  certain: boolean
  /** It is certain to be nowhere, and must stay so. */
  gone: boolean
  /** A settlement was asked for and its answer got lost: it may be there or not, until it is seen. */
  doubtful: boolean
  /** Somebody does something that may take it away: the next look decides. */
  licence: Licence | null
  /** Accepted, and the answer is awaited. */
  accepting: boolean
  holder: number
  heldSince: number
  /** Handed to some consumer before. */
  delivered: boolean
  /** Hand-outs that may have been counted. */
  deliveries: number
  /** Wall time from which it may be taken away as expired; Infinity: never. */
  expiry: number
  lsn: number
}

/** What may take a message away, other than a consumer. */
export type Licence = 'purged' | 'deleted' | 'dropped' | 'cancelled'

export interface SentMessage {
  /** Travels as the number of its format, which the engine only passes on. */
  readonly number: number
  readonly id: string
  readonly producer: string
  readonly target: Target
  readonly priority: number
  /** Of messages that one consumer is to have; '': none. */
  readonly group: string
  readonly level: Durability
  /** A queue that knows it does not take the message. */
  readonly deduplicationId?: string | undefined
  readonly size: number
  /** Its body is handed over in pieces. */
  readonly streamed: boolean
  /** Sent as a half message, which is journalled whatever its level and its queues are. */
  readonly half?: boolean
  /** Wall time after which it must not be delivered; 0: never. */
  readonly expiry: number
  /** Whole wall milliseconds before which it must not be delivered; undefined: at once. */
  readonly due?: number | undefined
  /** It comes again and again, from `due` on. */
  readonly repeat?: RepetitionByInterval | undefined
  readonly copies: Copy[]
  /** Position among the producer's sends. */
  readonly position: number
  /** Sends that may have stored it. */
  sends: number
  /** The reference's topology when it was sent last. */
  topology: number
  /** Bindings changed between two sends: which queues took it depends on which send was stored. */
  ambiguous: boolean
  /** Its producer sends it again until it is answered. */
  readonly insistent: boolean
  /** It was refused and sent again: its place in the order is its own affair. */
  displaced: boolean
  /** 'hidden': part of a transaction, or half, and not to be seen before somebody asks for its commit. */
  outcome: 'open' | 'hidden' | 'confirmed' | 'refused' | 'unknown'
}

/** What selectors can ask of it. */
export function traitsOfMessage({ number, id }: SentMessage): Traits {
  return traitsOf(number, id.charCodeAt(0))
}

export function newCopy(message: SentMessage, queue: string, level: Copy['level'], expiry: number): Copy {
  return {
    message,
    queue,
    level,
    certain: false,
    gone: false,
    doubtful: false,
    licence: null,
    accepting: false,
    holder: 0,
    heldSince: 0,
    delivered: false,
    deliveries: 0,
    expiry,
    lsn: 0,
    mayBeVolatile: false,
  }
}

/** The bytes of a message: its name, over and over. */
export function contentOf(id: string, size: number): Buffer {
  return Buffer.alloc(size, `${id};`)
}

/** Whether bytes[start, end) are `id`'s content from `offset` on. */
export function isContent(
  id: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  offset: number,
): boolean {
  const text = Buffer.from(`${id};`)
  let at = offset % text.length
  for (let i = start; i < end; i++) {
    if (bytes[i] !== text[at]) return false
    if (++at === text.length) at = 0
  }
  return true
}

/** Whether it is not known after the error if the message was stored. */
export function leavesUnknown(error: unknown): boolean {
  return isMillraceError(error) && (error.code === 'journal-failed' || error.code === 'closed')
}
