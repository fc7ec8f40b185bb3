import { DEFAULT_EXCHANGE, TOPIC_EXCHANGE } from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import {
  type BindingDefinition,
  type ExchangeDefinition,
  type QueueDefinition,
  RECOVERED_PREFIX,
} from '../model/policy.ts'
import { parseSelector } from '../model/selector/selector.ts'
import type { QueueDeclaration } from './api.ts'
import type { Residency } from './index/lane.ts'
import type { Log } from './log.ts'
import type { Policies } from './options.ts'
import { SCHEDULE_QUEUE } from './ports/operations.ts'
import { Queue } from './queue.ts'
import type { Binding } from './routing/binding-set.ts'
import {
  bindingId,
  createExchange,
  type Exchange,
  type RoutedMessage,
  type RoutingKey,
} from './routing/exchange.ts'

const MAX_NAME_BYTES = 1024
const MAX_ALTERNATES = 8

/** A change of topology as journalled: the JSON of a meta operation. */
export type TopologyChange =
  | { readonly op: 'queue'; readonly id: number; readonly definition: QueueDefinition }
  | { readonly op: 'queue-deleting' | 'queue-gone'; readonly id: number }
  | { readonly op: 'exchange'; readonly definition: ExchangeDefinition }
  | { readonly op: 'exchange-gone'; readonly name: string }
  | { readonly op: 'bind' | 'unbind'; readonly binding: BindingDefinition }

/** Whose message is routed. */
interface Publisher {
  readonly id: number
  readonly clientId: string | undefined
}

/** Queues, exchanges and bindings. Every change is journalled and applied by the same code as at replay. */
export class Topology {
  readonly queues: Map<string, Queue> = new Map()
  readonly byId: Map<number, Queue> = new Map()
  readonly exchanges: Map<string, Exchange> = new Map()
  private readonly log: Log
  private readonly policies: Policies
  private readonly residency: Residency
  private nextId = SCHEDULE_QUEUE + 1
  private readonly routed = new Set<Binding>()
  private routings = 0

  constructor(log: Log, policies: Policies, residency: Residency) {
    this.log = log
    this.residency = residency
    this.policies = policies
    const kinds = {
      'amq.direct': 'direct',
      'amq.fanout': 'fanout',
      [TOPIC_EXCHANGE]: 'topic',
      'amq.headers': 'headers',
    } as const
    for (const [name, kind] of Object.entries(kinds)) this.exchanges.set(name, createExchange({ name, kind }))
  }

  /** The queue of that name; created when it may be; otherwise throws `destination-not-found`. */
  queueFor(name: string, create: boolean): Queue {
    const queue = this.queues.get(name)
    if (queue !== undefined) return queue
    if (create && this.policies.mayCreate(name)) return this.declare({ name })
    throw new MillraceError(
      'destination-not-found',
      `queue ${JSON.stringify(name)} does not exist${create ? ' and may not be created by being named; declare it or allow it in autoCreate' : ''}`,
    )
  }

  declare(declaration: QueueDeclaration): Queue {
    const existing = this.queues.get(declaration.name)
    if (existing !== undefined) {
      checkSame(existing.definition, declaration)
      return existing
    }
    if (declaration.passive) return this.queueFor(declaration.name, false)
    checkName(declaration.name)
    checkUnreserved(declaration.name)
    return this.create(declaration, false)
  }

  /** The queue that takes the dead letters of `queue`; undefined when its policy names none. */
  deadLetterQueue(queue: Queue): Queue | undefined {
    return this.refuge(queue, queue.policy.deadLetter)
  }

  /** The queue that takes what expires in `queue`; undefined when its policy names none. */
  expiryQueue(queue: Queue): Queue | undefined {
    return this.refuge(queue, queue.policy.expired)
  }

  private refuge(queue: Queue, pattern: string | undefined): Queue | undefined {
    if (pattern === undefined) return undefined
    const name = pattern.replaceAll('{queue}', queue.name)
    if (name === queue.name) return undefined
    return this.queues.get(name) ?? this.create({ name }, true)
  }

  private create(declaration: QueueDeclaration, isDeadLetter: boolean): Queue {
    const definition: QueueDefinition = {
      name: declaration.name,
      lifetime: declaration.lifetime ?? { kind: 'forever' },
      policy: this.policies.policyFor(declaration.name, declaration.policy, isDeadLetter),
      durability: declaration.durability ?? 'disk',
    }
    const id = this.nextId
    this.change({ op: 'queue', id, definition })
    const topic = isDeadLetter ? undefined : this.policies.virtualTopicOf(definition.name)
    if (topic !== undefined) this.bind({ exchange: TOPIC_EXCHANGE, queue: definition.name, key: topic })
    return this.byId.get(id)!
  }

  declareExchange(definition: ExchangeDefinition): void {
    const existing = this.exchanges.get(definition.name)
    if (existing === undefined && definition.name !== DEFAULT_EXCHANGE) {
      checkName(definition.name)
      this.change({ op: 'exchange', definition })
      return
    }
    if (
      existing?.definition.kind === definition.kind &&
      existing.definition.alternate === definition.alternate
    )
      return
    throw new MillraceError(
      'destination-conflict',
      `exchange ${JSON.stringify(definition.name)} exists and is different`,
    )
  }

  deleteExchange(name: string): void {
    if (name === DEFAULT_EXCHANGE || name.startsWith('amq.')) {
      throw new MillraceError('destination-invalid', `exchange ${JSON.stringify(name)} is built in and stays`)
    }
    if (this.exchanges.has(name)) this.change({ op: 'exchange-gone', name })
  }

  bind(definition: BindingDefinition): void {
    this.exchangeOf(definition.exchange)
    this.queueFor(definition.queue, false)
    if (definition.selector !== undefined) parseSelector(definition.selector)
    if (this.findBinding(definition) === undefined) this.change({ op: 'bind', binding: definition })
  }

  unbind(definition: BindingDefinition): void {
    if (this.findBinding(definition) !== undefined) this.change({ op: 'unbind', binding: definition })
  }

  /** From now on nothing is routed to the queue and its name is free; it is gone when it is empty. */
  startDeleting(queue: Queue): void {
    this.change({ op: 'queue-deleting', id: queue.id })
  }

  finishDeleting(queue: Queue): void {
    this.change({ op: 'queue-gone', id: queue.id })
  }

  /** Adds to `into` the queues that an exchange other than the default one gives a message to. Throws `destination-not-found`. */
  route(
    exchange: string,
    key: RoutingKey,
    publisher: Publisher,
    message: RoutedMessage,
    into: Queue[],
  ): void {
    into.length = 0
    let at: Exchange | undefined = this.exchangeOf(exchange)
    this.routings++
    // Alternates may form a ring; a message gives up after a few.
    for (let hops = 0; at !== undefined && into.length === 0 && hops < MAX_ALTERNATES; hops++) {
      this.routed.clear()
      at.route(key, message, this.routed)
      for (const binding of this.routed) this.addTarget(binding, publisher, into)
      at = at.definition.alternate === undefined ? undefined : this.exchanges.get(at.definition.alternate)
    }
  }

  /** Journals and applies a change. */
  private change(change: TopologyChange): void {
    this.log.meta(change)
    this.apply(change)
  }

  /** Applies a journalled change; one that has been applied before changes nothing. */
  apply(change: TopologyChange): void {
    switch (change.op) {
      case 'queue':
        if (!this.byId.has(change.id)) this.addQueue(change.id, change.definition)
        return
      case 'queue-deleting':
        this.detach(this.byId.get(change.id))
        return
      case 'queue-gone':
        // What said that it was being deleted may be damaged.
        this.detach(this.byId.get(change.id))
        this.byId.delete(change.id)
        return
      case 'exchange':
        if (!this.exchanges.has(change.definition.name)) {
          this.exchanges.set(change.definition.name, createExchange(change.definition))
        }
        return
      case 'exchange-gone':
        for (const binding of this.exchanges.get(change.name)?.bindings.values() ?? [])
          this.removeBinding(binding)
        this.exchanges.delete(change.name)
        return
      case 'bind':
        this.addBinding(change.binding)
        return
      case 'unbind': {
        const binding = this.findBinding(change.binding)
        if (binding !== undefined) this.removeBinding(binding)
      }
    }
  }

  addQueue(id: number, definition: QueueDefinition): Queue {
    const queue = new Queue(
      id,
      { ...definition, policy: this.policies.shared(definition.policy) },
      this.residency,
    )
    // At replay the name may have passed to a later queue already, which a checkpoint contains.
    if ((this.queues.get(definition.name)?.id ?? 0) < id) this.queues.set(definition.name, queue)
    this.byId.set(id, queue)
    if (id >= this.nextId) this.nextId = id + 1
    return queue
  }

  private addBinding(definition: BindingDefinition): void {
    const queue = this.queues.get(definition.queue)
    const exchange = this.exchanges.get(definition.exchange)
    if (queue === undefined || exchange === undefined || this.findBinding(definition) !== undefined) return
    const selector = definition.selector === undefined ? undefined : parseSelector(definition.selector)
    const binding = { definition, id: bindingId(definition), queue: queue.id, selector }
    exchange.bind(binding)
    queue.bindings.add(binding)
  }

  private removeBinding(binding: Binding): void {
    this.exchanges.get(binding.definition.exchange)?.unbind(binding)
    this.byId.get(binding.queue)?.bindings.delete(binding)
  }

  /** Takes the queue out of routing; its messages are still there. */
  detach(queue: Queue | undefined): void {
    if (queue === undefined) return
    queue.deleting = true
    if (this.queues.get(queue.name) === queue) this.queues.delete(queue.name)
    for (const binding of queue.bindings) this.removeBinding(binding)
  }

  private addTarget(binding: Binding, publisher: Publisher, into: Queue[]): void {
    const { noLocal, noLocalConnection } = binding.definition
    if (noLocal !== undefined && noLocal === publisher.clientId) return
    if (noLocalConnection === publisher.id) return
    const queue = this.byId.get(binding.queue)
    if (queue === undefined || queue.routing === this.routings) return
    queue.routing = this.routings
    into.push(queue)
  }

  private exchangeOf(name: string): Exchange {
    const exchange = this.exchanges.get(name)
    if (exchange !== undefined) return exchange
    throw new MillraceError(
      'destination-not-found',
      `exchange ${JSON.stringify(name)} does not exist; declare it first`,
    )
  }

  private findBinding(definition: BindingDefinition): Binding | undefined {
    return this.exchanges.get(definition.exchange)?.bindings.get(bindingId(definition))
  }
}

function checkName(name: string): void {
  if (name.length > 0 && Buffer.byteLength(name) <= MAX_NAME_BYTES) return
  throw new MillraceError(
    'destination-invalid',
    `a name has 1 to ${MAX_NAME_BYTES} bytes; ${JSON.stringify(name.slice(0, 40))} has not`,
  )
}

/** A queue that is recovered takes the name of its id, whatever there is. */
function checkUnreserved(name: string): void {
  if (!name.startsWith(RECOVERED_PREFIX)) return
  throw new MillraceError(
    'destination-invalid',
    `names that begin with ${RECOVERED_PREFIX} are kept for queues whose declaration was damaged`,
  )
}

/** A declaration must agree with what exists in everything that it names. */
function checkSame(definition: QueueDefinition, asked: QueueDeclaration): void {
  const differences: string[] = []
  const compare = (what: string, is: unknown, wanted: unknown): void => {
    if (wanted !== undefined && JSON.stringify(is) !== JSON.stringify(wanted)) differences.push(what)
  }
  compare('lifetime', definition.lifetime, asked.lifetime)
  compare('durability', definition.durability, asked.durability)
  for (const [name, value] of Object.entries(asked.policy ?? {})) {
    compare(name, (definition.policy as unknown as Record<string, unknown>)[name], value)
  }
  if (differences.length === 0) return
  throw new MillraceError(
    'destination-conflict',
    `queue ${JSON.stringify(definition.name)} exists with another ${differences.join(', ')}; declare it the same way or delete it first`,
  )
}
