import type { Delivery, PreparedCheck, PublishOutcome } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import { isMillraceError, type MillraceError } from '../../model/errors.ts'
import { type Copy, contentOf, type SentMessage, type Target } from './messages.ts'
import { ORDERS } from './plan.ts'
import type { PendingHalf, Unit } from './units.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

const GROUP = 'transactors'

/** What a transaction has done so far. */
interface Work extends Unit {
  readonly transaction: number
}

/**
 * Takes orders and answers them, in transactions that are committed, rolled back, or cut off with the connection or the
 * broker; and sends half messages, which are decided later, by whoever is asked for them.
 */
export class Transactor implements Actor {
  private readonly world: World
  private readonly name: string
  private connection = 0
  private consumer = 0
  private nextTag = 1
  private position = 0
  private life = 0
  private work: Work | null = null
  private committing = 0
  /** Whose commit is not answered. */
  private readonly asked = new Set<Work>()
  private readonly open = new Map<number, SentMessage>()
  private readonly held = new Map<number, Copy>()

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
  }

  get awaited(): number {
    return this.open.size + this.committing
  }

  act(broker: Broker): void {
    const { random, report } = this.world
    report.count('operations')
    this.connect(broker)
    const what = random.weighted({
      order: 6,
      send: 10,
      settle: 12,
      commit: 5,
      rollback: 2,
      grant: 3,
      half: 3,
      decide: 3,
      disconnect: 0.5,
    })
    if (what === 'order') this.publish(broker, { exchange: '', key: ORDERS }, {})
    else if (what === 'half') this.sendHalf(broker)
    else if (what === 'decide') this.decideAny(broker)
    else if (what === 'grant') broker.grant(this.consumer, random.between(1, 10))
    else if (what === 'disconnect') this.disconnect(broker)
    else if (what === 'send') this.send(broker)
    else if (what === 'settle') this.settle(broker)
    else if (what === 'commit') this.commit(broker)
    else this.rollback(broker)
  }

  ended(): void {
    this.life++
    this.cutOff()
    this.open.clear()
    this.asked.clear()
    this.committing = 0
  }

  /** At the end: nothing stays undecided. */
  settleUp(broker: Broker): void {
    this.connect(broker)
    this.rollback(broker)
    for (const { id } of broker.prepared()) this.decide(broker, id, 'rollback')
  }

  private connect(broker: Broker): void {
    if (this.connection > 0) return
    const sink = this.world.sink({
      published: (outcomes) => this.published(outcomes),
      deliver: (_consumer, deliveries, count) => this.deliver(deliveries, count),
      cancelled: () => this.held.clear(),
      check: (prepared) => this.checked(broker, prepared),
    })
    this.connection = broker.connect(sink)
    broker.joinGroup(this.connection, GROUP)
    this.consumer = broker.consume(this.connection, { queue: ORDERS })
    broker.grant(this.consumer, 20)
  }

  private workOf(broker: Broker): Work {
    this.work ??= { transaction: broker.beginTransaction(this.connection), messages: [], accepted: [] }
    return this.work
  }

  private send(broker: Broker): void {
    const { random, plan } = this.world
    const work = this.workOf(broker)
    for (let left = random.between(1, 5); left > 0; left--) {
      const target = random.chance(0.2) ? { exchange: '', key: ORDERS } : random.pick(plan.targets)
      const message = this.publish(broker, target, { transaction: work.transaction })
      work.messages.push(message)
    }
  }

  private sendHalf(broker: Broker): void {
    this.publish(broker, this.world.random.pick(this.world.plan.targets), { prepare: { group: GROUP } })
  }

  private publish(
    broker: Broker,
    target: Target,
    more: { transaction?: number; prepare?: { group: string } },
  ): SentMessage {
    const { world } = this
    const isHidden = more.transaction !== undefined || more.prepare !== undefined
    const message = this.compose(target, isHidden, more.prepare !== undefined)
    world.reference.sent(message, world.plan.route(message))
    world.report.count('sent')
    world.note('send', message.id, target.exchange, target.key, JSON.stringify(more))
    this.open.set(this.nextTag, message)
    broker.publish(this.connection, {
      tag: this.nextTag++,
      ...target,
      durability: message.level,
      priority: message.priority,
      format: message.number,
      payload: contentOf(message.id, message.size),
      expiry: message.expiry,
      due: message.due,
      producer: 0,
      sequence: 0,
      mandatory: false,
      ...more,
    })
    return message
  }

  private compose(target: Target, isHidden: boolean, half: boolean): SentMessage {
    const { random, reference } = this.world
    const position = ++this.position
    return {
      number: reference.messages.size + 1,
      id: `${this.name}/${position}`,
      producer: this.name,
      target,
      priority: random.chance(0.8) ? 4 : random.between(0, 9),
      group: '',
      level: 'disk',
      size: random.chance(0.9) ? random.between(12, 300) : random.between(300, 9_000),
      streamed: false,
      half,
      expiry: 0,
      due: random.chance(0.12) ? this.world.plan.soon(random, this.world.clock.wall()) : undefined,
      copies: [],
      position,
      sends: 0,
      topology: 0,
      ambiguous: false,
      insistent: false,
      // A commit makes it visible later than others that were sent after it.
      displaced: true,
      outcome: isHidden ? 'hidden' : 'open',
    }
  }

  private published(outcomes: readonly PublishOutcome[]): void {
    for (const outcome of outcomes)
      for (let tag = outcome.tag; tag <= outcome.last; tag++) this.answered(tag, outcome)
  }

  private answered(tag: number, { error, prepared, scheduled }: PublishOutcome): void {
    const { reference, note } = { reference: this.world.reference, note: this.world.note.bind(this.world) }
    const message = this.open.get(tag)
    if (message === undefined) throw new Violation('counts', `${this.name} was answered twice for ${tag}`)
    this.open.delete(tag)
    if (scheduled !== undefined) reference.schedules.numbered(message, scheduled)
    note(error === undefined ? 'taken' : 'refused', message.id, prepared ?? '', error?.code ?? '')
    if (error !== undefined) {
      this.world.report.count('refused')
      const messages = this.work?.messages
      if (messages?.includes(message)) messages.splice(messages.indexOf(message), 1)
      if (message.outcome !== 'refused') reference.refused(message)
    } else if (prepared !== undefined) {
      // Somebody else may have decided it in the same turn.
      if (message.outcome === 'hidden') this.world.units.halves.set(prepared, message)
    } else if (message.outcome === 'open' && message.target.key === ORDERS) {
      // Of what is sent in a transaction the commit says when it counts.
      if (!this.world.units.isPart(message)) reference.confirmed(message)
    }
  }

  private deliver(deliveries: readonly Delivery[], count: number): void {
    const { world } = this
    for (let i = 0; i < count; i++) {
      const delivery = deliveries[i]!
      const copy = world.identify(delivery)
      world.report.count('deliveries')
      world.note('deliver', copy.message.id, 'to', this.name)
      world.precedence.handedOut(copy, ORDERS, this)
      world.reference.handedOut(copy, this.consumer)
      this.held.set(delivery.tag, copy)
    }
  }

  /** Accepts in the transaction, or fails at once, what has come first. */
  private settle(broker: Broker): void {
    const [first] = this.held
    if (first === undefined) return
    const [tag, copy] = first
    this.held.delete(tag)
    const { world } = this
    if (world.random.chance(0.1)) {
      broker.settle(this.consumer, tag, tag, { outcome: 'modified', deliveryFailed: true })
      world.reference.letGo(copy)
      return
    }
    const work = this.workOf(broker)
    const count = this.enlist(broker, tag, work)
    if (count === undefined) {
      this.held.set(tag, copy)
      this.rollback(broker)
      return
    }
    if (count !== 1) throw new Violation('counts', `enlisting ${copy.message.id} enlisted ${count}`)
    work.accepted.push({ tag, copy })
  }

  /** Undefined: the transaction has taken too long. */
  private enlist(broker: Broker, tag: number, { transaction }: Work): number | undefined {
    try {
      return broker.settle(this.consumer, tag, tag, { outcome: 'accepted' }, undefined, transaction)
    } catch (error) {
      if (isMillraceError(error) && error.code === 'transaction-rolled-back') return undefined
      throw error
    }
  }

  private commit(broker: Broker): void {
    const { work, life, world } = this
    if (work === null) return
    this.work = null
    this.asked.add(work)
    world.note('commit', work.transaction, `${work.messages.length} sent, ${work.accepted.length} accepted`)
    world.units.asked(work)
    this.committing++
    const { connection } = this
    broker.commitTransaction(work.transaction, (error) => {
      if (life !== this.life) return
      this.committing--
      this.asked.delete(work)
      this.decided(work, connection, error)
    })
  }

  private decided(work: Work, connection: number, error: MillraceError | undefined): void {
    const { world } = this
    world.note(error === undefined ? 'committed' : `rolled back: ${error.message}`, work.transaction)
    world.report.count(error === undefined ? 'committed' : 'rolledBack')
    if (error === undefined) {
      world.units.committed(work)
      return
    }
    world.units.rolledBack(work)
    // What its connection held others may have by now.
    if (connection !== this.connection) return
    for (const { tag, copy } of work.accepted) this.held.set(tag, copy)
  }

  private rollback(broker: Broker): void {
    const { work, world } = this
    if (work === null) return
    this.work = null
    world.note('rollback', work.transaction)
    world.report.count('rolledBack')
    broker.rollbackTransaction(work.transaction, () => {})
    for (const message of work.messages) this.forget(message)
    for (const { tag, copy } of work.accepted) this.held.set(tag, copy)
  }

  /** It never was. Whether it was refused before, its own answer says. */
  private forget(message: SentMessage): void {
    if (message.outcome !== 'refused') this.world.reference.refused(message)
  }

  private disconnect(broker: Broker): void {
    const { world } = this
    world.note(this.name, 'disconnects')
    world.departed(ORDERS)
    broker.disconnect(this.connection)
    this.giveUpWaiting()
    this.cutOff()
    for (const message of this.open.values()) {
      // Nobody tells any more whether it was taken.
      if (message.outcome === 'open') message.outcome = 'unknown'
    }
    this.open.clear()
  }

  /** Commits that wait for sends come to nothing without a connection: others may get what they accept before that is said. */
  private giveUpWaiting(): void {
    const waiting = new Set(this.open.values())
    for (const { messages, accepted } of this.asked) {
      if (!messages.some((message) => waiting.has(message))) continue
      for (const { copy } of accepted) copy.accepting = false
    }
  }

  /** What was not to be committed is nowhere; what was held goes to others. */
  private cutOff(): void {
    const { reference } = this.world
    for (const message of this.work?.messages ?? []) this.forget(message)
    for (const { copy } of this.work?.accepted ?? []) reference.letGo(copy)
    for (const copy of this.held.values()) if (copy.holder === this.consumer) reference.letGo(copy)
    this.work = null
    this.held.clear()
    this.connection = 0
    this.consumer = 0
  }

  private decideAny(broker: Broker): void {
    const undecided = broker.prepared()
    if (undecided.length === 0) return
    const { random } = this.world
    this.decide(broker, random.pick(undecided).id, random.pick(['commit', 'rollback']))
  }

  private checked(broker: Broker, prepared: readonly PreparedCheck[]): void {
    const { random, reference, report, units } = this.world
    for (const { id, format, lsn } of prepared) {
      report.count('checkedBack')
      if (units.isDeciding(id)) continue
      const message = reference.messages.get(format)
      if (message === undefined || (message.outcome !== 'hidden' && !reference.damaged))
        throw new Violation(
          'nothing comes back',
          `half message ${id} (lsn ${lsn}) was asked for, and is decided`,
        )
      if (message.outcome !== 'hidden') reference.undecided(message)
      // Its own answer may have been lost with the broker.
      units.halves.set(id, message)
      if (random.chance(0.7)) this.decide(broker, id, random.pick(['commit', 'rollback']))
    }
  }

  private decide(broker: Broker, id: string, decision: PendingHalf['decision']): void {
    const { world, life } = this
    const message = world.units.halves.get(id)
    // Nobody has been told of it yet.
    if (message === undefined) return
    world.note(decision, 'half', id, message.id)
    world.units.decide(id, { message, decision })
    this.committing++
    broker.decidePrepared(id, decision, (error) => {
      if (life !== this.life) return
      this.committing--
      if (error !== undefined)
        throw new Violation(
          'nothing lost',
          `half message ${id} was listed and cannot be decided: ${error.message}`,
        )
      world.note('decided', id)
      world.units.halfDecided(id)
    })
  }
}
