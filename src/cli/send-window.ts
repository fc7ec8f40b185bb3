import { isMillraceError, MillraceError, type SendReceipt } from '../index.ts'
import type { Line } from './lines.ts'
import { type Output, plural, ReaderGone } from './output.ts'
import type { Progress } from './progress.ts'
import { Interrupted } from './usage-error.ts'

/** Sends in flight at once: enough to share a sync, few enough for a full queue to hold them. */
const MAX_MESSAGES = 512
const MAX_BYTES = 8 * 1024 * 1024

/** How long the last sends may take after the user asked to stop. Milliseconds. */
const GRACE = 2_000

/** Sends under way: bounded, reported as they are confirmed, and counted, so that a failure can say how far it got. */
export class SendWindow {
  private readonly out: Output
  private readonly progress: Progress
  private readonly signal: AbortSignal
  private inFlight = 0
  private bytesInFlight = 0
  private bytesDone = 0
  private confirmed = 0
  private refused: { readonly line: number; readonly error: unknown } | undefined
  private changed: PromiseWithResolvers<void> = Promise.withResolvers()

  constructor(out: Output, progress: Progress, signal: AbortSignal) {
    this.out = out
    this.progress = progress
    this.signal = signal
    signal.addEventListener('abort', () => this.notify(), { once: true })
  }

  /** Waits until a message of `size` bytes may be sent; false when no more shall be. */
  async hasRoom(size: number): Promise<boolean> {
    while (this.inFlight >= MAX_MESSAGES || (this.inFlight > 0 && this.bytesInFlight + size > MAX_BYTES)) {
      if (this.stopped) return false
      await this.changed.promise
    }
    return !this.stopped
  }

  private get stopped(): boolean {
    return this.signal.aborted || this.refused !== undefined
  }

  add({ number, size }: Line, receipt: Promise<SendReceipt>): void {
    this.inFlight++
    this.bytesInFlight += size
    receipt
      .then((reached) => this.confirm(number, reached))
      .catch((error) => this.refuse(number, error))
      .finally(() => {
        this.inFlight--
        this.bytesInFlight -= size
        this.bytesDone += size + 1
        this.progress.update(this.confirmed, this.bytesDone)
        this.notify()
      })
  }

  /** No message was made of this line. */
  refuse(line: number, error: unknown): void {
    if (!this.refused || line < this.refused.line) this.refused = { line, error }
  }

  private async confirm(line: number, { messageId, scheduleId }: SendReceipt): Promise<void> {
    this.confirmed++
    if (!this.out.json) return
    try {
      await this.out.document({ line, messageId, scheduleId })
    } catch (error) {
      // The messages matter more than who reads about them.
      if (!(error instanceof ReaderGone)) throw error
    }
  }

  private notify(): void {
    this.changed.resolve()
    this.changed = Promise.withResolvers()
  }

  /** Waits for the sends under way. Answers how many were confirmed; throws what kept others from it. */
  async end(): Promise<number> {
    const deadline = setTimeout(() => this.notify(), GRACE)
    const began = performance.now()
    while (this.inFlight > 0 && !(this.signal.aborted && performance.now() - began >= GRACE)) {
      await this.changed.promise
    }
    clearTimeout(deadline)
    this.progress.end()
    if (this.refused) throw this.describe(this.refused.line, this.refused.error)
    if (this.signal.aborted) throw new Interrupted(`stopped; ${plural(this.confirmed, 'message')} confirmed`)
    return this.confirmed
  }

  private describe(line: number, error: unknown): unknown {
    if (!isMillraceError(error)) return error
    const text = `message ${line}: ${error.message} (${plural(this.confirmed, 'message')} confirmed)`
    return new MillraceError(error.code, text, { cause: error })
  }
}
