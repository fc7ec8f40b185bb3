import type { Durability } from '../../model/delivery.ts'

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
export type Licence = 'purged' | 'deleted' | 'dropped'

export interface SentMessage {
  /** Travels as the number of its format, which the engine only passes on. */
  readonly number: number
  readonly id: string
  readonly producer: string
  readonly target: Target
  readonly priority: number
  readonly level: Durability
  readonly size: number
  /** Wall time after which it must not be delivered; 0: never. */
  readonly expiry: number
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
