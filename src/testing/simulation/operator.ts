import type { Broker } from '../../engine/broker.ts'
import { CHOICES } from './choices.ts'
import { contentOf, isContent, type SentMessage } from './messages.ts'
import { CHOOSY } from './plan.ts'
import { Violation } from './violation.ts'
import type { Actor, World } from './world.ts'

/** Queues that hold messages of many kinds, in which an operator may do some damage. */
const PURGEABLE = ['plain', 'deep', 'aging', 'fan-2']

/** Changes bindings, purges, makes queues and deletes them again, and looks into what is there. */
export class Operator implements Actor {
  private readonly world: World
  private pending = 0
  private generation = 0
  private temporary: string | null = null
  private connection = 0
  private readonly open = new Map<number, SentMessage>()
  private nextTag = 1

  constructor(world: World) {
    this.world = world
  }

  get awaited(): number {
    return this.pending + this.open.size
  }

  act(broker: Broker): void {
    this.world.report.count('operations')
    const what = this.world.random.weighted({ binding: 3, purge: 1, temporary: 8, browse: 4, locate: 4 })
    if (what === 'binding') this.changeBinding(broker)
    else if (what === 'purge') this.purge(broker)
    else if (what === 'browse') this.browse(broker)
    else if (what === 'locate') this.locate(broker)
    else if (this.temporary === null) this.declareQueue(broker)
    else if (this.world.random.chance(0.3)) this.delete(broker, this.temporary)
    else this.fill(broker, this.temporary)
  }

  ended(): void {
    this.pending = 0
    this.connection = 0
    this.open.clear()
  }

  /** The broker is back: what it says about bindings and queues is true, whatever was being changed. */
  started(broker: Broker): void {
    const { plan, reference } = this.world
    if (plan.isDeclared) plan.bindings = [...broker.bindings()]
    reference.rebound()
    if (this.temporary !== null && broker.queue(this.temporary) === undefined) {
      // Its declaration had not become durable, so that nothing in it had either; or its deletion had.
      this.temporary = null
    }
  }

  private changeBinding(broker: Broker): void {
    const { plan, random, reference } = this.world
    const key = random.pick(['a.*', '#', '*.c.#', 'z', 'a.b'])
    const queue = random.pick(['fan-1', 'fan-2', 'aging', CHOOSY])
    const selection = queue === CHOOSY ? { selector: random.pick(CHOICES).text } : {}
    const binding = { exchange: 'amq.topic', queue, key, ...selection }
    const known = plan.bindings.find((one) => one.queue === binding.queue && one.key === key)
    reference.rebound()
    this.world.note(known ? 'unbind' : 'bind', queue, key)
    if (known === undefined) {
      broker.bind(binding)
      plan.bindings.push(binding)
    } else {
      broker.unbind(known)
      plan.bindings.splice(plan.bindings.indexOf(known), 1)
    }
  }

  private purge(broker: Broker): void {
    const queue = this.world.random.pick(PURGEABLE)
    if (queue === 'deep' && this.world.plan.floods) return
    this.world.note('purge', queue)
    this.world.reference.license(queue, 'purged')
    this.pending++
    broker.purgeQueue(queue, (count) => {
      this.pending--
      this.world.report.count('purged', count)
    })
  }

  private declareQueue(broker: Broker): void {
    this.temporary = `temporary-${++this.generation}`
    this.world.note('declare', this.temporary)
    const never = Number.POSITIVE_INFINITY
    this.world.reference.declared({
      name: this.temporary,
      volatile: false,
      ttl: never,
      dropsOldest: false,
      keepsLast: false,
      deduplication: undefined,
      deliveryTimeout: never,
      maxDeliveries: 1,
    })
    broker.declareQueue({ name: this.temporary })
  }

  private fill(broker: Broker, queue: string): void {
    const { world } = this
    this.connection ||= broker.connect(
      world.sink({
        published: (outcomes) => {
          for (const { tag: first, last, error } of outcomes)
            for (let tag = first; tag <= last; tag++) this.answered(tag, error === undefined)
        },
      }),
    )
    for (let left = world.random.between(1, 20); left > 0; left--) {
      const tag = this.nextTag++
      const message = this.compose(queue, tag)
      world.report.count('sent')
      world.report.count('operations')
      world.reference.sent(message, [queue])
      this.open.set(tag, message)
      broker.publish(this.connection, {
        tag,
        exchange: '',
        key: queue,
        durability: message.level,
        priority: 4,
        format: message.number,
        payload: contentOf(message.id, message.size),
        expiry: 0,
        due: message.due,
        producer: 0,
        sequence: 0,
        mandatory: true,
      })
    }
  }

  private compose(queue: string, tag: number): SentMessage {
    const { random, reference, plan, clock } = this.world
    const due = random.chance(0.1) ? plan.soon(random, clock.wall()) : undefined
    return {
      number: reference.messages.size + 1,
      id: `operator/${tag}`,
      producer: 'operator',
      target: { exchange: '', key: queue },
      priority: 4,
      group: '',
      level: 'disk',
      size: random.between(12, 300),
      streamed: false,
      expiry: 0,
      due,
      copies: [],
      position: tag,
      sends: 0,
      topology: 0,
      ambiguous: false,
      insistent: false,
      displaced: due !== undefined,
      outcome: 'open',
    }
  }

  private answered(tag: number, accepted: boolean): void {
    const message = this.open.get(tag)!
    this.open.delete(tag)
    if (accepted) this.world.reference.confirmed(message)
    // A queue that is deleted while its messages are on their way takes them with it.
    else if (!this.world.failing && message.copies.every(({ licence }) => licence === null))
      this.world.reference.refused(message)
  }

  private delete(broker: Broker, queue: string): void {
    this.world.note('delete', queue)
    this.world.report.count('queuesDeleted')
    this.world.reference.license(queue, 'deleted')
    this.pending++
    this.temporary = null
    broker.deleteQueue(queue, {}, () => {
      this.pending--
    })
  }

  /** Looks at a page somewhere. What is shown may have left while it was read, so that only content is checked. */
  private browse(broker: Broker): void {
    const { random, plan, reference } = this.world
    const queue = random.pick(plan.queues).name
    const from = `${random.between(0, 9)}:${random.between(0, 2 ** 20)}`
    this.pending++
    broker.browse(queue, random.chance(0.5) ? '' : from, random.between(1, 50), ({ messages }) => {
      this.pending--
      for (const { format, bytes, start, end, chunks } of messages) {
        const message = reference.messages.get(format)
        if (message === undefined) throw new Violation('content', `message ${format} was never sent`)
        if (chunks.length === 0 && !isContent(message.id, bytes, start, end, 0)) {
          throw new Violation('content', `${message.id} is shown with other bytes than were sent`)
        }
      }
    })
  }

  private locate(broker: Broker): void {
    const { reference, random } = this.world
    const [copy] = reference.alive
    const lsn = copy !== undefined && copy.lsn > 0 ? copy.lsn : random.between(1, 10_000)
    this.pending++
    broker.locate(lsn, () => {
      this.pending--
    })
  }
}
