import type { Delivery, Settlement } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Attendant } from './attendance.ts'
import { CHOICES, type Choice } from './choices.ts'
import { type Copy, type SentMessage, traitsOfMessage } from './messages.ts'
import { LATEST, SOLO } from './plan.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

interface Held {
  readonly tag: number
  readonly copy: Copy
  /** Its body has been read. */
  whole: boolean
}

/** Receives from one queue and settles in all the ways there are, now and then slowly, or not at all. */
export class Consumer implements Actor, Attendant {
  private readonly world: World
  private readonly queue: string
  private readonly name: string
  private readonly choosiness: number
  /** Messages it asks for at once, at most. */
  private readonly appetite: number
  priority = 0
  choice: Choice | undefined
  grantedAt = 0
  private maxBytes: number | undefined
  private credit = 0
  /** What it does not want to see again. */
  private readonly refused = new Set<SentMessage>()
  private connection = 0
  private consumer = 0
  private readonly held = new Map<number, Held>()
  private readonly requests = new Map<number, Copy[]>()
  private nextRequest = 1
  /** Position of the newest first delivery, by producer, destination and priority. */
  private readonly newest = new Map<string, number>()
  private departures = 0
  private draining = 0
  /** When it said that it wants nothing more; what it holds it settles. Monotonic. */
  private leftAt = Number.POSITIVE_INFINITY

  /** `choosiness`: how likely it is that it asks for some of the messages only. */
  constructor(world: World, queue: string, { name, choosiness }: { name: string; choosiness: number }) {
    this.world = world
    this.queue = queue
    this.name = name
    this.choosiness = choosiness
    this.appetite = world.random.pick([2, 30, 50])
  }

  get isDone(): boolean {
    return this.held.size === 0 && this.leftAt < Number.POSITIVE_INFINITY
  }

  get awaited(): number {
    return this.requests.size + this.draining
  }

  act(broker: Broker): void {
    const { random, report, clock } = this.world
    report.count('operations')
    // What was on its way to it when it left comes at the same moment.
    if (this.isDone && clock.monotonic() > this.leftAt) this.forget()
    if (this.consumer === 0) {
      this.start(broker)
      return
    }
    const isLeaving = this.leftAt < Number.POSITIVE_INFINITY
    const what = random.weighted({
      accept: 60,
      grant: isLeaving ? 0 : 25,
      fail: 6,
      release: 4,
      reject: 3,
      cancel: 1,
      disconnect: 1,
      drain: isLeaving ? 0 : 1,
    })
    if (what === 'grant') this.grant(broker, random.between(1, this.appetite))
    else if (what === 'cancel') this.cancel(broker)
    else if (what === 'disconnect') this.disconnect(broker)
    else if (what === 'drain') this.drain(broker)
    else this.settle(broker, what)
  }

  ended(): void {
    this.connection = 0
    this.forget()
    this.requests.clear()
  }

  /** Accepts everything it can get, to empty the queue at the end. */
  devour(broker: Broker): void {
    if (this.consumer === 0) this.start(broker)
    if (this.consumer === 0) return
    this.grant(broker, 200)
    for (const { tag, whole } of [...this.held.values()]) if (whole) this.accept(broker, tag, tag)
  }

  private start(broker: Broker): void {
    const { world } = this
    // A dead-letter queue comes into being with its first dead letter.
    if (broker.queue(this.queue) === undefined) return
    this.connection ||= broker.connect(
      world.sink({
        deliver: (_consumer, deliveries, count) => this.deliver(broker, deliveries, count),
        settled: (requests) => this.settled(requests),
        cancelled: () => this.forget(),
      }),
    )
    const { random } = world
    this.maxBytes = random.chance(0.3) ? random.between(500, 20_000) : undefined
    this.choice = random.chance(this.choosiness) ? random.pick(CHOICES) : undefined
    this.priority = random.chance(0.6) ? 0 : random.between(-1, 2)
    const { queue, priority, maxBytes } = this
    const selector = this.choice?.text
    this.consumer = broker.consume(this.connection, { queue, priority, maxBytes, selector })
    world.attendance.joined(queue, this)
    world.note(this.name, 'consumes', queue, selector ?? 'everything', 'as', this.consumer)
    this.grant(broker, random.between(1, this.appetite))
  }

  private grant(broker: Broker, credit: number): void {
    this.grantedAt = this.world.clock.monotonic()
    this.credit += credit
    broker.grant(this.consumer, credit)
  }

  wants(message: SentMessage): boolean {
    if (this.credit <= 0 || this.draining > 0 || this.maxBytes !== undefined) return false
    return !this.refused.has(message) && (this.choice?.takes(traitsOfMessage(message)) ?? true)
  }

  private deliver(broker: Broker, deliveries: readonly Delivery[], count: number): void {
    const { world } = this
    for (let i = 0; i < count; i++) {
      const delivery = deliveries[i]!
      world.report.count('deliveries')
      const copy = world.identify(delivery)
      world.note('deliver', copy.message.id, this.queue, 'to', this.name, 'lsn', delivery.lsn)
      const expired = delivery.expiry > 0 && delivery.expiry <= world.clock.wall()
      if (expired && world.wallSetAt < world.clock.monotonic()) {
        throw new Violation('expiry', `${copy.message.id} was delivered after it had expired`)
      }
      this.credit--
      this.checkOrder(copy)
      this.checkSelection(copy)
      world.precedence.handedOut(copy, this.queue, this)
      world.precedence.chosen(copy, this.queue, this)
      world.reference.handedOut(copy, this.consumer)
      if (copy.message.group !== '') world.groups.handedOut(copy, this.queue, this.consumer)
      if (copy.deliveries > 1) world.report.count('redeliveries')
      if (delivery.deliveryCount < 1 || delivery.deliveryCount > copy.deliveries) {
        throw new Violation('counts', `${copy.message.id} has delivery count ${delivery.deliveryCount}`)
      }
      const entry = { tag: delivery.tag, copy, whole: delivery.chunks.length === 0 }
      this.held.set(delivery.tag, entry)
      if (!entry.whole) this.fetch(broker, entry, delivery.chunks)
    }
  }

  private fetch(broker: Broker, entry: Held, chunks: readonly number[]): void {
    this.world.readBody(broker, entry.copy, chunks, (whole) => {
      const isOurs = this.held.get(entry.tag) === entry
      if (!whole && isOurs && !this.world.reference.damaged) {
        throw new Violation('nothing lost', `a chunk of ${entry.copy.message.id} is damaged or missing`)
      }
      entry.whole = true
    })
  }

  private checkSelection(copy: Copy): void {
    const { report, attendance, reference } = this.world
    const { message } = copy
    if (this.refused.has(message))
      throw new Violation('selection', `${message.id} came to ${this.name}, who had refused it`)
    if (this.queue === SOLO && !attendance.isActive(SOLO, this))
      throw new Violation('groups', `${message.id} came to ${this.name}, who is not the active consumer`)
    if (this.queue === LATEST && !reference.damaged) reference.lastValues.handedOut(copy)
    if (message.group !== '') report.count('groupMembers')
    if (this.choice === undefined) return
    report.count('selected')
    if (!this.choice.takes(traitsOfMessage(message)))
      throw new Violation('selection', `${message.id} came to ${this.name}, who takes ${this.choice.text}`)
  }

  private checkOrder(copy: Copy): void {
    const { message } = copy
    // Dead letters come in the order in which they failed.
    if (copy.queue !== this.queue || copy.delivered || message.displaced || this.world.reference.damaged)
      return
    if (this.departures !== this.world.departures) this.newest.clear()
    this.departures = this.world.departures
    // The members of a group wait for one another, and nobody else does. What goes to volatile queues alone is kept in memory
    // and has an order of its own (JMS 6.2.9): it does not wait for the disk as what other queues hold too.
    const { producer, target, priority, position, group } = message
    const key = `${producer} ${target.exchange} ${target.key} ${copy.level} ${priority} ${group}`
    const newest = this.newest.get(key) ?? 0
    if (position < newest) {
      throw new Violation(
        'order',
        `${message.id} came to ${this.name} after the one with position ${newest} had come`,
      )
    }
    // What was picked before another consumer left, and came after, says nothing of what that one gave back.
    if (this.world.departedAt < this.world.clock.monotonic()) this.newest.set(key, position)
  }

  private settle(broker: Broker, what: 'accept' | 'fail' | 'release' | 'reject'): void {
    const { random, report } = this.world
    const tags = [...this.held.values()].filter(({ whole }) => whole).map(({ tag }) => tag)
    if (tags.length === 0) return
    const from = random.chance(0.7) ? 0 : random.between(0, tags.length - 1)
    const to = what === 'accept' ? random.between(from, Math.min(tags.length - 1, from + 20)) : from
    if (what === 'accept') {
      this.accept(broker, tags[from]!, tags[to]!)
    } else if (what === 'fail') {
      report.count('failed')
      // The next occurrence of what repeats is another message.
      const repeats = this.held.get(tags[from]!)!.copy.message.repeat !== undefined
      const undeliverableHere = random.chance(0.1) && !repeats
      this.give(broker, tags[from]!, { outcome: 'modified', deliveryFailed: true, undeliverableHere })
    } else if (what === 'release') {
      report.count('released')
      this.give(broker, tags[from]!, { outcome: 'released' })
    } else {
      report.count('rejected')
      this.give(broker, tags[from]!, { outcome: 'rejected', description: 'not for me' })
    }
  }

  private give(broker: Broker, tag: number, settlement: Settlement): void {
    const { copy } = this.held.get(tag)!
    this.world.note(settlement.outcome, copy.message.id, this.queue, 'by', this.name)
    const request = this.requestFor([])
    const count = broker.settle(this.consumer, tag, tag, settlement, request)
    this.held.delete(tag)
    if (count === 1) this.world.reference.letGo(copy)
    const { deliveryFailed = false, undeliverableHere = false } = settlement
    if (count === 1 && deliveryFailed && !undeliverableHere && copy.message.group !== '')
      this.world.groups.failed(copy, this.queue)
    if (count === 1 && undeliverableHere) this.refused.add(copy.message)
    if (count !== 1) this.checkTimedOut(copy, count)
  }

  private accept(broker: Broker, first: number, last: number): void {
    const { world } = this
    if (this.isTimed()) last = first
    const entries = [...this.held.values()].filter(({ tag }) => tag >= first && tag <= last)
    // What is in the range and whose body is not read yet is accepted too: it was delivered.
    const copies: Copy[] = []
    const request = this.requestFor(copies)
    const count = broker.settle(this.consumer, first, last, { outcome: 'accepted' }, request)
    for (const { tag } of entries) this.held.delete(tag)
    if (count !== entries.length) {
      this.checkTimedOut(entries[0]!.copy, count)
      return
    }
    for (const { copy } of entries) {
      copies.push(copy)
      world.note('accept', copy.message.id, this.queue, 'by', this.name)
      world.reference.accepting(copy, this.queue)
    }
  }

  /** Its answer says that these were accepted. The broker may have taken the last delivery from one who leaves: then it is gone, and nobody is answered. */
  private requestFor(copies: Copy[]): number | undefined {
    if (this.isTimed() && this.leftAt < Number.POSITIVE_INFINITY) return undefined
    this.requests.set(this.nextRequest, copies)
    return this.nextRequest++
  }

  /** Only a queue with a delivery timeout takes deliveries back on its own. */
  private checkTimedOut(copy: Copy, count: number): void {
    if (this.isTimed() && count === 0) return
    throw new Violation('counts', `settling ${copy.message.id} and its neighbours settled ${count}`)
  }

  private isTimed(): boolean {
    return this.world.reference.factsOf(this.queue).deliveryTimeout < Number.POSITIVE_INFINITY
  }

  private settled(requests: readonly number[]): void {
    for (const request of requests) {
      const copies = this.requests.get(request)
      if (copies === undefined) throw new Violation('counts', `request ${request} was answered twice`)
      this.requests.delete(request)
      for (const copy of copies) {
        this.world.report.count('accepted')
        this.world.note('accepted', copy.message.id, this.queue)
        this.world.reference.accepted(copy, this.queue)
      }
    }
  }

  private cancel(broker: Broker): void {
    if (this.leftAt === Number.POSITIVE_INFINITY && this.world.random.chance(0.5)) {
      this.leave(broker)
      return
    }
    this.world.note(this.name, 'cancels')
    this.world.departed(this.queue)
    broker.cancel(this.consumer, { release: true })
    this.forget()
  }

  /** It settles what it has in its own time. */
  private leave(broker: Broker): void {
    const { world } = this
    world.note(this.name, 'leaves')
    world.report.count('leaves')
    broker.cancel(this.consumer, { release: false })
    this.leftAt = world.clock.monotonic()
    this.credit = 0
    world.attendance.leaving(this.queue, this)
  }

  private disconnect(broker: Broker): void {
    this.world.note(this.name, 'disconnects')
    this.world.departed(this.queue)
    broker.disconnect(this.connection)
    this.connection = 0
    this.forget()
    for (const copies of this.requests.values()) {
      for (const copy of copies) {
        copy.accepting = false
        copy.doubtful = true
      }
    }
    this.requests.clear()
  }

  private drain(broker: Broker): void {
    const { consumer } = this
    this.draining++
    broker.drain(consumer, () => {
      if (this.consumer !== consumer) return
      this.draining--
      this.credit = 0
    })
  }

  private forget(): void {
    for (const { copy } of this.held.values())
      if (copy.holder === this.consumer) this.world.reference.letGo(copy)
    this.held.clear()
    this.newest.clear()
    this.refused.clear()
    this.credit = 0
    this.world.attendance.left(this.queue, this)
    this.world.precedence.left(this.queue, this)
    this.consumer = 0
    this.draining = 0
    this.leftAt = Number.POSITIVE_INFINITY
  }
}
