/**
 * Time, for everything in the engine and the store. Monotonic milliseconds order waits; wall milliseconds are only for
 * what people and protocols see (expiry, timestamps) and may jump in either direction.
 */
export interface Clock {
  /** Milliseconds that never run back. */
  monotonic(): number
  /** Milliseconds since 1970. */
  wall(): number
  /** Calls back once, at or after `delay` milliseconds, never in the present turn. Answers a function that cancels. */
  after(delay: number, callback: () => void): () => void
  /** Calls back soon, after the present turn has ended, in order of call; waiting I/O gets its turn in between. */
  defer(callback: () => void): void
}
