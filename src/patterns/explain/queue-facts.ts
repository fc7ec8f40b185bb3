import type { Context } from '../../client/context.ts'
import type { TypedDestination } from '../../client/destinations.ts'
import type { Durability } from '../../model/delivery.ts'
import { isMillraceError } from '../../model/errors.ts'
import { defaultPolicy, type QueuePolicy } from '../../model/policy.ts'

/** What is known of a queue. */
export interface QueueFacts {
  readonly name: string
  readonly policy: QueuePolicy
  /** Ceiling on the level that its messages are kept at. */
  readonly durability: Durability
  readonly consumers: number
  /** Asked the broker; otherwise it does not exist yet, and this is how the program declares it. */
  readonly exists: boolean
}

/** Undefined: the broker does not tell. */
export async function factsOf(
  mq: Context,
  destination: Pick<TypedDestination<never>, 'name' | 'policy'>,
): Promise<QueueFacts | undefined> {
  const { name, policy } = destination
  if (!mq.capabilities.policies) return undefined
  try {
    const report = (await mq.management.queues()).find((queue) => queue.name === name)
    if (report) return { ...report, exists: true }
  } catch (error) {
    if (isMillraceError(error) && (error.code === 'unsupported' || error.code === 'not-permitted'))
      return undefined
    throw error
  }
  return { name, policy: { ...defaultPolicy, ...policy }, durability: 'disk', consumers: 0, exists: false }
}

/** Where dead letters of the queue go. */
export function deadLettersOf({ name, policy }: QueueFacts): string | undefined {
  return policy.deadLetter?.replaceAll('{queue}', name)
}

/** How long the broker goes on with a message that fails each time, without the time in handlers; Infinity: for ever. Milliseconds. */
export function patienceOf({ maxDeliveries, backoff, deadLetter }: QueuePolicy): number {
  if (maxDeliveries === undefined || deadLetter === undefined) return Number.POSITIVE_INFINITY
  const { delays, delay, multiplier, maxDelay } = backoff
  let total = 0
  for (let i = 0; i < maxDeliveries - 1 && i < 10_000; i++)
    total += delays ? delays[Math.min(i, delays.length - 1)]! : Math.min(delay * multiplier ** i, maxDelay)
  return total
}
