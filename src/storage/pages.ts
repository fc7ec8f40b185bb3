import { crc32 } from 'node:zlib'
import type { Clock } from '../engine/ports/clock.ts'
import { type ByteWriter, type OperationReader, readList } from '../engine/ports/operations.ts'
import { assert } from '../model/errors.ts'
import { Bitmap } from './bitmap.ts'
import type { Disk, DiskError, DiskFile } from './disk.ts'
import { DiskIo } from './disk-io.ts'
import { PAGES_FILE } from './format.ts'

const PAGE_BLOCK = 4096
/** A page is a run of at most so many blocks, less one; its number is the first block times this, plus the length. */
const MAX_RUN = 1024
const PAGE_HEADER = 16
const ATTEMPTS = 3
const RETRY_DELAY = 20

/** Somebody who needs the file. */
interface Waiting {
  use(file: DiskFile): void
  /** There is none, and will be none. */
  fail(): void
}

/** What becomes of writes that fail, as for the journal's own. */
export interface PageEvents {
  full(retry: (again: boolean) => void): void
  failed(error: DiskError): void
}

/**
 * The page file: pages of the engine's queue indexes, each checksummed, never written over. A freed page's blocks are
 * used again when neither of the two newest checkpoints, both begun after it was freed, can name it.
 */
export class Pages {
  private readonly disk: Disk
  private readonly clock: Clock
  private readonly events: PageEvents
  private readonly taken = new Bitmap()
  private file: DiskFile | undefined
  /** What is to be done with the file once it is open, or cut. */
  private waiting: Waiting[] | undefined
  /** Pages not yet written, answered from memory. */
  private readonly pending = new Map<number, Buffer>()
  private idleWaiters: (() => void)[] = []
  /** Nothing is written any more. */
  private failure: DiskError | undefined
  private freed: number[] = []
  private staged: { readonly pages: number[]; readonly since: number }[] = []
  private unsynced = false
  /** Bytes of the file. */
  private size = 0

  constructor(context: { disk: Disk; clock: Clock }, events: PageEvents) {
    this.disk = context.disk
    this.clock = context.clock
    this.events = events
  }

  write(bytes: Uint8Array): number {
    const size = PAGE_HEADER + bytes.length
    const blocks = Math.ceil(size / PAGE_BLOCK)
    assert(blocks > 0 && blocks < MAX_RUN, 'a page fits a run')
    const block = this.taken.takeRun(blocks)
    const page = block * MAX_RUN + blocks
    const content = Buffer.alloc(blocks * PAGE_BLOCK)
    content.writeUInt32LE(bytes.length, 4)
    content.set(bytes, PAGE_HEADER)
    content.writeUInt32LE(crc32(content.subarray(4, size), block), 0)
    this.pending.set(page, content)
    this.send(page, content)
    return page
  }

  load(page: number, done: (bytes: Uint8Array | null) => void): void {
    const content = this.pending.get(page)
    if (content) this.clock.defer(() => done(contentOf(content, page)))
    else this.withFile({ use: () => this.fetch(page, ATTEMPTS, done), fail: () => done(null) })
  }

  free(page: number): void {
    this.freed.push(page)
  }

  /** Checkpoint `number` begins: pages freed before it are not named by it. */
  beginCheckpoint(number: number): void {
    if (this.freed.length > 0) this.staged.push({ pages: this.freed, since: number })
    this.freed = []
  }

  /** Resolves when every page written so far is durable. A failed write or sync fails the journal: see Writer. */
  async sync(): Promise<void> {
    if (this.pending.size > 0 && !this.failure)
      await new Promise<void>((resolve) => this.idleWaiters.push(resolve))
    if (this.failure) throw this.failure
    if (!this.unsynced || !this.file) return
    this.unsynced = false
    try {
      await new DiskIo(this.disk).sync(this.file)
    } catch (error) {
      this.fail(error as DiskError)
      throw error
    }
  }

  /** Checkpoint `number` is durable: what was freed before the one ahead of it began is free, and the end is cut off. */
  async endCheckpoint(number: number): Promise<void> {
    for (const { pages, since } of this.staged) {
      if (since < number)
        for (const page of pages) this.taken.giveRun(Math.floor(page / MAX_RUN), page % MAX_RUN)
    }
    this.staged = this.staged.filter(({ since }) => since >= number)
    this.taken.trim()
    if (!this.waiting && this.bytes() < this.size) await this.cut()
  }

  /**
   * pages := varint n, blocks[n] as bits | list of pages that checkpoint `number` does not name, but the one before may
   *
   * Pages freed since it began count as taken: the engine's part of it may name them.
   */
  save(out: ByteWriter, number: number): void {
    const taken = new Bitmap()
    taken.fromBytes(this.taken.toBytes())
    const waiting: number[] = []
    for (const { pages, since } of this.staged) {
      if (since === number) waiting.push(...pages)
      else for (const page of pages) taken.giveRun(Math.floor(page / MAX_RUN), page % MAX_RUN)
    }
    const bits = taken.toBytes()
    out.putVarint(bits.length)
    out.putBytes(bits)
    out.putList(waiting)
  }

  restore(reader: OperationReader): void {
    const size = reader.varint()
    const start = reader.skip(size)
    const waiting = [...readList(reader)]
    if (reader.failed) return
    this.taken.fromBytes(reader.bytes.subarray(start, start + size))
    this.staged.push({ pages: waiting, since: 0 })
  }

  /**
   * Recovery is over, and the file has so many bytes. What is taken, and neither among these pages nor freed already, is
   * nobody's.
   */
  recovered(named: Iterable<number>, bytes: number): void {
    this.size = bytes
    const orphaned = new Bitmap()
    orphaned.fromBytes(this.taken.toBytes())
    const leaving = this.staged.flatMap(({ pages }) => pages)
    for (const pages of [named, leaving, this.freed])
      for (const page of pages) orphaned.giveRun(Math.floor(page / MAX_RUN), page % MAX_RUN)
    for (let block = 0; block < orphaned.length; block++)
      if (orphaned.has(block)) this.freed.push(block * MAX_RUN + 1)
  }

  bytes(): number {
    return this.taken.length * PAGE_BLOCK
  }

  /** Bytes that are free as soon as no checkpoint names them. */
  reclaimable(): number {
    const blocks = (pages: readonly number[]): number =>
      pages.reduce((sum, page) => sum + (page % MAX_RUN), 0)
    return this.staged.reduce((sum, { pages }) => sum + blocks(pages), blocks(this.freed)) * PAGE_BLOCK
  }

  close(): void {
    if (this.file) this.disk.close(this.file, () => {})
    this.file = undefined
  }

  /** Cuts free blocks off the end of the file. Writes wait, because one might go behind the new end. */
  private async cut(): Promise<void> {
    const io = new DiskIo(this.disk)
    this.waiting = []
    try {
      this.file ??= (await io.open(PAGES_FILE, 'write')).file
      await io.truncate(this.file, this.bytes())
      this.size = this.bytes()
    } catch {
      // Tried again after the next checkpoint.
    }
    this.flush()
  }

  private send(page: number, content: Buffer): void {
    const use = (file: DiskFile): void =>
      this.disk.write(file, [content], Math.floor(page / MAX_RUN) * PAGE_BLOCK, (error) => {
        if (error) this.failedWrite(error, () => this.send(page, content))
        else this.wrote(page, content)
      })
    this.withFile({ use, fail: () => {} })
  }

  private wrote(page: number, content: Buffer): void {
    this.unsynced = true
    this.size = Math.max(this.size, Math.floor(page / MAX_RUN) * PAGE_BLOCK + content.length)
    this.pending.delete(page)
    if (this.pending.size === 0) this.endWaiting()
  }

  private endWaiting(): void {
    const waiters = this.idleWaiters
    this.idleWaiters = []
    for (const resolve of waiters) resolve()
  }

  private failedWrite(error: DiskError, retry: () => void): void {
    if (error.code !== 'ENOSPC') this.fail(error)
    else this.events.full((again) => (again ? retry() : this.fail(error)))
  }

  /** Who waits for the file, or for writes, waits in vain. */
  private fail(error: DiskError): void {
    this.failure ??= error
    this.events.failed(error)
    this.endWaiting()
    if (!this.file) this.flush()
  }

  private fetch(page: number, attempts: number, done: (bytes: Uint8Array | null) => void): void {
    const file = this.file
    const content = Buffer.allocUnsafeSlow((page % MAX_RUN) * PAGE_BLOCK)
    if (!file) done(null)
    else {
      this.disk.read(file, content, Math.floor(page / MAX_RUN) * PAGE_BLOCK, (error, count) => {
        if (!error) done(count === content.length ? contentOf(content, page) : null)
        else if (attempts <= 1) done(null)
        else this.clock.after(RETRY_DELAY, () => this.fetch(page, attempts - 1, done))
      })
    }
  }

  /** Opens the page file, or creates it. */
  private withFile(waiting: Waiting): void {
    if (this.waiting) this.waiting.push(waiting)
    else if (this.file) waiting.use(this.file)
    else if (this.failure) this.clock.defer(() => waiting.fail())
    else {
      this.waiting = [waiting]
      this.open('write')
    }
  }

  private flush(): void {
    const all = this.waiting ?? []
    this.waiting = undefined
    for (const waiting of all) this.withFile(waiting)
  }

  private open(mode: 'write' | 'create'): void {
    this.disk.open(PAGES_FILE, mode, (error, file, size) => {
      if (error?.code === 'ENOENT' && mode === 'write') this.open('create')
      else if (error) this.failedWrite(error, () => this.open(mode))
      else {
        this.file = file!
        this.size = size
        this.flush()
      }
    })
  }
}

/** The bytes of a page, when its checksum says so. */
function contentOf(content: Buffer, page: number): Uint8Array | null {
  const length = content.readUInt32LE(4)
  const end = PAGE_HEADER + length
  if (end > content.length) return null
  const sum = crc32(content.subarray(4, end), Math.floor(page / MAX_RUN))
  return sum === content.readUInt32LE(0) ? content.subarray(PAGE_HEADER, end) : null
}
