import { OPERATION_HEADER, OperationReader, OperationType } from '../engine/ports/operations.ts'
import { ClusterWriter } from './cluster-writer.ts'
import type { DiskError, DiskFile } from './disk.ts'
import type { DiskIo } from './disk-io.ts'
import type { DamageListener } from './fetches.ts'
import { FILE_HEADER, FileKind, FRAME_HEADER } from './format.ts'
import { forEachOperation } from './frame-operations.ts'
import { FrameScanner, type ScannedFrame } from './frame-scanner.ts'
import type { Liveness } from './liveness.ts'
import type { OpenFiles } from './open-files.ts'
import type { JournalOptions } from './options.ts'
import { PublishFacts } from './publish-facts.ts'
import { Segment } from './segment.ts'
import type { SegmentSet } from './segments.ts'
import { Survivors } from './survivors.ts'

/** A file below this share of a segment is small: it joins its neighbour when that one is rewritten. */
const SMALL = 0.25
/** So many small files side by side are worth being made one. */
const SMALL_RUN = 8
/** What is read of a file at a time, and what is put together of a cluster. */
const WINDOW = 256 * 1024
/** A segment of which so much has been read, and more than that is still alive, is read in the wrong order. */
const READ = 0.5
const STILL_ALIVE = 0.7

interface Memory {
  readonly survivors: Survivors
  readonly window: Buffer
}

/**
 * Gives back the room of dead messages, and puts the messages of each queue side by side. Survivors of neighbouring
 * files are gathered in memory, sorted into runs, written to a cluster and synced; then their extents live there.
 * The old files stay until no checkpoint names them.
 */
export class Compaction {
  private readonly io: DiskIo
  private readonly options: JournalOptions
  private readonly segments: SegmentSet
  private readonly liveness: Liveness
  private readonly files: OpenFiles
  private readonly epoch: number
  private readonly damaged: DamageListener
  private readonly reader = new OperationReader()
  private readonly facts = new PublishFacts()
  /** Kept from one run to the next: the more memory is asked for, the more often the collector stops everything. */
  private memory: Memory | undefined
  /** So often files were rewritten, or found to be empty; bytes that this read, and wrote. */
  runs = 0
  bytesRead = 0
  bytesWritten = 0

  constructor(
    context: {
      io: DiskIo
      options: JournalOptions
      segments: SegmentSet
      liveness: Liveness
      files: OpenFiles
      epoch: number
    },
    damaged: DamageListener,
  ) {
    this.io = context.io
    this.options = context.options
    this.segments = context.segments
    this.liveness = context.liveness
    this.files = context.files
    this.epoch = context.epoch
    this.damaged = damaged
  }

  /** Neighbouring files worth rewriting, all of it on disk; undefined when there are none. `urgent`: room is short. */
  pick(durableLsn: number, urgent: boolean): readonly Segment[] | undefined {
    const all = this.segments.used.filter((one) => one.sealed && one.lastLsn <= durableLsn)
    let best = -1
    let bestShare = Number.POSITIVE_INFINITY
    for (let i = 0; i < all.length; i++) {
      const segment = all[i]!
      const share = rewritten(segment) / segment.size
      if (share >= bestShare || !this.isWorthwhile(all, i, share, urgent)) continue
      best = i
      bestShare = share
    }
    return best < 0 ? undefined : this.withNeighbours(all, best)
  }

  /** Rewrites files that `pick` gave. Rejects with a disk's error; nothing has changed then. */
  async compact(sources: readonly Segment[]): Promise<void> {
    this.memory ??= { survivors: new Survivors(), window: Buffer.allocUnsafeSlow(WINDOW) }
    const { survivors, window } = this.memory
    survivors.clear()
    for (const source of sources) await this.gather(source, this.memory)
    this.runs++
    for (const source of sources) this.bytesRead += source.size
    if (survivors.count === 0) {
      this.segments.replace(sources, undefined)
      return
    }
    const cluster = new Segment(FileKind.cluster, this.segments.nextNumber++)
    try {
      await new ClusterWriter(this.io, cluster, survivors, this.epoch, window).write()
    } catch (error) {
      await this.io.remove(cluster.path).catch(() => {})
      throw error
    }
    this.bytesWritten += cluster.size
    this.segments.replace(sources, cluster)
    for (const source of sources) this.files.forget(source.path)
  }

  /** There is nothing more to do for a while. */
  rest(): void {
    this.memory = undefined
  }

  /** Bytes of the files that are to be rewritten. */
  pending(durableLsn: number): number {
    const all = this.segments.used.filter((one) => one.sealed && one.lastLsn <= durableLsn)
    return all.reduce((sum, segment, i) => {
      const isWaiting = this.isWorthwhile(all, i, rewritten(segment) / segment.size, false)
      return isWaiting ? sum + segment.size : sum
    }, 0)
  }

  private isWorthwhile(all: readonly Segment[], index: number, share: number, urgent: boolean): boolean {
    const segment = all[index]!
    if (segment.isDead()) return false
    if (share < this.options.liveShare) return urgent || !segment.draining
    if (segment.draining) return false
    if (this.isTangled(segment)) return true
    if (!this.isSmall(segment) || smallRun(all, index, (one) => this.isSmall(one)) < SMALL_RUN) return false
    return this.withNeighbours(all, index).length > 1
  }

  /** Queues take turns in it, and whoever reads it reads far more than he takes away. */
  private isTangled(segment: Segment): boolean {
    if (segment.isCluster || segment.switches <= segment.table.count) return false
    return segment.readBytes >= segment.size * READ && segment.liveBytes() > segment.size * STILL_ALIVE
  }

  private isSmall(segment: Segment): boolean {
    return segment.size < this.options.segmentBytes * SMALL
  }

  private withNeighbours(all: readonly Segment[], index: number): readonly Segment[] {
    let from = index
    let to = index + 1
    let bytes = all[index]!.liveBytes()
    const takes = (segment: Segment | undefined): boolean => {
      if (!segment || bytes + segment.liveBytes() > this.options.compactionBytes) return false
      const isSparse = rewritten(segment) < segment.size * this.options.liveShare
      if (!isSparse && !this.isSmall(segment) && !this.isTangled(segment)) return false
      bytes += segment.liveBytes()
      return true
    }
    while (takes(all[to])) to++
    while (takes(all[from - 1])) from--
    return all.slice(from, to)
  }

  private async gather(source: Segment, memory: Memory): Promise<void> {
    const { file } = await this.io.open(source.path, 'read')
    try {
      await this.gatherFrom(file, source, memory)
    } finally {
      await this.io.close(file)
    }
  }

  private async gatherFrom(file: DiskFile, source: Segment, { survivors, window }: Memory): Promise<void> {
    const scanner = new FrameScanner(this.io, file, source.number, FILE_HEADER, source.written, window)
    for (let frame = await scanner.next(); frame; frame = await scanner.next()) {
      if (frame.whole) this.takeSurvivors(frame, survivors)
      else if (frame.unreadable) throw unreadable(source.path, frame.start)
      else this.damaged(source, frame.start, frame.end, 'checksum failed')
    }
  }

  private takeSurvivors(frame: ScannedFrame, into: Survivors): void {
    const { header, bytes } = frame
    forEachOperation(header, bytes, frame.payloadStart, frame.payloadEnd, (lsn, type, start, end) => {
      const from = start - OPERATION_HEADER
      if (type === OperationType.publish && this.liveness.isLive(lsn)) {
        const isWhole = this.facts.read(this.reader.reset(bytes, start, end))
        into.add(isWhole && this.facts.queues === 1 ? this.facts.firstQueue : 0, lsn, bytes, from, end)
      } else if (type === OperationType.chunk && this.liveness.chunks.has(lsn)) {
        into.add(0, lsn, bytes, from, end)
      }
    })
  }
}

/**
 * Bytes that a file of its survivors would have, about. A few small survivors take less room than the headers around them,
 * and without counting those they would be rewritten for ever.
 */
function rewritten(segment: Segment): number {
  const frames = segment.isCluster ? segment.table.count : 1
  return FILE_HEADER + FRAME_HEADER * frames + segment.liveBytes()
}

function unreadable(path: string, position: number): DiskError {
  const error: DiskError = new Error(`cannot read ${path} at ${position}`)
  error.code = 'EIO'
  return error
}

/** How many neighbours in a row, `index` among them, pass the test. */
function smallRun(all: readonly Segment[], index: number, test: (segment: Segment) => boolean): number {
  let from = index
  let to = index + 1
  while (from > 0 && test(all[from - 1]!)) from--
  while (to < all.length && test(all[to]!)) to++
  return to - from
}
