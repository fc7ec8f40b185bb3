import { OperationReader } from '../engine/ports/operations.ts'
import type { RecoveryReport } from '../engine/ports/store.ts'
import { readChunks, readExtent, readSegment, SectionKind } from './checkpoint-format.ts'
import { CheckpointReader, type CheckpointSection, type CheckpointSummary } from './checkpoint-reader.ts'
import { rangeOfCluster, readCluster } from './cluster-scan.ts'
import type { DiskIo } from './disk-io.ts'
import { CHECKPOINT_DRAFT, checkpointPath, FileKind } from './format.ts'
import type { Liveness } from './liveness.ts'
import type { Repairs } from './repairs.ts'
import { Replay, type ReplayListener } from './replay.ts'
import { Segment } from './segment.ts'
import type { SegmentSet } from './segments.ts'
import { type Survey, type SurveyedFile, surveyDirectory } from './survey.ts'
import { RecoveryProgress } from './watch.ts'

/** Who is told what the directory holds: the store's client, or an inspection. */
export interface RecoveryListener extends ReplayListener {
  restore(section: Uint8Array): void
  /** The section of the page file. */
  pages(reader: OperationReader): void
}

export interface Recovered extends Omit<RecoveryReport, 'quarantined'> {
  /** The checkpoint that was used; 0 for none. */
  readonly base: number
  /** Anything that was not as it should be: a checkpoint is due. */
  readonly damaged: boolean
  /** Of journal frames that were read. */
  readonly bytesReplayed: number
  readonly survey: Survey
}

/**
 * Finds out what a directory holds: the newest whole checkpoint, then the journal after it. Without a checkpoint every
 * file is read, and what is found in them is taken for alive unless something in them says that it is not.
 */
export class Recovery {
  private readonly io: DiskIo
  private readonly liveness: Liveness
  private readonly segments: SegmentSet
  private readonly listener: RecoveryListener
  private readonly repairs: Repairs
  private readonly progress: RecoveryProgress
  private damaged = false

  constructor(
    context: { io: DiskIo; liveness: Liveness; segments: SegmentSet },
    listener: RecoveryListener,
    repairs: Repairs,
    progress: RecoveryProgress = new RecoveryProgress(),
  ) {
    this.io = context.io
    this.liveness = context.liveness
    this.segments = context.segments
    this.listener = listener
    this.progress = progress
    this.repairs = {
      damaged: (report) => {
        this.damaged = true
        return repairs.damaged(report)
      },
      remove: (path) => repairs.remove(path),
      secure: (path, unproven, end, size) => repairs.secure(path, unproven, end, size),
    }
  }

  /** Throws `journal-newer`, `journal-failed`. */
  async run(): Promise<Recovered> {
    const survey = await surveyDirectory(this.io)
    if (survey.draft) await this.repairs.remove(CHECKPOINT_DRAFT)
    this.liveness.replaying = true
    const base = await this.newestCheckpoint(survey)
    const { io, liveness, repairs, listener, progress } = this
    const replay = new Replay(
      { io, liveness, repairs, listener, progress },
      base?.lsn ?? 0,
      base?.end.durableLsn ?? 0,
    )
    if (base) await this.replayAfter(base, survey, replay)
    else await this.replayAll(survey, replay)
    await replay.finish()
    this.progress.end()
    this.liveness.reconcileChunks()
    const highest = survey.files.at(-1)?.number ?? 0
    this.segments.nextNumber = Math.max(base?.end.nextNumber ?? 1, highest + 1)
    return {
      lastLsn: replay.lastLsn,
      epoch: survey.epoch + 1,
      operationsReplayed: replay.operations,
      bytesReplayed: replay.bytes,
      tornBytes: replay.tornBytes,
      base: base?.number ?? 0,
      damaged: this.damaged,
      survey,
    }
  }

  private async newestCheckpoint(survey: Survey): Promise<CheckpointSummary | undefined> {
    for (const number of survey.checkpoints) {
      const { file, size } = await this.io.open(checkpointPath(number), 'read')
      await this.io.close(file)
      // It is read once more to be taken over.
      this.progress.expect(2 * size)
      const summary = await new CheckpointReader(this.io, number).verify()
      this.progress.did(size)
      if (summary) return summary
      this.progress.did(size)
      const reason = 'the checkpoint is damaged; the one before it is used, or the whole journal'
      await this.repairs.damaged({ file: checkpointPath(number), offset: 0, length: size, reason })
    }
    return undefined
  }

  private async replayAfter(base: CheckpointSummary, survey: Survey, replay: Replay): Promise<void> {
    const homes = await this.restore(base)
    const present = new Map(survey.files.map((file) => [file.number, file]))
    for (const segment of homes.values()) {
      const file = present.get(segment.number)
      if (!file) await this.missing(segment)
      else await this.resized(segment, file)
    }
    const newest = Math.max(
      0,
      ...[...homes.values()].filter((one) => !one.isCluster).map((one) => one.number),
    )
    const journal: SurveyedFile[] = []
    for (const file of survey.files) {
      const segment = homes.get(file.number)
      const isNewer = file.number >= base.end.nextNumber && file.kind === FileKind.journal
      if (base.end.kept.includes(file.number)) this.retire(file, base.number)
      else if (!segment && !isNewer) await this.repairs.remove(file.path)
      else if (segment) {
        this.segments.used.push(segment)
        const isCovered = segment.lastLsn <= base.lsn && file.number !== newest
        if (!segment.isCluster && !isCovered) journal.push(file)
      } else journal.push(file)
    }
    this.segments.used.sort((a, b) => firstLsn(a) - firstLsn(b))
    for (const file of journal) {
      const segment = homes.get(file.number)
      this.progress.expect(file.size - (segment ? replay.start(file, segment) : 0))
    }
    for (const file of journal) {
      await this.replayFile(replay, file, homes.get(file.number), file === journal.at(-1))
    }
  }

  /** Hands the sections of a checkpoint on; answers the segments that it names. */
  private async restore(base: CheckpointSummary): Promise<Map<number, Segment>> {
    const homes = new Map<number, Segment>()
    await new CheckpointReader(this.io, base.number).visitSections((section) => {
      this.progress.did(section.payload.length)
      this.restoreSection(section, homes)
    })
    this.liveness.extents.sort((a, b) => a.firstLsn - b.firstLsn)
    for (const segment of homes.values()) segment.extents.sort((a, b) => a.firstLsn - b.firstLsn)
    return homes
  }

  private restoreSection({ kind, payload }: CheckpointSection, homes: Map<number, Segment>): void {
    const reader = new OperationReader().reset(payload, 0, payload.length)
    if (kind === SectionKind.engine) this.listener.restore(payload)
    else if (kind === SectionKind.segment) {
      const segment = readSegment(reader)
      if (segment) homes.set(segment.number, segment)
    } else if (kind === SectionKind.extent) {
      const extent = readExtent(reader, homes)
      if (extent) this.liveness.extents.push(extent)
    } else if (kind === SectionKind.chunks) readChunks(reader, this.liveness.chunks, this.liveness.bodies)
    else if (kind === SectionKind.pages) this.listener.pages(reader)
  }

  private async missing(segment: Segment): Promise<void> {
    const reason = 'the file is missing'
    const [first, last] = [segment.extents[0]?.firstLsn, segment.extents.at(-1)?.lastLsn]
    await this.repairs.damaged({
      file: segment.path,
      offset: 0,
      length: 0,
      firstLsn: first,
      lastLsn: last,
      reason,
    })
    for (const extent of segment.extents) {
      this.liveness.lose(extent.firstLsn, extent.lastLsn)
      this.listener.lost(extent.firstLsn, extent.lastLsn)
    }
    this.liveness.extents = this.liveness.extents.filter(({ home }) => home !== segment)
  }

  /** A file shorter than it was keeps what it has; its lost messages are found out when they are asked for. */
  private async resized(segment: Segment, file: SurveyedFile): Promise<void> {
    if (file.size < segment.table.end) {
      const reason = `the file ends at ${file.size} instead of ${segment.table.end}`
      await this.repairs.damaged({ file: file.path, offset: file.size, length: 0, reason })
    }
    segment.size = Math.max(segment.size, file.size)
    segment.written = segment.size
  }

  private retire(file: SurveyedFile, checkpoint: number): void {
    const segment = new Segment(file.kind, file.number)
    segment.size = file.size
    segment.removableAt = checkpoint + 1
    this.segments.retired.push(segment)
  }

  private async replayFile(
    replay: Replay,
    file: SurveyedFile,
    known: Segment | undefined,
    isLast: boolean,
  ): Promise<void> {
    const segment = known ?? new Segment(FileKind.journal, file.number)
    segment.sealed = true
    segment.precededBy = file.header?.lsn ?? segment.precededBy
    let isThere = true
    if (isLast) isThere = await replay.last(file, segment)
    else await replay.sealed(file, segment)
    if (!isThere) await this.repairs.remove(file.path)
    else if (!known && segment.extents.length > 0) this.segments.used.push(segment)
  }

  /**
   * Without a whole checkpoint. Journal segments say more than clusters, which know of no settlement: those come in only
   * where segments are missing. If there never was a checkpoint none is.
   */
  private async replayAll(survey: Survey, replay: Replay): Promise<void> {
    const journal = survey.files.filter(({ kind }) => kind === FileKind.journal)
    const clusters = survey.files.filter(({ kind }) => kind === FileKind.cluster)
    replay.expectsGaps = survey.checkpoints.length > 0 || clusters.length > 0
    // Clusters are read once to find out what they hold.
    for (const { size } of [...journal, ...clusters]) this.progress.expect(size)
    const ranges = await this.rangesOf(clusters)
    for (const file of journal) {
      await this.replayClusters(replay, ranges, file.header?.lsn ?? 0)
      await this.replayFile(replay, file, undefined, file === journal.at(-1))
    }
    await this.replayClusters(replay, ranges, Number.POSITIVE_INFINITY)
  }

  /** In order of their first LSN, and of their making. */
  private async rangesOf(files: readonly SurveyedFile[]): Promise<ClusterRange[]> {
    const found: ClusterRange[] = []
    for (const file of files) {
      const range = await rangeOfCluster(this.io, file)
      this.progress.did(file.size)
      const segment = new Segment(FileKind.cluster, file.number)
      segment.sealed = true
      segment.size = file.size
      segment.written = file.size
      if (range) found.push({ ...range, file, segment })
    }
    return found.sort((a, b) => a.first - b.first || a.file.number - b.file.number)
  }

  /** Takes in what clusters hold between what has been replayed and `last`. */
  private async replayClusters(replay: Replay, ranges: readonly ClusterRange[], last: number): Promise<void> {
    for (const range of ranges) {
      if (range.first > last || range.last <= replay.lastLsn) continue
      const { file, segment } = range
      const content = await readCluster(this.io, file, segment, (report) => this.repairs.damaged(report))
      replay.cluster(segment, content, last)
      const isNew = segment.extents.length > 0 && !this.segments.used.includes(segment)
      if (isNew) this.segments.used.push(segment)
    }
  }
}

interface ClusterRange {
  readonly first: number
  readonly last: number
  readonly file: SurveyedFile
  readonly segment: Segment
}

function firstLsn(segment: Segment): number {
  return segment.extents[0]?.firstLsn ?? segment.precededBy + 1
}
