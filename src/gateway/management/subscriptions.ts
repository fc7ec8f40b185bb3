import type { Engine } from '../../engine/api.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Lifetime, QueuePolicy } from '../../model/policy.ts'

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

/** The topic that a subscription's queue is bound to; undefined when there is no such subscription. */
export function subscribedTopic(engine: Engine, queue: string): string | undefined {
  if (!engine.queue(queue)) return undefined
  return engine.bindings().find((binding) => binding.queue === queue && binding.exchange === TOPIC_EXCHANGE)
    ?.key
}

/**
 * Makes sure that the subscription exists as asked for, and answers its queue. One of another topic is replaced, with what it
 * holds. Throws `destination-in-use` when that has consumers, `destination-conflict` when the name belongs to a subscription
 * of the other kind, shared or not (JMS 8.3.3, 8.3.4).
 */
export function ensureSubscription(
  engine: Engine,
  subscription: DurableSubscription,
  topic: string,
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
  const existing = engine.queue(queue)
  if (existing) {
    if (subscribedTopic(engine, queue) === topic) return queue
    if (existing.consumers > 0) {
      throw new MillraceError('destination-in-use', `subscription ${name} has consumers and another topic`)
    }
    // Its name is free at once.
    engine.deleteQueue(queue, { ifUnused: true }, () => {})
  }
  const { policy, lifetime } = options
  engine.declareQueue({ name: queue, lifetime, policy: { overflow: 'dead-letter', ...policy } })
  engine.bind({ exchange: TOPIC_EXCHANGE, queue, key: topic, syntax: 'dotted' })
  return queue
}

/** A subscription that ends with its last consumer. `queue` is a name that nobody else uses, or that its sharers do. */
export function ensureVolatile(engine: Engine, queue: string, topic: string): string {
  engine.declareQueue({
    name: queue,
    lifetime: { kind: 'auto-delete' },
    durability: 'memory',
    policy: { overflow: 'drop-oldest', maxBytes: VOLATILE_BYTES, deadLetter: `${topic}.dlq` },
  })
  engine.bind({ exchange: TOPIC_EXCHANGE, queue, key: topic, syntax: 'dotted' })
  return queue
}
