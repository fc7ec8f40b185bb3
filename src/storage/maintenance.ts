import type { Clock } from '../engine/ports/clock.ts'
import type { UpkeepStatus } from '../engine/ports/store.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Compaction } from './compaction.ts'
import { isOperating } from './disk.ts'
import type { Liveness } from './liveness.ts'
import type { JournalOptions } from './options.ts'
import type { Pages } from './pages.ts'
import type { Segment } from './segment.ts'
import type { SegmentSet } from './segments.ts'
import type { Space } from './space.ts'
import type { JournalWatch } from './watch.ts'
import type { Writer } from './writer.ts'

/** An active segment with less than this share of its nominal size in it is left alone when the journal is idle. */
const WORTH_SEALING = 1 / 16

/**
 * While there is room enough, a checkpoint that is written for the sake of room gives back so many times its own size: where
 * thousands of queues with a backlog are consumed, it is large.
 */
const WORTH_A_CHECKPOINT = 8

/** Ticks of an idle journal, until there is nothing left to find out: it takes two looks to see that nothing drains. */
const QUIET_TICKS = 4
/** Checkpoints in one go: the first lets go of a file, the second of what the first still kept. */
const CHECKPOINTS_A_RUN = 3

export interface MaintenanceParts {
  readonly clock: Clock
  readonly options: JournalOptions
  readonly writer: Writer
  readonly segments: SegmentSet
  readonly liveness: Liveness
  readonly pages: Pages
  readonly checkpoints: Checkpoints
  readonly compaction: Compaction
  readonly space: Space
}

/**
 * Checkpoints and compaction, one at a time, while the journal works. A journal in which nothing happens, and nothing
 * can be given back, has no timer.
 */
export class Maintenance {
  private readonly parts: MaintenanceParts
  private readonly snapshot: () => Iterable<Uint8Array>
  private readonly watch: JournalWatch | undefined
  private running: Promise<void> | undefined
  private ticking = false
  private stopped = false
  /** The last attempt failed, as on a full disk: wait for the next tick. */
  private resting = false
  private checkpointDue: boolean
  /** Since the last tick: a busy journal has one checkpoint a tick for the sake of room. */
  private hasReclaimed = false
  /** Bytes journalled, and messages that had left, when the last checkpoint began. */
  private checkpointedAt: number
  private settledAt = 0
  private lastCheckpointBytes = 0
  private tickedAt = 0
  /** Ticks since something was last journalled. */
  private quietTicks = 0

  constructor(
    parts: MaintenanceParts,
    snapshot: () => Iterable<Uint8Array>,
    recovered: { damaged: boolean; bytesReplayed: number },
    watch?: JournalWatch,
  ) {
    this.watch = watch
    this.parts = parts
    this.snapshot = snapshot
    this.checkpointDue = recovered.damaged
    this.checkpointedAt = -recovered.bytesReplayed
    if (this.checkpointDue || this.reclaimable() > 0) this.scheduleTick()
  }

  /** Something was journalled. */
  kick(): void {
    this.scheduleTick()
    if (this.isBehind() && !this.resting) this.run()
  }

  /** Something is to be done soon, as when the disk is full. */
  urge(): void {
    this.scheduleTick()
  }

  /** Resolves when nothing runs any more, and nothing will. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  /** Writes a last checkpoint, when there is anything new. Rejects as Checkpoints.write does. */
  async finish(): Promise<void> {
    const { writer, checkpoints } = this.parts
    if (this.checkpointDue || writer.journalledBytes > this.checkpointedAt || checkpoints.base === 0) {
      await checkpoints.write(this.snapshot)
    }
  }

  /** What has been done to the files so far, and waits to be done. */
  upkeep(): UpkeepStatus {
    const { checkpoints, compaction, writer } = this.parts
    return {
      checkpoints: checkpoints.written,
      checkpointBytes: checkpoints.bytesWritten,
      compactions: compaction.runs,
      compactionBytesRead: compaction.bytesRead,
      compactionBytesWritten: compaction.bytesWritten,
      compactionBytesPending: compaction.pending(writer.durableLsn),
    }
  }

  private scheduleTick(): void {
    if (this.ticking || this.stopped) return
    this.ticking = true
    this.parts.clock.after(this.parts.options.idleInterval, () => {
      this.ticking = false
      if (!this.stopped) this.tick()
    })
  }

  private tick(): void {
    const { writer, segments, space } = this.parts
    if (writer.failure) return
    this.resting = false
    this.hasReclaimed = false
    const isQuiet = writer.journalledBytes === this.tickedAt && writer.unsyncedBytes === 0
    this.quietTicks = isQuiet ? this.quietTicks + 1 : 0
    this.tickedAt = writer.journalledBytes
    for (const segment of segments.used) if (segment.sealed) segment.observe()
    if (isQuiet) this.sealIdle()
    else space.check()
    if (this.quietTicks === 1) writer.mark()
    this.run()
    if (this.quietTicks < QUIET_TICKS || this.reclaimable() > 0) this.scheduleTick()
  }

  private sealIdle(): void {
    const { segments, options, writer } = this.parts
    const active = segments.used.at(-1)
    if (!active || active.sealed || active.size < options.segmentBytes * WORTH_SEALING) return
    if (active.liveBytes() < active.size * options.liveShare) writer.seal()
  }

  private run(): void {
    if (this.running || this.stopped) return
    this.running = this.work().finally(() => {
      this.parts.compaction.rest()
      this.running = undefined
    })
  }

  private async work(): Promise<void> {
    const { compaction, options, writer, space } = this.parts
    let checkpoints = 0
    try {
      while (!this.stopped && !writer.failure) {
        const isShort = !space.available
        const sources = options.compaction ? compaction.pick(writer.durableLsn, isShort) : undefined
        if (checkpoints < CHECKPOINTS_A_RUN && this.isDue(isShort)) {
          checkpoints++
          await this.checkpoint()
        } else if (sources) await this.compact(sources)
        else return
        this.scheduleTick()
      }
    } catch (error) {
      if (!isOperating(error)) throw error
      // A full or failing disk: nothing has changed, and the next tick tries again.
      this.resting = true
      this.scheduleTick()
    }
  }

  private async compact(sources: readonly Segment[]): Promise<void> {
    const { compaction, clock } = this.parts
    const { bytesRead, bytesWritten } = compaction
    const begun = clock.monotonic()
    await compaction.compact(sources)
    this.watch?.compacted({
      bytesRead: compaction.bytesRead - bytesRead,
      bytesWritten: compaction.bytesWritten - bytesWritten,
      milliseconds: Math.round(clock.monotonic() - begun),
    })
  }

  private async checkpoint(): Promise<void> {
    const { writer, checkpoints, space, liveness, clock } = this.parts
    const begun = clock.monotonic()
    const { bytesWritten } = checkpoints
    const at = writer.journalledBytes
    const { settled } = liveness
    await checkpoints.write(this.snapshot)
    this.watch?.checkpointed({
      bytesRead: 0,
      bytesWritten: checkpoints.bytesWritten - bytesWritten,
      milliseconds: Math.round(clock.monotonic() - begun),
    })
    this.lastCheckpointBytes = checkpoints.bytesWritten - bytesWritten
    this.checkpointDue = false
    this.hasReclaimed = true
    this.checkpointedAt = at
    this.settledAt = settled
    if (!space.available) space.check()
  }

  private isBehind(): boolean {
    const { writer, options, liveness } = this.parts
    if (liveness.settled - this.settledAt >= options.checkpointSettlements) return true
    return writer.journalledBytes - this.checkpointedAt >= options.checkpointBytes
  }

  private isDue(isShort: boolean): boolean {
    if (this.checkpointDue || this.isBehind()) return true
    const { options } = this.parts
    const reclaimable = this.reclaimable()
    if (isShort || this.quietTicks > 0) return reclaimable > 0
    const worthwhile = Math.max(options.checkpointBytes, this.lastCheckpointBytes * WORTH_A_CHECKPOINT)
    return reclaimable >= worthwhile && !this.hasReclaimed
  }

  /** Bytes that checkpoints would allow to be removed. */
  private reclaimable(): number {
    const { segments, pages } = this.parts
    let bytes = pages.reclaimable()
    for (const segment of segments.retired) bytes += segment.size
    for (const segment of segments.used) if (segment.sealed && segment.isDead()) bytes += segment.size
    return bytes
  }
}
