import { TEMPORARY_TOPIC } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Lifetime } from '../../model/policy.ts'
import { AmqpCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import type { Attach, Source } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import {
  type DurableSubscription,
  ensureSubscription,
  ensureVolatile,
  type Interest,
  isSameInterest,
  otherInterest,
  sharedVolatileQueue,
  subscribedInterest,
  subscriptionQueue,
} from '../management/subscriptions.ts'
import type { AmqpConnection } from './connection.ts'
import { type Filters, filtersOf } from './filters.ts'
import type { SourceNode } from './sources.ts'

/** The subscription's name is the link's up to this; what follows tells links of sharers apart. */
const NAME_END = '|'

/** A receiver subscribes to a topic: durably, or for as long as it is there; alone, or sharing with others. */
export function subscriptionNode(
  connection: AmqpConnection,
  attach: Attach,
  filters: Filters,
  topic: string,
): SourceNode {
  const source = attach.source!
  if (!topic.startsWith(TEMPORARY_TOPIC)) connection.assertPermitted('receive', 'topic', topic)
  const shared = source.capabilities.includes('shared')
  if (source.durable !== 'none' || source.expiryPolicy === 'never')
    return durableNode(connection, attach, filters, topic)
  const { engine, gateway } = connection
  const { clientId, name } = subscriptionOf(connection, attach.name, source.capabilities, shared)
  const queue = shared ? sharedVolatileQueue(clientId, name) : `volatile:${gateway.uniqueName()}`
  const { selector, noLocal } = filters
  const noLocalConnection = noLocal && !shared ? connection.number : undefined
  const interest = { topic, selector, noLocalConnection }
  const before = subscribedInterest(engine, queue)
  if (before !== undefined && !isSameInterest(before, interest)) throw otherInterest(name)
  ensureVolatile(engine, queue, interest)
  const filter = filters.answer({ noLocal: !shared })
  return { queue, create: false, exclusive: !shared, source: { filter }, lapses: false, stealable: false }
}

function durableNode(
  connection: AmqpConnection,
  attach: Attach,
  filters: Filters,
  topic: string,
): SourceNode {
  const { engine, gateway } = connection
  const source = attach.source!
  const shared = source.capabilities.includes('shared')
  const subscription = subscriptionOf(connection, attach.name, source.capabilities, shared)
  const name = subscriptionQueue(subscription)
  // Nobody's subscription has nobody whose messages it could pass over.
  const noLocal = filters.noLocal && !shared && connection.clientId !== ''
  const interest = { topic, selector: filters.selector, noLocal: noLocal ? connection.clientId : undefined }
  // The same subscriber again; with another topic or selector it must have ended before.
  if (!shared && isSameInterest(subscribedInterest(engine, name), interest)) gateway.registry.steal(name)
  const queue = ensureSubscription(engine, subscription, interest, { lifetime: lifetimeOf(source) })
  return {
    queue,
    create: false,
    exclusive: !shared,
    source: { filter: filters.answer({ noLocal }) },
    lapses: engine.queue(queue)?.definition.policy.deliveryTimeout !== undefined,
    stealable: !shared,
    durable: true,
    left: (closed) => {
      if (closed) unsubscribe(connection, queue)
    },
  }
}

/** What expires otherwise than never is kept for the time-out after its consumer has left. */
function lifetimeOf({ expiryPolicy, timeout }: Source): Lifetime {
  if (expiryPolicy === 'never') return { kind: 'forever' }
  return timeout === 0 ? { kind: 'auto-delete' } : { kind: 'idle', after: timeout * 1_000 }
}

function subscriptionOf(
  connection: AmqpConnection,
  linkName: string,
  capabilities: readonly string[],
  shared: boolean,
): DurableSubscription {
  const clientId = capabilities.includes('global') ? '' : connection.clientId
  return { clientId, name: linkName.split(NAME_END, 1)[0]!, shared }
}

function unsubscribe(connection: AmqpConnection, queue: string): void {
  const { engine } = connection
  // Others that share it go on.
  if (engine.queue(queue)?.consumers === 0) engine.deleteQueue(queue, { ifUnused: true }, () => {})
}

/**
 * An attach without source asks for the subscription of that link name: the answer shows it, and closing the link ends it.
 */
export function lookUp(connection: AmqpConnection, link: SenderLink, attach: Attach): void {
  const { engine } = connection
  const found = [false, true]
    .map((shared) => subscriptionOf(connection, attach.name, attach.desiredCapabilities, shared))
    .find((subscription) => engine.queue(subscriptionQueue(subscription)))
  if (!found) {
    const description = `there is no subscription ${JSON.stringify(attach.name)}`
    return link.refuse({ condition: AmqpCondition.notFound, description })
  }
  const queue = subscriptionQueue(found)
  const interest = subscribedInterest(engine, queue) ?? { topic: '' }
  connection.assertPermitted('receive', 'topic', interest.topic)
  if (engine.queue(queue)!.consumers > 0)
    throw new MillraceError('destination-in-use', `subscription ${found.name} has consumers`)
  connection.links++
  link.events = new Lookup(connection, queue)
  link.accept({ source: storedSource(interest, found.shared) })
}

function storedSource({ topic, selector, noLocal }: Interest, shared: boolean): Source {
  return {
    address: topic,
    durable: 'unsettled-state',
    expiryPolicy: 'never',
    timeout: 0,
    dynamic: false,
    distributionMode: 'copy',
    filter: filtersOf(selector, noLocal !== undefined),
    outcomes: [],
    capabilities: shared ? ['topic', 'shared'] : ['topic'],
  }
}

class Lookup implements SenderEvents {
  private readonly connection: AmqpConnection
  private readonly queue: string

  constructor(connection: AmqpConnection, queue: string) {
    this.connection = connection
    this.queue = queue
  }

  flow(): void {
    // It looks at the subscription and takes nothing from it.
  }

  disposition(): void {
    // Nothing is delivered.
  }

  detached(closed: boolean): void {
    this.connection.links--
    if (closed) this.connection.guard(() => unsubscribe(this.connection, this.queue))
  }
}
