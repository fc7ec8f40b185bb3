import type { DiskError } from './disk.ts'
import type { OpenFiles } from './open-files.ts'
import type { Segment } from './segment.ts'
import { Stretch } from './stretch.ts'
import { type Place, placeKey, type StretchCache } from './stretch-cache.ts'

/** Reads under way at once: the others of a process's few threads for files are for the journal and for upkeep. */
const MOST_READS = 2
/** Reads in sequence grow from this to the maximum. */
const LEAST_AHEAD = 64 * 1024
const MOST_READ = 1024 * 1024
/** Bytes of reads that others wait for, in one. */
const MOST_JOINED = 256 * 1024

/** Hears of bytes that are no frame, or that could not be read at all. Positions are in the file. */
export type DamageListener = (segment: Segment, start: number, end: number, reason: string) => void

/** Told a stretch that was read, or why it could not be. `short`: the file ends before the stretch does. */
export interface Waiter {
  fetched(place: Place, stretch: Stretch, short: boolean): void
  failed(place: Place, error: DiskError): void
}

/** Stretches that are read in one go. */
interface Run extends Place {
  /** First stretch after the run. */
  to: number
}

/**
 * Brings stretches of segment files into the cache, a few reads at a time, in order of request. A stretch that several wait
 * for is read once.
 */
export class Fetches {
  private readonly files: OpenFiles
  private readonly cache: StretchCache
  private readonly damaged: DamageListener
  private readonly waiters = new Map<number, Waiter[]>()
  private waiting: Run[] = []
  private next = 0
  private underWay = 0

  constructor(files: OpenFiles, cache: StretchCache, damaged: DamageListener) {
    this.files = files
    this.cache = cache
    this.damaged = damaged
  }

  /** The waiter is told of each of these places, later. */
  want(places: readonly Place[], waiter: Waiter): void {
    const fresh: Place[] = []
    for (const place of places) {
      const others = this.waiters.get(placeKey(place.segment, place.index))
      if (others) others.push(waiter)
      else fresh.push(place)
    }
    for (const run of this.runs(fresh)) this.waiting.push(run)
    for (const { segment, index } of fresh) this.waiters.get(placeKey(segment, index))!.push(waiter)
    this.issue()
  }

  /** Joins neighbouring stretches into reads, and reads ahead behind the last. */
  private runs(places: readonly Place[]): Run[] {
    const sorted = places.toSorted((a, b) => a.segment.number - b.segment.number || a.index - b.index)
    const runs: Run[] = []
    for (const { segment, index } of sorted) {
      const last = runs.at(-1)
      const length = last?.segment === segment ? endOf(segment, index) - segment.table.offset(last.index) : 0
      if (last && length > 0 && index === last.to && length <= MOST_READ) last.to = index + 1
      else runs.push({ segment, index, to: index + 1 })
      this.begin(segment, index)
    }
    for (const run of runs) this.extend(run)
    return runs
  }

  private begin(segment: Segment, index: number): void {
    this.waiters.set(placeKey(segment, index), [])
  }

  /** Goes on behind a read that goes on where the last one ended, as far as that seems worth it. */
  private extend(run: Run): void {
    const { segment, index } = run
    const { table } = segment
    segment.readAhead =
      segment.readNext === index ? Math.min(MOST_READ, Math.max(LEAST_AHEAD, segment.readAhead * 2)) : 0
    const start = table.offset(index)
    const queue = table.queue(index)
    while (
      run.to < table.count &&
      table.queue(run.to) === queue &&
      endOf(segment, run.to) - start <= segment.readAhead &&
      table.offset(run.to) < segment.written &&
      !this.isKnown(segment, run.to)
    ) {
      this.begin(segment, run.to++)
    }
    segment.readNext = run.to
  }

  private isKnown(segment: Segment, index: number): boolean {
    return this.waiters.has(placeKey(segment, index)) || this.cache.get(segment, index) !== undefined
  }

  private issue(): void {
    while (this.underWay < MOST_READS && this.next < this.waiting.length) {
      this.underWay++
      this.read(this.nextRun())
    }
    if (this.next < this.waiting.length) return
    this.waiting = []
    this.next = 0
  }

  /** With those that go on where it ends: in a cluster, what lies there is what the next queue waits for. */
  private nextRun(): Run {
    const run = this.waiting[this.next++]!
    const start = run.segment.table.offset(run.index)
    for (;;) {
      const other = this.waiting[this.next]
      if (other?.segment !== run.segment || other.index !== run.to) return run
      if (endOf(other.segment, other.to - 1) - start > MOST_JOINED) return run
      run.to = other.to
      this.next++
    }
  }

  private read(run: Run): void {
    const { segment, index, to } = run
    const start = segment.table.offset(index)
    // What is written while this read is under way is not in it, and not missing from it.
    const ends: number[] = []
    for (let i = index; i < to; i++) ends.push(endOf(segment, i))
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, ends.at(-1)! - start))
    segment.readBytes += bytes.length
    this.files.read(segment.path, bytes, start, (error, count) => {
      this.underWay--
      if (error) this.failed(run, error)
      else this.take(run, bytes.subarray(0, count), ends)
      this.issue()
    })
  }

  private take({ segment, index, to }: Run, bytes: Buffer, ends: readonly number[]): void {
    const start = segment.table.offset(index)
    for (let i = index; i < to; i++) {
      const from = segment.table.offset(i)
      const end = ends[i - index]!
      const piece = bytes.subarray(from - start, end - start)
      const stretch = new Stretch(piece, from, segment.number)
      const short = piece.length < end - from
      for (const damage of stretch.damage) this.damaged(segment, damage.start, damage.end, 'checksum failed')
      if (short) this.damaged(segment, from + piece.length, end, 'the file is too short')
      const key = placeKey(segment, i)
      this.cache.put(segment, i, stretch)
      for (const waiter of this.takeWaiters(key)) waiter.fetched({ segment, index: i }, stretch, short)
    }
    this.cache.trim()
  }

  private failed({ segment, index, to }: Run, error: DiskError): void {
    for (let i = index; i < to; i++) {
      for (const waiter of this.takeWaiters(placeKey(segment, i))) waiter.failed({ segment, index: i }, error)
    }
  }

  private takeWaiters(key: number): readonly Waiter[] {
    const waiters = this.waiters.get(key)!
    this.waiters.delete(key)
    return waiters
  }
}

/** Where a stretch ends, as far as it has been written. */
export function endOf(segment: Segment, index: number): number {
  return Math.min(segment.table.endOf(index), segment.written)
}
