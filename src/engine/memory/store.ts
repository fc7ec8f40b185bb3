import type { Clock } from '../ports/clock.ts'
import type { OperationBatch } from '../ports/operations.ts'
import {
  OPERATION_HEADER,
  OperationReader,
  OperationType,
  PublishHead,
  readPublish,
} from '../ports/operations.ts'
import { forEachSettled } from '../ports/settle-operation.ts'
import type { RecoveryReport, Store, StoreClient, StoreStatus } from '../ports/store.ts'
import { Slice } from '../ports/store.ts'

/** A message or chunk that is held: a piece of the batch it came in. */
interface Kept {
  batch: Batch
  start: number
  end: number
  /** Queues that hold the message; publish operations that list the chunk. */
  holders: number
  /** Of a message. */
  readonly chunks: readonly number[] | undefined
  readonly isChunk: boolean
}

/** Bytes of a committed batch and how many of them are still kept. */
interface Batch {
  readonly bytes: Uint8Array
  readonly lsns: readonly number[]
  kept: number
}

/** The Store port in memory: everything is gone when the process is. */
export class MemoryStore implements Store {
  private readonly clock: Clock
  private client: StoreClient | undefined
  private readonly kept = new Map<number, Kept>()
  private readonly pages = new Map<number, Uint8Array>()
  private nextPage = 1
  private lastLsn = 0
  private reportedLsn = 0
  private liveBytes = 0
  private heldBytes = 0
  private unsynced = 0
  private reporting = false
  private readonly reader = new OperationReader()
  private readonly head = new PublishHead()

  constructor(clock: Clock) {
    this.clock = clock
  }

  async open(client: StoreClient): Promise<RecoveryReport> {
    this.client = client
    return { lastLsn: 0, epoch: 1, operationsReplayed: 0, tornBytes: 0, quarantined: [] }
  }

  commit(batch: OperationBatch): void {
    if (batch.count === 0) return
    const lsns: number[] = []
    const entry: Batch = { bytes: batch.bytes.subarray(0, batch.length), lsns, kept: 0 }
    for (let i = 0; i < batch.count; i++) {
      const lsn = batch.lsns[i]!
      this.reader.reset(batch.bytes, batch.bodyStart(i), batch.bodyEnd(i))
      const type = batch.types[i]
      if (type === OperationType.publish) this.publish(lsn, entry)
      else if (type === OperationType.chunk) this.keep(lsn, entry, this.reader.at, 0, undefined, true)
      else if (type === OperationType.settle) this.settle(lsn)
      if (this.kept.get(lsn)?.batch === entry) lsns.push(lsn)
    }
    this.lastLsn = batch.lsns[batch.count - 1]!
    this.unsynced += batch.length
    this.report()
  }

  read(_queue: number, lsn: number, into: Slice): boolean {
    const kept = this.kept.get(lsn)
    if (!kept) return false
    into.bytes = kept.batch.bytes
    into.start = kept.start
    into.end = kept.end
    return true
  }

  chunk(lsn: number, into: Slice): boolean {
    return this.read(0, lsn, into)
  }

  load(_queue: number, lsns: readonly number[], done: (damaged: readonly number[]) => void): void {
    this.clock.defer(() => done(lsns.filter((lsn) => !this.kept.has(lsn))))
  }

  scan(
    queue: number,
    first: number,
    last: number,
    visit: (lsn: number, message: Slice) => void,
    done: () => void,
  ): void {
    this.clock.defer(() => {
      const slice = new Slice()
      const head = new PublishHead()
      const lsns = [...this.kept.keys()].filter((lsn) => lsn >= first && lsn <= last).sort((a, b) => a - b)
      for (const lsn of lsns) {
        if (!this.read(queue, lsn, slice) || this.kept.get(lsn)!.isChunk) continue
        readPublish(this.reader.reset(slice.bytes, slice.start, slice.end), head)
        if (head.queues.includes(queue)) visit(lsn, slice)
      }
      done()
    })
  }

  writePage(bytes: Uint8Array): number {
    const page = this.nextPage++
    this.pages.set(page, Uint8Array.from(bytes))
    return page
  }

  loadPage(page: number, done: (bytes: Uint8Array | null) => void): void {
    const bytes = this.pages.get(page) ?? null
    this.clock.defer(() => done(bytes))
  }

  freePage(page: number): void {
    this.pages.delete(page)
  }

  status(): StoreStatus {
    return {
      durableLsn: this.reportedLsn,
      unsyncedBytes: this.unsynced,
      diskBytes: this.heldBytes,
      liveBytes: this.liveBytes,
      segments: 0,
      quarantined: 0,
      spaceAvailable: true,
      lasting: false,
    }
  }

  async close(): Promise<void> {
    this.client = undefined
  }

  private report(): void {
    if (this.reporting) return
    this.reporting = true
    this.clock.defer(() => {
      this.reporting = false
      this.reportedLsn = this.lastLsn
      this.unsynced = 0
      this.client?.written(this.reportedLsn)
      this.client?.durable(this.reportedLsn)
    })
  }

  private publish(lsn: number, batch: Batch): void {
    const head = this.head
    const start = this.reader.at
    readPublish(this.reader, head)
    const listed = head.chunks.length > 0 ? head.chunks.slice() : undefined
    if (head.queues.length > 0) {
      this.keep(lsn, batch, start, head.queues.length, listed, false)
      if (listed) for (const chunk of listed) this.hold(chunk)
    }
    if (head.replacedLsn > 0) this.release(head.replacedLsn)
  }

  private keep(
    lsn: number,
    batch: Batch,
    start: number,
    holders: number,
    chunks: readonly number[] | undefined,
    isChunk: boolean,
  ): void {
    const { end } = this.reader
    this.kept.set(lsn, { batch, start, end, holders, chunks, isChunk })
    if (batch.kept === 0) this.heldBytes += batch.bytes.length
    batch.kept += end - start + OPERATION_HEADER
    this.liveBytes += end - start + OPERATION_HEADER
  }

  private settle(by: number): void {
    this.reader.varint()
    this.reader.byte()
    forEachSettled(this.reader, (lsn) => this.release(lsn), by)
  }

  private hold(chunk: number): void {
    const kept = this.kept.get(chunk)
    if (kept) kept.holders++
  }

  private release(lsn: number): void {
    const kept = this.kept.get(lsn)
    if (!kept || --kept.holders > 0) return
    this.kept.delete(lsn)
    if (kept.chunks) for (const chunk of kept.chunks) this.release(chunk)
    const { batch } = kept
    const size = kept.end - kept.start + OPERATION_HEADER
    this.liveBytes -= size
    batch.kept -= size
    if (batch.kept === 0) this.heldBytes -= batch.bytes.length
    else if (batch.kept * 4 < batch.bytes.length) this.rescue(batch)
  }

  /** Copies the few survivors out of a batch, so that they do not keep all of it in memory. */
  private rescue(batch: Batch): void {
    this.heldBytes -= batch.bytes.length
    for (const lsn of batch.lsns) {
      const kept = this.kept.get(lsn)
      if (kept?.batch !== batch) continue
      const size = kept.end - kept.start
      const bytes = Buffer.allocUnsafeSlow(size)
      bytes.set(batch.bytes.subarray(kept.start, kept.end))
      // `size` counts the header that the copy does without, so that it never looks sparse itself.
      kept.batch = { bytes, lsns: [], kept: size + OPERATION_HEADER }
      kept.start = 0
      kept.end = size
      this.heldBytes += size
    }
  }
}
