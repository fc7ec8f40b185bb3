/** What the parent tells a child, and what the child writes down: a line each, fields separated by spaces. */

export interface ProducerState {
  /** Sent and not answered, ascending: to be sent again first. */
  readonly unanswered: readonly number[]
  /** First sequence never sent. */
  readonly next: number
}

export interface Assignment {
  readonly directory: string
  readonly seed: number
  readonly round: number
  /**
   * work: sends and receives until it is killed, or closes after `closeAfter` acknowledgements. drain: sends what is
   * unanswered, empties all queues and closes. look: says what is there and closes.
   */
  readonly mode: 'work' | 'drain' | 'look'
  readonly closeAfter: number
  readonly producers: Readonly<Record<string, ProducerState>>
}

/**
 * Lines before `ready` say what the broker holds after the start:
 *   held QUEUE PRODUCER SEQUENCE BROKER-ID      a message, seen by browsing
 *   count QUEUE MESSAGES                        what management counts in a queue
 *   last PRODUCER SEQUENCE                      highest sequence stored under an identity
 * Afterwards, a verb in the -ing form is written before the call, the past when its promise has resolved:
 *   sending PRODUCER SEQUENCE, confirmed PRODUCER SEQUENCE, refused PRODUCER SEQUENCE CODE
 *   delivered QUEUE PRODUCER SEQUENCE BROKER-ID CONSUMER COUNT ORIGIN-ID
 *   accepting|accepted, failing|failed, rejecting|rejected, releasing QUEUE PRODUCER SEQUENCE
 *   closing, closed
 *   token, minting, minted, carrying, carried     of transactions: see tokens.ts
 *   problem TEXT                                the child itself has found something wrong
 */
export type Verb =
  | 'held'
  | 'count'
  | 'last'
  | 'ready'
  | 'sending'
  | 'confirmed'
  | 'refused'
  | 'delivered'
  | 'accepting'
  | 'accepted'
  | 'failing'
  | 'failed'
  | 'rejecting'
  | 'rejected'
  | 'releasing'
  | 'closing'
  | 'closed'
  | 'token'
  | 'minting'
  | 'minted'
  | 'carrying'
  | 'carried'
  | 'problem'
