import {
  OperationReader,
  PublishFlag,
  PublishHead,
  readPublish,
  SCHEDULE_QUEUE,
} from '../ports/operations.ts'
import type { Store } from '../ports/store.ts'
import { comesBefore, DueEntry } from './due-entry.ts'
import { DuePage } from './due-page.ts'
import { factsOf, type PageFacts } from './due-run.ts'

/** When something is to be done about a scheduled message: it is due, or it expires before. Wall milliseconds. */
export function timeOf(due: number, expiry: number): number {
  return expiry > 0 && expiry < due ? expiry : due
}

/** The pages of the schedule in the store. */
export class DuePages {
  private readonly store: Store
  /** The message is in no page. */
  private readonly isElsewhere: (lsn: number) => boolean

  constructor(store: Store, isElsewhere: (lsn: number) => boolean) {
    this.store = store
    this.isElsewhere = isElsewhere
  }

  write(content: DuePage): PageFacts {
    return factsOf(content, this.store.writePage(content.encode()))
  }

  free({ page }: Pick<PageFacts, 'page'>): void {
    this.store.freePage(page)
  }

  /** A damaged page is made again from the messages themselves. */
  load(facts: PageFacts, done: (content: DuePage) => void): void {
    this.store.loadPage(facts.page, (bytes) => {
      const content = bytes === null ? null : DuePage.decode(bytes)
      if (content !== null && isWhole(content, facts)) done(content)
      else this.rebuild(facts, done)
    })
  }

  private rebuild(facts: PageFacts, done: (content: DuePage) => void): void {
    const found: DueEntry[] = []
    const reader = new OperationReader()
    const head = new PublishHead()
    this.store.scan(
      SCHEDULE_QUEUE,
      facts.lowestLsn,
      facts.highestLsn,
      (lsn, { bytes, start, end }) => {
        if (!readPublish(reader.reset(bytes, start, end), head)) return
        const entry = new DueEntry()
        entry.at = timeOf(head.due, head.expiry)
        entry.lsn = lsn
        entry.size = head.size
        entry.target = targetOf(head)
        const isCandidate = (head.flags & PublishFlag.repeating) === 0 && isWithin(entry, facts)
        if (isCandidate && !this.isElsewhere(lsn)) found.push(entry)
      },
      () => {
        const content = new DuePage(found.length)
        for (const entry of found.sort((a, b) => (comesBefore(a, b) ? -1 : 1))) content.push(entry)
        done(content)
      },
    )
  }
}

/** Number of the only queue that a scheduled message goes to; 0: there are several. */
export function targetOf({ targets }: { readonly targets: readonly number[] }): number {
  return targets.length === 1 ? targets[0]! : 0
}

function isWhole({ length, ats, lsns }: DuePage, { count, at, lsn }: PageFacts): boolean {
  return length === count && ats[0] === at && lsns[0] === lsn
}

function isWithin(entry: DueEntry, facts: PageFacts): boolean {
  return !comesBefore(entry, facts) && !comesBefore({ at: facts.lastAt, lsn: facts.lastLsn }, entry)
}
