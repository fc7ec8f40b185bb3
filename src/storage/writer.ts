import type { Clock } from '../engine/ports/clock.ts'
import type { OperationBatch } from '../engine/ports/operations.ts'
import { MillraceError } from '../model/errors.ts'
import type { Disk, DiskError, DiskFile } from './disk.ts'
import { EXTENT_LSNS, type Extent } from './extent.ts'
import { FILE_HEADER, FileKind, FRAME_BYTES, FRAME_HEADER, writeFileHeader } from './format.ts'
import type { JournalOptions } from './options.ts'
import { MOST_AHEAD, Round } from './round.ts'
import type { Segment } from './segment.ts'
import type { SegmentSet } from './segments.ts'

/** What the writer tells. Nothing is ever told ahead of the disk. */
export interface WriterEvents {
  written(lsn: number): void
  durable(lsn: number): void
  failed(error: MillraceError): void
  /** The disk is full: make room, then let the write be tried again; `false` when there is none to be had. */
  full(retry: (again: boolean) => void): void
}

/** Rounds of at most so many bytes have the bytes behind them allocated. */
const SMALL_ROUND = MOST_AHEAD / 4

interface Waiter {
  readonly lsn: number
  readonly resolve: () => void
  readonly reject: (error: MillraceError) => void
}

/**
 * Group commit: one write and one sync at a time; batches committed meanwhile gather and go out together as the next.
 *
 * Zeros are written behind small rounds, so that those after them make the file no longer: a sync has then no change of
 * the file itself to wait for, which is a third of its time. Large rounds are few, and would be written twice.
 *
 * A sync that failed is never tried again, and neither is a write that failed for another reason than a full disk:
 * the kernel may have dropped what it could not write and answer the next sync as if all were well.
 */
export class Writer {
  /** Highest LSN committed. */
  lastLsn: number
  durableLsn: number
  unsyncedBytes = 0
  /** Bytes written to segments since the journal was opened. */
  journalledBytes = 0
  failure: MillraceError | undefined
  private readonly disk: Disk
  private readonly clock: Clock
  private readonly options: JournalOptions
  private readonly segments: SegmentSet
  private readonly events: WriterEvents
  private readonly epoch: number
  private batches: OperationBatch[] = []
  private homes: Segment[] = []
  private next = 0
  private busy = false
  /** Where commits go now, and how large it will be when they are written. */
  private target: Segment | undefined
  private planned = 0
  private file: DiskFile | undefined
  private fileOf: Segment | undefined
  /** Bytes in the file, the zeros behind what was written included. */
  private allocated = 0
  private waiters: Waiter[] = []

  constructor(
    context: { disk: Disk; clock: Clock; options: JournalOptions; segments: SegmentSet },
    state: { lastLsn: number; epoch: number },
    events: WriterEvents,
  ) {
    this.disk = context.disk
    this.clock = context.clock
    this.options = context.options
    this.segments = context.segments
    this.lastLsn = state.lastLsn
    this.durableLsn = state.lastLsn
    this.epoch = state.epoch
    this.events = events
  }

  /** Takes a batch; answers the extent that its LSNs belong to. */
  commit(batch: OperationBatch): Extent {
    const segment = this.segmentFor(batch)
    const extent = segment.extents[0]!
    this.lastLsn = batch.lsns[batch.count - 1]!
    extent.lastLsn = this.lastLsn
    segment.lastLsn = this.lastLsn
    this.unsyncedBytes += batch.length
    this.batches.push(batch)
    this.homes.push(segment)
    if (!this.busy) {
      this.busy = true
      // Batches that siblings commit in the same turn join the round.
      this.clock.defer(() => this.begin())
    }
    return extent
  }

  /** Nothing more is appended to the present segment. */
  seal(): void {
    if (this.target) this.target.sealed = true
    this.target = undefined
  }

  /**
   * Writes down, when nothing else is to be written, that everything is durable. Without it nothing would tell damage in
   * the last round from a write that was cut short.
   */
  mark(): void {
    const segment = this.target
    if (this.busy || this.failure || !segment || this.fileOf !== segment) return
    this.busy = true
    const round = new Round(segment, segment.size, this.durableLsn, this.epoch)
    round.addMark()
    this.disk.write(this.file!, round.buffers, round.start, (error) => {
      if (this.failure) return
      // On a full disk the next round goes over what there is of it.
      if (error?.code === 'ENOSPC') this.begin()
      else if (error) this.fail(`cannot write to ${segment.path}`, error)
      else {
        segment.size = round.end
        segment.written = round.end
        this.syncMark(segment)
      }
    })
  }

  private syncMark(segment: Segment): void {
    this.disk.sync(this.file!, (error) => {
      if (this.failure) return
      if (error) this.fail(`cannot sync ${segment.path}`, error)
      else this.begin()
    })
  }

  /** Resolves when all that was committed up to `lsn` is durable. Throws the failure if it never will be. */
  durableUpTo(lsn: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.failure) reject(this.failure)
      else if (this.durableLsn >= lsn) resolve()
      else this.waiters.push({ lsn, resolve, reject })
    })
  }

  /** Nothing is confirmed any more: it stays busy for ever, and writes nothing. */
  stop(failure: MillraceError): void {
    if (this.failure) return
    this.failure = failure
    this.busy = true
    this.batches = []
    this.homes = []
    this.next = 0
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter.reject(failure)
  }

  /** Closes the file. Call it when everything is durable, or never will be. */
  close(done: () => void): void {
    if (this.file) this.leave(this.file, this.fileOf!, done)
    else done()
    this.file = undefined
  }

  /** Closes a file, without the zeros. It is as good with them, so nothing depends on the answer. */
  private leave(file: DiskFile, segment: Segment, done: () => void): void {
    if (this.failure || this.allocated <= segment.size) this.disk.close(file, done)
    else this.disk.truncate(file, segment.size, () => this.disk.close(file, done))
  }

  private segmentFor(batch: OperationBatch): Segment {
    const first = batch.lsns[0]!
    const size = batch.length + FRAME_HEADER * (2 + batch.length / FRAME_BYTES)
    const { target } = this
    if (target) {
      const full = this.planned + size > this.options.segmentBytes && this.planned > FILE_HEADER
      const wide = batch.lsns[batch.count - 1]! - target.extents[0]!.firstLsn >= EXTENT_LSNS
      if (full || wide) this.seal()
    }
    if (!this.target) {
      this.target = this.segments.begin(first, this.lastLsn)
      this.planned = FILE_HEADER
    }
    this.planned += size
    return this.target
  }

  private begin(): void {
    if (this.next === this.batches.length) {
      this.batches = []
      this.homes = []
      this.next = 0
      this.busy = false
      return
    }
    const segment = this.homes[this.next]!
    if (this.fileOf === segment) this.send(this.gather(segment))
    else this.startFile(segment)
  }

  private gather(segment: Segment): Round {
    const fresh = segment.table.count === 0
    const round = new Round(segment, fresh ? 0 : segment.size, this.durableLsn, this.epoch)
    if (fresh) {
      const { number } = segment
      const lsn = segment.precededBy
      round.prepend(writeFileHeader({ kind: FileKind.journal, epoch: this.epoch, number, lsn }))
    }
    do {
      round.add(this.batches[this.next++]!)
    } while (this.homes[this.next] === segment && round.bytes < this.options.roundBytes)
    if (this.next * 2 > this.batches.length) this.shrink()
    segment.size = round.end
    if (round.end > this.allocated) this.allocate(round)
    return round
  }

  private allocate(round: Round): void {
    const ahead = Math.min(MOST_AHEAD, this.options.segmentBytes - round.end)
    if (round.bytes <= SMALL_ROUND && ahead > 0) round.allocate(ahead)
    this.allocated = round.end + round.ahead
  }

  private shrink(): void {
    this.batches = this.batches.slice(this.next)
    this.homes = this.homes.slice(this.next)
    this.next = 0
  }

  private startFile(segment: Segment): void {
    if (this.file) this.leave(this.file, this.fileOf!, () => {})
    this.file = undefined
    this.fileOf = undefined
    this.allocated = 0
    this.disk.open(segment.path, 'create', (error, file) => {
      if (error) {
        this.failedWrite(error, `cannot create ${segment.path}`, () => this.startFile(segment))
        return
      }
      this.file = file!
      this.fileOf = segment
      this.begin()
    })
  }

  private send(round: Round): void {
    this.disk.write(this.file!, round.buffers, round.start, (error) => {
      if (this.failure) return
      if (error?.code === 'ENOSPC' && round.ahead > 0) this.sendWithout(round)
      else if (error) this.failedWrite(error, `cannot write to ${round.segment.path}`, () => this.send(round))
      else {
        round.segment.written = round.end
        this.events.written(round.lastLsn)
        this.sync(round)
      }
    })
  }

  /** What there was of the zeros may have taken the last room. */
  private sendWithout(round: Round): void {
    round.doWithout()
    this.allocated = round.end
    this.disk.truncate(this.file!, round.start, () => this.send(round))
  }

  private sync(round: Round): void {
    this.disk.sync(this.file!, (error) => {
      if (this.failure) return
      if (error) {
        this.fail(`cannot sync ${round.segment.path}`, error)
        return
      }
      this.durableLsn = round.lastLsn
      this.unsyncedBytes -= round.operationBytes
      this.journalledBytes += round.bytes
      this.events.durable(round.lastLsn)
      this.wake()
      // What the confirmed ones commit in answer joins the next round.
      this.clock.defer(() => this.begin())
    })
  }

  private failedWrite(error: DiskError, what: string, retry: () => void): void {
    if (error.code !== 'ENOSPC') this.fail(what, error)
    else {
      this.events.full((again) => {
        if (again) retry()
        else this.fail(`${what}: the disk is full, and so is the reserve`, error)
      })
    }
  }

  private fail(what: string, cause: DiskError): void {
    const failure = new MillraceError('journal-failed', `${what}; nothing more is confirmed until restart`, {
      cause,
    })
    this.stop(failure)
    this.events.failed(failure)
  }

  private wake(): void {
    if (this.waiters.length === 0) return
    const ready = this.waiters.filter((waiter) => waiter.lsn <= this.durableLsn)
    this.waiters = this.waiters.filter((waiter) => waiter.lsn > this.durableLsn)
    for (const waiter of ready) waiter.resolve()
  }
}
