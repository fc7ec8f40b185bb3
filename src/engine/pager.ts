import { CHUNK_SLOTS, Chunk } from './index/chunk.ts'
import { groupNumber } from './index/group-number.ts'
import type { Lane, Residency } from './index/lane.ts'
import { ByteWriter, OperationReader, PublishHead, readPublish } from './ports/operations.ts'
import type { Store } from './ports/store.ts'
import type { Queue } from './queue.ts'

/** Chunks that came back last, which somebody is about to use. */
const KEPT = 2
/** Chunks looked at to make room, or written for a checkpoint, each time; those that cannot go now come to their turn again. */
const LOOKS = 32
/** Entries that are worth a page, of which the smallest has room for some 800. */
const WORTH_A_PAGE = 256

interface Resident {
  readonly lane: Lane
  readonly chunk: Chunk
}

/**
 * Keeps the queue indexes within a budget of entries: full chunks that nobody needs go to pages of the store, those first
 * that have been in memory for longest, and come back when a consumer nears them.
 */
export class Pager implements Residency {
  /** Full chunks in memory. */
  chunks = 0
  private readonly store: Store
  private readonly budget: number
  private readonly durable: () => number
  private readonly loading = new Map<Chunk, (() => void)[]>()
  /** Full chunks in the order in which they came into memory, from `next` on; some have left it since. */
  private residents: Resident[] = []
  private next = 0
  /** Fewer after a search in vain: with thousands of queues that are consumed, more are needed than there should be. */
  private looks = LOOKS
  private readonly recent: Chunk[] = []
  /** Told which slots of a loaded chunk wait; set by the settlements. */
  loaded: (queue: Queue, lane: Lane, chunk: Chunk, waiting: readonly number[]) => void = () => {}

  constructor(store: Store, residentEntries: number, durable: () => number) {
    this.store = store
    this.budget = Math.max(1, Math.floor(residentEntries / CHUNK_SLOTS))
    this.durable = durable
  }

  filled(lane: Lane, chunk: Chunk): void {
    this.chunks++
    this.residents.push({ lane, chunk })
    if (this.residents.length > this.chunks * 2 + LOOKS) this.forget()
  }

  emptied(): void {
    this.chunks--
  }

  abandoned(chunk: Chunk): void {
    this.store.freePage(chunk.page)
    chunk.leavePage()
  }

  /**
   * Writes chunks to pages, when there are too many in memory. Only between operations of the engine: in one of them somebody
   * may be at work on a chunk.
   */
  makeRoom(): void {
    if (this.chunks <= this.budget) return
    const before = this.chunks
    for (let left = this.looks; left > 0 && this.chunks > this.budget; left--) {
      const resident = this.residents[this.next++]
      if (resident === undefined) break
      if (this.mayGo(resident)) this.evict(resident.chunk)
      else if (isThere(resident)) this.residents.push(resident)
    }
    this.looks = this.chunks < before ? LOOKS : Math.max(1, this.looks >> 1)
    if (this.next * 2 > this.residents.length) this.forget()
  }

  /** Nothing is paged before it is durable: a page must not know more than the journal. */
  private mayGo({ lane, chunk }: Resident): boolean {
    if (!chunk.resident || chunk.live === 0 || chunk.live !== chunk.ready) return false
    return chunk.lastLsn <= this.durable() && !lane.isNeeded(chunk) && !this.recent.includes(chunk)
  }

  /**
   * Gives pages to chunks to which nothing has been added since `lsn`, which is durable, so that checkpoints name those instead
   * of writing the entries again and again. They stay in memory. A few at a time: the next checkpoint goes on. A chunk of which
   * little is left leaves its page, which might lie behind all others and keep the file long.
   */
  settle(lsn: number): void {
    let left = LOOKS
    for (let at = this.next; at < this.residents.length && left > 0; at++)
      if (this.settleOne(this.residents[at]!.chunk, lsn)) left--
  }

  /** The same for the last chunks of a queue. */
  settleLast(queue: Queue, lsn: number): void {
    for (const { last } of queue.urgentFirst()) if (last !== undefined) this.settleOne(last, lsn)
  }

  private settleOne(chunk: Chunk, lsn: number): boolean {
    if (chunk.resident && chunk.page >= 0 && chunk.live < WORTH_A_PAGE) this.abandoned(chunk)
    if (!isSettled(chunk, lsn)) return false
    chunk.page = this.store.writePage(encode(chunk))
    return true
  }

  private forget(): void {
    this.residents = this.residents.slice(this.next).filter(isThere)
    this.next = 0
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
    const { page } = chunk
    this.store.loadPage(page, (bytes) => {
      if (chunk.resident) return use(chunk)
      if (chunk.page !== page) return this.peek(queue, lane, chunk, use)
      if (bytes === null) return this.load(queue, lane, chunk, () => use(chunk))
      const entries = chunk.beside()
      entries.restore(bytes)
      use(entries)
    })
  }

  private take(queue: Queue, lane: Lane, chunk: Chunk, bytes: Uint8Array, isRebuilt = false): void {
    const { live, ready, liveBytes } = chunk
    const waiting = chunk.restore(bytes)
    if (isRebuilt) this.abandoned(chunk)
    // The tail is not counted before another chunk comes behind it.
    if (lane.after(chunk) !== undefined) this.filled(lane, chunk)
    this.loaded(queue, lane, chunk, waiting)
    lane.account(chunk, live, ready, liveBytes)
    const callbacks = this.loading.get(chunk)!
    this.loading.delete(chunk)
    for (const done of callbacks) done()
    this.recent.push(chunk)
    if (this.recent.length > KEPT) this.recent.shift()
    this.makeRoom()
  }

  /** Makes a damaged page's entries again from the messages themselves. Delivery counts are lost with the page. */
  private rebuild(queue: Queue, lane: Lane, chunk: Chunk): void {
    const { firstLsn, lastLsn } = chunk
    const rebuilt = new Chunk(chunk.number, chunk.priority)
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
      () => this.take(queue, lane, chunk, encode(rebuilt), true),
    )
  }

  /** Always anew: a page that has been behind all others may find room further in front. */
  private evict(chunk: Chunk): void {
    if (chunk.page >= 0) this.abandoned(chunk)
    chunk.evict(this.store.writePage(encode(chunk)))
    this.chunks--
  }
}

function encode(chunk: Chunk): Uint8Array {
  const writer = new ByteWriter(chunk.live * 8 + 16)
  chunk.write(writer)
  return writer.bytes.subarray(0, writer.length)
}

function isSettled({ resident, page, lastLsn, live, ready }: Chunk, lsn: number): boolean {
  return resident && page < 0 && lastLsn <= lsn && live >= WORTH_A_PAGE && live === ready
}

function isThere({ chunk }: Resident): boolean {
  return chunk.resident && chunk.live > 0
}
