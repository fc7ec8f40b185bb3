import type { Clock } from '../../engine/ports/clock.ts'
import { keyOf } from './choices.ts'
import type { MachineEnd } from './machine.ts'
import { type Copy, type SentMessage, traitsOfMessage } from './messages.ts'
import type { Schedules } from './schedules.ts'
import type { Shown } from './stock.ts'
import { Violation } from './violation.ts'

/** What is known of when a message got its place in the queue. Moments are numbers that rise. */
interface Value {
  readonly copy: Copy
  readonly key: string
  /** It had no place before. */
  readonly sentAt: number
  /** It has its place before it counts: those that leave meanwhile have not replaced it. */
  readonly isHidden: boolean
  /** By then it had its place, if it has got one at all. */
  placedAt: number
  /** From then on older ones of its key count as replaced: monotonic. */
  countsSince: number
  /** Its place, once somebody has seen it there; 0: nobody has. */
  lsn: number
}

/**
 * The reference's account of a queue that keeps the last value of each key. The order of the queue says which is the last, and
 * of two messages that were on their way at the same time nobody knows it before both have been seen.
 */
export class LastValues {
  private readonly clock: Clock
  private readonly schedules: Schedules
  private readonly values = new Map<Copy, Value>()
  private readonly byKey = new Map<string, Value[]>()
  private moment = 1

  constructor(clock: Clock, schedules: Schedules) {
    this.clock = clock
    this.schedules = schedules
  }

  /** A copy for the queue is being sent, for the first time or again. */
  sent(copy: Copy): void {
    this.moment++
    const known = this.values.get(copy)
    if (known !== undefined) {
      // If it was not stored before, it gets its place now.
      if (known.lsn === 0) known.placedAt = Number.POSITIVE_INFINITY
      return
    }
    const key = keyOf(traitsOfMessage(copy.message))
    if (key === undefined) return
    const { moment: sentAt } = this
    const never = Number.POSITIVE_INFINITY
    const isHidden = copy.message.outcome === 'hidden'
    const value = { copy, key, sentAt, isHidden, placedAt: never, countsSince: never, lsn: 0 }
    this.values.set(copy, value)
    const others = this.byKey.get(key) ?? []
    others.push(value)
    this.byKey.set(key, others)
  }

  /** Its send was answered. What is scheduled has no place before it is due. */
  confirmed(copy: Copy): void {
    const value = this.values.get(copy)
    if (value === undefined || copy.message.due !== undefined) return
    this.place(value)
    // One that expires before it is visible replaces nothing.
    if (copy.certain && copy.expiry === Number.POSITIVE_INFINITY) this.count(value)
  }

  /** Somebody sees it in the queue. */
  seen(copy: Copy, lsn: number): void {
    const value = this.values.get(copy)
    if (value === undefined) return
    this.place(value)
    value.lsn = lsn
    this.count(value)
  }

  /** The process has ended. */
  ended(how: MachineEnd): void {
    for (const value of this.values.values()) {
      const { level, mayBeVolatile, message } = value.copy
      if (message.due === undefined) this.place(value)
      const isLost = level === 'memory' || mayBeVolatile || (level === 'os' && how === 'power cut')
      if (isLost) value.countsSince = Number.POSITIVE_INFINITY
    }
  }

  /** Whether another may have taken its place. */
  mayBeReplaced(copy: Copy): boolean {
    const value = this.values.get(copy)
    return value !== undefined && !this.isToCome(value) && this.followers(value).length > 0
  }

  /** It is nowhere: one of those that may have replaced it has to be there, to have expired, or to have left in another way. */
  checkReplaced(copy: Copy, isExplained: (copy: Copy) => boolean): void {
    const followers = this.followers(this.values.get(copy)!)
    if (followers.some((other) => isExplained(other.copy) || mayHaveLeft(other.copy))) return
    const { message, queue } = copy
    throw new Violation(
      'last value',
      `${message.id} has left ${queue}, and none that has replaced it is there`,
    )
  }

  /** Somebody gets it. */
  handedOut(copy: Copy): void {
    const value = this.values.get(copy)
    if (value === undefined) return
    const now = this.clock.monotonic()
    const isNewer = (other: Value): boolean =>
      value.isHidden ? value.placedAt < other.sentAt : isBefore(value, other)
    const newer = this.byKey.get(value.key)!.find((other) => other.countsSince < now && isNewer(other))
    if (newer === undefined) return
    const { message, queue } = copy
    throw new Violation(
      'last value',
      `${message.id} came from ${queue} after ${newer.copy.message.id} had replaced it`,
    )
  }

  /** Throws when one of these, which the queue shows, should have left because a newer one of its key is there. */
  checkShown(shown: readonly Shown[]): void {
    const newest = new Map<string, Value>()
    for (const { copy } of shown) {
      const value = this.values.get(copy)
      if (value !== undefined && !((newest.get(value.key)?.lsn ?? 0) > value.lsn))
        newest.set(value.key, value)
    }
    for (const { copy, state } of shown) {
      const last = newest.get(this.values.get(copy)?.key ?? '')
      if (last === undefined || last.copy === copy || state === 'acquired') continue
      const { message, queue } = copy
      throw new Violation(
        'last value',
        `${message.id} lies ${state} in ${queue}, where ${last.copy.message.id} has replaced it`,
      )
    }
  }

  /** Those of its key that may have come after it. */
  private followers(value: Value): Value[] {
    return this.byKey
      .get(value.key)!
      .filter(
        (other) =>
          other !== value && isKnown(other.copy.message) && !isBefore(other, value) && !this.isToCome(other),
      )
  }

  private isToCome({ copy }: Value): boolean {
    return this.schedules.isToCome(copy.message)
  }

  private place(value: Value): void {
    value.placedAt = Math.min(value.placedAt, this.moment++)
  }

  private count(value: Value): void {
    value.countsSince = Math.min(value.countsSince, this.clock.monotonic())
  }
}

/** Of what nobody has asked the commit for, or what was refused, nothing has happened. */
function isKnown({ outcome }: SentMessage): boolean {
  return outcome !== 'refused' && outcome !== 'hidden'
}

/** Whether `a` has its place before `b` for certain. */
function isBefore(a: Value, b: Value): boolean {
  if (a.lsn > 0 && b.lsn > 0) return a.lsn < b.lsn
  return a.placedAt < b.sentAt
}

/** Otherwise than by being replaced. */
function mayHaveLeft({ delivered, licence, level, mayBeVolatile }: Copy): boolean {
  return delivered || licence !== null || level === 'memory' || mayBeVolatile
}
