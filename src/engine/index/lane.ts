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

  constructor(priority: number, residency: Residency) {
    this.priority = priority
    this.residency = residency
  }

  /** Appends an entry; answers the chunk that it filled, if it filled one. */
  append(lsn: number, size: number, expiry: number, flags: number): Chunk | null {
    let tail = this.chunks[this.chunks.length - 1]
    let filled: Chunk | null = null
    if (tail === undefined || tail.length === CHUNK_SLOTS || !tail.resident) {
      filled = this.leaveTail(tail)
      tail = this.addChunk()
    }
    tail.append(lsn, size, expiry, flags)
    this.live++
    this.ready++
    this.bytes += size
    return filled
  }

  /** The tail will not grow any more. Answers it when it is worth keeping. */
  private leaveTail(tail: Chunk | undefined): Chunk | null {
    if (!tail?.resident) return null
    if (tail.live === 0) {
      tail.clear()
      return null
    }
    this.residency.chunks++
    return tail
  }

  private addChunk(): Chunk {
    const chunk = this.newChunk()
    this.chunks.push(chunk)
    return chunk
  }

  /** Takes over a chunk from a snapshot, behind those taken over before. */
  restore(chunk: Chunk): void {
    this.chunks.push(chunk)
    this.live += chunk.live
    this.ready += chunk.ready
    this.bytes += chunk.liveBytes
    if (chunk.resident && chunk.length === CHUNK_SLOTS) this.residency.chunks++
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

  /** The chunk `steps` after (or before) `chunk`. */
  neighbour(chunk: Chunk, steps: number): Chunk | undefined {
    return this.chunks[chunk.number - this.chunks[0]!.number + steps]
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

  /** Whether a chunk lies far enough from both ends not to be needed soon. */
  isInner(chunk: Chunk): boolean {
    const last = this.chunks[this.chunks.length - 1]
    return last !== undefined && chunk.number > this.cursor && chunk.number < last.number
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
