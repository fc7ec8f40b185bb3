import type { ScheduledMessage } from '../../engine/api.ts'
import type { Clock } from '../../engine/ports/clock.ts'
import type { SeededRandom } from '../random.ts'
import type { MachineEnd } from './machine.ts'
import { type Copy, newCopy, type SentMessage } from './messages.ts'
import type { Reference } from './reference.ts'
import { Violation } from './violation.ts'
import { WallHistory } from './wall-history.ts'

/** The broker looks at the clock on the wall this often at least, in milliseconds. */
const LOOK = 60_000
/** Milliseconds from when something is due, and the broker knows it, to when it is in its queues. */
const PATIENCE = 5_000

/** What is known of a message that is to be delivered later, or again and again. */
interface Entry {
  readonly message: SentMessage
  /** When it was sent first. Monotonic. */
  readonly sentAt: number
  /** When it was last sent, or committed. */
  since: number
  /** Its time was still to come when it was sent. */
  isScheduled: boolean
  /** By which it can be cancelled; 0: nobody has said. */
  number: number
  /** Somebody has seen it in a queue. */
  arrived: boolean
  cancelling: boolean
  /** What has come of a repeating message so far, by LSN. */
  readonly occurrences: Map<number, Copy>
  /** Each may have delivered the present occurrence of a repeating message a second time. */
  crashes: number
  /** Wall time up to which it may have been delivered: it was cancelled, or is over. */
  endedAt: number
}

/**
 * The reference's account of what is to be delivered later. A message has its copies from the beginning, and they are to be
 * found in the schedule, later in their queues. Of a repeating message the first copy stands for what is in the schedule, and
 * each occurrence is a copy of its own.
 */
export class Schedules {
  readonly walls: WallHistory
  private readonly reference: Reference
  private readonly clock: Clock
  private readonly entries = new Map<SentMessage, Entry>()
  /** Queues of which everything is being cancelled. */
  private readonly emptying = new Set<string>()
  private startedAt = 0

  constructor(reference: Reference, clock: Clock) {
    this.reference = reference
    this.clock = clock
    this.walls = new WallHistory(clock)
  }

  /** Looks whether the message is to be delivered later. Its copies are there. */
  sent(message: SentMessage): void {
    const { due } = message
    if (due === undefined) return
    const known = this.entries.get(message)
    const now = this.clock.monotonic()
    const isScheduled = due > this.clock.wall() || message.repeat !== undefined
    if (known !== undefined) {
      known.since = now
      known.isScheduled ||= isScheduled
      return
    }
    this.entries.set(message, {
      message,
      sentAt: now,
      since: now,
      isScheduled,
      number: 0,
      arrived: false,
      cancelling: false,
      occurrences: new Map(),
      crashes: 0,
      endedAt: Number.POSITIVE_INFINITY,
    })
  }

  confirmed(message: SentMessage): void {
    const entry = this.entries.get(message)
    if (entry !== undefined) entry.since = this.clock.monotonic()
  }

  /** The broker has said by which number it can be cancelled. */
  numbered(message: SentMessage, number: number): void {
    const entry = this.entries.get(message)
    if (entry?.isScheduled !== true || (entry.number !== 0 && entry.number !== number))
      throw new Violation('schedule', `${message.id} is scheduled under ${number}, of all things`)
    entry.number = number
  }

  /** The broker is up, and looks at the clock. */
  started(): void {
    this.startedAt = this.clock.monotonic()
  }

  ended(how: MachineEnd): void {
    for (const entry of this.entries.values()) {
      entry.cancelling = false
      if (how !== 'closed') entry.crashes++
      // That it came into its queues is not durable by then.
      if (how === 'power cut' && entry.message.level === 'os') entry.arrived = false
    }
    for (const queue of this.emptying) this.licenseAll(queue)
    this.emptying.clear()
  }

  /** It is in a queue, its own or another; throws when it is too early for that. */
  arrived(message: SentMessage, isElsewhere: boolean): void {
    const entry = this.entries.get(message)
    if (entry === undefined) return
    // What expires before it is due goes to where expired messages go.
    const time = isElsewhere ? timeOf(message) : message.due!
    const latest = this.walls.latestSince(entry.sentAt)
    if (latest < time && !this.reference.damaged)
      throw new Violation('schedule', `${message.id} came ${Math.ceil(time - latest)} ms too early`)
    entry.arrived = true
  }

  /** The occurrence of a repeating message that has this LSN; throws when there are more than there can be. */
  occurrence(message: SentMessage, queue: string, lsn: number): Copy {
    const entry = this.entries.get(message)!
    const known = entry.occurrences.get(lsn)
    if (known !== undefined) return known
    const most = this.mostOccurrences(entry)
    if (entry.occurrences.size >= most && !this.reference.damaged)
      throw new Violation('schedule', `${message.id} comes more often than ${most} times`)
    const copy = newCopy(message, queue, message.level, Number.POSITIVE_INFINITY)
    entry.occurrences.set(lsn, copy)
    this.reference.alive.add(copy)
    return copy
  }

  /** The broker lists it; throws when it should not, or not like this. */
  listed(message: SentMessage, { lsn, due, fired, targets, durable }: ScheduledMessage): void {
    const { id, repeat } = message
    const entry = this.entries.get(message)
    if (!entry?.isScheduled) throw new Violation('schedule', `${id} is listed, and was not to be scheduled`)
    // Its queue may have gone while the list was made.
    if (targets.length === 0 && message.copies.some(isUntouched) && !this.reference.damaged)
      throw new Violation('schedule', `${id} is listed, and goes nowhere`)
    const [first] = message.copies
    if (first && !first.mayBeVolatile && durable === (first.level === 'memory'))
      throw new Violation('content', `${id} is listed with another durability`)
    if (entry.number !== lsn) this.numbered(message, lsn)
    if (repeat === undefined && due !== message.due)
      throw new Violation('schedule', `${id} is listed for ${due}, not ${message.due}`)
    if (repeat !== undefined && (due - message.due!) % repeat.every !== 0)
      throw new Violation('schedule', `${id} is listed for ${due}, which is between its times`)
    // Of what is kept in memory occurrences are left out when there is no room.
    if (durable && fired > entry.occurrences.size && !this.reference.damaged)
      throw new Violation(
        'nothing lost',
        `${id} has been delivered ${fired} times, of which ${entry.occurrences.size} were seen`,
      )
    this.checkLate(entry, repeat === undefined ? timeOf(message) : due)
  }

  /** Whether a copy that is nowhere may be about to be put into its queues. */
  mayBeOnItsWay({ message }: Copy): boolean {
    const entry = this.entries.get(message)
    if (!entry?.isScheduled || entry.arrived) return false
    return this.walls.latestSince(entry.sentAt) >= timeOf(message)
  }

  /** Whether it is certain that the message has not been due yet. */
  isToCome(message: SentMessage): boolean {
    const entry = this.entries.get(message)
    if (!entry?.isScheduled || entry.arrived) return false
    return this.walls.latestSince(entry.sentAt) < timeOf(message)
  }

  /** Whether the copy stands for a repeating message that may have been delivered for the last time. */
  mayBeOver(copy: Copy): boolean {
    const { message } = copy
    const { repeat, due } = message
    if (repeat === undefined || copy !== message.copies[0]) return false
    const { every, times = Number.POSITIVE_INFINITY, until = Number.POSITIVE_INFINITY } = repeat
    const last = Math.min(due! + (times - 1) * every, due! + Math.floor((until - due!) / every) * every)
    return this.walls.latestSince(this.entries.get(message)!.sentAt) >= last
  }

  /** What stood for it in the schedule is gone for good. */
  over({ message, level, licence, certain }: Copy): void {
    const entry = this.entries.get(message)!
    const { times, until } = message.repeat!
    entry.endedAt = Math.min(entry.endedAt, this.walls.latestSince(entry.sentAt))
    const isDone = certain && licence === null && level !== 'memory'
    const isWhole = isDone && times !== undefined && until === undefined
    if (isWhole && entry.occurrences.size < times && !this.reference.damaged)
      throw new Violation(
        'nothing lost',
        `${message.id} is over, and ${entry.occurrences.size} of its ${times} deliveries were seen`,
      )
  }

  /** Scheduled messages for the queue that wait for a decision, or may: the broker counts those that it has. */
  undecidedFor(queue: string): number {
    let count = 0
    for (const { message, isScheduled } of this.entries.values()) {
      const { outcome } = message
      if (!isScheduled || (outcome !== 'hidden' && outcome !== 'unknown')) continue
      const copy = message.copies.find((one) => one.queue === queue)
      if (copy !== undefined && !copy.certain && !copy.gone) count++
    }
    return count
  }

  /** Any message that is scheduled, as far as anybody knows, with its number. */
  pick(random: SeededRandom): { message: SentMessage; number: number } | undefined {
    const all = [...this.entries.values()].filter(
      ({ message, number, arrived, cancelling }) =>
        number > 0 && message.outcome === 'confirmed' && (!arrived || message.repeat) && !cancelling,
    )
    const open = all.filter(({ message }) => message.copies.some(isUntouched))
    return open.length === 0 ? undefined : random.pick(open)
  }

  /** Somebody cancels it; the answer says whether it is gone. */
  cancelling(message: SentMessage): void {
    this.entries.get(message)!.cancelling = true
    for (const copy of message.copies) if (isUntouched(copy)) copy.licence = 'cancelled'
  }

  cancelled(message: SentMessage): void {
    const entry = this.entries.get(message)!
    entry.cancelling = false
    this.bury(entry)
  }

  /** It was in its queues already, or had expired; throws when that cannot be. */
  notCancelled(message: SentMessage): void {
    this.entries.get(message)!.cancelling = false
    const copies = message.copies.filter(({ licence }) => licence === 'cancelled')
    for (const copy of copies) copy.licence = null
    const isThere = copies.some((copy) => this.isInSchedule(copy) && this.reference.isDue(copy))
    if (isThere && !this.reference.damaged)
      throw new Violation('nothing lost', `${message.id} is scheduled, and cannot be cancelled`)
  }

  /** Somebody cancels all that is for this queue alone. Answers what of it is certain to be there. */
  emptyingAll(queue: string): Copy[] {
    const certain = this.copiesFor(queue).filter((copy) => this.reference.isDue(copy))
    this.emptying.add(queue)
    this.licenseAll(queue)
    return certain
  }

  /** So many were cancelled; `certain`: what was to be. */
  emptied(queue: string, certain: readonly Copy[], count: number): void {
    this.emptying.delete(queue)
    this.licenseAll(queue)
    const gone = certain.filter((copy) => copy.licence === 'cancelled' && this.isInSchedule(copy))
    const most = this.copiesFor(queue).filter(({ licence }) => licence === 'cancelled').length
    if ((count < gone.length || count > most) && !this.reference.damaged)
      throw new Violation('counts', `${count} were cancelled in ${queue}, not ${gone.length} to ${most}`)
    for (const { message } of gone) this.bury(this.entries.get(message)!)
  }

  /** Whether a copy that is certain to be somewhere is certain to be in the schedule. */
  private isInSchedule(copy: Copy): boolean {
    return copy.message.repeat === undefined ? this.isToCome(copy.message) : !this.mayBeOver(copy)
  }

  /** What may be in the schedule for this queue alone. */
  private copiesFor(queue: string): Copy[] {
    const { alive } = this.reference
    const copies: Copy[] = []
    for (const { message, isScheduled, arrived } of this.entries.values()) {
      if (!isScheduled || message.outcome === 'hidden' || (arrived && message.repeat === undefined)) continue
      const copy = message.copies.find((one) => one.queue === queue && alive.has(one))
      const isAlone = message.copies.every((other) => other === copy || !other.certain)
      if (copy !== undefined && isAlone) copies.push(copy)
    }
    return copies
  }

  private licenseAll(queue: string): void {
    for (const copy of this.copiesFor(queue)) copy.licence = 'cancelled'
  }

  private bury(entry: Entry): void {
    const { message } = entry
    entry.endedAt = this.walls.latestSince(entry.sentAt)
    if (message.repeat === undefined && entry.arrived)
      throw new Violation('nothing doubled', `${message.id} was cancelled and delivered`)
    for (const copy of message.copies) this.reference.bury(copy)
  }

  private mostOccurrences({ message, sentAt, endedAt, crashes }: Entry): number {
    const { due, repeat } = message
    const { every, times = Number.POSITIVE_INFINITY, until = Number.POSITIVE_INFINITY } = repeat!
    const last = Math.min(endedAt, until, this.walls.latestSince(sentAt))
    const passed = last < due! ? 0 : Math.floor((last - due!) / every) + 1
    return Math.min(passed, times) + crashes
  }

  /** What is due and known to the broker does not lie in the schedule. */
  private checkLate({ message, since }: Entry, time: number): void {
    const { clock, walls } = this
    const now = clock.monotonic()
    const reachedAt = now - (clock.wall() - time)
    const knownAt = Math.max(reachedAt, since, this.startedAt, walls.setAt + LOOK)
    if (now > knownAt + PATIENCE)
      throw new Violation('schedule', `${message.id} was due ${Math.floor(now - reachedAt)} ms ago`)
  }
}

/** Nobody has done anything so far that may have taken it away. */
function isUntouched({ gone, licence }: Copy): boolean {
  return !gone && licence === null
}

/** When something is to be done about it: it is due, or it expires before. Wall milliseconds. */
function timeOf({ due, expiry }: SentMessage): number {
  return expiry > 0 ? Math.min(due!, expiry) : due!
}
