import type { Clock } from './ports/clock.ts'

interface Deadline {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

/** Everything that is to happen later, on one timer of the clock. Deadlines of the same time run in order of call. */
export class Deadlines {
  private readonly clock: Clock
  private readonly heap: Deadline[] = []
  private order = 0
  private started = false
  private cancelTimer: (() => void) | null = null
  private timerAt: number = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** Runs `run` once, at or after the monotonic time `at`. It cannot be cancelled: `run` looks whether it is still wanted. */
  add(at: number, run: () => void): void {
    this.push({ at, order: this.order++, run })
    this.arm()
  }

  /** Nothing runs before. */
  start(): void {
    this.started = true
    this.arm()
  }

  stop(): void {
    this.cancelTimer?.()
    this.cancelTimer = null
    this.heap.length = 0
  }

  private arm(): void {
    const next = this.heap[0]
    if (!this.started || next === undefined || next.at >= this.timerAt) return
    this.cancelTimer?.()
    this.timerAt = next.at
    this.cancelTimer = this.clock.after(Math.max(0, next.at - this.clock.monotonic()), () => this.fire())
  }

  private fire(): void {
    this.cancelTimer = null
    this.timerAt = Number.POSITIVE_INFINITY
    const now = this.clock.monotonic()
    while (this.heap.length > 0 && this.heap[0]!.at <= now) this.pop().run()
    this.arm()
  }

  private push(deadline: Deadline): void {
    const heap = this.heap
    let at = heap.push(deadline) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(deadline, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = deadline
  }

  private pop(): Deadline {
    const heap = this.heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
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
    return first
  }
}

function isBefore(a: Deadline, b: Deadline): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
