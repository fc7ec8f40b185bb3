import type { ByteWriter, OperationReader } from '../ports/operations.ts'
import type { DueKey } from './due-entry.ts'
import type { DuePage } from './due-page.ts'

/** Where one page of a run lies and what it holds; the bounds stay while entries leave. */
export interface PageFacts extends DueKey {
  /** Number of the page in the store. */
  readonly page: number
  readonly count: number
  readonly lowestLsn: number
  readonly highestLsn: number
  /** Of the last entry. */
  readonly lastAt: number
  readonly lastLsn: number
}

/** Entries by rising time and age, in pages of the store that are never changed. What is at or before `floor` has left. */
export class DueRun {
  readonly pages: PageFacts[]
  /** Index of the first page that still counts. */
  from = 0
  /** Index of the first page that has not been given back. */
  freed = 0
  floor: DueKey
  /** The last entry that was taken because it was due. The floor may be higher: what was taken out of the middle is passed over. */
  taken: DueKey
  /** It is an input of a merge: its pages stay until that is over. */
  merging = false

  /** Entries that its pages hold, those that have left the first of them included. */
  count: number

  constructor(pages: PageFacts[], floor: DueKey = { at: -1, lsn: 0 }) {
    this.pages = pages
    this.floor = floor
    this.taken = floor
    this.count = pages.reduce((sum, { count }) => sum + count, 0)
  }

  /** Index of the page that holds (at, lsn), if any does; -1 before the first. */
  pageOf(at: number, lsn: number): number {
    let low = this.from
    let high = this.pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { at: firstAt, lsn: firstLsn } = this.pages[middle]!
      if (firstAt < at || (firstAt === at && firstLsn <= lsn)) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** run := varint floor at, floor lsn, n, (varint page, count, lowest, highest, at, lsn, lastAt, lastLsn)[n] */
  write(writer: ByteWriter): void {
    const pages = this.pages.slice(this.from)
    writer.putVarint(this.floor.at + 1)
    writer.putVarint(this.floor.lsn)
    writer.putVarint(pages.length)
    for (const { page, count, lowestLsn, highestLsn, at, lsn, lastAt, lastLsn } of pages) {
      for (const value of [page, count, lowestLsn, highestLsn, at, lsn, lastAt, lastLsn]) {
        writer.putVarint(value)
      }
    }
  }

  static read(reader: OperationReader): DueRun {
    const floor = { at: reader.varint() - 1, lsn: reader.varint() }
    const pages: PageFacts[] = []
    for (let left = reader.varint(); left > 0 && !reader.failed; left--) {
      pages.push({
        page: reader.varint(),
        count: reader.varint(),
        lowestLsn: reader.varint(),
        highestLsn: reader.varint(),
        at: reader.varint(),
        lsn: reader.varint(),
        lastAt: reader.varint(),
        lastLsn: reader.varint(),
      })
    }
    return new DueRun(pages, floor)
  }
}

export function factsOf(content: DuePage, page: number): PageFacts {
  const { length, lowestLsn, highestLsn, ats, lsns } = content
  return {
    page,
    count: length,
    lowestLsn,
    highestLsn,
    at: ats[0]!,
    lsn: lsns[0]!,
    lastAt: ats[length - 1]!,
    lastLsn: lsns[length - 1]!,
  }
}
