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
/**
 * … and in a journal segment no further away than this share of the cache. Consumers of thousands of queues that take turns in
 * the journal go through it side by side: the more of it each takes at a time, the less often each has its turn.
 */
const NEAR = 1 / 2

/** With so many loads side by side, lately (milliseconds), all that the tail leaves is of use; otherwise a quarter is. */
const CROWD = { jobs: 256, milliseconds: 1_000 }

const nothing: readonly Place[] = []

/** Finds messages in memory, and brings them there: from the tail of the journal, or by stretches from the files. */
export class Reader {
  private readonly clock: Clock
  private readonly liveness: Liveness
  private readonly tail: Tail
  private readonly cache: StretchCache
  private readonly fetches: Fetches
  private readonly damaged: DamageListener
  /** Of the cache and the tail together. */
  private readonly cacheBytes: number
  /** Jobs that have not begun, from `next` on. */
  private waiting: Job[] = []
  private next = 0
  private bytesUnderWay = 0
  /** Monotonic milliseconds. */
  private crowdedUntil = 0
  private readonly slice = new Slice()
  /** Where the last message was looked for; undefined: it is in the tail, or nowhere. */
  private home: Segment | undefined
  private index = -1

  constructor(
    context: { clock: Clock; files: OpenFiles; liveness: Liveness; tail: Tail; cacheBytes: number },
    damaged: DamageListener,
  ) {
    this.clock = context.clock
    this.liveness = context.liveness
    this.tail = context.tail
    this.cacheBytes = context.cacheBytes
    this.cache = new StretchCache(() => this.room)
    this.fetches = new Fetches(context.files, this.cache, damaged)
    this.damaged = damaged
  }

  private get room(): number {
    const left = Math.max(0, this.cacheBytes - this.tail.bytes)
    return this.clock.monotonic() < this.crowdedUntil ? left : Math.min(left, this.cacheBytes / 4)
  }

  /** Fills `into` and answers true when the message, held by `queue` (a chunk: 0), is in memory. */
  read(queue: number, lsn: number, into: Slice): boolean {
    if (this.tail.find(lsn, into) || this.cache.findNearby(lsn, into)) return true
    const segment = this.liveness.find(lsn)?.home
    if (!segment) return false
    const index = segment.table.find(segment.isCluster ? queue : 0, lsn)
    if (index >= 0 && this.cache.find(segment, index, lsn, into)) return true
    if (!segment.isCluster || queue === 0) return false
    const shared = segment.table.find(0, lsn)
    return shared >= 0 && this.cache.find(segment, shared, lsn, into)
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
    if (this.waiting.length - this.next > CROWD.jobs)
      this.crowdedUntil = this.clock.monotonic() + CROWD.milliseconds
    while (this.next < this.waiting.length) {
      const job = this.waiting[this.next]!
      // It did not fit when it was looked at before, and still would not, unless others have brought what it needs first.
      if (!this.fits(job) && this.missing(job, job.lsns[0]!) !== 'here') return
      const wanted = this.survey(job, true)
      job.bytes = sizeOf(wanted)
      if (!this.fits(job)) return
      this.next++
      if (this.next * 2 > this.waiting.length) {
        this.waiting = this.waiting.slice(this.next)
        this.next = 0
      }
      this.bytesUnderWay += job.bytes
      this.proceed(job, wanted)
    }
  }

  private fits({ bytes }: Job): boolean {
    return this.bytesUnderWay === 0 || this.bytesUnderWay + bytes <= MOST_UNDER_WAY
  }

  /** What a job lacks; of a job that begins: what comes along is certain from then on. */
  private survey(job: Job, begins: boolean): readonly Place[] {
    let wanted: Map<number, Place> | undefined
    const { lsns } = job
    let bytes = 0
    let first: Segment | undefined
    let firstOffset = 0
    const near = this.room * NEAR
    job.damaged.length = 0
    for (let i = 0; i < (begins ? lsns.length : job.certain); i++) {
      const place = this.missing(job, lsns[i]!)
      // Another job has brought it meanwhile, and probably the next ones: whoever reads on will see.
      if (begins && i === 0 && job.certain === 1 && place === 'here') return nothing
      const home = this.home
      const offset = home === undefined || this.index < 0 ? 0 : home.table.offset(this.index)
      if (i === 0) {
        first = home
        firstOffset = offset
      }
      // What lies between two messages in a journal segment is for others, who should find it in the cache.
      const isNear = home === undefined || home.isCluster || (home === first && offset - firstOffset <= near)
      if (i >= job.certain && !isNear) break
      if (place === 'nowhere') job.damaged.push(lsns[i]!)
      else if (place !== 'here') {
        const key = placeKey(place.segment, place.index)
        wanted ??= new Map()
        if (!wanted.has(key)) bytes += spanOf(place)
        if (bytes > MOST_ALONG && i >= job.certain) break
        wanted.set(key, place)
      }
      job.certain = Math.max(job.certain, i + 1)
    }
    return wanted === undefined ? nothing : [...wanted.values()]
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
      this.hold(job)
      job.readsUnderWay = wanted.length
      this.fetches.want(wanted, job)
    }
  }

  /** The job is about to wait: what is there already is not to be dropped meanwhile. */
  private hold(job: Job): void {
    if (job.held !== undefined) return
    job.held = new Map()
    for (let i = 0; i < job.certain; i++) this.missing(job, job.lsns[i]!)
  }

  private finish(job: Job): void {
    for (const { segment, index, error } of job.failures) {
      if (segment.removableAt === undefined)
        this.damaged(segment, segment.table.offset(index), endOf(segment, index), error.message)
    }
    if (job.held !== undefined)
      for (const { segment, index, stretch } of job.held.values())
        if (!this.cache.get(segment, index)) this.cache.put(segment, index, stretch)
    job.done(job.damaged)
    this.cache.trim()
    this.bytesUnderWay -= job.bytes
    if (this.next < this.waiting.length) this.clock.defer(() => this.pump())
  }

  private missing(job: Job, lsn: number): Place | 'here' | 'nowhere' {
    this.home = undefined
    if (this.tail.find(lsn, this.slice)) return 'here'
    const segment = this.liveness.find(lsn)?.home
    if (!segment) return 'nowhere'
    const answer = this.missingFrom(job, segment, segment.isCluster ? job.queue : 0, lsn)
    if (answer !== 'nowhere' || !segment.isCluster || job.queue === 0) return answer
    return this.missingFrom(job, segment, 0, lsn)
  }

  private missingFrom(job: Job, segment: Segment, queue: number, lsn: number): Place | 'here' | 'nowhere' {
    const index = segment.table.find(queue, lsn)
    this.home = segment
    this.index = index
    if (index < 0) return 'nowhere'
    const stretch = job.held?.get(placeKey(segment, index))?.stretch ?? this.cache.get(segment, index)
    if (stretch) {
      job.keep(segment, index, stretch)
      if (stretch.find(lsn, this.slice)) return 'here'
      if (stretch.end >= endOf(segment, index)) return 'nowhere'
    }
    return (job.attempts.get(placeKey(segment, index)) ?? 0) >= ATTEMPTS ? 'nowhere' : { segment, index }
  }
}

interface Held extends Place {
  readonly stretch: Stretch
}

/** Messages that somebody waits for. */
class Job implements Waiter {
  readonly queue: number
  readonly lsns: readonly number[]
  readonly done: (damaged: readonly number[]) => void
  /** What the job needs, kept from being dropped before it is done; undefined while it need not wait for anything. */
  held: Map<number, Held> | undefined
  readonly attempts: Map<number, number> = new Map()
  /** Messages that are not where they should be. */
  readonly damaged: number[] = []
  /** Places that could not be read however often it was tried. */
  readonly failures: (Place & { readonly error: DiskError })[] = []
  /** So many of the messages, the first ones, must be there at the end. */
  certain: number
  /** What it lacked when it was looked at last; counted as under way from when it begins. */
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

  keep(segment: Segment, index: number, stretch: Stretch): void {
    this.held?.set(placeKey(segment, index), { segment, index, stretch })
  }

  fetched({ segment, index }: Place, stretch: Stretch, short: boolean): void {
    this.keep(segment, index, stretch)
    // What was read is what there is.
    if (short) this.attempts.set(placeKey(segment, index), ATTEMPTS)
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
