import type { Slice } from '../engine/ports/store.ts'
import type { Segment } from './segment.ts'
import type { Stretch } from './stretch.ts'

/** Where a stretch lies. */
export interface Place {
  readonly segment: Segment
  readonly index: number
}

const INDEXES = 2 ** 24

export function placeKey(segment: Segment, index: number): number {
  return segment.number * INDEXES + index
}

/** Stretches read from disk, bounded in bytes; the first to come is the first to go. They are found at their segments. */
export class StretchCache {
  private readonly limit: () => number
  /** In order of arrival, from `next` on. */
  private arrived: Place[] = []
  private next = 0
  private bytes = 0
  private hint: Stretch | undefined

  constructor(limit: () => number) {
    this.limit = limit
  }

  get({ stretches }: Segment, index: number): Stretch | undefined {
    return stretches.get(index)
  }

  /** Looks where the last message was found: what an LSN names never changes, so an old copy is as good. */
  findNearby(lsn: number, into: Slice): boolean {
    return this.hint?.find(lsn, into) ?? false
  }

  find({ stretches }: Segment, index: number, lsn: number, into: Slice): boolean {
    const stretch = stretches.get(index)
    if (!stretch?.find(lsn, into)) return false
    this.hint = stretch
    return true
  }

  /** Goes over the limit until `trim`. A longer one takes the place of a shorter one, which is kept no more. */
  put(segment: Segment, index: number, stretch: Stretch): void {
    const { stretches } = segment
    const before = stretches.get(index)
    this.bytes += stretch.bytes.length - (before?.bytes.length ?? 0)
    stretches.set(index, stretch)
    if (before === undefined) this.arrived.push({ segment, index })
  }

  trim(): void {
    const limit = this.limit()
    while (this.bytes > limit && this.next < this.arrived.length) {
      const { segment, index } = this.arrived[this.next++]!
      const stretch = segment.stretches.get(index)!
      segment.stretches.delete(index)
      this.bytes -= stretch.bytes.length
      if (this.hint === stretch) this.hint = undefined
    }
    if (this.next * 2 <= this.arrived.length) return
    this.arrived = this.arrived.slice(this.next)
    this.next = 0
  }
}
