/** A promise that was broken. */
export class Violation extends Error {
  override readonly name: string = 'Violation'
  readonly invariant: Invariant

  constructor(invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`)
    this.invariant = invariant
  }
}

export type Invariant =
  /** Confirmed, or seen by somebody, and not settled: it must be there. */
  | 'nothing lost'
  /** Settled with a resolved request, refused, or of level 'memory' and before a crash: it must not be there. */
  | 'nothing comes back'
  /** One copy in one queue, and with one consumer. */
  | 'nothing doubled'
  /** A transaction is there wholly or not at all; a half message is not there before it is committed. */
  | 'all or nothing'
  /** First deliveries to a consumer come in the order of a producer's sends to one destination. */
  | 'order'
  /** What arrives is what was sent, to a queue that it was routed to. */
  | 'content'
  /** Nobody gets what has expired. */
  | 'expiry'
  /** What came in is what is there and what has left, by the broker's own counts and by ours. */
  | 'counts'
  /** Files are in proportion to what is alive in them. */
  | 'disk bounded'
  /** Everything asked for is answered, and the broker opens whatever became of its disk. */
  | 'progress'
  /** An assertion or exception inside the broker. */
  | 'no fault'
