import type { QueueDeclaration } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { EngineOptions } from '../../engine/options.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import type { BindingDefinition, ExchangeDefinition, Overflow, QueuePolicy } from '../../model/policy.ts'
import type { JournalOptions } from '../../storage/options.ts'
import type { SeededRandom } from '../random.ts'
import type { Target } from './messages.ts'
import type { Reference } from './reference.ts'

const KiB = 1024
/** The queue that stores what is sent to it once, by its id. */
export const ONCE = 'once'
/** The queue whose messages are accepted in transactions. */
export const ORDERS = 'orders'
const FOR_EVER = 1e12
const dlqOf = (queue: string): string => `${queue}.dlq`

/** What a seed makes of the broker: its sizes, its queues and how messages get into them. */
export class Plan {
  readonly journal: Partial<JournalOptions>
  readonly engine: EngineOptions
  readonly queues: QueueDeclaration[] = []
  readonly exchanges: readonly ExchangeDefinition[] = [
    { name: 'everybody', kind: 'fanout' },
    { name: 'exact', kind: 'direct', alternate: 'everybody' },
  ]
  /** In force now, as far as the reference knows. */
  bindings: BindingDefinition[]
  readonly targets: readonly Target[]
  /** One queue grows so deep that its index is paged, because nobody consumes from it. */
  readonly floods: boolean

  constructor(random: SeededRandom) {
    this.floods = random.chance(0.15)
    this.journal = journalOptions(random)
    this.engine = engineOptions(random, this.floods)
    this.declareAll(random)
    const on = (exchange: string, queue: string, key = ''): BindingDefinition => ({ exchange, queue, key })
    this.bindings = [
      on('everybody', 'fan-1'),
      on('everybody', 'limited'),
      on('exact', 'fan-1', 'one'),
      on('exact', 'fan-2', 'two'),
      on(TOPIC_EXCHANGE, 'fan-1', 'a.*'),
      on(TOPIC_EXCHANGE, 'fan-2', '#'),
      on(TOPIC_EXCHANGE, 'aging', '*.c.#'),
      on(TOPIC_EXCHANGE, 'volatile', 'a.#'),
    ]
    const direct = this.queues.map(({ name }) => ({ exchange: '', key: name }))
    this.targets = [
      ...direct.filter(({ key }) => key !== 'volatile' && key !== ORDERS),
      { exchange: 'everybody', key: 'x' },
      { exchange: 'exact', key: 'one' },
      { exchange: 'exact', key: 'two' },
      { exchange: 'exact', key: 'nobody' },
      { exchange: TOPIC_EXCHANGE, key: 'a.b' },
      { exchange: TOPIC_EXCHANGE, key: 'a.c' },
      { exchange: TOPIC_EXCHANGE, key: 'z' },
    ]
  }

  /** Brings everything into being that is not there, as a program does after each start. */
  declareAt(broker: Broker): void {
    for (const queue of this.queues) broker.declareQueue(queue)
    for (const exchange of this.exchanges) broker.declareExchange(exchange)
    for (const binding of this.bindings) broker.bind(binding)
  }

  tell(reference: Reference): void {
    for (const { name, policy, durability } of this.queues) {
      reference.declared({
        name,
        volatile: durability === 'memory',
        ttl: policy?.ttl ?? Number.POSITIVE_INFINITY,
        dropsOldest: policy?.overflow === 'drop-oldest',
        deliveryTimeout: policy?.deliveryTimeout ?? Number.POSITIVE_INFINITY,
      })
      reference.declared({
        name: dlqOf(name),
        volatile: false,
        ttl: Number.POSITIVE_INFINITY,
        dropsOldest: false,
        deliveryTimeout: Number.POSITIVE_INFINITY,
      })
    }
  }

  /** The queues that take a message, by a matcher of its own. */
  route({ exchange, key }: Target): string[] {
    if (exchange === '') return [key]
    const found = this.bindings.filter((binding) => binding.exchange === exchange && accepts(binding, key))
    if (found.length === 0 && exchange === 'exact') return this.route({ exchange: 'everybody', key })
    return [...new Set(found.map(({ queue }) => queue))]
  }

  private declareAll(random: SeededRandom): void {
    const backoff = { delay: 10, multiplier: 2, maxDelay: 100, jitter: 0.2 }
    const common: Partial<QueuePolicy> = { backoff, maxDeliveries: 3, blockTimeout: random.between(20, 300) }
    const add = (name: string, policy: Partial<QueuePolicy>, durability?: 'memory'): void => {
      this.queues.push({ name, policy: { ...common, ...policy }, durability })
    }
    add('plain', {})
    add('deep', { maxDeliveries: 8 })
    const overflow = random.pick<Overflow>(['block', 'reject', 'drop-oldest', 'dead-letter'])
    const capacity = random.chance(0.5) ? { maxMessages: random.between(10, 60) } : { maxBytes: 8 * KiB }
    add('limited', { overflow, ...capacity })
    add('aging', { ttl: random.between(20, 400), expired: random.chance(0.5) ? '{queue}.dlq' : undefined })
    add('hasty', { deliveryTimeout: random.between(20, 100), maxDeliveries: 6 })
    add('fan-1', {})
    add('fan-2', { overflow: 'dead-letter', maxMessages: 400 })
    add('volatile', {}, 'memory')
    add(ORDERS, {})
    add(ONCE, { deduplication: { window: FOR_EVER, count: 100_000 } })
  }
}

function journalOptions(random: SeededRandom): Partial<JournalOptions> {
  return {
    segmentBytes: random.pick([4, 8, 16, 32, 64]) * KiB,
    roundBytes: random.pick([2, 4, 16, 64]) * KiB,
    cacheBytes: random.pick([0, 8, 32, 256]) * KiB,
    checkpointBytes: random.pick([8, 16, 32, 128]) * KiB,
    reserveBytes: 16 * KiB,
    compactionBytes: random.pick([4, 16, 64]) * KiB,
    idleInterval: random.between(5, 50),
  }
}

function engineOptions(random: SeededRandom, floods: boolean): EngineOptions {
  return {
    residentEntries: floods ? 1 : random.pick([1, 3000, 100_000]),
    chunkBytes: random.pick([512, 2048, 8192]),
    checkBack: { first: random.between(20, 200), interval: random.between(50, 300), max: 3 },
    heldMessages: random.between(5, 40),
    memoryBytes: random.pick([8, 64]) * KiB,
    unsyncedBytes: (floods ? 1024 : random.pick([32, 1024])) * KiB,
  }
}

function accepts({ exchange, key: pattern }: BindingDefinition, key: string): boolean {
  if (exchange === 'everybody') return true
  if (exchange === 'exact') return pattern === key
  return matches(pattern.split('.'), key.split('.'))
}

/** As the definition of topic patterns reads, without any cleverness. */
function matches(pattern: readonly string[], key: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return key.length === 0
  if (first === '#') return matches(rest, key) || (key.length > 0 && matches(pattern, key.slice(1)))
  return key.length > 0 && (first === '*' || first === key[0]) && matches(rest, key.slice(1))
}
