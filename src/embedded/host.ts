import { getRandomValues } from 'node:crypto'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'

/** Timers of the host take no longer delay; a longer wait is made of several. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** Deferred work goes on for so many milliseconds before the event loop gets its turn for timers and I/O. */
const LONGEST_BURST = 2

/**
 * Time as the process has it. Its timers do not keep the process alive: open connections do that (see KeepAlive).
 */
export class HostClock implements Clock {
  private deferred: (() => void)[] = []
  private scheduled = false
  private running = false
  /** When deferred work began after the event loop had last had its turn; undefined: it has had it since. */
  private burstBegan: number | undefined
  private lastWall = 0

  monotonic(): number {
    return performance.now()
  }

  wall(): number {
    const now = Date.now()
    if (now > this.lastWall) this.lastWall = now
    return this.lastWall
  }

  after(delay: number, callback: () => void): () => void {
    let timer: NodeJS.Timeout
    const wait = (left: number): void => {
      const step = Math.min(left, LONGEST_TIMEOUT)
      timer = setTimeout(() => (left > step ? wait(left - step) : callback()), step)
      timer.unref()
    }
    wait(delay)
    return () => clearTimeout(timer)
  }

  /**
   * Within one burst of promise continuations all deferred work runs together at its end. What it defers itself comes when the
   * continuations that it made ready have run, and waiting I/O has had its turn. Because continuations and deferred
   * work can go on provoking each other without end, the event loop gets a turn in between from time to time. How much is
   * done at once would be the wrong measure: a deferral is a message or thousands of them.
   */
  defer(callback: () => void): void {
    this.deferred.push(callback)
    if (this.scheduled) return
    this.scheduled = true
    const now = performance.now()
    if (this.burstBegan === undefined) {
      this.burstBegan = now
      setImmediate(this.turned)
    }
    if (!this.running && now - this.burstBegan < LONGEST_BURST) process.nextTick(this.run)
    else setImmediate(this.run)
  }

  private readonly turned = (): void => {
    this.burstBegan = undefined
  }

  private readonly run = (): void => {
    this.scheduled = false
    const callbacks = this.deferred
    this.deferred = []
    this.running = true
    try {
      for (let i = 0; i < callbacks.length; i++) callbacks[i]!()
    } finally {
      this.running = false
    }
  }
}

/** 32-bit words drawn ahead: one by one they would cost a system call each. */
const words = new Uint32Array(256)
let drawn = words.length

function word(): number {
  if (drawn === words.length) {
    getRandomValues(words)
    drawn = 0
  }
  return words[drawn++]!
}

/** Nobody can tell the next value from those before: names of temporary destinations are made of them. */
export const hostRandom: Random = {
  next: () => (word() * 0x20_0000 + (word() >>> 11)) / 0x20_0000_0000_0000,
}

/** Keeps the process alive while somebody may still be waiting for a message, as an open socket would. */
export class KeepAlive {
  private holders = 0
  private timer: NodeJS.Timeout | undefined

  hold(): void {
    if (this.holders++ === 0) this.timer = setInterval(() => {}, LONGEST_TIMEOUT)
  }

  release(): void {
    if (--this.holders === 0) clearInterval(this.timer)
  }
}
