import type { Clock } from '../client/clock.ts'

/** Resolves when so many milliseconds have passed by the clock. */
export function passed(clock: Clock, delay: number): Promise<void> {
  return new Promise((resolve) => clock.after(delay, resolve))
}
