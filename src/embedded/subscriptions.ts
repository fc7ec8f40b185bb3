import { randomUUID } from 'node:crypto'
import type { SubscriptionSource } from '../client/provider.ts'
import type { Engine } from '../engine/api.ts'
import { TOPIC_EXCHANGE } from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'

/** A volatile subscription keeps the newest of so many bytes, so that a stuck subscriber does not fill the memory. */
const VOLATILE_BYTES = 64 * 1024 * 1024

/** The queue behind a durable subscription. */
export function subscriptionQueue(clientId: string | undefined, name: string, shared: boolean): string {
  return `sub:${clientId ?? ''}:${name}${shared ? ':shared' : ''}`
}

/** Makes sure that the subscription exists as asked for, and answers its queue. One of another topic is replaced. */
export async function ensureSubscription(
  engine: Engine,
  clientId: string | undefined,
  source: SubscriptionSource,
): Promise<string> {
  const queue = subscriptionQueue(clientId, source.name, source.shared)
  const existing = engine.queue(queue)
  const binding = existing && engine.bindings().find((each) => each.queue === queue)
  if (existing && binding?.key !== source.topic) {
    if (existing.consumers > 0) {
      throw new MillraceError(
        'destination-in-use',
        `subscription ${source.name} has consumers and another topic`,
      )
    }
    await new Promise((resolve) => engine.deleteQueue(queue, { ifUnused: true }, resolve))
  } else if (existing) {
    return queue
  }
  engine.declareQueue({ name: queue, policy: { overflow: 'dead-letter', ...source.policy } })
  engine.bind({ exchange: TOPIC_EXCHANGE, queue, key: source.topic, syntax: 'dotted' })
  return queue
}

/** A subscription that ends with its only consumer. */
export function ensureVolatile(engine: Engine, topic: string): string {
  const name = `volatile:${randomUUID()}`
  engine.declareQueue({
    name,
    lifetime: { kind: 'auto-delete' },
    durability: 'memory',
    policy: { overflow: 'drop-oldest', maxBytes: VOLATILE_BYTES, deadLetter: `${topic}.dlq` },
  })
  engine.bind({ exchange: TOPIC_EXCHANGE, queue: name, key: topic, syntax: 'dotted' })
  return name
}
