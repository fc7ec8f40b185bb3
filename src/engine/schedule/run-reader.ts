import type { DueEntry, DueKey } from './due-entry.ts'
import type { DuePage } from './due-page.ts'
import type { DuePages } from './due-pages.ts'
import type { DueRun } from './due-run.ts'

/** What a reader tells on its way; each part is optional. */
export interface RunPassing {
  /** It has passed an entry, whether somebody took it or it was not in the run any more. */
  passed?: (key: DueKey) => void
  /** An entry that it passed had been taken out of the run before. */
  dropped?: (lsn: number) => void
  passedPage?: (index: number) => void
}

/**
 * Goes along a run, with one of its pages in memory. Before that is loaded, `at` and `lsn` say what comes no earlier; they are
 * exact afterwards. Infinity: the end.
 */
export class RunReader implements DueKey {
  readonly run: DueRun
  at = 0
  lsn = 0
  private readonly pages: DuePages
  /** Not in the run any more, though they lie in its pages. */
  private readonly gone: ReadonlySet<number>
  private readonly passing: RunPassing
  private after: DueKey
  private index: number
  private page: DuePage | null = null
  private slot = 0

  constructor(
    run: DueRun,
    pages: DuePages,
    gone: ReadonlySet<number>,
    passing: RunPassing = {},
    after: DueKey = run.floor,
  ) {
    this.run = run
    this.pages = pages
    this.gone = gone
    this.passing = passing
    this.after = after
    this.index = run.pageOf(after.at, after.lsn)
    this.announce()
  }

  get isLoaded(): boolean {
    return this.page !== null
  }

  load(done: () => void): void {
    this.pages.load(this.run.pages[this.index]!, (page) => {
      this.page = page
      this.slot = page.slotAfter(this.after.at, this.after.lsn)
      this.settle()
      done()
    })
  }

  /** The entry at which it stands; its page is loaded. */
  fill(into: DueEntry): void {
    this.page!.fill(into, this.slot)
  }

  advance(): void {
    this.pass()
    this.settle()
  }

  /** The entry at which it stands may have left. */
  recheck(): void {
    this.settle()
  }

  private pass(): void {
    this.after = { at: this.page!.ats[this.slot]!, lsn: this.page!.lsns[this.slot]! }
    this.passing.passed?.(this.after)
    this.slot++
  }

  /** Passes over what has left meanwhile, and goes on to the next page. */
  private settle(): void {
    const page = this.page!
    while (this.slot < page.length && this.hasLeft(page)) this.pass()
    if (this.slot === page.length) {
      this.page = null
      this.passing.passedPage?.(this.index)
      this.index++
    }
    this.announce()
  }

  private hasLeft(page: DuePage): boolean {
    const at = page.ats[this.slot]!
    const lsn = page.lsns[this.slot]!
    if (this.gone.has(lsn)) {
      this.passing.dropped?.(lsn)
      return true
    }
    const { floor } = this.run
    return at < floor.at || (at === floor.at && lsn <= floor.lsn)
  }

  private announce(): void {
    const { page, run, after } = this
    if (page !== null) {
      this.at = page.ats[this.slot]!
      this.lsn = page.lsns[this.slot]!
      return
    }
    // Pages before that have been given back.
    this.index = Math.max(this.index, run.from)
    const next = run.pages[this.index]
    this.at = next === undefined ? Number.POSITIVE_INFINITY : Math.max(next.at, after.at)
    this.lsn = next === undefined || next.at < after.at ? 0 : next.lsn
  }
}

/** The reader that comes first; undefined when all are at their end. */
export function earliest(readers: Iterable<RunReader>): RunReader | undefined {
  let first: RunReader | undefined
  for (const reader of readers) {
    if (reader.at === Number.POSITIVE_INFINITY) continue
    if (first === undefined || reader.at < first.at || (reader.at === first.at && reader.lsn < first.lsn))
      first = reader
  }
  return first
}
