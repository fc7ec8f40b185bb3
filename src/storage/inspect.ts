import {
  OPERATION_HEADER,
  OperationReader,
  OperationType,
  PublishHead,
  readPublish,
} from '../engine/ports/operations.ts'
import { departures, forEachSettled } from '../engine/ports/settle-operation.ts'
import type { QuarantineEntry } from '../engine/ports/store.ts'
import type { Departure } from '../model/delivery.ts'
import { CheckpointReader } from './checkpoint-reader.ts'
import type { Disk } from './disk.ts'
import { DiskIo } from './disk-io.ts'
import { checkpointPath, FILE_HEADER, FileKind, QUARANTINE_FOLDER } from './format.ts'
import { forEachOperation } from './frame-operations.ts'
import { FrameScanner, type ScannedFrame } from './frame-scanner.ts'
import { Liveness } from './liveness.ts'
import type { DamageReport } from './quarantine.ts'
import { type Recovered, Recovery, type RecoveryListener } from './recovery.ts'
import { NoRepairs } from './repairs.ts'
import { SegmentSet } from './segments.ts'
import type { SurveyedFile } from './survey.ts'

/** Messages named for each file. */
const NAMED = 5
/** Quarantine reports larger than this are not ours. */
const MOST_REPORT = 64 * 1024

/** What one file of the journal folder holds. Sizes in bytes. */
export interface SegmentInspection {
  readonly file: string
  readonly kind: 'segment' | 'cluster'
  readonly bytes: number
  readonly liveBytes: number
  readonly liveMessages: number
  readonly liveChunks: number
  /** Whole frames, and operations in them. */
  readonly frames: number
  readonly operations: number
  /** The first live messages in it: they are why it is kept. */
  readonly keptBy: readonly {
    readonly lsn: number
    readonly queues: readonly number[]
    readonly bytes: number
  }[]
  /** Nothing in it is needed any more, but the checkpoint before the newest still names it, or none does. */
  readonly obsolete: boolean
  readonly damage: readonly DamageReport[]
}

export interface CheckpointInspection {
  readonly file: string
  readonly number: number
  readonly bytes: number
  readonly whole: boolean
  /** Replay begins after it; undefined when damaged. */
  readonly lsn?: number | undefined
}

/** What a start would find in a directory. */
export interface Inspection {
  readonly epoch: number
  readonly lastLsn: number
  /** Operations that a start would read after the checkpoint. */
  readonly operationsToReplay: number
  /** Bytes at the end that were never confirmed, and that a start would cut. */
  readonly tornBytes: number
  readonly segments: readonly SegmentInspection[]
  readonly checkpoints: readonly CheckpointInspection[]
  /** Damage that a start would put in quarantine. */
  readonly damage: readonly DamageReport[]
  readonly quarantine: readonly QuarantineEntry[]
}

/** A publish operation that is still in a file. */
export interface StoredPublication {
  readonly lsn: number
  /** Valid until the next one is asked for. */
  readonly head: PublishHead
  /** Where the payload lies that `head` speaks of. Valid as long as `head`. */
  readonly bytes: Uint8Array
  readonly file: string
  /** Of the frame that holds it. */
  readonly offset: number
  readonly alive: boolean
}

/** A message that left a queue. */
export interface SettledMessage {
  readonly lsn: number
  readonly queue: number
  readonly departure: Departure
}

/** Follows what the engine would be told; each part is optional. */
export interface InspectionListener extends Partial<Pick<RecoveryListener, 'restore' | 'apply'>> {
  /** A message that some of these queues hold: told by `inspect` only, after the others. */
  alive?(queues: readonly number[]): void
}

/**
 * Reads a directory that nobody owns, and changes nothing. Works on whatever lies there; holds little of it in memory
 * at a time. Throws `journal-newer`.
 */
export class Inspector {
  private readonly io: DiskIo
  private readonly liveness = new Liveness()
  private readonly segments: SegmentSet = new SegmentSet(this.liveness)
  private readonly repairs = new NoRepairs()
  private readonly reader = new OperationReader()
  private readonly head = new PublishHead()
  private recovered: Recovered | undefined

  constructor(disk: Disk) {
    this.io = new DiskIo(disk)
  }

  async inspect(listener: InspectionListener = {}): Promise<Inspection> {
    const recovered = await this.recover(listener)
    const segments: SegmentInspection[] = []
    for (const file of recovered.survey.files) segments.push(await this.inspectFile(file, listener))
    return {
      epoch: recovered.epoch - 1,
      lastLsn: recovered.lastLsn,
      operationsToReplay: recovered.operationsReplayed,
      tornBytes: recovered.tornBytes,
      segments,
      checkpoints: await this.inspectCheckpoints(recovered.survey.checkpoints),
      damage: this.repairs.damage,
      quarantine: await this.readQuarantine(),
    }
  }

  /** Every publish operation still in the files, dead ones too; a message that was moved may come twice. */
  async *publications(listener: InspectionListener = {}): AsyncGenerator<StoredPublication> {
    const { survey } = await this.recover(listener)
    for (const file of survey.files) {
      for await (const frame of this.frames(file)) {
        if (!frame.whole) continue
        for (const { type, lsn, start, end } of operationsOf(frame)) {
          if (type !== OperationType.publish) continue
          if (!readPublish(this.reader.reset(frame.bytes, start, end), this.head)) continue
          const alive = this.isHome(file, lsn) && this.liveness.isLive(lsn)
          yield { lsn, head: this.head, bytes: frame.bytes, file: file.path, offset: frame.start, alive }
        }
      }
    }
  }

  /** How those of `lsns` left their queues whose settlement is still in the files, oldest first. */
  async settled(lsns: ReadonlySet<number>): Promise<SettledMessage[]> {
    const found: SettledMessage[] = []
    const { survey } = await this.recover({})
    for (const file of survey.files) {
      for await (const frame of this.frames(file)) {
        if (!frame.whole) continue
        for (const { type, start, end } of operationsOf(frame)) {
          if (type === OperationType.settle) this.findSettled(frame.bytes, start, end, lsns, found)
        }
      }
    }
    return found
  }

  private findSettled(
    bytes: Uint8Array,
    start: number,
    end: number,
    lsns: ReadonlySet<number>,
    found: SettledMessage[],
  ): void {
    const reader = this.reader.reset(bytes, start, end)
    const queue = reader.varint()
    const departure = departures[reader.byte()]
    if (departure === undefined) return
    forEachSettled(reader, (lsn) => {
      if (lsns.has(lsn)) found.push({ lsn, queue, departure })
    })
  }

  private async recover(listener: InspectionListener): Promise<Recovered> {
    if (this.recovered) return this.recovered
    const { io, liveness, segments } = this
    const full: RecoveryListener = {
      restore: (section) => listener.restore?.(section),
      apply: (...operation) => listener.apply?.(...operation),
      lost: () => {},
      pages: () => {},
    }
    this.recovered = await new Recovery({ io, liveness, segments }, full, this.repairs).run()
    return this.recovered
  }

  private async inspectFile(file: SurveyedFile, listener: InspectionListener): Promise<SegmentInspection> {
    const tally = new Tally(file.path)
    const cut = this.segments.used.find(({ number }) => number === file.number)?.size ?? file.size
    for await (const frame of this.frames(file)) {
      if (frame.whole) this.tallyFrame(file, frame, tally, listener)
      else if (frame.start < cut && !frame.isBlank) tally.addDamage(frame)
    }
    const isUsed = this.segments.used.some(({ number }) => number === file.number)
    return {
      file: file.path,
      kind: file.kind === FileKind.cluster ? 'cluster' : 'segment',
      bytes: file.size,
      obsolete: !isUsed,
      ...tally.totals,
    }
  }

  private tallyFrame(
    file: SurveyedFile,
    frame: ScannedFrame,
    tally: Tally,
    listener: InspectionListener,
  ): void {
    tally.totals.frames++
    for (const { type, lsn, start, end } of operationsOf(frame)) {
      tally.totals.operations++
      if (!this.isHome(file, lsn)) continue
      const bytes = end - start + OPERATION_HEADER
      if (type === OperationType.chunk && this.liveness.chunks.has(lsn)) tally.addChunk(bytes)
      if (type !== OperationType.publish || !this.liveness.isLive(lsn)) continue
      const isRead = readPublish(this.reader.reset(frame.bytes, start, end), this.head)
      const queues = isRead ? this.head.queues : []
      tally.addMessage(lsn, queues, bytes)
      listener.alive?.(queues)
    }
  }

  private isHome(file: SurveyedFile, lsn: number): boolean {
    return this.liveness.find(lsn)?.home.number === file.number
  }

  private async *frames(file: SurveyedFile): AsyncGenerator<ScannedFrame> {
    const { file: opened } = await this.io.open(file.path, 'read')
    try {
      const from = Math.min(FILE_HEADER, file.size)
      const scanner = new FrameScanner(this.io, opened, file.number, from, file.size)
      for (let frame = await scanner.next(); frame; frame = await scanner.next()) yield frame
    } finally {
      await this.io.close(opened)
    }
  }

  private async inspectCheckpoints(numbers: readonly number[]): Promise<CheckpointInspection[]> {
    const found: CheckpointInspection[] = []
    for (const number of numbers) {
      const path = checkpointPath(number)
      const { file, size } = await this.io.open(path, 'read')
      await this.io.close(file)
      const summary = await new CheckpointReader(this.io, number).verify()
      found.push({ file: path, number, bytes: size, whole: summary !== undefined, lsn: summary?.lsn })
    }
    return found
  }

  private async readQuarantine(): Promise<QuarantineEntry[]> {
    const entries: QuarantineEntry[] = []
    for (const { name, size } of await this.io.list(QUARANTINE_FOLDER)) {
      if (!name.endsWith('.json') || size > MOST_REPORT) continue
      const { file } = await this.io.open(`${QUARANTINE_FOLDER}/${name}`, 'read')
      const { bytes } = await this.io.readPatiently(file, 0, size)
      await this.io.close(file)
      const entry = parseEntry(bytes.toString())
      if (entry) entries.push(entry)
    }
    return entries
  }
}

/** Sums over one file. */
class Tally {
  readonly totals: {
    liveBytes: number
    liveMessages: number
    liveChunks: number
    frames: number
    operations: number
    keptBy: { lsn: number; queues: readonly number[]; bytes: number }[]
    damage: DamageReport[]
  } = { liveBytes: 0, liveMessages: 0, liveChunks: 0, frames: 0, operations: 0, keptBy: [], damage: [] }
  private readonly file: string

  constructor(file: string) {
    this.file = file
  }

  addMessage(lsn: number, queues: readonly number[], bytes: number): void {
    this.totals.liveMessages++
    this.totals.liveBytes += bytes
    if (this.totals.keptBy.length < NAMED) this.totals.keptBy.push({ lsn, queues: [...queues], bytes })
  }

  addChunk(bytes: number): void {
    this.totals.liveChunks++
    this.totals.liveBytes += bytes
  }

  addDamage({ start, end }: ScannedFrame): void {
    this.totals.damage.push({ file: this.file, offset: start, length: end - start, reason: 'no whole frame' })
  }
}

interface FoundOperation {
  readonly type: number
  readonly lsn: number
  /** Of the body in the frame's bytes. */
  readonly start: number
  readonly end: number
}

function operationsOf({ header, bytes, payloadStart, payloadEnd }: ScannedFrame): FoundOperation[] {
  const found: FoundOperation[] = []
  forEachOperation(header, bytes, payloadStart, payloadEnd, (lsn, type, start, end) => {
    found.push({ lsn, type, start, end })
  })
  return found
}

function parseEntry(text: string): QuarantineEntry | undefined {
  try {
    const entry = JSON.parse(text) as QuarantineEntry
    return typeof entry.file === 'string' && typeof entry.offset === 'number' ? entry : undefined
  } catch {
    return undefined
  }
}
