import { Extent } from './extent.ts'
import { FileKind } from './format.ts'
import type { Liveness } from './liveness.ts'
import { Segment } from './segment.ts'

/** The files of the journal: those in use, in order of the LSNs they hold, and those that wait to be removed. */
export class SegmentSet {
  used: Segment[] = []
  retired: Segment[] = []
  nextNumber = 1
  private readonly liveness: Liveness

  constructor(liveness: Liveness) {
    this.liveness = liveness
  }

  /** A new journal segment, whose extent begins with `firstLsn`. The file does not exist yet. */
  begin(firstLsn: number, precededBy: number): Segment {
    const segment = new Segment(FileKind.journal, this.nextNumber++)
    segment.precededBy = precededBy
    const extent = new Extent(firstLsn, segment)
    segment.extents.push(extent)
    this.used.push(segment)
    this.liveness.extents.push(extent)
    return segment
  }

  /** Puts `cluster` in the place of `sources`, which are adjacent; their extents move into it. */
  replace(sources: readonly Segment[], cluster: Segment | undefined): void {
    const at = this.used.indexOf(sources[0]!)
    this.used.splice(at, sources.length, ...(cluster ? [cluster] : []))
    for (const source of sources) {
      if (cluster) for (const extent of source.extents) this.move(extent, cluster)
      if (cluster) {
        cluster.chunks += source.chunks
        cluster.chunkBytes += source.chunkBytes
      }
      source.extents = []
      this.retired.push(source)
    }
    this.liveness.prune()
  }

  /** Takes files without survivors out of use, if replay from after `lsn` does without them. */
  retireDead(lsn: number): void {
    const dead = this.used.filter((one) => one.sealed && one.isDead() && one.lastLsn <= lsn)
    if (dead.length === 0) return
    this.used = this.used.filter((one) => !dead.includes(one))
    for (const segment of dead) segment.extents = []
    this.retired.push(...dead)
    this.liveness.prune()
  }

  diskBytes(): number {
    let bytes = 0
    for (const segment of this.used) bytes += segment.size
    for (const segment of this.retired) bytes += segment.size
    return bytes
  }

  liveBytes(): number {
    let bytes = 0
    for (const segment of this.used) bytes += segment.liveBytes()
    return bytes
  }

  private move(extent: Extent, cluster: Segment): void {
    if (extent.live === 0 && extent.home.chunks === 0) return
    extent.home = cluster
    cluster.extents.push(extent)
  }
}
