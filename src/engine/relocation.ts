import { MillraceError } from '../model/errors.ts'
import { parseSelector, type Selector } from '../model/selector/selector.ts'
import type { MoveOptions } from './api.ts'
import type { Core } from './core.ts'
import { historyOf } from './dead-letters.ts'
import { EntryFlag } from './index/chunk.ts'
import { eventCode, StateCode } from './lifecycle.ts'
import { PublishFlag, type PublishHead } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { selects } from './selecting.ts'
import type { Place, Transfers } from './transfers.ts'

const DISCARD = eventCode('discard')
/** Messages that are on their way at once; then others have their turn. */
const STEP = 256
/** With a rate, how often some go on their way. Milliseconds. */
const INTERVAL = 100

interface Run {
  readonly queue: Queue
  readonly selector: Selector | undefined
  /** What becomes of a message; tells afterwards whether it has left. */
  readonly act: (place: Place, done: (left: boolean) => void) => void
  /** What arrives later is not looked at. */
  readonly until: number
  /** Messages that are taken on at once, and the milliseconds until the next are. */
  readonly step: number
  readonly pause: number
  /** By priority, the last that was looked at. */
  readonly looked: number[]
  left: number
  /** How many have left. */
  gone: number
  readonly done: (messages: number) => void
}

/** Moves messages to other queues, or purges some, because an operator says so. */
export class Relocation {
  private readonly core: Core
  private readonly transfers: Transfers
  private readonly schedule: (queue: Queue) => void
  private readonly purgeOne: (place: Place) => void

  constructor(
    core: Core,
    transfers: Transfers,
    schedule: (queue: Queue) => void,
    purgeOne: (place: Place) => void,
  ) {
    this.core = core
    this.transfers = transfers
    this.schedule = schedule
    this.purgeOne = purgeOne
  }

  /** To the queue `to`, or when that is undefined, dead letters to their origins. Throws `argument-invalid`. */
  move(queue: Queue, to: Queue | undefined, options: MoveOptions, done: (messages: number) => void): void {
    if (to === queue) throw new MillraceError('argument-invalid', `queue ${queue.name} holds them already`)
    checkRate(options.rate)
    this.start(queue, options, (place, moved) => this.moveOne(to, place, moved), done)
  }

  /** What the selector takes, and nobody holds, leaves as purged. */
  purge(queue: Queue, selector: string, done: (messages: number) => void): void {
    const act: Run['act'] = (place, left) => {
      this.purgeOne(place)
      left(true)
    }
    this.start(queue, { selector }, act, done)
  }

  private start(queue: Queue, options: MoveOptions, act: Run['act'], done: (messages: number) => void): void {
    const { limit: left = Number.POSITIVE_INFINITY, selector: condition, lsn, rate } = options
    const selector = condition === undefined ? undefined : parseSelector(condition)
    const looked = lsn === undefined ? [] : new Array<number>(queue.lanes.length).fill(lsn - 1)
    const until = lsn ?? this.core.log.lastLsn
    const step =
      rate === undefined ? STEP : Math.min(STEP, Math.max(1, Math.round((rate * INTERVAL) / 1_000)))
    const pause = rate === undefined ? 0 : (step * 1_000) / rate
    this.step({ queue, selector, act, until, step, pause, looked, left, gone: 0, done })
  }

  private step(run: Run): void {
    const places = this.next(run)
    if (places === undefined) return
    if (places.length === 0) {
      this.schedule(run.queue)
      run.done(run.gone)
      return
    }
    let open = places.length
    const before = run.gone
    const finished = (left: boolean): void => {
      if (left) run.gone++
      else run.left++
      if (--open === 0) this.goOn(run, run.gone > before)
    }
    for (const place of places) {
      if (run.selector === undefined) run.act(place, finished)
      else this.choose(run, run.selector, place, finished)
    }
  }

  /** What was looked at and stays costs no time. */
  private goOn(run: Run, haveLeft: boolean): void {
    if (run.pause === 0 || !haveLeft) this.core.clock.defer(() => this.step(run))
    else this.core.deadlines.add(this.core.clock.monotonic() + run.pause, () => this.step(run))
  }

  /** While a message is being looked at, somebody may take it. */
  private choose(run: Run, selector: Selector, place: Place, finished: (left: boolean) => void): void {
    const { queue, chunk, slot } = place
    const lsn = chunk.lsnOf(slot)
    const flags = chunk.flagsOf(slot)
    const durable = (flags & EntryFlag.memory) === 0
    selects(this.core, selector, { queue, lsn, flags, durable }, (isSelected) => {
      const isThere = chunk.resident && chunk.lsnOf(slot) === lsn && isFree(chunk.stateOf(slot))
      if (isSelected && isThere) run.act(place, finished)
      else finished(false)
    })
  }

  private moveOne(to: Queue | undefined, place: Place, finished: (moved: boolean) => void): void {
    this.transfers.move(place, {
      event: DISCARD,
      departure: 'moved',
      address: (head) => (to === undefined ? this.homeOf(head) : to),
      done: () => finished(true),
      failed: (why) => {
        // What is damaged is found out, and reported, when it is to be delivered.
        if (why !== 'gone') this.transfers.letGo(place)
        finished(false)
      },
    })
  }

  /** Where a dead letter failed. It goes back as if nothing had been. */
  private homeOf(head: PublishHead): Queue | undefined {
    const home = this.core.topology.queues.get(historyOf(head)?.origin.queue ?? '')
    if (home === undefined || home.deleting) return undefined
    head.annotations = ''
    head.flags &= ~PublishFlag.annotated
    // A ttl of that queue counts from now on; what has outlived it once would expire again at once.
    head.publishedAt = this.core.wall()
    return home
  }

  /** The next messages that nobody holds; undefined when they have to be brought in first. */
  private next(run: Run): Place[] | undefined {
    const { queue, until, looked } = run
    const places: Place[] = []
    for (const lane of queue.urgentFirst()) {
      const after = looked[lane.priority] ?? 0
      for (const chunk of lane.living(after)) {
        if (chunk.firstLsn > until) break
        if (!chunk.resident) {
          if (places.length > 0) return places
          this.core.pager.load(queue, lane, chunk, () => this.step(run))
          return undefined
        }
        for (let slot = 0; slot < chunk.length; slot++) {
          const lsn = chunk.lsnOf(slot)
          if (lsn <= after || lsn > until) continue
          if (places.length === run.step || run.left === 0) return places
          looked[lane.priority] = lsn
          if (!isFree(chunk.stateOf(slot)) || !this.core.isVisible(lsn, chunk.flagsOf(slot))) continue
          places.push({ queue, lane, chunk, slot })
          run.left--
        }
      }
    }
    return places
  }
}

function isFree(state: number | undefined): boolean {
  return state === StateCode.ready || state === StateCode.waiting
}

function checkRate(rate: number | undefined): void {
  if (rate === undefined || (rate > 0 && rate < Number.POSITIVE_INFINITY)) return
  throw new MillraceError(
    'argument-invalid',
    `the rate is a number of messages a second above 0, not ${rate}`,
  )
}
