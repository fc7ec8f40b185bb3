import type { DeadLetterReason } from '../model/delivery.ts'
import type { Core } from './core.ts'
import { PublishFlag, type PublishHead } from './ports/operations.ts'
import type { Place, Transfers } from './transfers.ts'

/** Entries kept of a message's way through dead-letter queues; older ones are dropped. */
const MAX_HISTORY = 16

/** What a dead letter remembers, as JSON in the annotations of its publish operation. */
export interface DeadLetterHistory {
  readonly origin: {
    readonly queue: string
    readonly exchange: string
    readonly key: string
    readonly lsn: number
  }
  readonly reason: DeadLetterReason
  readonly description: string
  readonly history: readonly {
    readonly queue: string
    readonly reason: DeadLetterReason
    readonly description: string
    readonly deliveries: number
    readonly failures: number
    readonly at: number
  }[]
}

/** A message that cannot be processed where it is. */
export interface Failure {
  readonly place: Place
  /** Code of the lifecycle event that ends it: reject or exhaust. */
  readonly event: number
  readonly reason: DeadLetterReason
  readonly description: string
}

/** Moves messages to dead-letter queues, with a history of how they came there. */
export class DeadLetters {
  private readonly core: Core
  private readonly transfers: Transfers
  private readonly damaged: (place: Place) => void

  constructor(core: Core, transfers: Transfers, damaged: (place: Place) => void) {
    this.core = core
    this.transfers = transfers
    this.damaged = damaged
  }

  move(failure: Failure): void {
    const { place, event } = failure
    const { queue } = place
    this.transfers.move(place, {
      event,
      departure: 'dead-lettered',
      address: (head, lsn) => {
        const { topology } = this.core
        const target =
          failure.reason === 'expired' ? topology.expiryQueue(queue) : topology.deadLetterQueue(queue)
        if (target === undefined) return undefined
        head.annotations = JSON.stringify(this.annotate(failure, head, lsn))
        head.flags = (head.flags & ~PublishFlag.expires) | PublishFlag.annotated
        head.expiry = 0
        return target
      },
      failed: (why) => why !== 'gone' && this.damaged(place),
    })
  }

  private annotate(failure: Failure, head: PublishHead, lsn: number): DeadLetterHistory {
    const { reason, description } = failure
    const { queue, chunk, slot } = failure.place
    const before = historyOf(head)
    const step = {
      queue: queue.name,
      reason,
      description,
      deliveries: chunk.deliveriesOf(slot),
      failures: chunk.failuresOf(slot),
      at: this.core.wall(),
    }
    return {
      origin: before?.origin ?? { queue: queue.name, exchange: head.exchange, key: head.key, lsn },
      reason,
      description,
      history: [step, ...(before?.history ?? [])].slice(0, MAX_HISTORY),
    }
  }
}

/** How a message came to be a dead letter; null when it is none. */
export function historyOf({ annotations }: PublishHead): DeadLetterHistory | null {
  return annotations === '' ? null : (JSON.parse(annotations) as DeadLetterHistory)
}

/** The queue in which a message last became a dead letter. */
export function lastFailureOf(head: PublishHead): string | undefined {
  return historyOf(head)?.history[0]?.queue
}

/** How a message left `queue`, when the one in its place last failed in the queue `failedIn`. */
export function departureByReplacement(
  failedIn: string | undefined,
  queue: string,
): 'dead-lettered' | 'moved' {
  return failedIn === queue ? 'dead-lettered' : 'moved'
}
