import type { Clock } from '../engine/ports/clock.ts'
import { Slice } from '../engine/ports/store.ts'
import type { DiskError } from './disk.ts'
import { type DamageListener, endOf, Fetches, type Waiter } from './fetches.ts'
import type { Liveness } from './liveness.ts'
import type { OpenFiles } from './open-files.ts'
import type { Segment } from './segment.ts'
import type { Stretch } from './stretch.ts'
import { type Place, placeKey, StretchCache } from './stretch-cache.ts'
import type { Tail } from './tail.ts'

const ATTEMPTS = 3
const RETRY_DELAY = 20
/** Bytes that jobs may have on their way together; a larger one goes alone. */
const MOST_UNDER_WAY = 4 * 1024 * 1024
/** What comes along uncalled for is at most so many bytes of a job, … */
const MOST_ALONG = 1024 * 1024
/** … and in a journal segment no further away than this share of the cache. */
const NEAR = 1 / 4

/** Finds messages in memory, and brings them there: from the tail of the journal, or by stretches from the files. */
export class Reader {
  private readonly clock: Clock
  private readonly liveness: Liveness
  private readonly tail: Tail
  private readonly cache: StretchCache
  private readonly fetches: Fetches
  private readonly damaged: DamageListener
  private readonly near: number
  /** Jobs that have not begun, from `next` on. */
  private waiting: Job[] = []
  private next = 0
  private bytesUnderWay = 0
  private readonly slice = new Slice()

  constructor(
    context: { clock: Clock; files: OpenFiles; liveness: Liveness; tail: Tail; cacheBytes: number },
    damaged: DamageListener,
  ) {
    this.clock = context.clock
    this.liveness = context.liveness
    this.tail = context.tail
    this.cache = new StretchCache(context.cacheBytes)
    this.fetches = new Fetches(context.files, this.cache, damaged)
    this.damaged = damaged
    this.near = context.cacheBytes * NEAR
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
  load(
    queue: number,
    lsns: readonly number[],
    done: (damaged: readonly number[]) => void,
    certain: number,
  ): void {
    const job = new Job(queue, lsns, certain, done, this.advance)
    // Each has a deferral of its own: what was published in this turn is committed before it, though not before an earlier one.
    this.clock.defer(() => {
      this.waiting.push(job)
      this.pump()
    })
  }

  /** Begins what fits beside the jobs under way, in order. */
  private pump(): void {
    while (this.next < this.waiting.length) {
      const job = this.waiting[this.next]!
      const wanted = this.survey(job, true)
      const bytes = sizeOf(wanted)
      if (this.bytesUnderWay > 0 && this.bytesUnderWay + bytes > MOST_UNDER_WAY) return
      this.next++
      if (this.next * 2 > this.waiting.length) {
        this.waiting = this.waiting.slice(this.next)
        this.next = 0
      }
      job.bytes = bytes
      this.bytesUnderWay += bytes
      this.proceed(job, wanted)
    }
  }

  /** What a job lacks; of a job that begins: what comes along is certain from then on. */
  private survey(job: Job, begins: boolean): Place[] {
    const wanted = new Map<number, Place>()
    const { lsns } = job
    let bytes = 0
    job.damaged.length = 0
    for (let i = 0; i < (begins ? lsns.length : job.certain); i++) {
      if (i >= job.certain && !this.isNear(lsns[0]!, lsns[i]!)) break
      const place = this.missing(job, lsns[i]!)
      if (place === 'nowhere') job.damaged.push(lsns[i]!)
      else if (place !== 'here') {
        const key = placeKey(place.segment, place.index)
        if (!wanted.has(key)) bytes += spanOf(place)
        if (bytes > MOST_ALONG && i >= job.certain) break
        wanted.set(key, place)
      }
      job.certain = Math.max(job.certain, i + 1)
    }
    return [...wanted.values()]
  }

  /** What lies between two messages in a journal segment is for others, who should find it in the cache. */
  private isNear(first: number, lsn: number): boolean {
    const segment = this.liveness.find(lsn)?.home
    if (!segment || segment.isCluster) return true
    const from = segment.table.find(0, first)
    if (from < 0) return false
    return segment.table.offset(segment.table.find(0, lsn)) - segment.table.offset(from) <= this.near
  }

  /** Reads what the job lacks; when it lacks nothing that could be had, it is done. */
  private readonly advance = (job: Job): void => {
    if (job.retry) {
      job.retry = false
      this.clock.after(RETRY_DELAY, () => this.advance(job))
      return
    }
    this.proceed(job, this.survey(job, false))
  }

  private proceed(job: Job, wanted: readonly Place[]): void {
    if (wanted.length === 0) this.finish(job)
    else {
      job.readsUnderWay = wanted.length
      this.fetches.want(wanted, job)
    }
  }

  private finish(job: Job): void {
    for (const { segment, index, error } of job.failures) {
      if (segment.removableAt === undefined)
        this.damaged(segment, segment.table.offset(index), endOf(segment, index), error.message)
    }
    for (const [key, stretch] of job.held) if (!this.cache.get(key)) this.cache.put(key, stretch)
    job.done(job.damaged)
    this.cache.trim()
    this.bytesUnderWay -= job.bytes
    if (this.next < this.waiting.length) this.clock.defer(() => this.pump())
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
}

/** Messages that somebody waits for. */
class Job implements Waiter {
  readonly queue: number
  readonly lsns: readonly number[]
  readonly done: (damaged: readonly number[]) => void
  /** What was read for the job, kept from being dropped before it is done. */
  readonly held: Map<number, Stretch> = new Map()
  readonly attempts: Map<number, number> = new Map()
  /** Messages that are not where they should be. */
  readonly damaged: number[] = []
  /** Places that could not be read however often it was tried. */
  readonly failures: (Place & { readonly error: DiskError })[] = []
  /** So many of the messages, the first ones, must be there at the end. */
  certain: number
  /** Counted as under way. */
  bytes = 0
  readsUnderWay = 0
  /** Something could not be read and is tried again. */
  retry = false
  private readonly advance: (job: Job) => void

  constructor(
    queue: number,
    lsns: readonly number[],
    certain: number,
    done: (damaged: readonly number[]) => void,
    advance: (job: Job) => void,
  ) {
    this.queue = queue
    this.lsns = lsns
    this.certain = certain
    this.done = done
    this.advance = advance
  }

  fetched(key: number, stretch: Stretch, short: boolean): void {
    this.held.set(key, stretch)
    // What was read is what there is.
    if (short) this.attempts.set(key, ATTEMPTS)
    this.answered()
  }

  failed(place: Place, error: DiskError): void {
    const key = placeKey(place.segment, place.index)
    const attempts = (this.attempts.get(key) ?? 0) + 1
    this.attempts.set(key, attempts)
    this.retry = true
    if (attempts === ATTEMPTS) this.failures.push({ ...place, error })
    this.answered()
  }

  private answered(): void {
    if (--this.readsUnderWay === 0) this.advance(this)
  }
}

function spanOf({ segment, index }: Place): number {
  return endOf(segment, index) - segment.table.offset(index)
}

function sizeOf(places: readonly Place[]): number {
  return places.reduce((sum, place) => sum + spanOf(place), 0)
}
