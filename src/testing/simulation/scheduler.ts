import type { PublishOutcome } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { Durability } from '../../model/delivery.ts'
import type { RepetitionByInterval } from '../../model/schedule.ts'
import { contentOf, leavesUnknown, type SentMessage, type Target } from './messages.ts'
import { TICKS } from './plan.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

/** Queues of which everything is cancelled now and then. */
const EMPTIED = ['plain', 'fan-1', 'once', TICKS]

/** Sends what is to be delivered later, or again and again, and cancels it: one message, or all of a queue. */
export class Scheduler implements Actor {
  private readonly world: World
  private connection = 0
  private nextTag = 1
  private life = 0
  /** Cancellations that are not answered: of one message, and of all of a queue. Who does both at once cannot tell which it was. */
  private cancelling = 0
  private emptying = 0
  private readonly open = new Map<number, SentMessage>()

  constructor(world: World) {
    this.world = world
  }

  get awaited(): number {
    return this.open.size + this.cancelling + this.emptying
  }

  act(broker: Broker): void {
    const { random, report, plan } = this.world
    report.count('operations')
    const what = random.weighted({ send: 30, burst: 3, repeat: 4, cancel: 14, empty: 1 })
    if (what === 'cancel') this.cancel(broker)
    else if (what === 'empty') this.empty(broker, random.pick(EMPTIED))
    else if (what === 'repeat') this.send(broker, { exchange: '', key: TICKS }, this.repetition())
    else
      for (let left = what === 'burst' ? 40 : 2; left > 0; left--)
        this.send(broker, random.pick(plan.targets))
  }

  ended(): void {
    this.life++
    this.connection = 0
    this.cancelling = 0
    this.emptying = 0
    this.open.clear()
  }

  /** At the end: nothing repeats without end. */
  settleUp(broker: Broker): void {
    this.empty(broker, TICKS)
  }

  private repetition(): RepetitionByInterval {
    const { random, clock } = this.world
    const every = random.pick([50, 200, 1_000])
    const end = random.weighted({ never: 1, times: 3, until: 1 })
    if (end === 'times') return { every, times: random.between(1, 6) }
    if (end === 'until')
      return { every, until: Math.floor(clock.wall()) + 5_000 + random.between(0, 10 * every) }
    return { every }
  }

  private send(broker: Broker, target: Target, repeat?: RepetitionByInterval): void {
    const { world } = this
    if (this.connection === 0)
      this.connection = broker.connect(world.sink({ published: (outcomes) => this.published(outcomes) }))
    const tag = this.nextTag++
    const message = this.compose(target, tag, repeat)
    world.report.count('sent')
    world.note('send', message.id, target.exchange, target.key, message.level, 'for', message.due)
    world.reference.sent(message, world.plan.route(message))
    this.open.set(tag, message)
    broker.publish(this.connection, {
      tag,
      ...target,
      durability: message.level,
      priority: message.priority,
      format: message.number,
      payload: contentOf(message.id, message.size),
      expiry: message.expiry,
      due: message.due,
      repeat,
      group: message.group,
      producer: 0,
      sequence: 0,
      mandatory: false,
    })
  }

  private compose(target: Target, tag: number, repeat: RepetitionByInterval | undefined): SentMessage {
    const { random, reference, clock, plan } = this.world
    const due = plan.soon(random, clock.wall())
    const wanted = random.weighted<Durability>({ disk: 7, os: repeat ? 0 : 1.5, memory: 1.5 })
    const level = plan.levelFor(target, wanted)
    return {
      number: reference.messages.size + 1,
      id: `scheduler/${tag}`,
      producer: 'scheduler',
      target,
      priority: random.chance(0.8) ? 4 : random.between(0, 9),
      group: plan.groupFor(target, random),
      level,
      size: random.between(12, 300),
      streamed: false,
      expiry: !repeat && random.chance(0.08) ? plan.soon(random, clock.wall() + 5) : 0,
      due,
      repeat,
      copies: [],
      position: tag,
      sends: 0,
      topology: 0,
      ambiguous: false,
      insistent: false,
      displaced: true,
      outcome: 'open',
    }
  }

  private published(outcomes: readonly PublishOutcome[]): void {
    for (const outcome of outcomes)
      for (let tag = outcome.tag; tag <= outcome.last; tag++) this.answered(tag, outcome)
  }

  private answered(tag: number, { error, scheduled }: PublishOutcome): void {
    const { world } = this
    const { reference, report } = world
    const message = this.open.get(tag)
    if (message === undefined) throw new Violation('counts', `the scheduler was answered twice for ${tag}`)
    this.open.delete(tag)
    world.note(error?.code ?? 'confirmed', message.id, scheduled ?? 'at once')
    if (error === undefined) {
      report.count('confirmed')
      if (scheduled !== undefined) reference.schedules.numbered(message, scheduled)
      reference.confirmed(message)
    } else if (!leavesUnknown(error)) {
      report.count('refused')
      reference.refused(message)
    }
  }

  private cancel(broker: Broker): void {
    const { world, life } = this
    const { schedules } = world.reference
    const picked = this.emptying > 0 ? undefined : schedules.pick(world.random)
    if (picked === undefined) return
    const { message, number } = picked
    world.note('cancel', message.id, number)
    schedules.cancelling(message)
    this.cancelling++
    broker.cancelScheduled(number, (cancelled) => {
      if (life !== this.life) return
      this.cancelling--
      world.note(cancelled ? 'cancelled' : 'not cancelled', message.id)
      if (cancelled) world.report.count('cancelled')
      if (cancelled) schedules.cancelled(message)
      else schedules.notCancelled(message)
    })
  }

  private empty(broker: Broker, queue: string): void {
    const { world, life } = this
    const { schedules } = world.reference
    if (this.cancelling + this.emptying > 0) return
    world.note('cancel all of', queue)
    const certain = schedules.emptyingAll(queue)
    this.emptying++
    broker.cancelAllScheduled(queue, (count) => {
      if (life !== this.life) return
      this.emptying--
      world.note('cancelled', count, 'of', queue)
      world.report.count('cancelled', count)
      schedules.emptied(queue, certain, count)
    })
  }
}
