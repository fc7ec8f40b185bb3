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

interface Cached extends Place {
  readonly stretch: Stretch
}

/** Stretches read from disk, bounded in bytes; the first to come is the first to go. They are found at their segments. */
export class StretchCache {
  private readonly limit: number
  /** In order of arrival, from `next` on. */
  private arrived: Cached[] = []
  private next = 0
  private bytes = 0
  private hint: Stretch | undefined

  constructor(limit: number) {
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

  /** Goes over the limit until `trim`. */
  put(segment: Segment, index: number, stretch: Stretch): void {
    const { stretches } = segment
    this.bytes += stretch.bytes.length - (stretches.get(index)?.bytes.length ?? 0)
    stretches.set(index, stretch)
    this.arrived.push({ segment, index, stretch })
  }

  trim(): void {
    while (this.bytes > this.limit && this.next < this.arrived.length) {
      const { segment, index, stretch } = this.arrived[this.next++]!
      // Another has taken its place that was longer.
      if (segment.stretches.get(index) !== stretch) continue
      segment.stretches.delete(index)
      this.bytes -= stretch.bytes.length
      if (this.hint === stretch) this.hint = undefined
    }
    if (this.next * 2 <= this.arrived.length) return
    this.arrived = this.arrived.slice(this.next)
    this.next = 0
  }
}
