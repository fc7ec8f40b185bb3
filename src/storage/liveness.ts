import { OPERATION_HEADER, OperationReader, OperationType } from '../engine/ports/operations.ts'
import type { Extent } from './extent.ts'
import { PublishFacts } from './publish-facts.ts'

/** A piece of a large body. */
export interface ChunkState {
  readonly size: number
  /** Live messages that list it. None while it is being streamed. */
  holders: number
}

/** What is alive: extents with their messages, and the chunks of large bodies. */
export class Liveness {
  /** In order of LSN, not overlapping. */
  extents: Extent[] = []
  readonly chunks: Map<number, ChunkState> = new Map()
  /** Messages with a chunked body, and their chunks. */
  readonly bodies: Map<number, readonly number[]> = new Map()
  /** Messages that queues have let go, or had to write down again, since the process began. */
  settled = 0
  /** Until reconcileChunks: chunks are only gathered, because what lists them is not all known. */
  replaying = false
  private readonly reader = new OperationReader()
  private readonly facts = new PublishFacts()
  private hint: Extent | undefined

  /**
   * Counts one operation whose body is bytes[start, end). `home` takes it if it is a message or a chunk. Extents that
   * have counted it before pass over it.
   */
  count(lsn: number, type: number, bytes: Uint8Array, start: number, end: number, home: Extent): void {
    const { reader } = this
    reader.reset(bytes, start, end)
    if (type === OperationType.publish) this.publish(lsn, end - start + OPERATION_HEADER, home)
    else if (type === OperationType.settle) this.settle(lsn)
    else if (type === OperationType.requeue) this.settled++
    else if (type === OperationType.chunk) this.addChunk(lsn, end - start + OPERATION_HEADER)
  }

  find(lsn: number): Extent | undefined {
    const hint = this.hint
    if (hint && lsn >= hint.firstLsn && lsn <= hint.lastLsn) return hint
    const index = this.indexAtOrBefore(lsn)
    const extent = this.extents[index]
    if (!extent || lsn > extent.lastLsn) return undefined
    this.hint = extent
    return extent
  }

  isLive(lsn: number): boolean {
    return this.find(lsn)?.has(lsn) ?? false
  }

  /** The first live message at or after `lsn`; Infinity when there is none. */
  liveFrom(lsn: number): number {
    for (let i = Math.max(0, this.indexAtOrBefore(lsn)); i < this.extents.length; i++) {
      const found = this.extents[i]!.liveFrom(lsn)
      if (found < Number.POSITIVE_INFINITY) return found
    }
    return Number.POSITIVE_INFINITY
  }

  /** Messages and chunks in [first, last] are gone, whoever held them. */
  lose(first: number, last: number): void {
    this.forExtents(first, last, (extent) => extent.drop(first, last, true, this.died))
    for (const lsn of this.chunks.keys()) if (lsn >= first && lsn <= last) this.dropChunk(lsn)
  }

  /** Forgets extents without survivors in files that nothing is appended to. */
  prune(): void {
    this.hint = undefined
    this.extents = this.extents.filter(({ live, home }) => live > 0 || home.chunks > 0 || !home.sealed)
  }

  /** After replay: settles what is alive among the chunks. Those that no live message lists are dead. */
  reconcileChunks(): void {
    this.replaying = false
    for (const { home } of this.extents) {
      home.chunks = 0
      home.chunkBytes = 0
    }
    for (const chunk of this.chunks.values()) chunk.holders = 0
    for (const [lsn, listed] of this.bodies) {
      if (!this.isLive(lsn)) this.bodies.delete(lsn)
      else for (const chunk of listed) this.hold(chunk)
    }
    for (const [lsn, chunk] of this.chunks) {
      if (chunk.holders === 0) this.chunks.delete(lsn)
      else this.charge(lsn, 1, chunk.size)
    }
  }

  private publish(lsn: number, size: number, home: Extent): void {
    const { facts } = this
    if (!facts.read(this.reader)) return
    if (facts.queues > 0 && lsn > home.asOf) this.addMessage(lsn, size, home)
    if (facts.chunks.length > 0 && facts.queues > 0) this.addBody(lsn)
    if (facts.replacedLsn > 0) this.settleRun(lsn, facts.replacedLsn, 1)
  }

  private addMessage(lsn: number, size: number, home: Extent): void {
    home.add(lsn, size, this.facts.queues)
    const segment = home.home
    if (this.facts.firstQueue !== segment.lastQueue) {
      segment.lastQueue = this.facts.firstQueue
      segment.switches++
    }
  }

  private addBody(lsn: number): void {
    if (this.bodies.has(lsn)) return
    const listed = this.facts.chunks
    this.bodies.set(lsn, listed)
    for (const chunk of listed) this.hold(chunk)
  }

  private settle(lsn: number): void {
    const { reader } = this
    reader.varint()
    reader.byte()
    const runs = reader.varint()
    let first = 0
    for (let i = 0; i < runs && !reader.failed; i++) {
      first += reader.varint()
      const length = reader.varint()
      if (reader.failed) return
      this.settleRun(lsn, first, length)
      first += length
    }
  }

  private settleRun(by: number, first: number, length: number): void {
    const last = first + length - 1
    const hint = this.hint
    this.settled += length
    if (hint && first >= hint.firstLsn && last <= hint.lastLsn) {
      if (by > hint.asOf) hint.drop(first, last, false, this.died)
      return
    }
    this.forExtents(first, last, (extent) => {
      this.hint = extent
      if (by > extent.asOf) extent.drop(first, last, false, this.died)
    })
  }

  private forExtents(first: number, last: number, visit: (extent: Extent) => void): void {
    for (let i = Math.max(0, this.indexAtOrBefore(first)); i < this.extents.length; i++) {
      const extent = this.extents[i]!
      if (extent.firstLsn > last) return
      if (extent.lastLsn >= first) visit(extent)
    }
  }

  private indexAtOrBefore(lsn: number): number {
    let low = 0
    let high = this.extents.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.extents[middle]!.firstLsn <= lsn) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  private readonly died = (lsn: number): void => {
    if (this.bodies.size === 0 || this.replaying) return
    const listed = this.bodies.get(lsn)
    if (!listed) return
    this.bodies.delete(lsn)
    for (const chunk of listed) {
      const state = this.chunks.get(chunk)
      if (state && --state.holders <= 0) this.dropChunk(chunk)
    }
  }

  private addChunk(lsn: number, size: number): void {
    if (this.chunks.has(lsn)) return
    this.chunks.set(lsn, { size, holders: 0 })
    this.charge(lsn, 1, size)
  }

  private hold(lsn: number): void {
    const chunk = this.chunks.get(lsn)
    if (chunk) chunk.holders++
  }

  private dropChunk(lsn: number): void {
    const chunk = this.chunks.get(lsn)
    if (!chunk) return
    this.chunks.delete(lsn)
    this.charge(lsn, -1, -chunk.size)
  }

  private charge(lsn: number, count: number, bytes: number): void {
    const segment = this.find(lsn)?.home
    if (!segment) return
    segment.chunks += count
    segment.chunkBytes += bytes
  }
}
