import { Chunk } from './chunk.ts'

/** Hears of chunks that are full and in memory; the pager keeps them within its budget. */
export interface Residency {
  filled(lane: Lane, chunk: Chunk): void
  /** One of those has gone, with its last entry. */
  emptied(): void
  /** Nothing is left in the chunk's page. */
  abandoned(chunk: Chunk): void
}

/** Whose lane it is. */
export interface Holder {
  readonly consumers: readonly unknown[]
}

/** Dead chunks stay in the row until they are half of it, and more than these. */
const FEW_DEAD = 32

/**
 * The messages of one priority of one queue, oldest first, as a row of chunks. Memory follows the chunks that are resident,
 * not the backlog.
 */
export class Lane {
  readonly priority: number
  private readonly residency: Residency
  private readonly holder: Holder
  /** By rising number; some of them may hold nothing any more. */
  chunks: Chunk[] = []
  /** The last of them, which is being filled. */
  private tail: Chunk | undefined
  live = 0
  ready = 0
  bytes = 0
  private nextNumber = 0
  /** Number of the first chunk that may have a ready entry. */
  private cursor = 0
  /** Chunks in the row that hold nothing, and the index of the first that does. */
  private dead = 0
  private head = 0
  /** Where the last chunk was that was asked for by its number. */
  private hint = 0

  constructor(priority: number, residency: Residency, holder: Holder) {
    this.priority = priority
    this.residency = residency
    this.holder = holder
  }

  append(lsn: number, size: number, expiry: number, flags: number, group = 0): void {
    let { tail } = this
    if (!tail?.isOpen) tail = this.addChunk()
    tail.append(lsn, size, expiry, flags, group)
    this.live++
    this.ready++
    this.bytes += size
  }

  get last(): Chunk | undefined {
    return this.tail
  }

  private addChunk(): Chunk {
    const chunk = this.newChunk()
    this.push(chunk)
    return chunk
  }

  /** The chunk is the tail from now on; the one before it counts as in memory until it goes to a page or dies. */
  private push(chunk: Chunk): void {
    const { tail } = this
    this.chunks.push(chunk)
    this.tail = chunk
    if (tail === undefined) return
    if (tail.live === 0) this.bury(tail)
    else if (tail.resident) this.residency.filled(this, tail)
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
    return new Chunk(this.nextNumber++, this.priority)
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
    if (chunk.live > 0) return
    if (chunk.page >= 0) this.residency.abandoned(chunk)
    if (chunk === this.tail) return
    if (chunk.resident) this.residency.emptied()
    this.bury(chunk)
  }

  /**
   * Gives back the memory of a chunk that holds nothing any more. One message that stays for long must not keep those that
   * came after it, so the row is cleared of dead ones wherever they are.
   */
  private bury(chunk: Chunk): void {
    chunk.clear()
    this.dead++
    if (this.dead <= FEW_DEAD || this.dead * 2 <= this.chunks.length) return
    this.chunks = this.chunks.filter((one) => one.live > 0 || one === this.tail)
    this.dead = 0
    this.head = 0
  }

  /** First chunk with a ready entry, at or after chunk `number`; it may have to be loaded first. */
  chunkWithReady(number: number): Chunk | null {
    if (this.ready === 0) return null
    const fromCursor = number <= this.cursor
    const { tail } = this
    // As with a consumer that keeps up: the row need not be looked at.
    if (tail!.ready === this.ready) {
      if (fromCursor) this.cursor = tail!.number
      return number <= tail!.number ? tail! : null
    }
    let at = this.indexFrom(fromCursor ? this.cursor : number)
    while (at < this.chunks.length && this.chunks[at]!.ready === 0) at++
    const chunk = this.chunks[at]
    this.hint = at
    if (fromCursor && chunk !== undefined) this.cursor = chunk.number
    return chunk ?? null
  }

  after(chunk: Chunk): Chunk | undefined {
    if (chunk === this.tail) return undefined
    return this.chunks[this.indexFrom(chunk.number + 1)]
  }

  /** The first chunk with this number or a higher one. */
  numbered(number: number): Chunk | undefined {
    return this.chunks[this.indexFrom(number)]
  }

  private indexFrom(number: number): number {
    const { chunks, hint } = this
    if (chunks[hint]?.number === number) return hint
    // Without gaps it is where its number says.
    const guess = number - (chunks[0]?.number ?? 0)
    if (chunks[guess]?.number === number) return guess
    let low = 0
    let high = chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (chunks[middle]!.number < number) low = middle + 1
      else high = middle
    }
    return low
  }

  /** First chunk that holds something and reaches `lsn` or beyond; it may have to be loaded first. */
  chunkFrom(lsn: number): Chunk | null {
    let at = this.reaching(lsn)
    while (at < this.chunks.length && this.chunks[at]!.live === 0) at++
    return this.chunks[at] ?? null
  }

  /** Index of the first chunk that reaches `lsn` or beyond. */
  private reaching(lsn: number): number {
    let low = 0
    let high = this.chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.chunks[middle]!.lastLsn < lsn) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The chunk is being filled, or somebody consumes from the lane and will need it soon. */
  isNeeded(chunk: Chunk): boolean {
    if (chunk === this.tail) return true
    if (this.holder.consumers.length === 0) return false
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

  /** LSN of the oldest live entry; of one that lies in a page, the oldest that the page had. */
  oldestLsn(): number | undefined {
    for (const chunk of this.living()) return chunk.oldestLsn()
    return undefined
  }

  /** Chunks that hold something and reach beyond `after`, oldest first. */
  *living(after = 0): Generator<Chunk> {
    const { chunks } = this
    // The tail may be empty now and hold something later.
    while (this.head < chunks.length - 1 && chunks[this.head]!.live === 0) this.head++
    for (let at = Math.max(this.head, this.reaching(after + 1)); at < chunks.length; at++) {
      if (chunks[at]!.live > 0) yield chunks[at]!
    }
  }
}
