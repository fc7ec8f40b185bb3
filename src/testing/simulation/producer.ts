import type { PublishOutcome } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Durability } from '../../model/delivery.ts'
import { contentOf, leavesUnknown, type SentMessage, type Target } from './messages.ts'
import { ONCE, RECENT } from './plan.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

/**
 * Sends, in bursts. An insistent one has an identity and sends again, with the same sequences, whatever was not answered
 * when the broker ended; the others let go of it.
 */
export class Producer implements Actor {
  private readonly world: World
  private readonly name: string
  private readonly insistent: boolean
  private readonly window: number
  private connection = 0
  private handle = 0
  private nextTag = 1
  private nextSequence = 1
  private position = 0
  private readonly open = new Map<number, SentMessage>()
  /** To be sent again, in the order in which they were sent. */
  private again: SentMessage[] = []
  /** Confirmed, for good, by a queue that knows their ids: to send one of them again changes nothing. */
  private readonly known: SentMessage[] = []

  constructor(world: World, name: string, insistent: boolean) {
    this.world = world
    this.name = name
    this.insistent = insistent
    this.window = world.random.pick([1, 8, 64, 256])
  }

  get awaited(): number {
    return this.open.size
  }

  /** Something has to be sent again. */
  get insists(): boolean {
    return this.again.length > 0
  }

  /** Lets go of what could not be sent: it was refused, or nobody knows what became of it. */
  giveUp(): void {
    this.again = []
  }

  act(broker: Broker): void {
    this.connect(broker)
    const { random } = this.world
    if (this.again.length > 0) {
      for (let left = random.between(1, 20); left > 0 && this.again.length > 0; left--) {
        this.world.report.count('resent')
        this.world.report.count('operations')
        this.send(broker, this.again.shift()!)
      }
      return
    }
    if (this.known.length > 0 && random.chance(0.1)) this.repeat(broker)
    const target = random.pick(this.world.plan.targets)
    const burst = target.key === 'deep' ? random.between(1, 60) : random.between(1, 12)
    const mixed = random.chance(0.5)
    for (let i = 0; i < burst && this.open.size < this.window; i++) {
      this.world.report.count('operations')
      this.send(broker, this.compose(mixed ? random.pick(this.world.plan.targets) : target))
    }
  }

  /** As a program does that does not remember what it has sent. */
  private repeat(broker: Broker): void {
    const [message] = this.known.splice(this.world.random.between(0, this.known.length - 1), 1)
    this.world.report.count('repeated')
    this.world.report.count('operations')
    this.send(broker, message!)
  }

  /** Sends many small messages to one queue, as fast as the broker takes them. */
  flood(broker: Broker, queue: string, count: number): void {
    this.connect(broker)
    if (this.again.length > 0) return
    const target = { exchange: '', key: queue }
    for (let i = 0; i < count; i++) {
      this.send(broker, {
        ...this.compose(target),
        priority: 4,
        level: 'disk',
        size: this.world.random.between(12, 40),
        streamed: false,
      })
    }
  }

  ended(): void {
    this.connection = 0
    if (this.insistent) {
      this.again = [...this.open.values(), ...this.again].sort((a, b) => a.position - b.position)
    }
    this.open.clear()
  }

  /** Leaves while answers are awaited, and comes back: what had no answer is sent again. */
  reconnect(broker: Broker): void {
    if (this.connection === 0) return
    this.world.note(this.name, 'disconnects')
    broker.disconnect(this.connection)
    for (const message of this.open.values()) message.outcome = 'unknown'
    this.ended()
  }

  private connect(broker: Broker): void {
    if (this.connection > 0) return
    const sink = this.world.sink({ published: (outcomes) => this.published(outcomes) })
    this.connection = broker.connect(sink, { clientId: this.name })
    this.handle = this.insistent ? broker.openProducer(this.connection, this.name).handle : 0
  }

  private compose(target: Target): SentMessage {
    const { random, reference, clock, plan } = this.world
    const sequence = this.nextSequence++
    const level = plan.levelFor(target, this.level())
    const size = this.size()
    const due = random.chance(0.06) ? plan.soon(random, clock.wall()) : undefined
    return {
      number: reference.messages.size + 1,
      id: `${this.name}/${sequence}`,
      producer: this.name,
      target,
      priority: random.chance(0.8) ? 4 : random.between(0, 9),
      group: plan.groupFor(target, random),
      level,
      size,
      deduplicationId: this.idFor(target),
      streamed: size > 4000 && level !== 'memory' && random.chance(0.5),
      expiry: random.chance(0.05) ? Math.floor(clock.wall()) + random.between(5, 500) : 0,
      due,
      copies: [],
      position: ++this.position,
      sends: 0,
      topology: 0,
      ambiguous: false,
      insistent: this.insistent,
      displaced: due !== undefined,
      outcome: 'open',
    }
  }

  /** Of a few, so that they come again. Who insists has sequences, by which what he sends again is known. */
  private idFor({ key }: Target): string | undefined {
    return key === RECENT && !this.insistent ? `id-${this.world.random.between(1, 12)}` : undefined
  }

  /** Level 'memory' is at most once: who insists does not use it. */
  private level(): Durability {
    const { random } = this.world
    if (random.chance(0.75)) return 'disk'
    return this.insistent || random.chance(0.5) ? 'os' : 'memory'
  }

  private size(): number {
    const { random } = this.world
    const kind = random.next()
    if (kind < 0.85) return random.between(12, 200)
    if (kind < 0.97) return random.between(200, 2000)
    return random.between(2000, 24_000)
  }

  private send(broker: Broker, message: SentMessage): void {
    const { world } = this
    const { target } = message
    const tag = this.nextTag++
    message.outcome = 'open'
    const queues = world.plan.route(message)
    world.reference.sent(message, queues)
    this.open.set(tag, message)
    world.report.count('sent')
    world.note(
      'send',
      message.id,
      target.exchange,
      target.key,
      message.level,
      message.size,
      message.due ?? '',
    )
    const payload = contentOf(message.id, message.size)
    const body = message.streamed ? this.stream(broker, payload) : undefined
    broker.publish(this.connection, {
      tag,
      ...target,
      durability: message.level,
      priority: message.priority,
      format: message.number,
      payload: body === undefined ? payload : new Uint8Array(0),
      body,
      expiry: message.expiry,
      due: message.due,
      producer: this.handle,
      sequence: this.insistent ? Number(message.id.split('/')[1]) : 0,
      mandatory: false,
      group: message.group,
      deduplicationId: target.key === ONCE ? message.id : message.deduplicationId,
    })
    // The sender may use its buffer again.
    payload.fill(0)
  }

  private stream(broker: Broker, payload: Buffer): number {
    const body = broker.openBody(this.connection)
    for (let at = 0; at < payload.length; ) {
      const to = Math.min(payload.length, at + this.world.random.between(1, 6000))
      broker.appendBody(body, payload.subarray(at, to))
      at = to
    }
    return body
  }

  private published(outcomes: readonly PublishOutcome[]): void {
    for (const outcome of outcomes)
      for (let tag = outcome.tag; tag <= outcome.last; tag++) this.decided(tag, outcome)
  }

  private decided(tag: number, { error, scheduled }: PublishOutcome): void {
    const message = this.open.get(tag)
    if (message === undefined) throw new Violation('counts', `${this.name} was answered twice for tag ${tag}`)
    this.open.delete(tag)
    if (error === undefined) {
      this.world.report.count('confirmed')
      this.world.note('confirmed', message.id)
      if (scheduled !== undefined) this.world.reference.schedules.numbered(message, scheduled)
      this.world.reference.confirmed(message)
      if (!this.insistent && message.target.key === ONCE && message.level === 'disk') this.known.push(message)
    } else if (!leavesUnknown(error)) {
      this.refused(message, error.code)
    } else if (this.insistent) {
      message.outcome = 'unknown'
      this.again.push(message)
    }
  }

  private refused(message: SentMessage, code: string): void {
    this.world.report.count('refused')
    this.world.note('refused', message.id, code)
    this.world.reference.refused(message)
    if (!this.insistent || this.world.random.chance(0.3)) return
    message.displaced = true
    this.again.push(message)
  }
}
