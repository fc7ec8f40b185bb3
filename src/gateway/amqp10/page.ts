import type { BrowsedMessage, BrowsePage } from '../../engine/api.ts'
import {
  DEFAULT_EXCHANGE,
  type Destination,
  TEMPORARY_QUEUE,
  TEMPORARY_TOPIC,
  TOPIC_EXCHANGE,
} from '../../model/destination.ts'
import { fetchBody } from '../management/bodies.ts'
import type { AmqpConnection } from './connection.ts'
import { DeliveryPrefix } from './delivery-prefix.ts'

/** Bytes of messages in one page; a page with more is asked for again with fewer messages. */
const PAGE_BYTES = 16 * 1024 * 1024

const prefix = new DeliveryPrefix(true)

/** A browsed message in an answer of the management node. */
export interface PagedMessage {
  readonly state: string
  readonly destination: Destination
  /** All its sections, as they would be delivered. */
  readonly message: Uint8Array
}

export interface Page {
  readonly messages: readonly PagedMessage[]
  /** Position to go on from; undefined at the end. */
  readonly next: string | undefined
}

/** A page of a queue; a message whose body is damaged is left out, it is in quarantine. */
export async function readPage(
  connection: AmqpConnection,
  queue: string,
  after: string,
  limit: number,
  selector?: string,
): Promise<Page> {
  const { engine } = connection
  const page = await new Promise<BrowsePage>((resolve) =>
    engine.browse(queue, after, limit, resolve, selector),
  )
  const bytes = page.messages.reduce((sum, { size }) => sum + size, 0)
  if (bytes > PAGE_BYTES && limit > 1)
    return readPage(connection, queue, after, Math.ceil(limit / 4), selector)
  const messages: PagedMessage[] = []
  for (const message of page.messages) {
    const paged = await whole(connection, message)
    if (paged) messages.push(paged)
  }
  return { messages, next: page.next }
}

async function whole(connection: AmqpConnection, message: BrowsedMessage): Promise<PagedMessage | undefined> {
  const { expiry, bytes, start, end, chunks, state } = message
  const body = chunks.length === 0 ? bytes.subarray(start, end) : await fetchBody(connection.engine, message)
  if (body === null) return undefined
  const ttl = expiry === 0 ? undefined : Math.max(1, expiry - connection.gateway.wall())
  return {
    state,
    destination: destinationOf(message),
    message: Buffer.concat([prefix.of(message, ttl), body]),
  }
}

function destinationOf({ exchange, key, queue }: BrowsedMessage): Destination {
  if (exchange === TOPIC_EXCHANGE)
    return { kind: key.startsWith(TEMPORARY_TOPIC) ? 'temporary-topic' : 'topic', name: key }
  const name = exchange === DEFAULT_EXCHANGE ? key : queue
  return { kind: name.startsWith(TEMPORARY_QUEUE) ? 'temporary-queue' : 'queue', name }
}
