import { isMillraceError } from '../../model/errors.ts'

/** Rows that are forgotten after a time. */
export interface Sweepable {
  /** Milliseconds by the clock of the database. */
  clock(): Promise<number>
  /** Forgets what is older than so many milliseconds, at most `limit` rows; answers how many. */
  sweep(retention: number, limit: number): Promise<number>
}

/** Between two sweeps, unless there is more to be forgotten than one takes. */
const INTERVAL = 60_000
/** Rows of one statement, and statements of one sweep: nobody waits long for their locks. */
const BATCH = 500
const BATCHES = 20
/** A clock that is further off than this from the time that has passed was set. */
const TOLERANCE = 3_600_000

/**
 * Forgets what is old enough, in small batches, beside what is done: a table that nothing is done with does not grow.
 * When the clock of the database was set forward, nothing is forgotten: what may still be needed would be.
 */
export class Sweeper {
  private readonly rows: Sweepable
  private readonly retention: number
  private readonly swept: (count: number) => void
  private due = 0
  private running = false
  private told = false
  private origin: { readonly database: number; readonly own: number } | undefined

  constructor(rows: Sweepable, retention: number, swept: (count: number) => void) {
    this.rows = rows
    this.retention = retention
    this.swept = swept
  }

  turn(): void {
    const now = performance.now()
    if (this.running || now < this.due) return
    this.running = true
    this.due = now + INTERVAL
    this.sweep()
      .catch((error) => this.failed(error))
      .finally(() => {
        this.running = false
      })
  }

  /** Whoever needs the database is told that it is away; what is old can wait. What waiting does not help is told once. */
  private failed(error: unknown): void {
    if (this.told || (isMillraceError(error) && error.retryable)) return
    this.told = true
    process.emitWarning(`old rows are not forgotten, and their table grows: ${(error as Error).message}`, {
      type: 'MillraceWarning',
      code: 'millrace-sweep',
    })
  }

  async sweep(): Promise<void> {
    if (await this.clockWasSet()) return
    for (let batch = 0; batch < BATCHES; batch++) {
      const count = await this.rows.sweep(this.retention, BATCH)
      this.swept(count)
      if (count < BATCH) return
    }
    this.due = 0
  }

  private async clockWasSet(): Promise<boolean> {
    const [database, own] = [await this.rows.clock(), performance.now()]
    this.origin ??= { database, own }
    return database - this.origin.database > own - this.origin.own + TOLERANCE
  }
}
