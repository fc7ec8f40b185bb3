import type { Extent } from './extent.ts'
import { FILE_HEADER, FileKind, segmentPath } from './format.ts'
import { SparseTable } from './sparse-table.ts'
import type { Stretch } from './stretch.ts'

/** A file of the journal folder: a journal segment, or a cluster of survivors. */
export class Segment {
  readonly number: number
  readonly kind: number
  readonly path: string
  readonly table: SparseTable
  /** Extents whose survivors lie here, in order of LSN. */
  extents: Extent[] = []
  /** Bytes in the file. */
  size: number = FILE_HEADER
  /** Bytes that a write has been answered for; what lies behind is in memory. */
  written: number = FILE_HEADER
  /** Nothing is appended any more. */
  sealed = false
  /** Bytes of live chunks; messages are counted by the extents. */
  chunkBytes = 0
  chunks = 0
  /** Highest LSN committed before the first one here. */
  precededBy = 0
  /** Highest LSN written here; of a cluster 0. */
  lastLsn = 0
  lastQueue = -1
  /** How often the queue changed from one publish to the next: what a cluster would put in order. */
  switches = 0
  /** Live bytes when last looked at; -1 before. */
  observed = -1
  /** It was losing messages then, and will soon be empty without help. */
  draining = true
  /** What the cache holds of it, by index in the table; see StretchCache. */
  readonly stretches: Map<number, Stretch> = new Map()
  /** Bytes that loads have read here. */
  readBytes = 0
  /** The stretch after the last read, and how far ahead to read if the next load goes on there. */
  readNext = -1
  readAhead = 0
  /** The checkpoint that, once durable, allows the file to be removed; undefined while it is in use. */
  removableAt: number | undefined

  constructor(kind: number, number: number) {
    this.kind = kind
    this.number = number
    this.path = segmentPath(kind, number)
    this.table = new SparseTable(FILE_HEADER, kind === FileKind.cluster)
  }

  get isCluster(): boolean {
    return this.kind === FileKind.cluster
  }

  liveBytes(): number {
    let bytes = this.chunkBytes
    for (const extent of this.extents) bytes += extent.liveBytes
    return bytes
  }

  liveMessages(): number {
    let messages = 0
    for (const extent of this.extents) messages += extent.live
    return messages
  }

  /** Notes how its live bytes have changed since the last look. */
  observe(): void {
    const live = this.liveBytes()
    this.draining = this.observed < 0 || live < this.observed * 0.95
    this.observed = live
  }

  isDead(): boolean {
    return this.chunks === 0 && this.extents.every((extent) => extent.live === 0)
  }
}
