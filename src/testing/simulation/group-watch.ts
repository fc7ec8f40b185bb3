import type { Clock } from '../../engine/ports/clock.ts'
import type { Copy } from './messages.ts'
import type { Reference } from './reference.ts'
import { Violation } from './violation.ts'

interface Member {
  readonly copy: Copy
  readonly consumer: number
  /** Which of the copy's hand-outs it was. */
  readonly turn: number
}

/** Message groups: who has messages of which. A group may change hands only when nothing of it is unsettled. */
export class GroupWatch {
  private readonly clock: Clock
  private readonly reference: Reference
  private readonly held = new Map<string, Member[]>()

  constructor(clock: Clock, reference: Reference) {
    this.clock = clock
    this.reference = reference
  }

  /** The copy, which belongs to a group, has gone to a consumer of `queue`. */
  handedOut(copy: Copy, queue: string, consumer: number): void {
    const key = `${queue} ${copy.message.group}`
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

  private unsettled(key: string, queue: string): Member[] {
    const { deliveryTimeout } = this.reference.factsOf(queue)
    const now = this.clock.monotonic()
    return (this.held.get(key) ?? []).filter(
      ({ copy, consumer, turn }) =>
        copy.holder === consumer && copy.deliveries === turn && now < copy.heldSince + deliveryTimeout,
    )
  }
}
