import type { ByteWriter, OperationReader } from '../ports/operations.ts'
import { comesBefore, DueEntry, DueFlag, type DueKey } from './due-entry.ts'
import { DueHeap } from './due-heap.ts'
import { DuePage } from './due-page.ts'
import type { DuePages } from './due-pages.ts'
import { DueRun, type PageFacts } from './due-run.ts'
import { DueScan, type ScanBounds, type ScannedEntry, type ScanResult } from './due-scan.ts'
import { RunReader } from './run-reader.ts'
import { RunSet } from './run-set.ts'

/** A page holds this part of what is kept in memory, within bounds. */
const PAGES_OF_MEMORY = 16
const LEAST_PAGE = 4
const MOST_PAGE = 1024

export interface DueIndexOptions {
  /** Entries in memory at which they are written to pages. */
  readonly entries: number
  readonly durable: () => number
  /** Nothing may change any more. */
  readonly isStopped: () => boolean
}

/** What an entry is found by: its flags say whether it may be in a page. */
type IndexedKey = Pick<DueEntry, 'at' | 'lsn' | 'flags'>

/** What `take` came to: nothing is due; what is, is not durable yet; a page has to be loaded first. */
export type Taken = 'taken' | 'none' | 'undurable' | 'unloaded'

/**
 * Scheduled messages by due time. New entries are in memory; when these are too many they are sorted and written to pages, as a
 * run. Memory follows neither how many there are nor how far ahead.
 */
export class DueIndex {
  private readonly pages: DuePages
  private readonly options: DueIndexOptions
  private readonly pageEntries: number
  private readonly runs: RunSet
  /** Entries that can go to pages. */
  private fresh = new DueHeap()
  /** Entries that stay in memory: of messages that are nowhere else, and of those that repeat. */
  private readonly kept = new DueHeap()
  private flushAt: number
  /** Taken last. */
  private last: DueKey = { at: -1, lsn: 0 }
  private readonly a = new DueEntry()
  private readonly b = new DueEntry()

  constructor(pages: DuePages, options: DueIndexOptions) {
    const { entries, isStopped } = options
    this.pages = pages
    this.options = options
    this.flushAt = entries
    const pageEntries = Math.min(Math.max(Math.floor(entries / PAGES_OF_MEMORY), LEAST_PAGE), MOST_PAGE)
    this.pageEntries = pageEntries
    this.runs = new RunSet(pages, { entries, pageEntries, isStopped })
  }

  add(entry: DueEntry): void {
    if (entry.flags !== 0) {
      this.kept.push(entry)
      return
    }
    this.fresh.push(entry)
    if (this.fresh.count >= this.flushAt) this.flush()
  }

  /** Nothing is due before; Infinity: there is nothing. */
  nextAt(): number {
    const { fresh, kept, runs, a, b } = this
    return Math.min(
      fresh.peek(a) ? a.at : Number.POSITIVE_INFINITY,
      kept.peek(b) ? b.at : Number.POSITIVE_INFINITY,
      runs.earliest()?.at ?? Number.POSITIVE_INFINITY,
    )
  }

  /**
   * Takes out the earliest entry, if it is due. A page that was made again may hold what another page has too, where messages
   * were committed late: these follow each other, and are one.
   */
  take(now: number, into: DueEntry): Taken {
    const { at, lsn } = this.last
    for (;;) {
      const taken = this.takeFirst(now, into)
      if (taken !== 'taken') return taken
      if (into.at === at && into.lsn === lsn) continue
      this.last = { at: into.at, lsn: into.lsn }
      return taken
    }
  }

  private takeFirst(now: number, into: DueEntry): Taken {
    const { fresh, kept, runs, a, b } = this
    const hasFresh = fresh.peek(a)
    const hasKept = kept.peek(b)
    const first = hasFresh && !(hasKept && comesBefore(b, a)) ? a : hasKept ? b : undefined
    const reader = runs.earliest()
    if (reader !== undefined && !(first !== undefined && comesBefore(first, reader))) {
      if (reader.at > now) return 'none'
      if (!reader.isLoaded) return 'unloaded'
      runs.take(reader, into)
      return 'taken'
    }
    if (first === undefined || first.at > now) return 'none'
    if (!(first.flags & DueFlag.memory) && first.lsn > this.options.durable()) return 'undurable'
    if (first === a) fresh.pop(into)
    else kept.pop(into)
    return 'taken'
  }

  /** After 'unloaded': brings the page in. */
  load(done: () => void): void {
    this.runs.load(this.runs.earliest()!, done)
  }

  isInMemory(lsn: number): boolean {
    return this.fresh.has(lsn) || this.kept.has(lsn)
  }

  /** What stays in memory is looked for nowhere else: while a page is read it may be taken, and be added again. */
  has(key: IndexedKey, done: (found: boolean) => void): void {
    if (this.isInMemory(key.lsn)) done(true)
    else if (key.flags !== 0) done(false)
    else this.runs.find(key, done)
  }

  /**
   * Takes out an entry that may be anywhere; false: it is not there any more. Stopped, it does neither, and tells nothing: nobody
   * could write any more that the entry has left, and the last checkpoint is to have it.
   */
  remove(key: IndexedKey, done: (removed: boolean) => void): void {
    const { isStopped } = this.options
    if (isStopped()) return
    if (this.fresh.delete(key.lsn) || this.kept.delete(key.lsn)) {
      done(true)
      return
    }
    if (key.flags !== 0) {
      done(false)
      return
    }
    this.runs.find(key, (found) => {
      if (isStopped()) return
      if (found) this.runs.remove(key.lsn)
      done(found)
    })
  }

  /** Takes out what a scan has found, as `remove`; false: it has left since. */
  discard({ entry, run }: ScannedEntry, done: (removed: boolean) => void): void {
    if (run === null || !this.runs.has(run)) {
      this.remove(entry, done)
      return
    }
    if (this.options.isStopped()) return
    const holds = this.runs.holds(run, entry)
    if (holds) this.runs.remove(entry.lsn)
    done(holds)
  }

  /** `beside`: entries that are not in the index any more, and are to be found all the same. */
  scan(
    bounds: ScanBounds,
    beside: Iterable<DueEntry>,
    wants: (entry: DueEntry) => boolean,
    done: ScanResult,
  ): void {
    const memory: DueEntry[] = []
    for (const entries of [this.fresh.entries(), this.kept.entries(), beside]) {
      for (const entry of entries) if (comesBefore(bounds.after, entry)) memory.push(entry.copy())
    }
    const { pages, runs } = this
    const readers = Array.from(runs.runs, (run) => {
      const after = comesBefore(run.floor, bounds.after) ? bounds.after : run.floor
      return new RunReader(run, pages, runs.gone, {}, after)
    })
    const { generation } = runs
    new DueScan(memory, readers, bounds, wants, () => generation === runs.generation, done).run()
  }

  /** At replay: the entry left, wherever it was. */
  left(lsn: number): void {
    if (!this.fresh.delete(lsn) && !this.kept.delete(lsn)) this.runs.gone.add(lsn)
  }

  stop(): void {
    this.runs.stop()
  }

  /** index := runs | varint n, (varint at, lsn, size, target)[n]     what stays in memory is not in it */
  write(writer: ByteWriter, taken: Iterable<DueEntry>): void {
    this.runs.write(writer)
    const entries = [...taken]
    writer.putVarint(this.fresh.count + entries.length)
    for (const entry of entries) writeEntry(writer, entry)
    for (const entry of this.fresh.entries()) writeEntry(writer, entry)
  }

  read(reader: OperationReader): void {
    this.runs.read(reader)
    const entry = new DueEntry()
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
      entry.at = reader.varint()
      entry.lsn = reader.varint()
      entry.size = reader.varint()
      entry.target = reader.varint()
      this.fresh.push(entry)
    }
    // Nothing can be written to pages yet.
    this.flushAt = this.fresh.count + this.options.entries
  }

  namedPages(): Iterable<number> {
    return this.runs.namedPages()
  }

  /** Recovery is over: runs may be merged. */
  start(): void {
    this.runs.tidy()
  }

  /** Writes what is in memory to pages. A page must not know more than the journal, so what is not durable yet stays. */
  private flush(): void {
    const { pages, a: entry } = this
    const durable = this.options.durable()
    const aside = new DueHeap()
    const facts: PageFacts[] = []
    let content = new DuePage(this.pageEntries)
    while (this.fresh.pop(entry)) {
      if (entry.lsn > durable) {
        aside.push(entry)
        continue
      }
      content.push(entry)
      if (content.length < this.pageEntries) continue
      facts.push(pages.write(content))
      content = new DuePage(this.pageEntries)
    }
    if (content.length > 0) facts.push(pages.write(content))
    this.fresh = aside
    this.flushAt = aside.count + this.options.entries
    if (facts.length > 0) this.runs.add(new DueRun(facts))
  }
}

function writeEntry(writer: ByteWriter, { at, lsn, size, target }: DueEntry): void {
  writer.putVarint(at)
  writer.putVarint(lsn)
  writer.putVarint(size)
  writer.putVarint(target)
}
