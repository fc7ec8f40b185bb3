import type { Clock } from '../../engine/ports/clock.ts'
import type { QuarantineEntry, RecoveryReport } from '../../engine/ports/store.ts'
import type { Deduplication } from '../../model/policy.ts'
import { LastValues } from './last-values.ts'
import type { MachineEnd } from './machine.ts'
import { type Copy, type Licence, newCopy, type SentMessage } from './messages.ts'
import { type Novelty, RecentIds, type Wall } from './recent-ids.ts'
import { Schedules } from './schedules.ts'
import { Violation } from './violation.ts'

/** What the reference has to know of a queue, and what it counts. */
export interface QueueFacts {
  readonly name: string
  readonly volatile: boolean
  readonly ttl: number
  readonly dropsOldest: boolean
  /** Of the messages that have one key it keeps the last. */
  readonly keepsLast: boolean
  /** Which ids it knows. */
  readonly deduplication: Deduplication | undefined
  /** Milliseconds after which the broker takes deliveries back; Infinity: never. */
  readonly deliveryTimeout: number
  /** Hand-outs up to which no message is dead-lettered because it fails. */
  readonly maxDeliveries: number
  /** Journalled copies whose acceptance was answered, and asked for. */
  acceptedSurely: number
  acceptedPerhaps: number
  /** Journalled copies that were there and then were not, without anybody having accepted them. */
  left: number
  /** Messages of level 'memory' have been in it: what the broker counts of them does not survive a restart. */
  mixed: boolean
}

/** By which LSNs go on above those that were there before a start. */
const LSN_JUMP = 2 ** 20

/**
 * An independent, simple account of what must be in the queues, what may be, and what must not. It knows only what a user
 * of the broker can know: what was sent, answered, handed out and asked for, and when the machine failed.
 */
export class Reference {
  readonly messages: Map<number, SentMessage> = new Map()
  readonly queues: Map<string, QueueFacts> = new Map()
  /** Copies that are not certain to be gone. */
  readonly alive: Set<Copy> = new Set()
  /** Rises with every change of bindings: what was sent before and answered after may have gone either way. */
  topology = 0
  /** The disk has lost synced bytes: what is missing may be covered by a report of damage, what comes back too. */
  damaged = false
  /** Copies that are gone with what was damaged. */
  lost = 0
  /** Copies that came back because what had said that they were gone was damaged. */
  returned = 0
  /** Damage that the broker has reported at its starts. */
  private readonly reported: Pick<QuarantineEntry, 'firstLsn' | 'lastLsn'>[] = []
  /** That happened while the present broker ran. */
  private flipped = false
  /** A start was cut off since: it may have cut a torn end, and has told nobody. */
  private silenced = false
  readonly schedules: Schedules
  readonly lastValues: LastValues
  private readonly recentIds = new Map<string, RecentIds>()
  private readonly nameless = new Set<string>()
  private readonly clock: Clock
  private latestWall = 0
  private wallBefore = 0
  private setAt = -1
  private powerCutAt = -1

  constructor(clock: Clock) {
    this.clock = clock
    this.schedules = new Schedules(this, clock)
    this.lastValues = new LastValues(clock, this.schedules)
  }

  declared(facts: Omit<QueueFacts, 'acceptedSurely' | 'acceptedPerhaps' | 'left' | 'mixed'>): void {
    if (this.queues.has(facts.name)) return
    if (facts.deduplication !== undefined) this.recentIds.set(facts.name, new RecentIds(facts.deduplication))
    this.queues.set(facts.name, { ...facts, acceptedSurely: 0, acceptedPerhaps: 0, left: 0, mixed: false })
  }

  /** To be called whenever the wall clock may have been read. */
  sawWall(): void {
    this.latestWall = Math.max(this.latestWall, this.clock.wall())
  }

  /** Somebody is about to set the clock on the wall. */
  wallIsSet(): void {
    this.sawWall()
    this.schedules.walls.isSet()
    this.setAt = this.clock.monotonic()
    this.wallBefore = this.clock.wall()
  }

  /** The broker looks at the clock once a turn: it may still have the time from before it was set. */
  private wallOfTurn(): number {
    const wall = this.clock.wall()
    return this.setAt === this.clock.monotonic() ? Math.min(this.wallBefore, wall) : wall
  }

  /** A bit of what was written has changed. */
  bitFlipped(): void {
    this.damaged = true
    this.flipped = true
  }

  /** A start ends on the way, with what it found. */
  startCutOff(): void {
    this.silenced = true
  }

  /** A broker has started, and says what it found. */
  started({ quarantined, tornBytes, lastLsn }: RecoveryReport): void {
    this.reported.push(...quarantined)
    // In what was written last, and not followed by anything, damage looks like a write that was cut short.
    if (this.flipped && (tornBytes > 0 || this.silenced))
      this.reported.push({ firstLsn: lastLsn - LSN_JUMP + 1, lastLsn })
    this.flipped = false
    this.silenced = false
  }

  /** Bindings change, or have changed. What waits for room goes by those that there are when there is some. */
  rebound(): void {
    this.topology++
    for (const copy of this.alive) {
      const { outcome, half } = copy.message
      const isOpen = outcome === 'open' || outcome === 'hidden'
      if (isOpen && !half && this.factsOf(copy.queue).volatile) this.mayBecomeVolatile(copy)
    }
  }

  private mayBecomeVolatile(copy: Copy): void {
    copy.mayBeVolatile = true
    for (const name of [copy.queue, `${copy.queue}.dlq`]) this.mix(name)
  }

  /** A message is being sent, for the first time or again. */
  sent(message: SentMessage, targets: readonly string[]): void {
    this.sawWall()
    const novelty = this.noveltyOf(message)
    const queues = novelty === 'repeated' ? [] : targets
    const isResend = this.messages.has(message.number)
    this.messages.set(message.number, message)
    message.topology = this.topology
    const before = message.copies.map(({ queue }) => queue)
    if (isResend && before.toSorted().join() !== queues.toSorted().join()) message.ambiguous = true
    if (novelty === 'unknown') message.ambiguous = true
    this.schedules.sent(message)
    // A body in pieces is journalled whatever the queues are, and so is a half message.
    const isKept = !message.streamed && !message.half && queues.every((name) => this.factsOf(name).volatile)
    const isVolatile = message.level === 'memory' || isKept
    // What was in memory only ended with the process.
    const lasting = message.copies.filter(({ level, gone }) => level !== 'memory' || !gone)
    message.copies.splice(0, message.copies.length, ...lasting)
    for (const queue of queues) {
      const facts = this.factsOf(queue)
      if (isVolatile) for (const name of [queue, `${queue}.dlq`]) this.mix(name)
      const known = message.copies.find((copy) => copy.queue === queue)
      if (known !== undefined) {
        if (isVolatile !== (known.level === 'memory')) this.mayBecomeVolatile(known)
        continue
      }
      // Times of expiry are whole milliseconds, as on the wire; the broker does not round up.
      const arrival = Math.max(message.due ?? 0, this.wallOfTurn())
      const until = Math.floor(Math.min(message.expiry || Number.POSITIVE_INFINITY, arrival + facts.ttl))
      const copy = newCopy(message, queue, isVolatile ? 'memory' : message.level, until)
      message.copies.push(copy)
      this.alive.add(copy)
    }
    for (const copy of message.copies) if (this.factsOf(copy.queue).keepsLast) this.lastValues.sent(copy)
  }

  /** Whether its queue stores it, if that has to know ids. */
  private noveltyOf(message: SentMessage): Novelty {
    const ids = this.idsFor(message)
    if (ids === undefined) return 'new'
    const wall: Wall = { earliest: Math.floor(this.wallOfTurn()), latest: this.latestWall }
    const novelty = ids.sent(message, wall)
    return this.damaged ? 'unknown' : novelty
  }

  private idsFor({ deduplicationId, target }: SentMessage): RecentIds | undefined {
    return deduplicationId === undefined ? undefined : this.recentIds.get(target.key)
  }

  private mix(queue: string): void {
    const facts = this.queues.get(queue)
    if (facts !== undefined) facts.mixed = true
  }

  /** The send was answered. */
  confirmed(message: SentMessage): void {
    message.outcome = 'confirmed'
    this.schedules.confirmed(message)
    this.idsFor(message)?.confirmed(message)
    if (message.topology !== this.topology || message.ambiguous) return
    for (const copy of message.copies) {
      if (!copy.gone && !copy.doubtful) copy.certain = true
      this.lastValues.confirmed(copy)
    }
  }

  /** The send was refused: it is nowhere. */
  refused(message: SentMessage): void {
    message.outcome = 'refused'
    this.idsFor(message)?.refused(message)
    for (const copy of message.copies) {
      // What had not reached the disk the power cut took, also from those who had it already.
      const mayBeNew = this.damaged || (copy.level === 'os' && copy.heldSince <= this.powerCutAt)
      if (copy.delivered && !mayBeNew)
        throw new Violation('nothing doubled', `${message.id} was refused and delivered`)
      this.alive.delete(copy)
    }
    message.copies.length = 0
    message.sends = 0
    message.ambiguous = false
  }

  /** It is a half message again: what had said that it was decided has been damaged. */
  undecided(message: SentMessage): void {
    message.outcome = 'hidden'
    message.ambiguous = true
  }

  /** The copy that somebody sees, of the queue that it was routed to, in `where`; throws when it must not be there. */
  seen(number: number, origin: { queue: string; lsn: number }, where: string): Copy {
    const { queue, lsn } = origin
    const message = this.messageSeen(number, where)
    this.schedules.arrived(message, queue !== where)
    if (message.repeat === undefined) return this.copySeen(message, queue, where)
    return this.isThere(this.schedules.occurrence(message, queue, lsn), where)
  }

  /** The copy for `queue` of a message that is in the schedule; throws when it must not be there. */
  listed(number: number, queue: string): Copy {
    const where = 'the schedule'
    return this.copySeen(this.messageSeen(number, where), queue, where)
  }

  private messageSeen(number: number, where: string): SentMessage {
    this.sawWall()
    const message = this.messages.get(number)
    if (message === undefined) throw new Violation('content', `message ${number} in ${where} was never sent`)
    const { id } = message
    if (!this.damaged) this.idsFor(message)?.seen(message)
    if (message.outcome === 'hidden')
      throw new Violation('all or nothing', `${id} is in ${where}, and nobody has asked for its commit`)
    if (message.outcome === 'refused' && this.damaged) {
      // What had said that it was rolled back may be what was damaged.
      message.outcome = 'unknown'
      message.ambiguous = true
    }
    if (message.outcome === 'refused') {
      throw new Violation('nothing comes back', `${id} is in ${where} although its send was refused`)
    }
    return message
  }

  private copySeen(message: SentMessage, queue: string, where: string): Copy {
    const copy = message.copies.find((one) => one.queue === queue) ?? this.strayed(message, queue, where)
    return this.isThere(copy, where)
  }

  private isThere(copy: Copy, where: string): Copy {
    if (copy.gone) {
      const { message, queue } = copy
      if (!this.damaged)
        throw new Violation('nothing comes back', `${message.id} is in ${where} and had left ${queue}`)
      copy.gone = false
      this.returned++
      this.alive.add(copy)
    }
    copy.doubtful = false
    copy.certain = true
    return copy
  }

  handedOut(copy: Copy, consumer: number): void {
    const { deliveryTimeout } = this.factsOf(copy.queue)
    const now = this.clock.monotonic()
    if (copy.holder !== 0 && now < copy.heldSince + deliveryTimeout && !this.mayBeDoubled(copy)) {
      throw new Violation(
        'nothing doubled',
        `${copy.message.id} of ${copy.queue} went to consumer ${consumer} while ${copy.holder} holds it`,
      )
    }
    if (copy.accepting && !this.mayBeDoubled(copy)) {
      throw new Violation(
        'nothing doubled',
        `${copy.message.id} of ${copy.queue} was delivered after acceptance`,
      )
    }
    copy.holder = consumer
    copy.heldSince = now
    copy.delivered = true
    copy.deliveries++
  }

  /** Damage may have taken what was known of its producer, who has sent it again, or of its id with the name of its queue. */
  mayBeDoubled({ message, queue }: Copy): boolean {
    const isForgotten = this.nameless.has(queue) && this.factsOf(queue).deduplication !== undefined
    return this.damaged && (message.insistent || isForgotten)
  }

  /** The queue has lost its name: who declares it gets a new one. */
  lostName(queue: string): void {
    this.nameless.add(queue)
  }

  /** The holder gave it back, or moved it on. */
  letGo(copy: Copy): void {
    copy.holder = 0
  }

  /** `where`: the queue that it was taken from, its own or the dead-letter queue. */
  accepting(copy: Copy, where: string): void {
    copy.holder = 0
    copy.accepting = true
    if (copy.mayBeVolatile || copy.level !== 'memory') this.factsOf(where).acceptedPerhaps++
  }

  /** The acceptance was answered: durable. */
  accepted(copy: Copy, where: string): void {
    this.bury(copy)
    if (isLasting(copy)) this.factsOf(where).acceptedSurely++
  }

  /** Something may take copies of the queue away from now on. */
  license(queue: string, licence: Licence): void {
    for (const copy of this.alive) {
      // What is in the schedule is not purged with its queue.
      const isExempt = licence === 'purged' && this.schedules.isToCome(copy.message)
      if (copy.queue === queue && !isExempt) copy.licence = licence
    }
  }

  /** The process has ended, with or without the machine, or in good order. */
  ended(how: MachineEnd): void {
    if (how === 'power cut') this.powerCutAt = this.clock.monotonic()
    this.schedules.ended(how)
    this.lastValues.ended(how)
    for (const ids of this.recentIds.values()) ids.ended(how)
    for (const copy of [...this.alive]) {
      copy.holder = 0
      if (copy.accepting) copy.doubtful = true
      copy.accepting = false
      if (copy.mayBeVolatile) copy.certain = false
      else if (copy.level === 'memory') this.bury(copy)
      // A level says what it survives: the page cache does not survive a power cut.
      else if (copy.level === 'os' && how === 'power cut') copy.certain = false
    }
    for (const message of this.messages.values()) {
      if (message.outcome === 'open') message.outcome = 'unknown'
    }
  }

  /** Whether the copy has to be found when somebody looks. */
  isDue(copy: Copy): boolean {
    return this.isKept(copy) && !this.lastValues.mayBeReplaced(copy)
  }

  /** The same of the copy, or of one that has replaced it. */
  isKept(copy: Copy): boolean {
    this.sawWall()
    if (!copy.certain || copy.doubtful || copy.accepting || copy.licence !== null) return false
    if (this.factsOf(copy.queue).dropsOldest) return false
    return !this.mayHaveExpired(copy) && !this.schedules.mayBeOver(copy)
  }

  /** Whether a report says that what the copy was, or what was known of it, may be lost. */
  isReported({ lsn }: Copy): boolean {
    return this.reported.some(
      ({ firstLsn, lastLsn }) => firstLsn === undefined || lsn === 0 || (lsn >= firstLsn && lsn <= lastLsn!),
    )
  }

  mayHaveExpired(copy: Copy): boolean {
    return copy.expiry <= this.latestWall
  }

  /** It is nowhere and will not come back. */
  bury(copy: Copy): void {
    copy.gone = true
    copy.certain = false
    copy.accepting = false
    copy.holder = 0
    this.alive.delete(copy)
  }

  factsOf(queue: string): QueueFacts {
    const facts = this.queues.get(queue)
    if (facts === undefined) throw new Violation('content', `queue ${queue} was never declared`)
    return facts
  }

  /** A message in a queue that it was not routed to when it was sent: bindings must have changed meanwhile. */
  private strayed(message: SentMessage, queue: string, where: string): Copy {
    if (message.topology === this.topology && !message.ambiguous) {
      throw new Violation('content', `${message.id} is in ${where} and was not routed to ${queue}`)
    }
    // It came there at an unknown time after it was sent: where messages live for some time only, it may be over.
    const isAging = this.factsOf(queue).ttl < Number.POSITIVE_INFINITY
    const copy = newCopy(
      message,
      queue,
      message.level,
      isAging ? 0 : message.expiry || Number.POSITIVE_INFINITY,
    )
    message.copies.push(copy)
    this.alive.add(copy)
    return copy
  }
}

/** Whether a restart leaves it where it is. */
export function isLasting({ level, mayBeVolatile }: Copy): boolean {
  return level !== 'memory' && !mayBeVolatile
}
