import { comesBefore, DueEntry, type DueKey } from './due-entry.ts'
import { DuePage } from './due-page.ts'
import type { DuePages } from './due-pages.ts'
import { DueRun, type PageFacts } from './due-run.ts'
import { earliest, RunReader } from './run-reader.ts'

export interface MergeOptions {
  readonly pageEntries: number
  /** Nothing may change any more. */
  readonly isStopped: () => boolean
}

/**
 * Makes one run of several while entries leave them. It reads a page at a time; what has left by then is not copied. What is
 * taken afterwards, because it is due, is below the floor of the new run, for the inputs give up such entries in one order.
 * What is taken out of the middle afterwards is still listed as gone.
 */
export class RunMerge {
  readonly inputs: readonly DueRun[]
  /** Written so far; they belong to nobody until the merge is done. */
  readonly written: PageFacts[] = []
  /** Entries that had been taken out and are in no page any more. */
  readonly dropped: number[] = []
  private readonly taken: readonly DueKey[]
  private readonly readers: RunReader[]
  private readonly pages: DuePages
  private readonly options: MergeOptions
  private content: DuePage
  private readonly entry = new DueEntry()

  constructor(inputs: readonly DueRun[], pages: DuePages, gone: ReadonlySet<number>, options: MergeOptions) {
    this.inputs = inputs
    this.pages = pages
    this.options = options
    this.content = new DuePage(options.pageEntries)
    this.taken = inputs.map(({ taken }) => taken)
    for (const run of inputs) run.merging = true
    const dropped = (lsn: number): void => void this.dropped.push(lsn)
    this.readers = inputs.map((run) => new RunReader(run, pages, gone, { dropped }))
  }

  /** Copies until a page has to be loaded, then goes on when it is there. */
  run(done: (output: DueRun) => void): void {
    if (this.options.isStopped()) return
    for (let reader = earliest(this.readers); reader !== undefined; reader = earliest(this.readers)) {
      if (!reader.isLoaded) {
        reader.load(() => this.run(done))
        return
      }
      reader.fill(this.entry)
      this.content.push(this.entry)
      if (this.content.length === this.options.pageEntries) this.flush()
      reader.advance()
    }
    if (this.content.length > 0) this.flush()
    done(new DueRun(this.written, this.floor()))
  }

  private flush(): void {
    this.written.push(this.pages.write(this.content))
    this.content = new DuePage(this.options.pageEntries)
  }

  /** The last entry that was taken from any input since the merge began; what was taken before was not copied. */
  private floor(): DueKey {
    let floor: DueKey = { at: -1, lsn: 0 }
    for (const [i, run] of this.inputs.entries()) {
      if (run.taken !== this.taken[i] && comesBefore(floor, run.taken)) floor = run.taken
    }
    return floor
  }
}
