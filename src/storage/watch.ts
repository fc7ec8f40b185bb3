/** What a journal did with its own files. */
export interface UpkeepFacts {
  /** Of files that were read, and of what was written instead. */
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly milliseconds: number
}

/** Hears how far the work of a journal on its own files has got. */
export interface JournalWatch {
  /** While it is opened: bytes that have been read, of about so many. Called after every few megabytes, and at the end. */
  recovering(bytes: number, of: number): void
  /** A checkpoint is durable. */
  checkpointed(facts: UpkeepFacts): void
  /** Files were rewritten, or found to hold nothing any more. */
  compacted(facts: UpkeepFacts): void
}

const TOLD_EVERY = 4 * 1024 * 1024

/** Counts the bytes of a recovery. */
export class RecoveryProgress {
  private readonly watch: JournalWatch | undefined
  private done = 0
  private expected = 0
  private told = 0

  constructor(watch?: JournalWatch) {
    this.watch = watch
  }

  expect(bytes: number): void {
    this.expected += bytes
  }

  did(bytes: number): void {
    this.done += bytes
    if (this.done - this.told < TOLD_EVERY) return
    this.told = this.done
    this.watch?.recovering(Math.min(this.done, this.expected), this.expected)
  }

  end(): void {
    this.watch?.recovering(this.expected, this.expected)
  }
}
