import type { Clock } from '../engine/ports/clock.ts'
import type { OperationBatch } from '../engine/ports/operations.ts'
import { OperationReader } from '../engine/ports/operations.ts'
import {
  type RecoveryReport,
  Slice,
  type Store,
  type StoreClient,
  type StoreStatus,
} from '../engine/ports/store.ts'
import { assert, isMillraceError, MillraceError } from '../model/errors.ts'
import { Checkpoints } from './checkpoints.ts'
import { Compaction } from './compaction.ts'
import { type Disk, isOperating } from './disk.ts'
import { DiskIo } from './disk-io.ts'
import { Liveness } from './liveness.ts'
import { Maintenance } from './maintenance.ts'
import { OpenFiles } from './open-files.ts'
import { defaultJournalOptions, type JournalOptions } from './options.ts'
import { Pages } from './pages.ts'
import { PublishFacts } from './publish-facts.ts'
import { Quarantine } from './quarantine.ts'
import { Reader } from './reader.ts'
import { type Recovered, Recovery } from './recovery.ts'
import { FileRepairs } from './repairs.ts'
import type { Segment } from './segment.ts'
import { SegmentSet } from './segments.ts'
import { Space } from './space.ts'
import { Tail } from './tail.ts'
import { type JournalWatch, RecoveryProgress } from './watch.ts'
import { Writer } from './writer.ts'

/** Messages of level 'memory' took LSNs that were never written: after a start LSNs go on this far above the rest. */
const LSN_JUMP = 2 ** 20
const SCAN_SLICE = 256
/** A checkpoint is written in pieces of this share of what is journalled between two: 128 KiB by default. */
const CHECKPOINT_SLICE = 1 / 2048

/** The journal: one append-only log of segments for all queues, behind the engine's Store port. docs/spec/journal.md. */
export class Journal implements Store {
  private readonly disk: Disk
  private readonly clock: Clock
  private readonly options: JournalOptions
  private readonly io: DiskIo
  private readonly liveness = new Liveness()
  private readonly segments: SegmentSet
  private readonly files: OpenFiles
  private readonly tail: Tail
  private readonly quarantine: Quarantine
  private readonly reader: Reader
  private readonly pages: Pages
  private readonly space: Space
  private client: StoreClient | undefined
  private writer: Writer | undefined
  private checkpoints: Checkpoints | undefined
  private maintenance: Maintenance | undefined
  private writtenLsn = 0
  private failure: MillraceError | undefined
  private closing: Promise<void> | undefined
  /** The last checkpoint is written. While it is, its snapshot may commit. */
  private closed = false
  private readonly watch: JournalWatch | undefined

  constructor(context: {
    disk: Disk
    clock: Clock
    options?: Partial<JournalOptions>
    watch?: JournalWatch
  }) {
    this.watch = context.watch
    this.disk = context.disk
    this.clock = context.clock
    this.options = { ...defaultJournalOptions, ...context.options }
    const { disk, clock, options, liveness } = this
    this.io = new DiskIo(disk)
    this.segments = new SegmentSet(liveness)
    this.files = new OpenFiles(disk)
    const { cacheBytes } = options
    // At most a quarter for what was just written; as much of the rest as is of use for what was read.
    this.tail = new Tail(clock, cacheBytes / 4)
    this.quarantine = new Quarantine(this.io)
    const { tail, files } = this
    this.reader = new Reader({ clock, files, liveness, tail, cacheBytes }, this.damaged)
    this.pages = new Pages(
      { disk, clock },
      {
        full: (retry) => this.space.full(retry),
        failed: (cause) =>
          this.fail(new MillraceError('journal-failed', 'cannot write the page file', { cause })),
      },
    )
    this.space = new Space({ disk, clock, options }, (available) => this.spaceChanged(available))
  }

  /** Throws `journal-newer`, `journal-failed`, `directory-unusable`. */
  async open(client: StoreClient): Promise<RecoveryReport> {
    assert(!this.client, 'a journal is opened once')
    this.client = client
    try {
      await this.quarantine.open()
      const { io, liveness, segments } = this
      const repairs = new FileRepairs(io, this.quarantine)
      const listener = {
        restore: (section: Uint8Array) => client.restore(section),
        apply: client.apply.bind(client),
        lost: client.lost.bind(client),
        pages: (reader: OperationReader) => this.pages.restore(reader),
      }
      const progress = new RecoveryProgress(this.watch)
      const recovered = await new Recovery({ io, liveness, segments }, listener, repairs, progress).run()
      this.pages.recovered(client.pages(), recovered.survey.pageBytes)
      await this.start(recovered, client)
      return this.report(recovered)
    } catch (cause) {
      if (isMillraceError(cause) || !isOperating(cause)) throw cause
      throw new MillraceError(
        'directory-unusable',
        'the files of the journal cannot be opened; see the cause',
        {
          cause,
        },
      )
    }
  }

  commit(batch: OperationBatch): void {
    if (batch.count === 0 || this.failure || this.closed) return
    const extent = this.writer!.commit(batch)
    this.tail.add(batch, this.writtenLsn)
    const { liveness } = this
    for (let i = 0; i < batch.count; i++) {
      liveness.count(
        batch.lsns[i]!,
        batch.types[i]!,
        batch.bytes,
        batch.bodyStart(i),
        batch.bodyEnd(i),
        extent,
      )
    }
  }

  read(queue: number, lsn: number, into: Slice): boolean {
    return this.reader.read(queue, lsn, into)
  }

  chunk(lsn: number, into: Slice): boolean {
    return this.reader.read(0, lsn, into)
  }

  load(
    queue: number,
    lsns: readonly number[],
    done: (damaged: readonly number[]) => void,
    certain: number = lsns.length,
  ): void {
    this.reader.load(queue, lsns, done, certain)
  }

  scan(
    queue: number,
    first: number,
    last: number,
    visit: (lsn: number, message: Slice) => void,
    done: () => void,
  ): void {
    const slice = new Slice()
    const facts = new PublishFacts()
    const reader = new OperationReader()
    facts.sought = queue
    const from = (start: number): void => {
      const lsns: number[] = []
      let lsn = this.liveness.liveFrom(start)
      for (; lsn <= last && lsns.length < SCAN_SLICE; lsn = this.liveness.liveFrom(lsn + 1)) lsns.push(lsn)
      this.load(queue, lsns, () => {
        for (const one of lsns) {
          if (!this.read(queue, one, slice)) continue
          facts.read(reader.reset(slice.bytes, slice.start, slice.end))
          if (facts.isHeldBySought) visit(one, slice)
        }
        if (lsns.length < SCAN_SLICE) done()
        else from(lsns.at(-1)! + 1)
      })
    }
    from(first)
  }

  writePage(bytes: Uint8Array): number {
    return this.pages.write(bytes)
  }

  loadPage(page: number, done: (bytes: Uint8Array | null) => void): void {
    this.pages.load(page, done)
  }

  freePage(page: number): void {
    this.pages.free(page)
  }

  status(): StoreStatus {
    const reserve = this.space.reservedBytes
    return {
      durableLsn: this.writer?.durableLsn ?? 0,
      unsyncedBytes: this.writer?.unsyncedBytes ?? 0,
      diskBytes: this.segments.diskBytes() + this.pages.bytes() + (this.checkpoints?.bytes ?? 0) + reserve,
      liveBytes: this.segments.liveBytes(),
      segments: this.segments.used.length + this.segments.retired.length,
      quarantined: this.quarantine.count,
      spaceAvailable: this.space.available,
      upkeep: this.maintenance?.upkeep(),
      lasting: true,
    }
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  private async start(recovered: Recovered, client: StoreClient): Promise<void> {
    const { disk, clock, options, segments, io, liveness, pages, files, space } = this
    const { epoch, lastLsn } = recovered
    const writer = new Writer(
      { disk, clock, options, segments },
      { epoch, lastLsn },
      {
        written: (lsn) => {
          this.writtenLsn = lsn
          client.written(lsn)
        },
        durable: (lsn) => {
          client.durable(lsn)
          this.maintenance?.kick()
        },
        failed: (error) => this.fail(error),
        full: (retry) => space.full(retry),
      },
    )
    this.writer = writer
    const present = recovered.survey.checkpoints
    const sliceBytes = options.checkpointBytes * CHECKPOINT_SLICE
    const parts = { io, clock, writer, segments, liveness, pages, epoch, sliceBytes }
    const checkpoints = new Checkpoints(parts, files, { base: recovered.base, present })
    this.checkpoints = checkpoints
    const compaction = new Compaction({ io, options, segments, liveness, files, epoch }, this.damaged)
    await space.open(recovered.survey.reserveBytes === options.reserveBytes)
    this.maintenance = new Maintenance(
      { clock, options, writer, segments, liveness, pages, checkpoints, compaction, space },
      () => client.snapshot(),
      recovered,
      this.watch,
    )
  }

  private report(recovered: Recovered): RecoveryReport {
    const { epoch, operationsReplayed, tornBytes, lastLsn } = recovered
    const quarantined = [...this.quarantine.entries]
    return {
      lastLsn: lastLsn > 0 ? lastLsn + LSN_JUMP : 0,
      epoch,
      operationsReplayed,
      tornBytes,
      quarantined,
    }
  }

  private readonly damaged = (segment: Segment, start: number, end: number, reason: string): void => {
    void this.quarantine.keep({ file: segment.path, offset: start, length: end - start, reason })
  }

  private spaceChanged(available: boolean): void {
    this.client?.space(available)
    if (!available) this.maintenance?.urge()
  }

  private fail(error: MillraceError): void {
    if (this.failure) return
    this.failure = error
    this.writer?.stop(error)
    this.client?.failed(error)
  }

  private async shutDown(): Promise<void> {
    const { writer, maintenance } = this
    if (!writer || !maintenance) return
    await maintenance.stop()
    try {
      await writer.durableUpTo(writer.lastLsn)
      await maintenance.finish()
      await writer.durableUpTo(writer.lastLsn)
    } catch (error) {
      if (!isOperating(error)) throw error
      // The journal holds everything that was confirmed; without this checkpoint the next start reads more of it.
    }
    this.closed = true
    await this.space.close()
    await this.quarantine.settled()
    await new Promise<void>((resolve) => writer.close(resolve))
    this.files.closeAll()
    this.pages.close()
  }
}
