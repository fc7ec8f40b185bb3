import type { Clock } from '../../engine/ports/clock.ts'
import type { QuarantineEntry } from '../../engine/ports/store.ts'
import type { Copy, Licence, SentMessage } from './messages.ts'
import { Violation } from './violation.ts'

/** What the reference has to know of a queue, and what it counts. */
export interface QueueFacts {
  readonly name: string
  readonly volatile: boolean
  readonly ttl: number
  readonly dropsOldest: boolean
  /** Milliseconds after which the broker takes deliveries back; Infinity: never. */
  readonly deliveryTimeout: number
  /** Journalled copies whose acceptance was answered, and asked for. */
  acceptedSurely: number
  acceptedPerhaps: number
  /** Journalled copies that were there and then were not, without anybody having accepted them. */
  left: number
  /** Messages of level 'memory' have been in it: what the broker counts of them does not survive a restart. */
  mixed: boolean
}

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
  readonly reported: QuarantineEntry[] = []
  private readonly clock: Clock
  private latestWall = 0
  private wallBefore = 0
  private setAt = -1

  constructor(clock: Clock) {
    this.clock = clock
  }

  declared(facts: Omit<QueueFacts, 'acceptedSurely' | 'acceptedPerhaps' | 'left' | 'mixed'>): void {
    if (this.queues.has(facts.name)) return
    this.queues.set(facts.name, { ...facts, acceptedSurely: 0, acceptedPerhaps: 0, left: 0, mixed: false })
  }

  /** To be called whenever the wall clock may have been read. */
  sawWall(): void {
    this.latestWall = Math.max(this.latestWall, this.clock.wall())
  }

  /** Somebody is about to set the clock on the wall. */
  wallIsSet(): void {
    this.sawWall()
    this.setAt = this.clock.monotonic()
    this.wallBefore = this.clock.wall()
  }

  /** The broker looks at the clock once a turn: it may still have the time from before it was set. */
  private wallOfTurn(): number {
    const wall = this.clock.wall()
    return this.setAt === this.clock.monotonic() ? Math.min(this.wallBefore, wall) : wall
  }

  /** A message is being sent, for the first time or again. */
  sent(message: SentMessage, queues: readonly string[]): void {
    this.sawWall()
    const isResend = this.messages.has(message.number)
    this.messages.set(message.number, message)
    message.topology = this.topology
    const before = message.copies.map(({ queue }) => queue)
    if (isResend && before.toSorted().join() !== queues.toSorted().join()) message.ambiguous = true
    const isVolatile = message.level === 'memory' || queues.every((name) => this.factsOf(name).volatile)
    for (const queue of queues) {
      if (message.copies.some((copy) => copy.queue === queue)) continue
      const facts = this.factsOf(queue)
      if (isVolatile) for (const name of [queue, `${queue}.dlq`]) this.mix(name)
      // Times of expiry are whole milliseconds, as on the wire; the broker does not round up.
      const until = Math.floor(
        Math.min(message.expiry || Number.POSITIVE_INFINITY, this.wallOfTurn() + facts.ttl),
      )
      const copy = newCopy(message, queue, isVolatile ? 'memory' : message.level, until)
      message.copies.push(copy)
      this.alive.add(copy)
    }
  }

  private mix(queue: string): void {
    const facts = this.queues.get(queue)
    if (facts !== undefined) facts.mixed = true
  }

  /** The send was answered. */
  confirmed(message: SentMessage): void {
    message.outcome = 'confirmed'
    if (message.topology !== this.topology || message.ambiguous) return
    for (const copy of message.copies) if (!copy.gone && !copy.doubtful) copy.certain = true
  }

  /** The send was refused: it is nowhere. */
  refused(message: SentMessage): void {
    message.outcome = 'refused'
    for (const copy of message.copies) {
      if (copy.delivered) throw new Violation('nothing doubled', `${message.id} was refused and delivered`)
      this.alive.delete(copy)
    }
    message.copies.length = 0
    message.sends = 0
    message.ambiguous = false
  }

  /** The copy that somebody sees in `queue` (the one it was routed to); throws when it must not be there. */
  seen(number: number, queue: string, where: string): Copy {
    this.sawWall()
    const message = this.messages.get(number)
    if (message === undefined) throw new Violation('content', `message ${number} in ${where} was never sent`)
    const { id } = message
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
    const copy = message.copies.find((one) => one.queue === queue) ?? this.strayed(message, queue, where)
    if (copy.gone) {
      if (!this.damaged)
        throw new Violation('nothing comes back', `${id} is in ${where} and had left ${queue}`)
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
    if (copy.holder !== 0 && now < copy.heldSince + deliveryTimeout) {
      throw new Violation(
        'nothing doubled',
        `${copy.message.id} of ${copy.queue} went to consumer ${consumer} while ${copy.holder} holds it`,
      )
    }
    if (copy.accepting) {
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

  /** The holder gave it back, or moved it on. */
  letGo(copy: Copy): void {
    copy.holder = 0
  }

  /** `where`: the queue that it was taken from, its own or the dead-letter queue. */
  accepting(copy: Copy, where: string): void {
    copy.holder = 0
    copy.accepting = true
    if (copy.level !== 'memory') this.factsOf(where).acceptedPerhaps++
  }

  /** The acceptance was answered: durable. */
  accepted(copy: Copy, where: string): void {
    this.bury(copy)
    if (copy.level !== 'memory') this.factsOf(where).acceptedSurely++
  }

  /** Something may take copies of the queue away from now on. */
  license(queue: string, licence: Licence): void {
    for (const copy of this.alive) if (copy.queue === queue) copy.licence = licence
  }

  /** The process has ended, with or without the machine, or in good order. */
  ended(how: 'closed' | 'killed' | 'power cut'): void {
    for (const copy of [...this.alive]) {
      copy.holder = 0
      if (copy.accepting) copy.doubtful = true
      copy.accepting = false
      if (copy.level === 'memory') this.bury(copy)
      // A level says what it survives: the page cache does not survive a power cut.
      else if (copy.level === 'os' && how === 'power cut') copy.certain = false
    }
    for (const message of this.messages.values()) {
      if (message.outcome === 'open') message.outcome = 'unknown'
    }
  }

  /** Whether the copy has to be found when somebody looks. */
  isDue(copy: Copy): boolean {
    this.sawWall()
    if (!copy.certain || copy.doubtful || copy.accepting || copy.licence !== null) return false
    if (this.factsOf(copy.queue).dropsOldest) return false
    return !this.mayHaveExpired(copy)
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
    const copy = newCopy(message, queue, message.level, message.expiry || Number.POSITIVE_INFINITY)
    message.copies.push(copy)
    this.alive.add(copy)
    return copy
  }
}

function newCopy(message: SentMessage, queue: string, level: Copy['level'], expiry: number): Copy {
  return {
    message,
    queue,
    level,
    certain: false,
    gone: false,
    doubtful: false,
    licence: null,
    accepting: false,
    holder: 0,
    heldSince: 0,
    delivered: false,
    deliveries: 0,
    expiry,
    lsn: 0,
  }
}
