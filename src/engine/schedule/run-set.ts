import { type ByteWriter, type OperationReader, readList } from '../ports/operations.ts'
import { comesBefore, type DueEntry, type DueKey } from './due-entry.ts'
import type { DuePages } from './due-pages.ts'
import { DueRun } from './due-run.ts'
import { RunMerge } from './run-merge.ts'
import { earliest, RunReader } from './run-reader.ts'

/** So many runs of one size are made one. */
const FAN_IN = 16
/** Entries taken out of the middle are remembered up to so many, or to this share of all; then the runs are written anew. */
const MOST_GONE = 65_536
const GONE_SHARE = 16

export interface RunSetOptions {
  /** Entries of a run that was written from memory. */
  readonly entries: number
  readonly pageEntries: number
  /** Nothing may change any more. */
  readonly isStopped: () => boolean
}

/** Runs, of each of which the page that is due next is in memory when it is needed. Those of one size are merged. */
export class RunSet {
  private readonly pages: DuePages
  private readonly options: RunSetOptions
  private readonly heads: Map<DueRun, RunReader> = new Map()
  /** Taken out, and still in pages. */
  readonly gone: Set<number> = new Set()
  private merge: RunMerge | undefined
  /** Rises when entries have changed their runs. */
  generation = 0

  constructor(pages: DuePages, options: RunSetOptions) {
    this.pages = pages
    this.options = options
  }

  get runs(): Iterable<DueRun> {
    return this.heads.keys()
  }

  has(run: DueRun): boolean {
    return this.heads.has(run)
  }

  /** Entries in pages, those that have left the first page of each run included. */
  get count(): number {
    let sum = 0
    for (const run of this.runs) sum += run.count
    return sum
  }

  /** Where the earliest entry is. */
  earliest(): RunReader | undefined {
    return earliest(this.heads.values())
  }

  /** Takes the entry at which the reader stands, whose page is loaded. */
  take(reader: RunReader, into: DueEntry): void {
    reader.fill(into)
    reader.run.taken = { at: into.at, lsn: into.lsn }
    reader.advance()
    this.forgetEmpty(reader)
  }

  load(reader: RunReader, done: () => void): void {
    reader.load(() => {
      this.forgetEmpty(reader)
      done()
    })
  }

  add(run: DueRun): void {
    this.adopt(run)
    this.tidy()
  }

  /** An entry leaves that is in a run. */
  remove(lsn: number): void {
    this.gone.add(lsn)
    for (const reader of this.heads.values()) {
      if (reader.lsn !== lsn || !reader.isLoaded) continue
      reader.recheck()
      this.forgetEmpty(reader)
    }
    if (this.gone.size > MOST_GONE) this.tidy()
  }

  /** Whether an entry that was in the run at some time still is. */
  holds(run: DueRun, key: DueKey): boolean {
    return comesBefore(run.floor, key) && !this.gone.has(key.lsn)
  }

  /** Whether any run holds the entry. */
  find(key: DueKey, done: (found: boolean) => void): void {
    const { generation } = this
    const candidates = [...this.runs].flatMap((run) => {
      const page = comesBefore(run.floor, key) ? run.pageOf(key.at, key.lsn) : -1
      return page >= run.from ? [{ run, facts: run.pages[page]! }] : []
    })
    const next = (): void => {
      const candidate = candidates.pop()
      if (candidate === undefined) return done(false)
      const { run, facts } = candidate
      this.pages.load(facts, (content) => {
        if (generation !== this.generation) return this.find(key, done)
        const slot = content.slotAfter(key.at, key.lsn) - 1
        if (content.lsns[slot] === key.lsn && content.ats[slot] === key.at) done(this.holds(run, key))
        else next()
      })
    }
    next()
  }

  /** Gives up a merge that is under way, and merges no more. */
  stop(): void {
    for (const page of this.merge?.written ?? []) this.pages.free(page)
    this.merge = undefined
  }

  /** runs := varint n, run[n] | list gone | list pages that a merge has written */
  write(writer: ByteWriter): void {
    const runs = [...this.runs]
    writer.putVarint(runs.length)
    for (const run of runs) run.write(writer)
    writer.putList([...this.gone])
    writer.putList((this.merge?.written ?? []).map(({ page }) => page))
  }

  read(reader: OperationReader): void {
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) this.adopt(DueRun.read(reader))
    for (const lsn of readList(reader)) this.gone.add(lsn)
    // The merge begins anew.
    for (const page of readList(reader)) this.pages.free({ page })
  }

  *namedPages(): Generator<number> {
    for (const run of this.runs) for (const { page } of run.pages.slice(run.freed)) yield page
    for (const { page } of this.merge?.written ?? []) yield page
  }

  /** Begins a merge where one is called for. */
  tidy(): void {
    if (this.merge !== undefined || this.options.isStopped()) return
    const inputs =
      this.gone.size > Math.max(MOST_GONE, this.count / GONE_SHARE) ? [...this.runs] : this.alike()
    if (inputs === undefined) return
    const { pages, gone, options } = this
    this.merge = new RunMerge(inputs, pages, gone, options)
    this.merge.run((output) => this.merged(output))
  }

  /** FAN_IN runs of one size. */
  private alike(): DueRun[] | undefined {
    const bySize = new Map<number, DueRun[]>()
    for (const run of this.runs) {
      const size = Math.floor(Math.log(Math.max(1, run.count / this.options.entries)) / Math.log(FAN_IN))
      const others = bySize.get(size) ?? []
      others.push(run)
      if (others.length === FAN_IN) return others
      bySize.set(size, others)
    }
    return undefined
  }

  private merged(output: DueRun): void {
    const { inputs, dropped } = this.merge!
    this.merge = undefined
    this.generation++
    for (const run of inputs) {
      this.heads.delete(run)
      for (let i = run.freed; i < run.pages.length; i++) this.pages.free(run.pages[i]!)
    }
    for (const lsn of dropped) this.gone.delete(lsn)
    if (output.pages.length > 0) this.adopt(output)
    this.tidy()
  }

  private adopt(run: DueRun): void {
    const passing = {
      passed: (key: DueKey) => {
        run.floor = key
      },
      // What a merge has copied before it was taken out is still to be recognized.
      dropped: (lsn: number) => {
        if (!run.merging) this.gone.delete(lsn)
      },
      passedPage: (index: number) => this.passed(run, index),
    }
    this.heads.set(run, new RunReader(run, this.pages, this.gone, passing))
  }

  private passed(run: DueRun, index: number): void {
    run.from = index + 1
    run.count -= run.pages[index]!.count
    if (run.merging) return
    this.pages.free(run.pages[index]!)
    run.freed = run.from
  }

  private forgetEmpty({ run, at }: RunReader): void {
    if (at === Number.POSITIVE_INFINITY && !run.merging) this.heads.delete(run)
  }
}
