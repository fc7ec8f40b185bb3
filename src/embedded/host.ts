import { getRandomValues } from 'node:crypto'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'

/** Timers of the host take no longer delay; a longer wait is made of several. */
const LONGEST_TIMEOUT = 2 ** 31 - 1

/** Deferred work in a row that may run before the event loop gets its turn for timers and I/O. */
const DEFERRALS_IN_A_ROW = 64

/**
 * Time as the process has it. Its timers do not keep the process alive: open connections do that (see KeepAlive).
 */
export class HostClock implements Clock {
  private deferred: (() => void)[] = []
  private scheduled = false
  private inARow = 0
  private lastWall = 0

  monotonic(): number {
    return performance.now()
  }

  wall(): number {
    this.lastWall = Math.max(this.lastWall, Date.now())
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
   * Within one burst of promise continuations all deferred work runs together at its end. Because continuations and deferred
   * work can go on provoking each other without end, the event loop gets a turn in between from time to time.
   */
  defer(callback: () => void): void {
    this.deferred.push(callback)
    if (this.scheduled) return
    this.scheduled = true
    if (++this.inARow < DEFERRALS_IN_A_ROW) {
      process.nextTick(this.run)
    } else {
      this.inARow = 0
      setImmediate(this.run)
    }
  }

  private readonly run = (): void => {
    this.scheduled = false
    const callbacks = this.deferred
    this.deferred = []
    for (let i = 0; i < callbacks.length; i++) callbacks[i]!()
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
