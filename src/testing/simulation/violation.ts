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
  /** Of what lies ready the most urgent goes out first, then the oldest; to the consumer of the highest priority that has room. */
  | 'precedence'
  /** A group is with one consumer at a time, and in order; a queue with a single active consumer serves that one. */
  | 'groups'
  /** A consumer gets what its selector takes, and nothing else; what it takes does not lie about while it waits for it. */
  | 'selection'
  /** What arrives is what was sent, to a queue that it was routed to. */
  | 'content'
  /** A queue that keeps last values has the last one, and shows or delivers no older one that it had replaced. */
  | 'last value'
  /** Nothing comes before it is due, more often than it was to come, or is left lying after that. */
  | 'schedule'
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
