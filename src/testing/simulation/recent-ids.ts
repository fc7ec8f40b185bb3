import type { Deduplication } from '../../model/policy.ts'
import type { MachineEnd } from './machine.ts'
import type { SentMessage } from './messages.ts'
import { Violation } from './violation.ts'

/** Whether a queue that has to know ids stores a message: 'new', it must; 'repeated', it must not; otherwise it may. */
export type Novelty = 'new' | 'repeated' | 'unknown'

/** Between which times by the broker's clock on the wall something happens now. */
export interface Wall {
  readonly earliest: number
  readonly latest: number
}

/** A message with an id, as it was sent. Moments are numbers that rise. */
interface Sending {
  readonly message: SentMessage
  readonly novelty: Novelty
  readonly wall: Wall
  readonly sentAt: number
  /** By then it was stored, if at all. */
  settledAt: number
  /** It was stored for certain. */
  isSure: boolean
}

/**
 * The reference's account of the ids that one queue has to know: those of so many messages that it took last, for so long. Of
 * what had no answer nobody knows whether its id counts.
 */
export class RecentIds {
  private readonly policy: Deduplication
  /** What may have been stored. */
  private readonly sendings = new Set<Sending>()
  private readonly byMessage = new Map<SentMessage, Sending>()
  private moment = 1

  constructor(policy: Deduplication) {
    this.policy = policy
  }

  sent(message: SentMessage, wall: Wall): Novelty {
    const novelty = this.noveltyOf(message.deduplicationId!, wall)
    const sentAt = this.moment++
    const sending = {
      message,
      novelty,
      wall,
      sentAt,
      settledAt: Number.POSITIVE_INFINITY,
      isSure: false,
    }
    this.byMessage.set(message, sending)
    if (novelty !== 'repeated') this.sendings.add(sending)
    return novelty
  }

  confirmed(message: SentMessage): void {
    const sending = this.byMessage.get(message)
    if (sending === undefined) return
    this.settle(sending)
    if (sending.novelty === 'new') sending.isSure = true
  }

  refused(message: SentMessage): void {
    const sending = this.byMessage.get(message)
    if (sending === undefined) return
    this.sendings.delete(sending)
    if (sending.novelty === 'repeated')
      throw new Violation('counts', `${message.id} is one that is known, and was refused`)
  }

  /** It was stored; throws when it should not have been. */
  seen(message: SentMessage): void {
    const sending = this.byMessage.get(message)
    if (sending === undefined) return
    this.settle(sending)
    sending.isSure = true
    if (sending.novelty === 'repeated')
      throw new Violation(
        'nothing doubled',
        `${message.id} has the id of one that the queue had to know, and is there`,
      )
  }

  ended(how: MachineEnd): void {
    for (const sending of this.sendings) {
      this.settle(sending)
      if (sending.message.level === 'os' && how === 'power cut') sending.isSure = false
    }
  }

  private settle(sending: Sending): void {
    sending.settledAt = Math.min(sending.settledAt, this.moment++)
  }

  private noveltyOf(id: string, now: Wall): Novelty {
    const own = [...this.sendings].filter(({ message }) => message.deduplicationId === id)
    if (own.some((sending) => this.isKnown(sending, now))) return 'repeated'
    return own.every((sending) => this.isForgotten(sending, now)) ? 'new' : 'unknown'
  }

  private isKnown(sending: Sending, { latest }: Wall): boolean {
    const { window, count } = this.policy
    if (!sending.isSure || sending.wall.earliest + window <= latest) return false
    return this.othersSince(sending, (other) => other.settledAt > sending.sentAt) < count
  }

  private isForgotten(sending: Sending, { earliest }: Wall): boolean {
    const { window, count } = this.policy
    if (sending.wall.latest + window <= earliest) return true
    return this.othersSince(sending, (other) => other.isSure && other.sentAt > sending.settledAt) >= count
  }

  /** Other ids that have come since, by this account. */
  private othersSince({ message }: Sending, hasCome: (other: Sending) => boolean): number {
    const ids = new Set<string>()
    for (const other of this.sendings) {
      const { deduplicationId } = other.message
      if (deduplicationId !== message.deduplicationId && hasCome(other)) ids.add(deduplicationId!)
    }
    return ids.size
  }
}
