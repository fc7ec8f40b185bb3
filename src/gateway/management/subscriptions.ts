import type { Engine } from '../../engine/api.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Lifetime, QueuePolicy } from '../../model/policy.ts'
import { parseSelector } from '../../model/selector/selector.ts'

/** A volatile subscription keeps the newest of so many bytes, so that a stuck subscriber does not fill the memory. */
const VOLATILE_BYTES = 64 * 1024 * 1024

export interface DurableSubscription {
  /** '' for one that no client id owns. */
  readonly clientId: string
  readonly name: string
  readonly shared: boolean
}

/** The queue behind a durable subscription. */
export function subscriptionQueue(subscription: DurableSubscription): string {
  return `sub:${identityOf(subscription)}`
}

/** The queue behind a subscription that ends with the last of its sharers. */
export function sharedVolatileQueue(clientId: string, name: string): string {
  return `volatile:${identityOf({ clientId, name, shared: true })}`
}

/** No two owners and names come to the same: the colon is what parts them. */
function identityOf({ clientId, name, shared }: DurableSubscription): string {
  return `${escaped(clientId)}:${escaped(name)}${shared ? ':shared' : ''}`
}

function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll(':', '%3A')
}

/** What of a topic's messages a subscription gets. Unwanted ones never enter it (JMS 4.2.2). */
export interface Interest {
  readonly topic: string
  readonly selector?: string | undefined
  /** Not what this client has sent. */
  readonly noLocal?: string | undefined
  /** Not what this connection, by its number, has sent: for a subscription that ends with it. */
  readonly noLocalConnection?: number | undefined
}

/** What a subscription's queue gets; undefined when there is no such subscription. */
export function subscribedInterest(engine: Engine, queue: string): Interest | undefined {
  const binding = engine.bindings(queue).find(({ exchange }) => exchange === TOPIC_EXCHANGE)
  if (binding === undefined) return undefined
  const { key: topic, selector, noLocal, noLocalConnection } = binding
  return { topic, selector, noLocal, noLocalConnection }
}

export function isSameInterest(one: Interest | undefined, other: Interest): boolean {
  return (
    one?.topic === other.topic &&
    canonical(one.selector) === canonical(other.selector) &&
    one.noLocal === other.noLocal &&
    one.noLocalConnection === other.noLocalConnection
  )
}

/** How a selector is written makes no other of it. Throws `selector-invalid`. */
function canonical(selector: string | undefined): string | undefined {
  return selector === undefined ? undefined : parseSelector(selector).canonical
}

/**
 * Makes sure that the subscription exists as asked for, and answers its queue. One of another topic or selector is replaced,
 * with what it holds (JMS 4.2.3). Throws `selector-invalid`, `destination-in-use` when that has consumers,
 * `destination-conflict` when the name belongs to a subscription of the other kind, shared or not (JMS 8.3.3, 8.3.4).
 */
export function ensureSubscription(
  engine: Engine,
  subscription: DurableSubscription,
  interest: Interest,
  options: { policy?: Partial<QueuePolicy> | undefined; lifetime?: Lifetime | undefined } = {},
): string {
  const queue = subscriptionQueue(subscription)
  const { name, shared } = subscription
  if (engine.queue(subscriptionQueue({ ...subscription, shared: !shared }))) {
    const kind = shared ? 'not shared' : 'shared'
    throw new MillraceError(
      'destination-conflict',
      `the subscription ${JSON.stringify(name)} is ${kind}; unsubscribe it before, or take another name`,
    )
  }
  // Before anything changes.
  canonical(interest.selector)
  const existing = engine.queue(queue)
  if (existing) {
    if (isSameInterest(subscribedInterest(engine, queue), interest)) return queue
    if (existing.consumers > 0) throw otherInterest(name)
    // Its name is free at once.
    engine.deleteQueue(queue, { ifUnused: true }, () => {})
  }
  const { policy, lifetime } = options
  engine.declareQueue({ name: queue, lifetime, policy: { overflow: 'dead-letter', ...policy } })
  subscribe(engine, queue, interest)
  return queue
}

/** The subscription goes on as it is for those who consume from it. */
export function otherInterest(name: string): MillraceError {
  return new MillraceError(
    'destination-in-use',
    `subscription ${name} has consumers, and another topic or selector; close them before it is changed`,
  )
}

/**
 * A subscription that ends with its last consumer. `queue` is a name that nobody else uses, or that its sharers do. Throws
 * `selector-invalid`.
 */
export function ensureVolatile(engine: Engine, queue: string, interest: Interest): string {
  canonical(interest.selector)
  engine.declareQueue({
    name: queue,
    lifetime: { kind: 'auto-delete' },
    durability: 'memory',
    policy: { overflow: 'drop-oldest', maxBytes: VOLATILE_BYTES, deadLetter: `${interest.topic}.dlq` },
  })
  subscribe(engine, queue, interest)
  return queue
}

function subscribe(engine: Engine, queue: string, { topic, ...wanted }: Interest): void {
  engine.bind({ exchange: TOPIC_EXCHANGE, queue, key: topic, syntax: 'dotted', ...wanted })
}
