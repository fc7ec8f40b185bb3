import type { Clock } from '../../engine/ports/clock.ts'
import type { Copy } from './messages.ts'
import { BACKOFF } from './plan.ts'
import type { Reference } from './reference.ts'
import { Violation } from './violation.ts'

interface Member {
  readonly copy: Copy
  readonly consumer: number
  /** Which of the copy's hand-outs it was. */
  readonly turn: number
}

interface Failure {
  readonly copy: Copy
  /** Which of the copy's hand-outs it was. */
  readonly turn: number
  readonly at: number
}

/** What a member waits for at least when it has failed. */
const SHORTEST_WAIT = BACKOFF.delay * (1 - BACKOFF.jitter)

/**
 * Message groups: who has messages of which. A group may change hands only when nothing of it is unsettled, and while one of
 * its members waits for its redelivery the others wait with it.
 */
export class GroupWatch {
  private readonly clock: Clock
  private readonly reference: Reference
  private readonly held = new Map<string, Member[]>()
  /** The member of each group that has failed last, and when. */
  private readonly failures = new Map<string, Failure>()

  constructor(clock: Clock, reference: Reference) {
    this.clock = clock
    this.reference = reference
  }

  /** The copy, which belongs to a group, has gone to a consumer of `queue`. */
  handedOut(copy: Copy, queue: string, consumer: number): void {
    const key = `${queue} ${copy.message.group}`
    this.checkWait(copy, key, queue)
    const members = this.unsettled(key, queue)
    const other = members.find((member) => member.consumer !== consumer)
    if (other !== undefined) {
      const { group, id } = copy.message
      throw new Violation(
        'groups',
        `${id} of group ${group} in ${queue} went to consumer ${consumer} while ${other.consumer} holds ${other.copy.message.id}`,
      )
    }
    members.push({ copy, consumer, turn: copy.deliveries })
    this.held.set(key, members)
  }

  /** Its consumer says that it has failed. */
  failed(copy: Copy, queue: string): void {
    if (copy.queue !== queue || copy.deliveries >= this.reference.factsOf(queue).maxDeliveries) return
    const at = this.clock.monotonic()
    this.failures.set(`${queue} ${copy.message.group}`, { copy, turn: copy.deliveries, at })
  }

  /** The broker has ended: how long messages have waited nobody knows. */
  ended(): void {
    this.failures.clear()
  }

  private checkWait({ message }: Copy, key: string, queue: string): void {
    const failure = this.failures.get(key)
    if (failure === undefined || failure.copy.deliveries > failure.turn) return
    const waited = this.clock.monotonic() - failure.at
    if (this.mayHaveLeft(failure.copy)) return
    // What was picked before it failed is told at the same moment.
    if (waited === 0 || waited >= SHORTEST_WAIT) return
    const { id, group } = failure.copy.message
    throw new Violation(
      'groups',
      `${message.id} of group ${group} came from ${queue} ${waited} ms after ${id} had failed`,
    )
  }

  /** Then nobody waits for it. */
  private mayHaveLeft(copy: Copy): boolean {
    const { reference } = this
    if (copy.licence !== null || reference.damaged) return true
    return reference.mayHaveExpired(copy) || reference.lastValues.mayBeReplaced(copy)
  }

  private unsettled(key: string, queue: string): Member[] {
    const { deliveryTimeout } = this.reference.factsOf(queue)
    const now = this.clock.monotonic()
    return (this.held.get(key) ?? []).filter(
      ({ copy, consumer, turn }) =>
        copy.holder === consumer && copy.deliveries === turn && now < copy.heldSince + deliveryTimeout,
    )
  }
}
