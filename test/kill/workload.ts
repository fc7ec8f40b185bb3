import {
  type PolicyOptions,
  type Queue,
  queue,
  type SubscribeOptions,
  type Topic,
  topic,
} from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'

/** What is sent, as a function of seed, producer and sequence, so that a restarted child sends the same again. */

export const producers: readonly string[] = ['ada', 'bob', 'cleo', 'dan']
export const CLIENT_ID = 'victim'
export const MAX_DELIVERIES = 3

const retried: PolicyOptions = {
  maxDeliveries: MAX_DELIVERIES,
  backoff: { delay: 3, multiplier: 1, jitter: 0 },
}

/** Blocks when it is full, so that sends are held when the child is killed. */
export const orders: Queue = queue('orders', { policy: { ...retried, maxMessages: 60, overflow: 'block' } })
/** Priorities. */
export const urgent: Queue = queue('urgent', { policy: retried })
/** Bodies of up to 600 KiB, which the journal stores in chunks. */
export const files: Queue = queue('files', { policy: retried })
/** Refuses sends, so that producers have holes below their highest sequence. */
export const tight: Queue = queue('tight', { policy: { ...retried, maxMessages: 4, overflow: 'reject' } })
export const events: Topic = topic('events.all')

export const subscriptions: readonly SubscribeOptions[] = [
  { name: 'audit', shared: false, policy: retried },
  { name: 'billing', shared: true, policy: retried },
]

/** Queues that hold the messages of the subscriptions, as management names them. */
const subscribed = ['sub:victim:audit', 'sub:victim:billing:shared']

export type Place = 'orders' | 'urgent' | 'files' | 'tight' | 'events'

/** Where messages sent to a place are held. */
export const queuesOf: Readonly<Record<Place, readonly string[]>> = {
  orders: ['orders'],
  urgent: ['urgent'],
  files: ['files'],
  tight: ['tight'],
  events: subscribed,
}

export const homes: readonly string[] = Object.values(queuesOf).flat()

export function deadLettersOf(home: string): string {
  return `${home}.dlq`
}

export interface Planned {
  readonly place: Place
  readonly priority: number
  readonly durability: 'disk' | 'os'
  readonly bytes: number
  readonly kind: 'text' | 'bytes' | 'json'
}

/** The message that a producer sends under a sequence. */
export function plan(seed: number, producer: string, sequence: number): Planned {
  const random = new SeededRandom(seed * 1_000_003 + producers.indexOf(producer) * 7_919 + sequence * 31)
  const place = random.weighted({ orders: 5, urgent: 3, files: 2, tight: 1, events: 4 })
  const large = place === 'files' && random.chance(0.1)
  return {
    place,
    priority: place === 'urgent' ? random.between(0, 9) : 4,
    durability: random.chance(0.9) ? 'disk' : 'os',
    bytes: large ? random.between(257, 600) * 1024 : random.between(16, random.chance(0.1) ? 20_000 : 400),
    kind: random.pick(['text', 'bytes', 'json']),
  }
}

export function bodyOf(planned: Planned, producer: string, sequence: number): unknown {
  const bytes = Buffer.alloc(planned.bytes, `${producer}/${sequence};`)
  if (planned.kind === 'bytes') return bytes
  const text = bytes.toString('latin1')
  return planned.kind === 'text' ? text : { producer, sequence, text }
}

/** What is wrong with a received body, in words. */
export function bodyProblem(planned: Planned, producer: string, sequence: number, body: unknown): string {
  const expected = bodyOf(planned, producer, sequence)
  const same =
    expected instanceof Uint8Array
      ? body instanceof Uint8Array && Buffer.compare(expected, body) === 0
      : JSON.stringify(expected) === JSON.stringify(body)
  return same ? '' : `the body of ${producer}/${sequence} is not what was sent`
}
