import type { Clock } from '../engine/ports/clock.ts'
import { VirtualClock } from './virtual-clock.ts'

/**
 * A virtual clock for tests that await what they call: what is due at once happens by itself, and what is due later when
 * the test lets time pass.
 */
export class TestClock implements Clock {
  private readonly virtual = new VirtualClock()
  private running = false

  monotonic(): number {
    return this.virtual.monotonic()
  }

  wall(): number {
    return this.virtual.wall()
  }

  after(delay: number, callback: () => void): () => void {
    const cancel = this.virtual.after(delay, callback)
    this.run()
    return cancel
  }

  defer(callback: () => void): void {
    this.virtual.defer(callback)
    this.run()
  }

  advance(time: number): Promise<void> {
    return this.virtual.advance(time)
  }

  /** Whether something is due now. */
  isBusy(): boolean {
    return this.virtual.nextAt() <= this.virtual.monotonic()
  }

  private run(): void {
    if (this.running || !this.isBusy()) return
    this.running = true
    setImmediate(() => {
      this.running = false
      while (this.isBusy()) this.virtual.step()
    })
  }
}
