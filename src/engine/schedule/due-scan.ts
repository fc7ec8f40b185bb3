import { comesBefore, DueEntry, type DueKey } from './due-entry.ts'
import type { DueRun } from './due-run.ts'
import { earliest, type RunReader } from './run-reader.ts'

/** An entry that was found, and the run it lies in; null: in memory. */
export interface ScannedEntry {
  readonly entry: DueEntry
  readonly run: DueRun | null
}

export interface ScanBounds {
  /** Behind this. */
  readonly after: DueKey
  /** Entries to be found, and to be looked at, at most. */
  readonly limit: number
  readonly most: number
}

/** What was found; and the last entry that was looked at, when there may be more behind it. */
export type ScanResult = (found: readonly ScannedEntry[], last: DueKey | undefined) => void

/** Goes along entries in memory and in runs in the order in which they are due. */
export class DueScan {
  private readonly memory: readonly DueEntry[]
  private readonly readers: readonly RunReader[]
  private readonly bounds: ScanBounds
  private readonly wants: (entry: DueEntry) => boolean
  private readonly isCurrent: () => boolean
  private readonly done: ScanResult
  private readonly found: ScannedEntry[] = []
  private next = 0
  private looked = 0
  private last: DueKey | undefined

  /** `memory`: entries behind `bounds.after`, in no order. */
  constructor(
    memory: DueEntry[],
    readers: readonly RunReader[],
    bounds: ScanBounds,
    wants: (entry: DueEntry) => boolean,
    isCurrent: () => boolean,
    done: ScanResult,
  ) {
    this.memory = memory.sort((a, b) => (comesBefore(a, b) ? -1 : 1))
    this.readers = readers
    this.bounds = bounds
    this.wants = wants
    this.isCurrent = isCurrent
    this.done = done
  }

  run(): void {
    const { limit, most } = this.bounds
    while (this.found.length < limit && this.looked < most) {
      const reader = earliest(this.readers)
      const entry = this.memory[this.next]
      if (entry !== undefined && (reader === undefined || comesBefore(entry, reader))) {
        this.next++
        this.look(entry, null)
      } else if (reader === undefined) {
        this.done(this.found, undefined)
        return
      } else if (!reader.isLoaded) {
        reader.load(() => this.goOn())
        return
      } else {
        const paged = new DueEntry()
        reader.fill(paged)
        reader.advance()
        this.look(paged, reader.run)
      }
    }
    this.done(this.found, this.last)
  }

  /** When entries have changed their runs meanwhile, who asks goes on with a new scan. */
  private goOn(): void {
    if (this.isCurrent()) this.run()
    else this.done(this.found, this.last ?? this.bounds.after)
  }

  private look(entry: DueEntry, run: DueRun | null): void {
    this.looked++
    this.last = entry
    if (this.wants(entry)) this.found.push({ entry, run })
  }
}
