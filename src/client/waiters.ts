import { LONGEST_TIMEOUT } from './waiting.ts'

/** Those who wait for something new. */
export class Waiters {
  private readonly waiting: Set<() => void> = new Set()

  get size(): number {
    return this.waiting.size
  }

  /**
   * Resolves when there may be something new, or after `timeout` milliseconds. Rejects with the reason of `signal`, after
   * `aborted` has been called.
   */
  wait(timeout: number | undefined, signal: AbortSignal | undefined, aborted: () => unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
        this.waiting.delete(wake)
      }
      const wake = () => {
        end()
        resolve()
      }
      const abort = () => {
        end()
        aborted()
        reject(signal?.reason)
      }
      const timer = timeout === undefined ? undefined : setTimeout(wake, Math.min(timeout, LONGEST_TIMEOUT))
      signal?.addEventListener('abort', abort, { once: true })
      this.waiting.add(wake)
    })
  }

  /** All of them look again. */
  wake(): void {
    for (const wake of [...this.waiting]) wake()
  }
}
