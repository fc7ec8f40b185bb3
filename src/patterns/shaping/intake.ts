import type { Clock } from '../../client/clock.ts'
import type { Feed } from '../../client/feed.ts'
import { groupOf } from '../../client/fetched.ts'
import type { Message } from '../../client/message.ts'
import type { KeyRates } from './key-rates.ts'
import type { TokenBucket } from './token-bucket.ts'

/** A rate by key, and how a message says its own; undefined: it has none, and is not held up. */
export interface Keyed<T> {
  readonly rates: KeyRates
  readonly keyOf: (message: Message<T>) => string | undefined
  /** The broker keeps a message that comes too early; otherwise it waits here, and takes up room. */
  readonly brokerKeeps: boolean
}

export interface IntakeOptions<T> {
  readonly clock: Clock
  /** Units that may be worked on now. */
  readonly limit: () => number
  /** Messages of a unit, and how long its first one waits for others. Milliseconds. */
  readonly size: number
  readonly window: number
  /** Messages fetched while everything is busy. */
  readonly prefetch: number
  readonly bucket: TokenBucket | undefined
  readonly keyed: Keyed<T> | undefined
  /** Begins with a unit; resolves when it is through with it. Never rejects. */
  readonly work: (unit: readonly Message<T>[]) => Promise<void>
  readonly report: (error: unknown) => void
}

/** Members of busy groups that may lie here without taking up room, so that others can be worked on beside them. */
const BESIDE = 128

/**
 * Asks the broker for as many messages as can be begun with when they come, and for no more, so that whatever holds things up
 * here — a rate, a limit, a pause — the messages wait there: for other consumers, across restarts, and in their order.
 * Members of a message group are in one unit at a time.
 */
export class Intake<T> {
  /** Messages that were sent back to the broker because their keys were too fast. */
  deferred = 0
  private readonly options: IntakeOptions<T>
  private feed: Feed<T> | undefined
  /** The unit that is being put together, and since when. */
  private gathered: Message<T>[] = []
  private since = 0
  /** Waiting here until their keys may. */
  private readonly early: Set<Message<T>> = new Set()
  /** Groups of which somebody is being worked on, or is early. */
  private readonly busy: Set<string> = new Set()
  private working = 0
  private pumping = false
  private paused = true
  private draining: Promise<void> | undefined
  private cancelTimer: (() => void) | undefined
  private cancelWindow: (() => void) | undefined
  private quiet: PromiseWithResolvers<void> | undefined

  constructor(options: IntakeOptions<T>) {
    this.options = options
  }

  /** Units being worked on. */
  get running(): number {
    return this.working
  }

  begin(feed: Feed<T>): void {
    this.feed = feed
  }

  /** Begins with what can be begun with, and asks for what could be next. */
  pump(): void {
    // Work that is through at once comes back here.
    if (this.pumping || !this.feed || this.paused) return
    this.pumping = true
    while (!this.paused && this.working < this.options.limit()) {
      this.gather(this.feed)
      if (!this.isUnitReady()) break
      this.work(this.gathered.splice(0))
    }
    this.pumping = false
    if (!this.paused && !this.draining) this.ask(this.feed)
  }

  private gather(feed: Feed<T>): void {
    const { size, clock, bucket } = this.options
    while (this.gathered.length < size) {
      const message = feed.take(this.busy)
      if (!message) return
      const now = clock.monotonic()
      const wait = this.waitOf(message, now)
      if (wait > 0) {
        this.putOff(message, wait)
        continue
      }
      bucket?.take(now, 1)
      if (this.gathered.push(message) === 1) this.since = now
    }
  }

  private waitOf(message: Message<T>, now: number): number {
    const { keyed } = this.options
    const key = keyed?.keyOf(message)
    return keyed && key !== undefined ? keyed.rates.admit(key, message.brokerId, now) : 0
  }

  private putOff(message: Message<T>, wait: number): void {
    const { keyed, clock, report } = this.options
    if (keyed?.brokerKeeps) {
      this.deferred++
      message.release({ after: wait }).catch(report)
      return
    }
    this.early.add(message)
    this.occupy([message])
    clock.after(wait, () => {
      if (!this.early.delete(message)) return
      this.options.bucket?.take(clock.monotonic(), 1)
      this.work([message])
      this.pump()
    })
  }

  /** Whole, or its first message has waited for as long as it should. */
  private isUnitReady(): boolean {
    const { gathered } = this
    const { size, window, clock } = this.options
    if (gathered.length === 0) return false
    if (gathered.length >= size) return true
    const left = this.since + window - clock.monotonic()
    if (left <= 0) return true
    this.cancelWindow ??= clock.after(left, () => {
      this.cancelWindow = undefined
      this.pump()
    })
    return false
  }

  private work(unit: readonly Message<T>[]): void {
    this.working++
    const groups = this.occupy(unit)
    void this.options.work(unit).then(() => {
      for (const group of groups) this.busy.delete(group)
      this.done()
    })
  }

  private occupy(unit: readonly Message<T>[]): string[] {
    const groups = unit.flatMap((message) => groupOf(message) ?? [])
    for (const group of groups) this.busy.add(group)
    return groups
  }

  private done(): void {
    this.working--
    if (this.working === 0) {
      this.quiet?.resolve()
      this.quiet = undefined
    }
    this.pump()
  }

  private ask(feed: Feed<T>): void {
    const { limit, size, prefetch, bucket, clock } = this.options
    const beside = Math.min(BESIDE, feed.countOf(this.busy))
    const room = Math.max(0, limit() - this.working) * size + prefetch + beside
    const wanted = room - this.gathered.length - this.early.size - feed.coming
    if (wanted <= 0) return
    const now = clock.monotonic()
    const count = Math.min(wanted, bucket ? bucket.available(now) - feed.coming : wanted)
    if (count > 0) feed.grant(count)
    if (!bucket || count >= wanted) return
    this.cancelTimer ??= clock.after(Math.max(1, bucket.waitFor(now, feed.coming + 1)), () => {
      this.cancelTimer = undefined
      this.pump()
    })
  }

  /** Nothing is begun with any more; what is here, or comes nevertheless, goes back. Resolves when nothing more comes. */
  pause(): Promise<void> {
    this.paused = true
    this.giveBack()
    this.draining ??= this.drain()
    return this.draining
  }

  private async drain(): Promise<void> {
    try {
      await this.feed?.drain()
    } catch (error) {
      this.options.report(error)
    }
    this.draining = undefined
    if (this.paused) this.giveBack()
    else this.pump()
  }

  private giveBack(): void {
    this.feed?.giveBack()
    const taken = [...this.gathered.splice(0), ...this.early]
    for (const message of this.early) this.busy.delete(groupOf(message) ?? '')
    this.early.clear()
    for (const message of taken) message.release().catch(this.options.report)
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.pump()
  }

  /** What has been taken and not begun with is not held any more, or this one delivery. */
  forfeit(tag: number | undefined): void {
    const isHeld = (message: Message<T>): boolean => tag !== undefined && message.incoming.tag !== tag
    this.gathered = this.gathered.filter(isHeld)
    for (const message of this.early) {
      if (isHeld(message)) continue
      this.early.delete(message)
      this.busy.delete(groupOf(message) ?? '')
    }
  }

  /** Resolves when nothing is being worked on. */
  idle(): Promise<void> {
    if (this.working === 0) return Promise.resolve()
    this.quiet ??= Promise.withResolvers<void>()
    return this.quiet.promise
  }
}
