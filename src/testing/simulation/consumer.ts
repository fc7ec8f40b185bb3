import type { Delivery, Settlement } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Copy } from './messages.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

interface Held {
  readonly tag: number
  readonly copy: Copy
  /** Its body has been read. */
  whole: boolean
}

/** Receives from one queue and settles in all the ways there are, now and then slowly, or not at all. */
export class Consumer implements Actor {
  private readonly world: World
  private readonly queue: string
  private readonly name: string
  private connection = 0
  private consumer = 0
  private readonly held = new Map<number, Held>()
  private readonly requests = new Map<number, Copy[]>()
  private nextRequest = 1
  /** Position of the newest first delivery, by producer, destination and priority. */
  private readonly newest = new Map<string, number>()
  private departures = 0
  private draining = 0

  constructor(world: World, queue: string, name: string) {
    this.world = world
    this.queue = queue
    this.name = name
  }

  get awaited(): number {
    return this.requests.size + this.draining
  }

  act(broker: Broker): void {
    const { random, report } = this.world
    report.count('operations')
    if (this.consumer === 0) {
      this.start(broker)
      return
    }
    const what = random.weighted({
      accept: 60,
      grant: 25,
      fail: 6,
      release: 4,
      reject: 3,
      cancel: 1,
      disconnect: 1,
      drain: 1,
    })
    if (what === 'grant') broker.grant(this.consumer, random.between(1, 30))
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
    broker.grant(this.consumer, 200)
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
    const maxBytes = world.random.chance(0.3) ? world.random.between(500, 20_000) : undefined
    this.consumer = broker.consume(this.connection, { queue: this.queue, maxBytes })
    world.note(this.name, 'consumes', this.queue)
    broker.grant(this.consumer, world.random.between(1, 50))
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
      this.checkOrder(copy)
      world.reference.handedOut(copy, this.consumer)
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

  private checkOrder(copy: Copy): void {
    const { message } = copy
    // Dead letters come in the order in which they failed.
    if (copy.queue !== this.queue || copy.delivered || message.displaced || this.world.reference.damaged)
      return
    if (this.departures !== this.world.departures) this.newest.clear()
    this.departures = this.world.departures
    const { producer, target, priority, position } = message
    const key = `${producer} ${target.exchange} ${target.key} ${priority}`
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
      const undeliverableHere = random.chance(0.1)
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
    const count = broker.settle(this.consumer, tag, tag, settlement, this.nextRequest)
    this.requests.set(this.nextRequest++, [])
    this.held.delete(tag)
    if (count === 1) this.world.reference.letGo(copy)
    else this.checkTimedOut(copy, count)
  }

  private accept(broker: Broker, first: number, last: number): void {
    const { world } = this
    if (this.isTimed()) last = first
    const entries = [...this.held.values()].filter(({ tag }) => tag >= first && tag <= last)
    // What is in the range and whose body is not read yet is accepted too: it was delivered.
    const count = broker.settle(this.consumer, first, last, { outcome: 'accepted' }, this.nextRequest)
    for (const { tag } of entries) this.held.delete(tag)
    if (count !== entries.length) {
      this.requests.set(this.nextRequest++, [])
      this.checkTimedOut(entries[0]!.copy, count)
      return
    }
    const copies = entries.map(({ copy }) => copy)
    for (const copy of copies) {
      world.note('accept', copy.message.id, this.queue, 'by', this.name)
      world.reference.accepting(copy, this.queue)
    }
    this.requests.set(this.nextRequest++, copies)
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
    this.world.note(this.name, 'cancels')
    this.world.departed()
    broker.cancel(this.consumer, { release: true })
    this.forget()
  }

  private disconnect(broker: Broker): void {
    this.world.note(this.name, 'disconnects')
    this.world.departed()
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
      if (this.consumer === consumer) this.draining--
    })
  }

  private forget(): void {
    for (const { copy } of this.held.values())
      if (copy.holder === this.consumer) this.world.reference.letGo(copy)
    this.held.clear()
    this.newest.clear()
    this.consumer = 0
    this.draining = 0
  }
}
