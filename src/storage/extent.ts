import { BLOCK_LSNS, LiveBlock } from './live-block.ts'
import type { Segment } from './segment.ts'

/** LSNs that one extent may span. */
export const EXTENT_LSNS: number = 2 ** 31 - BLOCK_LSNS

/**
 * The LSNs that were first written to one journal segment, and which of them are messages still held. It stays when
 * compaction moves its survivors to another file. LSNs need not be dense: blocks without messages take no room.
 */
export class Extent {
  readonly firstLsn: number
  /** Highest LSN, growing while the segment is written. */
  lastLsn: number
  /** The file where the survivors lie now. */
  home: Segment
  live = 0
  liveBytes = 0
  /** Operations up to this LSN have been counted before: replay passes over them. */
  asOf = 0
  readonly blocks: (LiveBlock | undefined)[] = []

  constructor(firstLsn: number, home: Segment) {
    this.firstLsn = firstLsn
    this.lastLsn = firstLsn
    this.home = home
  }

  has(lsn: number): boolean {
    const index = lsn - this.firstLsn
    return this.blocks[Math.floor(index / BLOCK_LSNS)]?.has(index % BLOCK_LSNS) ?? false
  }

  add(lsn: number, size: number, holders: number): void {
    const index = lsn - this.firstLsn
    const number = Math.floor(index / BLOCK_LSNS)
    let block = this.blocks[number]
    if (!block) {
      block = new LiveBlock()
      while (this.blocks.length < number) this.blocks.push(undefined)
      this.blocks[number] = block
    }
    if (block.has(index % BLOCK_LSNS)) return
    block.add(index % BLOCK_LSNS, size, holders)
    this.live++
    this.liveBytes += size
  }

  /** The first live message at or after `lsn`; Infinity when there is none. */
  liveFrom(lsn: number): number {
    let index = Math.max(0, lsn - this.firstLsn)
    for (let number = Math.floor(index / BLOCK_LSNS); number < this.blocks.length; number++) {
      const found = this.blocks[number]?.next(index - number * BLOCK_LSNS) ?? -1
      if (found >= 0) return this.firstLsn + number * BLOCK_LSNS + found
      index = (number + 1) * BLOCK_LSNS
    }
    return Number.POSITIVE_INFINITY
  }

  /** Takes over a block that was saved. */
  adopt(number: number, block: LiveBlock): void {
    while (this.blocks.length < number) this.blocks.push(undefined)
    this.blocks[number] = block
    this.live += block.live
    this.liveBytes += block.bytes
  }

  /** One holder less for each message in [from, to], or all of them; `died` hears of those that are dead now. */
  drop(from: number, to: number, whole: boolean, died: (lsn: number) => void): void {
    const last = Math.min(to, this.lastLsn) - this.firstLsn
    let index = Math.max(0, from - this.firstLsn)
    while (index <= last) {
      const number = Math.floor(index / BLOCK_LSNS)
      const end = Math.min(last, (number + 1) * BLOCK_LSNS - 1)
      const block = this.blocks[number]
      if (block) this.dropFrom(block, number, index, end, whole, died)
      index = end + 1
    }
  }

  private dropFrom(
    block: LiveBlock,
    number: number,
    from: number,
    to: number,
    whole: boolean,
    died: (lsn: number) => void,
  ): void {
    const base = number * BLOCK_LSNS
    for (let index = from; index <= to; index++) {
      const before = block.live
      const size = whole ? block.remove(index - base) : block.release(index - base)
      if (block.live === before) continue
      this.live--
      this.liveBytes -= size
      died(this.firstLsn + index)
    }
    if (block.live === 0) this.blocks[number] = undefined
    if (this.live === 0) this.liveBytes = 0
  }
}
