import { LONGEST_TIMEOUT } from './waiting.ts'

/** Time by which a connection, and what is built on it, works. */
export interface Clock {
  /** Milliseconds since 1970. */
  wall(): number
  /** Milliseconds that never run back. */
  monotonic(): number
  /** Calls back once, at or after `delay` milliseconds, never in the present turn. Answers a function that cancels. */
  after(delay: number, callback: () => void): () => void
}

/** Time as the process has it. Its timers do not keep the process alive: open connections do that. */
export const hostClock: Clock = {
  wall: Date.now,
  monotonic: () => performance.now(),
  after(delay, callback) {
    let timer: NodeJS.Timeout
    const wait = (left: number): void => {
      const step = Math.min(left, LONGEST_TIMEOUT)
      timer = setTimeout(() => (left > step ? wait(left - step) : callback()), step)
      timer.unref()
    }
    wait(delay)
    return () => clearTimeout(timer)
  },
}
