import { CHUNK_SLOTS, type Chunk } from './index/chunk.ts'
import type { Lane, Residency } from './index/lane.ts'
import { ByteWriter, OperationReader, PublishHead, readPublish } from './ports/operations.ts'
import type { Store } from './ports/store.ts'
import type { Queue } from './queue.ts'

/** How many chunks before the tail are looked at for one that can go, each time another one is filled. */
const LOOKS = 4

/**
 * Keeps the queue indexes within a budget of entries: chunks far from both ends of their lane go to pages of the store and
 * come back when a consumer nears them. The chunk filled last is paged first, because it is needed last.
 */
export class Pager implements Residency {
  chunks = 0
  private readonly store: Store
  private readonly budget: number
  private readonly durable: () => number

  constructor(store: Store, residentEntries: number, durable: () => number) {
    this.store = store
    this.budget = Math.max(1, Math.floor(residentEntries / CHUNK_SLOTS))
    this.durable = durable
  }

  /** A chunk of the lane has been filled: it, or one just before, makes room when there is too much. */
  filled(lane: Lane, chunk: Chunk): void {
    for (let back = 0; back < LOOKS && this.chunks > this.budget; back++) {
      const candidate = lane.neighbour(chunk, -back)
      if (candidate === undefined) return
      if (this.canGo(lane, candidate)) this.evict(candidate)
    }
  }

  /** Loads a chunk that lies in a page; `done` is told which of its slots wait. */
  load(queue: Queue, lane: Lane, chunk: Chunk, done: (waiting: number[]) => void): void {
    if (chunk.resident || chunk.loading) return
    chunk.loading = true
    const page = chunk.page
    this.store.loadPage(page, (bytes) => {
      if (bytes !== null) {
        this.take(lane, chunk, bytes, done)
        return
      }
      this.rebuild(queue, lane, chunk, (rebuilt) => this.take(lane, chunk, rebuilt, done))
    })
  }

  private take(lane: Lane, chunk: Chunk, bytes: Uint8Array, done: (waiting: number[]) => void): void {
    const { live, ready, liveBytes, page } = chunk
    const waiting = chunk.restore(bytes)
    this.store.freePage(page)
    this.chunks++
    lane.account(chunk, live, ready, liveBytes)
    done(waiting)
  }

  /** Makes a damaged page's entries again from the messages themselves. Delivery counts are lost with the page. */
  private rebuild(queue: Queue, lane: Lane, chunk: Chunk, done: (bytes: Uint8Array) => void): void {
    const { firstLsn, lastLsn } = chunk
    const entries: { lsn: number; size: number; expiry: number }[] = []
    const reader = new OperationReader()
    const head = new PublishHead()
    this.store.scan(
      queue.id,
      firstLsn,
      lastLsn,
      (lsn, slice) => {
        if (!readPublish(reader.reset(slice.bytes, slice.start, slice.end), head)) return
        if (head.priority === lane.priority && head.queues.includes(queue.id)) {
          entries.push({ lsn, size: head.size, expiry: head.expiry })
        }
      },
      () => done(encodeEntries(entries)),
    )
  }

  private canGo(lane: Lane, chunk: Chunk): boolean {
    return chunk.resident && chunk.live > 0 && chunk.live === chunk.ready && lane.isInner(chunk) && chunk.lastLsn <= this.durable()
  }

  private evict(chunk: Chunk): void {
    const writer = new ByteWriter(chunk.live * 8 + 16)
    chunk.write(writer)
    chunk.evict(this.store.writePage(writer.bytes.subarray(0, writer.length)))
    this.chunks--
  }
}

function encodeEntries(entries: readonly { lsn: number; size: number; expiry: number }[]): Uint8Array {
  const writer = new ByteWriter()
  writer.putVarint(entries.length)
  let previous = 0
  for (const { lsn, size, expiry } of entries) {
    writer.putVarint(lsn - previous)
    writer.putVarint(size)
    writer.putByte(expiry > 0 ? 16 : 0)
    if (expiry > 0) writer.putVarint(expiry)
    previous = lsn
  }
  return writer.bytes.subarray(0, writer.length)
}
