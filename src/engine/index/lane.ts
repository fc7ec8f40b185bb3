import { CHUNK_SLOTS, Chunk } from './chunk.ts'

/** Chunks of all lanes that are full and in memory; the pager keeps it within its budget. */
export interface Residency {
  chunks: number
}

/**
 * The messages of one priority of one queue, oldest first, as a row of chunks. Memory follows the chunks that are resident,
 * not the backlog.
 */
export class Lane {
  readonly priority: number
  private readonly residency: Residency
  chunks: Chunk[] = []
  live = 0
  ready = 0
  bytes = 0
  private nextNumber = 0
  /** Number of the first chunk that may have a ready entry. */
  private cursor = 0
  /** Number of the first chunk that has not been considered for paging. */
  private inner = 0

  constructor(priority: number, residency: Residency) {
    this.priority = priority
    this.residency = residency
  }

  /** Appends an entry; answers whether another chunk was full before. */
  append(lsn: number, size: number, expiry: number, flags: number, group = 0): boolean {
    let tail = this.chunks[this.chunks.length - 1]
    const isFull = tail !== undefined && (tail.length === CHUNK_SLOTS || !tail.resident)
    if (tail === undefined || isFull) tail = this.addChunk()
    tail.append(lsn, size, expiry, flags, group)
    this.live++
    this.ready++
    this.bytes += size
    return isFull
  }

  private addChunk(): Chunk {
    const chunk = this.newChunk()
    this.push(chunk)
    return chunk
  }

  /** The chunk is the tail from now on; the one before it counts as in memory until it goes to a page or dies. */
  private push(chunk: Chunk): void {
    const tail = this.chunks[this.chunks.length - 1]
    if (tail !== undefined && tail.live === 0) tail.clear()
    else if (tail?.resident) this.residency.chunks++
    this.chunks.push(chunk)
  }

  /** Takes over a chunk from a snapshot, behind those taken over before. */
  restore(chunk: Chunk): void {
    // It held nothing but messages of level 'memory'. Without LSNs of its own it would mislead the search for others.
    if (chunk.live === 0) {
      this.nextNumber = chunk.number
      return
    }
    this.push(chunk)
    this.live += chunk.live
    this.ready += chunk.ready
    this.bytes += chunk.liveBytes
  }

  /** A chunk to be filled by a snapshot and handed to `restore`. */
  newChunk(): Chunk {
    return new Chunk(this.nextNumber++)
  }

  /** Changes a slot's state and the sums that depend on it. A chunk is cleared with its last live entry. */
  setState(chunk: Chunk, slot: number, state: number): void {
    const { live, ready, liveBytes } = chunk
    chunk.setState(slot, state)
    this.account(chunk, live, ready, liveBytes)
  }

  /** Corrects the sums after a chunk changed by other means than setState. */
  account(chunk: Chunk, live: number, ready: number, bytes: number): void {
    this.live += chunk.live - live
    this.ready += chunk.ready - ready
    this.bytes += chunk.liveBytes - bytes
    if (chunk.ready > ready && chunk.number < this.cursor) this.cursor = chunk.number
    if (chunk.live === 0 && chunk !== this.chunks[this.chunks.length - 1]) {
      if (chunk.resident) this.residency.chunks--
      chunk.clear()
      this.trim()
    }
  }

  /** First chunk with a ready entry, at or after chunk `number`; it may have to be loaded first. */
  chunkWithReady(number: number): Chunk | null {
    const first = this.chunks[0]
    if (first === undefined || this.ready === 0) return null
    const fromCursor = number <= this.cursor
    let at = Math.max(fromCursor ? this.cursor : number, first.number) - first.number
    while (at < this.chunks.length && this.chunks[at]!.ready === 0) at++
    const chunk = this.chunks[at]
    if (fromCursor && chunk !== undefined) this.cursor = chunk.number
    return chunk ?? null
  }

  after(chunk: Chunk): Chunk | undefined {
    return this.chunks[chunk.number - this.chunks[0]!.number + 1]
  }

  /** First chunk that holds something and reaches `lsn` or beyond; it may have to be loaded first. */
  chunkFrom(lsn: number): Chunk | null {
    let low = 0
    let high = this.chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.chunks[middle]!.lastLsn < lsn) low = middle + 1
      else high = middle
    }
    while (low < this.chunks.length && this.chunks[low]!.live === 0) low++
    return this.chunks[low] ?? null
  }

  /** Dispatch will need the chunk soon. */
  isNear(chunk: Chunk): boolean {
    return chunk.number <= this.cursor + 1 && chunk.number >= this.cursor
  }

  /** Chunk whose LSN range holds `lsn`. */
  chunkOf(lsn: number): Chunk | null {
    let low = 0
    let high = this.chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const chunk = this.chunks[middle]!
      if (lsn < chunk.firstLsn) high = middle - 1
      else if (lsn > chunk.lastLsn) low = middle + 1
      else return chunk.live > 0 ? chunk : null
    }
    return null
  }

  /** The first chunk that lies far enough from both ends not to be needed soon, and has not been passed yet. */
  nextInner(): Chunk | null {
    const first = this.chunks[0]
    if (first === undefined) return null
    const number = Math.max(this.inner, this.cursor + 2, first.number)
    const chunk = this.chunks[number - first.number]
    return chunk === undefined || chunk === this.chunks[this.chunks.length - 1] ? null : chunk
  }

  passInner(chunk: Chunk): void {
    this.inner = chunk.number + 1
  }

  /** The chunk was passed because it held entries that could not go to a page; now they can. */
  reconsider(chunk: Chunk): void {
    if (chunk.number < this.inner) this.inner = chunk.number
  }

  /** LSN of the oldest live entry; of one that lies in a page, the oldest that the page had. */
  oldestLsn(): number | undefined {
    for (const chunk of this.chunks) if (chunk.live > 0) return chunk.oldestLsn()
    return undefined
  }

  /** Forgets chunks at the head that hold nothing any more; the tail stays to be appended to. */
  private trim(): void {
    let dead = 0
    while (dead < this.chunks.length - 1 && this.chunks[dead]!.live === 0) dead++
    if (dead > 0) this.chunks.splice(0, dead)
  }
}
