import type { Clock } from '../engine/ports/clock.ts'

/** Resolves in a later turn, after waiting I/O has had its chance: between slices of long work. */
export function nextTurn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.after(0, resolve)
  })
}
