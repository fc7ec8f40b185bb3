import { MillraceError } from '../model/errors.ts'
import type { Core } from './core.ts'
import { historyOf } from './dead-letters.ts'
import { eventCode, StateCode } from './lifecycle.ts'
import { PublishFlag, type PublishHead } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import type { Place, Transfers } from './transfers.ts'

const DISCARD = eventCode('discard')
/** Messages that are on their way at once; then others have their turn. */
const STEP = 256

interface Run {
  readonly queue: Queue
  /** Undefined: back to where each failed. */
  readonly to: Queue | undefined
  /** What arrives later is not looked at. */
  readonly until: number
  /** By priority, the last that was looked at. */
  readonly looked: number[]
  left: number
  moved: number
  readonly done: (messages: number) => void
}

/** Moves messages to other queues because an operator says so. */
export class Relocation {
  private readonly core: Core
  private readonly transfers: Transfers
  private readonly schedule: (queue: Queue) => void

  constructor(core: Core, transfers: Transfers, schedule: (queue: Queue) => void) {
    this.core = core
    this.transfers = transfers
    this.schedule = schedule
  }

  /** To the queue `to`, or when that is undefined, dead letters to their origins. Throws `argument-invalid`. */
  move(queue: Queue, to: Queue | undefined, limit: number, done: (messages: number) => void): void {
    if (to === queue) throw new MillraceError('argument-invalid', `queue ${queue.name} holds them already`)
    const until = this.core.log.lastLsn
    this.step({ queue, to, until, looked: [], left: limit, moved: 0, done })
  }

  private step(run: Run): void {
    const places = this.next(run)
    if (places === undefined) return
    if (places.length === 0) {
      this.schedule(run.queue)
      run.done(run.moved)
      return
    }
    let open = places.length
    const finished = (): void => {
      if (--open === 0) this.core.clock.defer(() => this.step(run))
    }
    for (const place of places) this.moveOne(run, place, finished)
  }

  private moveOne(run: Run, place: Place, finished: () => void): void {
    this.transfers.move(place, {
      event: DISCARD,
      departure: 'moved',
      address: (head) => (run.to === undefined ? this.homeOf(head) : run.to),
      done: () => {
        run.moved++
        finished()
      },
      failed: (why) => {
        // What is damaged is found out, and reported, when it is to be delivered.
        if (why !== 'gone') this.transfers.letGo(place)
        run.left++
        finished()
      },
    })
  }

  /** Where a dead letter failed. It goes back as if nothing had been. */
  private homeOf(head: PublishHead): Queue | undefined {
    const home = this.core.topology.queues.get(historyOf(head)?.origin.queue ?? '')
    if (home === undefined || home.deleting) return undefined
    head.annotations = ''
    head.flags &= ~PublishFlag.annotated
    return home
  }

  /** The next messages that nobody holds; undefined when they have to be brought in first. */
  private next(run: Run): Place[] | undefined {
    const { queue, until, looked } = run
    const places: Place[] = []
    for (const lane of queue.urgentFirst()) {
      for (const chunk of lane.chunks) {
        const after = looked[lane.priority] ?? 0
        if (chunk.live === 0 || chunk.lastLsn <= after || chunk.firstLsn > until) continue
        if (!chunk.resident) {
          if (places.length > 0) return places
          this.core.pager.load(queue, lane, chunk, () => this.step(run))
          return undefined
        }
        for (let slot = 0; slot < chunk.length; slot++) {
          const lsn = chunk.lsns[slot]!
          if (lsn <= after || lsn > until) continue
          if (places.length === STEP || run.left === 0) return places
          looked[lane.priority] = lsn
          const state = chunk.states[slot]
          const isFree = state === StateCode.ready || state === StateCode.waiting
          if (!isFree || !this.core.isVisible(lsn, chunk.flags[slot]!)) continue
          places.push({ queue, lane, chunk, slot })
          run.left--
        }
      }
    }
    return places
  }
}
