import type { Clock } from '../engine/ports/clock.ts'
import { Slice } from '../engine/ports/store.ts'
import type { DiskError } from './disk.ts'
import type { Liveness } from './liveness.ts'
import type { OpenFiles } from './open-files.ts'
import type { Segment } from './segment.ts'
import { Stretch } from './stretch.ts'
import { type Place, placeKey, StretchCache } from './stretch-cache.ts'
import type { Tail } from './tail.ts'

/** One read of a disk brings at least this, and in sequence up to the maximum. */
const LEAST_READ = 64 * 1024
const MOST_READ = 1024 * 1024
const ATTEMPTS = 3
const RETRY_DELAY = 20

/** Hears of bytes that are no frame, or that could not be read at all. Positions are in the file. */
export type DamageListener = (segment: Segment, start: number, end: number, reason: string) => void

interface Job {
  readonly queue: number
  readonly lsns: readonly number[]
  readonly done: (damaged: readonly number[]) => void
  /** What was read for the job, kept from being dropped before it is done. */
  readonly held: Map<number, Stretch>
  readonly attempts: Map<number, number>
  readsUnderWay: number
  retry: boolean
}

interface Run extends Place {
  /** First stretch after the run. */
  to: number
}

/** Finds messages in memory, and brings them there: from the tail of the journal, or by stretches from the files. */
export class Reader {
  private readonly clock: Clock
  private readonly files: OpenFiles
  private readonly liveness: Liveness
  private readonly tail: Tail
  private readonly cache: StretchCache
  private readonly damaged: DamageListener
  private readonly slice = new Slice()

  constructor(
    context: { clock: Clock; files: OpenFiles; liveness: Liveness; tail: Tail; cacheBytes: number },
    damaged: DamageListener,
  ) {
    this.clock = context.clock
    this.files = context.files
    this.liveness = context.liveness
    this.tail = context.tail
    this.cache = new StretchCache(context.cacheBytes)
    this.damaged = damaged
  }

  /** Fills `into` and answers true when the message, held by `queue` (a chunk: 0), is in memory. */
  read(queue: number, lsn: number, into: Slice): boolean {
    if (this.tail.find(lsn, into) || this.cache.findNearby(lsn, into)) return true
    const segment = this.liveness.find(lsn)?.home
    if (!segment) return false
    const index = segment.table.find(segment.isCluster ? queue : 0, lsn)
    if (index >= 0 && this.cache.find(placeKey(segment, index), lsn, into)) return true
    if (!segment.isCluster || queue === 0) return false
    const shared = segment.table.find(0, lsn)
    return shared >= 0 && this.cache.find(placeKey(segment, shared), lsn, into)
  }

  /** Contract of Store.load. */
  load(queue: number, lsns: readonly number[], done: (damaged: readonly number[]) => void): void {
    const job: Job = {
      queue,
      lsns,
      done,
      held: new Map(),
      attempts: new Map(),
      readsUnderWay: 0,
      retry: false,
    }
    this.clock.defer(() => this.advance(job))
  }

  /** Reads what the job lacks; when it lacks nothing that could be had, it is done. */
  private advance(job: Job): void {
    const wanted = new Map<number, Place>()
    const damaged: number[] = []
    for (const lsn of job.lsns) {
      const place = this.missing(job, lsn)
      if (place === 'nowhere') damaged.push(lsn)
      else if (place !== 'here') wanted.set(placeKey(place.segment, place.index), place)
    }
    if (wanted.size === 0) {
      for (const [key, stretch] of job.held) this.cache.put(key, stretch)
      job.done(damaged)
      this.cache.trim()
      return
    }
    const runs = this.runs([...wanted.values()])
    job.readsUnderWay = runs.length
    for (const run of runs) this.fetch(job, run)
  }

  private missing(job: Job, lsn: number): Place | 'here' | 'nowhere' {
    if (this.tail.find(lsn, this.slice)) return 'here'
    const segment = this.liveness.find(lsn)?.home
    if (!segment) return 'nowhere'
    const answer = this.missingFrom(job, segment, segment.isCluster ? job.queue : 0, lsn)
    if (answer !== 'nowhere' || !segment.isCluster || job.queue === 0) return answer
    return this.missingFrom(job, segment, 0, lsn)
  }

  private missingFrom(job: Job, segment: Segment, queue: number, lsn: number): Place | 'here' | 'nowhere' {
    const index = segment.table.find(queue, lsn)
    if (index < 0) return 'nowhere'
    const key = placeKey(segment, index)
    const stretch = job.held.get(key) ?? this.cache.get(key)
    if (stretch) {
      job.held.set(key, stretch)
      if (stretch.find(lsn, this.slice)) return 'here'
      if (stretch.end >= endOf(segment, index)) return 'nowhere'
    }
    return (job.attempts.get(key) ?? 0) >= ATTEMPTS ? 'nowhere' : { segment, index }
  }

  /** Joins neighbouring stretches into reads, and reads ahead behind the last. */
  private runs(places: readonly Place[]): Run[] {
    const sorted = places.toSorted((a, b) => a.segment.number - b.segment.number || a.index - b.index)
    const runs: Run[] = []
    for (const { segment, index } of sorted) {
      const last = runs.at(-1)
      if (last?.segment === segment && index < last.to) continue
      const gap = last?.segment === segment ? endOf(segment, index) - segment.table.offset(last.index) : 0
      if (last && gap > 0 && index === last.to && gap <= MOST_READ) last.to = index + 1
      else runs.push(this.ahead(segment, index))
    }
    return runs
  }

  /** A read that begins with stretch `index` and goes on as far as it seems worth it. */
  private ahead(segment: Segment, index: number): Run {
    const sequential = segment.readNext === index
    segment.readAhead = sequential ? Math.min(MOST_READ, segment.readAhead * 2) : LEAST_READ
    const start = segment.table.offset(index)
    const queue = segment.table.queue(index)
    let to = index + 1
    while (
      to < segment.table.count &&
      segment.table.queue(to) === queue &&
      endOf(segment, to) - start <= segment.readAhead &&
      segment.table.offset(to) < segment.written &&
      !this.cache.get(placeKey(segment, to))
    ) {
      to++
    }
    segment.readNext = to
    return { segment, index, to }
  }

  private fetch(job: Job, run: Run): void {
    const { segment, index, to } = run
    const start = segment.table.offset(index)
    // What is written while this read is under way is not in it, and not missing from it.
    const end = endOf(segment, to - 1)
    const bytes = Buffer.allocUnsafeSlow(Math.max(0, end - start))
    segment.readBytes += bytes.length
    this.files.read(segment.path, bytes, start, (error, count) => {
      if (error) this.failedFetch(job, run, error)
      else this.take(job, run, bytes.subarray(0, count), start, end)
      if (--job.readsUnderWay > 0) return
      if (job.retry) this.clock.after(RETRY_DELAY, () => this.advance(job))
      else this.advance(job)
      job.retry = false
    })
  }

  private take(job: Job, run: Run, bytes: Buffer, start: number, end: number): void {
    const { segment } = run
    for (let index = run.index; index < run.to; index++) {
      const from = segment.table.offset(index)
      const to = Math.min(endOf(segment, index), end)
      const piece = bytes.subarray(from - start, to - start)
      const stretch = new Stretch(piece, from, segment.number)
      const short = piece.length < to - from
      for (const { start: at, end } of stretch.damage) {
        this.damaged(segment, at, end, 'checksum failed')
      }
      if (short) this.damaged(segment, from + piece.length, to, 'the file is too short')
      // Attempts are not repeated: what was read is what there is.
      if (short) job.attempts.set(placeKey(segment, index), ATTEMPTS)
      job.held.set(placeKey(segment, index), stretch)
    }
  }

  private failedFetch(job: Job, run: Run, error: DiskError): void {
    job.retry = true
    for (let index = run.index; index < run.to; index++) {
      const key = placeKey(run.segment, index)
      const attempts = (job.attempts.get(key) ?? 0) + 1
      job.attempts.set(key, attempts)
      if (attempts === ATTEMPTS && run.segment.removableAt === undefined) {
        const { table } = run.segment
        this.damaged(run.segment, table.offset(index), endOf(run.segment, index), error.message)
      }
    }
  }
}

function endOf(segment: Segment, index: number): number {
  return Math.min(segment.table.endOf(index), segment.written)
}
