import type { Clock } from '../engine/ports/clock.ts'

interface Event {
  readonly at: number
  readonly order: number
  /** Null: cancelled. */
  callback: (() => void) | null
}

/** 2026-01-01T00:00:00Z */
const EPOCH = 1_767_225_600_000

/**
 * Time that passes only when told to. Callbacks run in the order of their times, and those of one time in the order in which
 * they were asked for, so that a run is the same every time. One callback is one event.
 */
export class VirtualClock implements Clock {
  private now = 0
  private wallOffset: number
  private order = 0
  private readonly heap: Event[] = []
  private readonly soon: Event[] = []
  private soonHead = 0

  /** `wall`: milliseconds since 1970 at the beginning. */
  constructor(wall: number = EPOCH) {
    this.wallOffset = wall
  }

  monotonic(): number {
    return this.now
  }

  wall(): number {
    return this.now + this.wallOffset
  }

  /** Somebody sets the clock on the wall. */
  jumpWall(milliseconds: number): void {
    this.wallOffset += milliseconds
  }

  after(delay: number, callback: () => void): () => void {
    const event: Event = { at: this.now + Math.max(0, delay), order: this.order++, callback }
    this.push(event)
    return () => {
      event.callback = null
    }
  }

  defer(callback: () => void): void {
    this.soon.push({ at: this.now, order: this.order++, callback })
  }

  /** When the next event is due; Infinity when there is none. Monotonic milliseconds. */
  nextAt(): number {
    return this.peek()?.at ?? Number.POSITIVE_INFINITY
  }

  /** Runs the next event, moving time to it. False when there is none. */
  step(): boolean {
    const event = this.take()
    if (event === null) return false
    if (event.at > this.now) this.now = event.at
    event.callback!()
    return true
  }

  /**
   * Lets `milliseconds` pass with everything that is due in them. Code that waits for promises gets to run between two
   * events.
   */
  async advance(milliseconds: number): Promise<void> {
    const until = this.now + milliseconds
    await settled()
    while (this.nextAt() <= until) {
      this.step()
      await settled()
    }
    this.now = Math.max(this.now, until)
  }

  /** Runs what is due now, and what that brings about now, until only later events are left. */
  async idle(): Promise<void> {
    await this.advance(0)
  }

  /** Forgets all events: who asked for them is gone. */
  clear(): void {
    this.heap.length = 0
    this.soon.length = 0
    this.soonHead = 0
  }

  private peek(): Event | null {
    while (this.soonHead < this.soon.length && this.soon[this.soonHead]!.callback === null) this.soonHead++
    while (this.heap.length > 0 && this.heap[0]!.callback === null) this.pop()
    const soon = this.soon[this.soonHead]
    const timed = this.heap[0]
    if (soon === undefined) return timed ?? null
    return timed !== undefined && isBefore(timed, soon) ? timed : soon
  }

  private take(): Event | null {
    const event = this.peek()
    if (event === null) return null
    if (event === this.heap[0]) {
      this.pop()
      return event
    }
    this.soonHead++
    if (this.soonHead === this.soon.length) {
      this.soon.length = 0
      this.soonHead = 0
    }
    return event
  }

  private push(event: Event): void {
    const heap = this.heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  private pop(): void {
    const heap = this.heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}

/** Resolves when every promise that can be resolved now has been, with all that follows. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
