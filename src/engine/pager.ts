import { CHUNK_SLOTS, Chunk } from './index/chunk.ts'
import { groupNumber } from './index/group-number.ts'
import type { Lane, Residency } from './index/lane.ts'
import { ByteWriter, OperationReader, PublishHead, readPublish } from './ports/operations.ts'
import type { Store } from './ports/store.ts'
import type { Queue } from './queue.ts'

/** Chunks that came back last, which somebody is about to use. */
const KEPT = 2

/**
 * Keeps the queue indexes within a budget of entries: chunks far from both ends of their lane go to pages of the store and
 * come back when a consumer nears them.
 */
export class Pager implements Residency {
  chunks = 0
  private readonly store: Store
  private readonly budget: number
  private readonly durable: () => number
  private readonly loading = new Map<Chunk, (() => void)[]>()
  /** Chunks that came back from pages and may go there again, the first to come first. */
  private revisited: { readonly lane: Lane; readonly chunk: Chunk }[] = []
  /** Told which slots of a loaded chunk wait; set by the settlements. */
  loaded: (queue: Queue, lane: Lane, chunk: Chunk, waiting: readonly number[]) => void = () => {}

  constructor(store: Store, residentEntries: number, durable: () => number) {
    this.store = store
    this.budget = Math.max(1, Math.floor(residentEntries / CHUNK_SLOTS))
    this.durable = durable
  }

  /** A chunk of the lane has been filled: when there are too many in memory, earlier ones of this lane go. */
  filled(lane: Lane): void {
    while (this.chunks > this.budget) {
      const chunk = lane.nextInner()
      // Nothing is paged before it is durable: a page must not know more than the journal.
      if (chunk === null || chunk.lastLsn > this.durable()) return
      lane.passInner(chunk)
      if (chunk.resident && chunk.live > 0 && chunk.live === chunk.ready) this.evict(chunk)
    }
  }

  /** Loads a chunk that lies in a page, then calls `done`. */
  load(queue: Queue, lane: Lane, chunk: Chunk, done: () => void): void {
    const under = this.loading.get(chunk)
    if (under !== undefined) {
      under.push(done)
      return
    }
    this.loading.set(chunk, [done])
    chunk.loading = true
    this.store.loadPage(chunk.page, (bytes) => {
      if (bytes !== null) this.take(queue, lane, chunk, bytes)
      else this.rebuild(queue, lane, chunk)
    })
  }

  /**
   * Reads the entries of a chunk beside the index: from its page without bringing it back. `use` may be called at once.
   * A damaged page is made again, and then the chunk is there.
   */
  peek(queue: Queue, lane: Lane, chunk: Chunk, use: (entries: Chunk) => void): void {
    if (chunk.resident) {
      use(chunk)
      return
    }
    const { fromEarlierRun } = chunk
    this.store.loadPage(chunk.page, (bytes) => {
      if (chunk.resident) return use(chunk)
      if (bytes === null) return this.load(queue, lane, chunk, () => use(chunk))
      const entries = new Chunk(chunk.number)
      entries.fromEarlierRun = fromEarlierRun
      entries.restore(bytes)
      use(entries)
    })
  }

  private take(queue: Queue, lane: Lane, chunk: Chunk, bytes: Uint8Array): void {
    const { live, ready, liveBytes, page } = chunk
    const waiting = chunk.restore(bytes)
    this.store.freePage(page)
    // The tail is not counted before another chunk comes behind it.
    if (lane.after(chunk) !== undefined) this.chunks++
    this.loaded(queue, lane, chunk, waiting)
    lane.account(chunk, live, ready, liveBytes)
    const callbacks = this.loading.get(chunk)!
    this.loading.delete(chunk)
    for (const done of callbacks) done()
    this.revisited.push({ lane, chunk })
    this.sendBack()
  }

  /** Chunks that were brought in for a message or two make room for others. */
  private sendBack(): void {
    for (let left = this.revisited.length - KEPT; left > 0 && this.chunks > this.budget; left--) {
      const { lane, chunk } = this.revisited.shift()!
      if (!chunk.resident || chunk.live === 0) continue
      const isInner = lane.after(chunk) !== undefined && !lane.isNear(chunk)
      if (isInner && chunk.live === chunk.ready && chunk.lastLsn <= this.durable()) this.evict(chunk)
      else this.revisited.push({ lane, chunk })
    }
  }

  /** Makes a damaged page's entries again from the messages themselves. Delivery counts are lost with the page. */
  private rebuild(queue: Queue, lane: Lane, chunk: Chunk): void {
    const { firstLsn, lastLsn } = chunk
    const rebuilt = new Chunk(chunk.number)
    const reader = new OperationReader()
    const head = new PublishHead()
    this.store.scan(
      queue.id,
      firstLsn,
      lastLsn,
      (lsn, slice) => {
        if (!readPublish(reader.reset(slice.bytes, slice.start, slice.end), head)) return
        if (head.priority === lane.priority && head.queues.includes(queue.id)) {
          const group = head.group === '' ? 0 : groupNumber(head.group)
          rebuilt.append(lsn, head.size, queue.expiryOf(head), 0, group)
        }
      },
      () => this.take(queue, lane, chunk, encode(rebuilt)),
    )
  }

  private evict(chunk: Chunk): void {
    chunk.evict(this.store.writePage(encode(chunk)))
    this.chunks--
  }
}

function encode(chunk: Chunk): Uint8Array {
  const writer = new ByteWriter(chunk.live * 8 + 16)
  chunk.write(writer)
  return writer.bytes.subarray(0, writer.length)
}
