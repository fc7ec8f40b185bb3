import type { BrowsedPage, IncomingBrowsed } from '../client/provider.ts'
import type { BrowsePage, Engine, BrowsedMessage as EngineMessage } from '../engine/api.ts'
import { fetchBody } from '../gateway/management/bodies.ts'
import { EmbeddedIncoming } from './incoming.ts'

/** Large bodies fetched for one page; a page with more is asked for again with fewer messages. */
const PAGE_BYTES = 16 * 1024 * 1024

/** A page of a queue with the bodies of its messages. A message whose body is damaged is left out: it is in quarantine. */
export async function browse(
  engine: Engine,
  queue: string,
  after: string,
  limit: number,
  selector?: string,
): Promise<BrowsedPage> {
  const page = await new Promise<BrowsePage>((resolve) =>
    engine.browse(queue, after, limit, resolve, selector),
  )
  const large = page.messages.reduce((sum, { chunks, size }) => sum + (chunks.length > 0 ? size : 0), 0)
  if (large > PAGE_BYTES && limit > 1) return browse(engine, queue, after, Math.ceil(limit / 4), selector)
  const messages: IncomingBrowsed[] = []
  for (const message of page.messages) {
    const incoming = await withBody(engine, message)
    if (incoming) messages.push(incoming)
  }
  return { messages, next: page.next }
}

class EmbeddedBrowsed extends EmbeddedIncoming implements IncomingBrowsed {
  readonly state: string

  constructor(message: EngineMessage, bytes: Uint8Array, start: number, end: number) {
    super(0, message, bytes, start, end)
    this.state = message.state
  }
}

async function withBody(engine: Engine, message: EngineMessage): Promise<IncomingBrowsed | undefined> {
  if (message.chunks.length === 0) {
    return new EmbeddedBrowsed(message, message.bytes, message.start, message.end)
  }
  const bytes = await fetchBody(engine, message)
  return bytes ? new EmbeddedBrowsed(message, bytes, 0, bytes.length) : undefined
}
