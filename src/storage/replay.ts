import { OPERATION_HEADER } from '../engine/ports/operations.ts'
import type { ClusterContent } from './cluster-scan.ts'
import type { DiskIo } from './disk-io.ts'
import { Extent } from './extent.ts'
import { FILE_HEADER, type FrameHeader } from './format.ts'
import { forEachOperation } from './frame-operations.ts'
import { FrameScanner, type ScannedFrame } from './frame-scanner.ts'
import type { Liveness } from './liveness.ts'
import type { Repairs } from './repairs.ts'
import type { Segment } from './segment.ts'
import type { SurveyedFile } from './survey.ts'
import { judgeTail } from './torn-tail.ts'
import type { RecoveryProgress } from './watch.ts'

/** Hears what is found, in the order of LSNs. */
export interface ReplayListener {
  apply(lsn: number, type: number, bytes: Uint8Array, start: number, end: number): void
  lost(first: number, last: number): void
}

interface Hole {
  readonly start: number
  end: number
  /** Zeros to the end of the file: nothing was there, unless what comes next misses something. */
  readonly isBlank: boolean
}

/** Reads the journal segments after a checkpoint, one after the other, and counts and tells what they hold. */
export class Replay {
  operations = 0
  bytes = 0
  tornBytes = 0
  /** Highest LSN that is accounted for: applied, covered by the checkpoint, or known to be lost. */
  lastLsn: number
  /** Files may be missing without harm, because it is not known which were removed. */
  expectsGaps = false
  private readonly io: DiskIo
  private readonly liveness: Liveness
  private readonly listener: ReplayListener
  private readonly repairs: Repairs
  private readonly progress: RecoveryProgress
  /** Operations up to this LSN are in the checkpoint. */
  private readonly after: number
  private readonly durableLsn: number
  private hole: (Hole & { file: string }) | undefined

  constructor(
    context: {
      io: DiskIo
      liveness: Liveness
      listener: ReplayListener
      repairs: Repairs
      progress: RecoveryProgress
    },
    after: number,
    durableLsn: number,
  ) {
    this.io = context.io
    this.liveness = context.liveness
    this.listener = context.listener
    this.repairs = context.repairs
    this.progress = context.progress
    this.after = after
    this.lastLsn = after
    this.durableLsn = durableLsn
  }

  /** Reads a sealed segment: whatever is not whole in it is damage. */
  async sealed(file: SurveyedFile, segment: Segment): Promise<void> {
    await this.read(file, segment, this.start(file, segment), file.size)
    segment.size = Math.max(file.size, FILE_HEADER)
    segment.written = segment.size
  }

  /** Reads the segment written last, and cuts its torn tail. Answers false when nothing is left of it. */
  async last(file: SurveyedFile, segment: Segment): Promise<boolean> {
    const from = this.start(file, segment)
    const { file: opened } = await this.io.open(file.path, 'read')
    const scanner = new FrameScanner(this.io, opened, file.number, from, file.size)
    const precededBy = this.precededBy(file, segment)
    const verdict = await judgeTail(scanner, from, precededBy, this.durableLsn, file.size)
    await this.io.close(opened)
    if (verdict.cut <= FILE_HEADER) {
      this.tornBytes += verdict.end
      return false
    }
    this.tornBytes += verdict.end - verdict.cut
    await this.repairs.secure(file.path, verdict.unproven, verdict.cut, file.size)
    await this.read(file, segment, from, verdict.cut)
    segment.size = Math.max(verdict.cut, FILE_HEADER)
    segment.written = segment.size
    return segment.table.count > 0
  }

  /** Takes in survivors up to `last` that no journal segment holds any more. */
  cluster(segment: Segment, { bytes, lsns, starts }: ClusterContent, last: number): void {
    let extent: Extent | undefined
    for (let i = 0; i < lsns.length; i++) {
      const lsn = lsns[i]!
      const start = starts[i]! + OPERATION_HEADER
      const end = start + bytes.readUInt32LE(start - 4)
      if (lsn <= this.lastLsn || lsn > last || end > bytes.length) continue
      extent ??= this.begin(segment, lsn)
      extent.lastLsn = lsn
      this.liveness.count(lsn, bytes[start - OPERATION_HEADER]!, bytes, start, end, extent)
      this.listener.apply(lsn, bytes[start - OPERATION_HEADER]!, bytes, start, end)
      this.operations++
      this.lastLsn = lsn
    }
  }

  /** The journal has ended: reports damage that nothing followed, and what should have been there and is not. */
  async finish(): Promise<void> {
    if (this.lastLsn < this.durableLsn) await this.gap('the end of the journal', this.durableLsn)
    else await this.closeHole(undefined)
  }

  /** Highest LSN known to lie before the place where reading starts. */
  private precededBy(file: SurveyedFile, segment: Segment): number {
    const index = segment.table.find(0, this.after + 1)
    return index >= 0 ? segment.table.lsn(index) - 1 : (file.header?.lsn ?? this.lastLsn)
  }

  /** Where in the file reading starts. */
  start(file: SurveyedFile, segment: Segment): number {
    const index = segment.table.find(0, this.after + 1)
    if (index >= 0) return segment.table.offset(index)
    return Math.min(FILE_HEADER, file.size)
  }

  private async read(file: SurveyedFile, segment: Segment, from: number, to: number): Promise<void> {
    if (!file.header) await this.damagedHeader(file)
    else if (from === FILE_HEADER && file.header.lsn > this.lastLsn)
      await this.gap(file.path, file.header.lsn)
    else if (from === FILE_HEADER) await this.closeHole(undefined)
    const { file: opened } = await this.io.open(file.path, 'read')
    const scanner = new FrameScanner(this.io, opened, file.number, from, to)
    for (let frame = await scanner.next(); frame; frame = await scanner.next()) {
      if (!frame.whole) await this.note(file.path, frame)
      else {
        if (this.hole) await this.closeHole(lastBefore(frame.header))
        this.frame(segment, frame)
      }
    }
    await this.io.close(opened)
  }

  private frame(segment: Segment, frame: ScannedFrame): void {
    const { header, bytes } = frame
    if (header.count === 0) return
    const extent = this.extentFor(segment, header.firstLsn)
    segment.table.note(0, header.firstLsn, frame.start, frame.end)
    extent.lastLsn = Math.max(extent.lastLsn, header.lastLsn)
    segment.lastLsn = extent.lastLsn
    forEachOperation(header, bytes, frame.payloadStart, frame.payloadEnd, (lsn, type, start, end) => {
      if (lsn <= this.after) return
      this.liveness.count(lsn, type, bytes, start, end, extent)
      this.listener.apply(lsn, type, bytes, start, end)
      this.operations++
    })
    this.bytes += header.span
    this.progress.did(header.span)
    this.lastLsn = Math.max(this.lastLsn, header.lastLsn)
  }

  private extentFor(segment: Segment, firstLsn: number): Extent {
    return segment.extents[0] ?? this.begin(segment, firstLsn)
  }

  private begin(segment: Segment, firstLsn: number): Extent {
    const extent = new Extent(firstLsn, segment)
    segment.extents.push(extent)
    this.liveness.extents.push(extent)
    return extent
  }

  private async note(file: string, frame: ScannedFrame): Promise<void> {
    if (this.hole?.file === file) {
      this.hole.end = frame.end
      return
    }
    await this.closeHole(undefined)
    this.hole = { file, start: frame.start, end: frame.end, isBlank: frame.isBlank }
  }

  /** LSNs between the last one read and `last` are lost, when it is known. */
  private async closeHole(last: number | undefined): Promise<void> {
    const { hole } = this
    if (!hole) return
    this.hole = undefined
    const first = this.lastLsn + 1
    const known = last !== undefined && last >= first
    if (hole.isBlank && !known) return
    await this.repairs.damaged({
      file: hole.file,
      offset: hole.start,
      length: hole.end - hole.start,
      firstLsn: known ? first : undefined,
      lastLsn: known ? last : undefined,
      reason: 'no whole frame',
    })
    if (known) this.lose(first, last)
  }

  private async damagedHeader(file: SurveyedFile): Promise<void> {
    if (file.size === 0) return
    await this.repairs.damaged({
      file: file.path,
      offset: 0,
      length: Math.min(FILE_HEADER, file.size),
      reason: 'the header of the file is damaged',
    })
  }

  /** A segment begins after an LSN that none before it holds: the end of one, or all of one, is gone. */
  private async gap(file: string, last: number): Promise<void> {
    const first = this.lastLsn + 1
    if (this.expectsGaps && !this.hole) return
    if (this.hole) {
      await this.closeHole(last)
      return
    }
    await this.repairs.damaged({
      file,
      offset: 0,
      length: 0,
      firstLsn: first,
      lastLsn: last,
      reason: 'operations before this place are missing',
    })
    this.lose(first, last)
  }

  private lose(first: number, last: number): void {
    this.liveness.lose(first, last)
    this.listener.lost(first, last)
    this.lastLsn = Math.max(this.lastLsn, last)
  }
}

/** The highest LSN that lies before a frame. One without operations only says what was durable before it. */
function lastBefore(header: FrameHeader): number {
  return header.count === 0 ? header.mark : header.firstLsn - 1
}
