import type { Broker } from '../../engine/broker.ts'
import type { Copy, SentMessage } from './messages.ts'
import { isLasting, type Reference } from './reference.ts'
import { Violation } from './violation.ts'

/** What is there wholly or not at all. */
export interface Unit {
  readonly messages: SentMessage[]
  readonly accepted: { readonly tag: number; readonly copy: Copy }[]
}

/** A half message that somebody has decided, without an answer so far. */
export interface PendingHalf {
  readonly message: SentMessage
  readonly decision: 'commit' | 'rollback'
}

/**
 * The reference's account of transactions and half messages. A transaction whose commit was asked for and never answered,
 * because the broker ended, must be found whole, or not at all. A half message stays until it is decided.
 */
export class Units {
  /** Undecided half messages, by their ids. */
  readonly halves: Map<string, SentMessage> = new Map()
  /** Rises whenever something is asked to be decided. */
  decisions = 0
  private readonly reference: Reference
  private readonly queue: string
  private readonly asking = new Set<Unit>()
  private readonly deciding = new Map<string, PendingHalf>()

  /** `queue`: of which transactions accept messages. */
  constructor(reference: Reference, queue: string) {
    this.reference = reference
    this.queue = queue
  }

  isPart(message: SentMessage): boolean {
    for (const { messages } of this.asking) if (messages.includes(message)) return true
    return false
  }

  isDeciding(id: string): boolean {
    return this.deciding.has(id)
  }

  /** From now on it may be seen. */
  asked(unit: Unit): void {
    this.decisions++
    this.asking.add(unit)
    for (const message of unit.messages) if (message.outcome === 'hidden') message.outcome = 'open'
    for (const { copy } of unit.accepted) this.reference.accepting(copy, this.queue)
  }

  committed(unit: Unit): void {
    this.asking.delete(unit)
    for (const message of unit.messages) if (message.outcome !== 'refused') this.reference.confirmed(message)
    for (const { copy } of unit.accepted) this.reference.accepted(copy, this.queue)
  }

  /** Its deliveries are still with whom they were. */
  rolledBack(unit: Unit): void {
    this.asking.delete(unit)
    for (const message of unit.messages) if (message.outcome !== 'refused') this.reference.refused(message)
    for (const { copy } of unit.accepted) copy.accepting = false
  }

  decide(id: string, pending: PendingHalf): void {
    this.decisions++
    this.halves.delete(id)
    this.deciding.set(id, pending)
    if (pending.decision === 'commit') pending.message.outcome = 'open'
  }

  halfDecided(id: string): void {
    const { message, decision } = this.deciding.get(id)!
    this.deciding.delete(id)
    if (decision === 'commit') this.reference.confirmed(message)
    else this.reference.refused(message)
  }

  /** Decides by what is there what nobody has answered; throws when it is there by half. */
  takeStock(broker: Broker, found: ReadonlyMap<Copy, unknown>): void {
    for (const unit of [...this.asking]) this.resolve(unit, found)
    const listed = new Set(broker.prepared().map(({ id }) => id))
    for (const [id, { message }] of [...this.deciding]) {
      if (!listed.has(id)) {
        this.resolveHalf(id, message)
        continue
      }
      this.deciding.delete(id)
      message.outcome = 'hidden'
      this.halves.set(id, message)
      if (message.copies.some((copy) => found.has(copy)))
        throw new Violation('all or nothing', `${message.id} is there, and listed as undecided`)
    }
    for (const [id, message] of this.halves) this.expectListed(id, message, listed)
  }

  private resolve(unit: Unit, found: ReadonlyMap<Copy, unknown>): void {
    this.asking.delete(unit)
    const messages = unit.messages.filter(({ outcome }) => outcome !== 'refused')
    const copies = messages.flatMap((message) => message.copies)
    const accepted = unit.accepted.map(({ copy }) => copy)
    const isDone =
      copies.some((copy) => found.has(copy)) ||
      accepted.some((copy) => !found.has(copy) && this.isSolid(copy))
    const isUndone =
      copies.some((copy) => !found.has(copy) && this.isSolid(copy)) ||
      accepted.some((copy) => found.has(copy))
    if (this.reference.damaged) return
    if (isDone && isUndone) {
      const there = copies
        .filter((copy) => found.has(copy))
        .map(({ message, queue }) => `${message.id} in ${queue}`)
      throw new Violation(
        'all or nothing',
        `of a transaction are there: ${there.join(', ')}; of ${copies.length}; accepted are still there: ${accepted.filter((copy) => found.has(copy)).length} of ${accepted.length}`,
      )
    }
    if (isDone) this.committed({ ...unit, messages })
    else if (isUndone) this.rolledBack({ ...unit, messages })
  }

  private resolveHalf(id: string, message: SentMessage): void {
    if (this.reference.damaged) this.deciding.delete(id)
    else this.halfDecided(id)
    if (this.reference.damaged) message.outcome = 'unknown'
  }

  private expectListed(id: string, message: SentMessage, listed: ReadonlySet<string>): void {
    if (listed.has(id)) return
    this.halves.delete(id)
    const mayBeGone = this.reference.damaged || message.copies.some(({ licence }) => licence === 'deleted')
    if (!mayBeGone)
      throw new Violation(
        'nothing lost',
        `half message ${id}, ${message.id}, is not listed and was not decided`,
      )
  }

  /** It would be there if it were committed: unless it was only in memory, or somebody has had it since. */
  private isSolid(copy: Copy): boolean {
    const { reference } = this
    if (copy.gone || !isLasting(copy) || copy.licence !== null) return false
    if (reference.factsOf(copy.queue).dropsOldest || reference.lastValues.mayBeReplaced(copy)) return false
    const { message } = copy
    return message.topology === reference.topology && !message.ambiguous && !reference.mayHaveExpired(copy)
  }
}
