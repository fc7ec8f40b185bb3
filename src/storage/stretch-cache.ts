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

/** Stretches read from disk, bounded in bytes; the first to come is the first to go. */
export class StretchCache {
  private readonly limit: number
  private readonly stretches = new Map<number, Stretch>()
  private bytes = 0
  private hint: Stretch | undefined

  constructor(limit: number) {
    this.limit = limit
  }

  get(key: number): Stretch | undefined {
    return this.stretches.get(key)
  }

  /** Looks where the last message was found: what an LSN names never changes, so an old copy is as good. */
  findNearby(lsn: number, into: Slice): boolean {
    return this.hint?.find(lsn, into) ?? false
  }

  find(key: number, lsn: number, into: Slice): boolean {
    const stretch = this.stretches.get(key)
    if (!stretch?.find(lsn, into)) return false
    this.hint = stretch
    return true
  }

  /** Goes over the limit until `trim`. */
  put(key: number, stretch: Stretch): void {
    this.bytes += stretch.bytes.length - (this.stretches.get(key)?.bytes.length ?? 0)
    this.stretches.delete(key)
    this.stretches.set(key, stretch)
  }

  trim(): void {
    for (const [key, stretch] of this.stretches) {
      if (this.bytes <= this.limit) return
      this.stretches.delete(key)
      this.bytes -= stretch.bytes.length
      if (this.hint === stretch) this.hint = undefined
    }
  }
}
