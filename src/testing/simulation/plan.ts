import type { QueueDeclaration } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { EngineOptions } from '../../engine/options.ts'
import type { Durability } from '../../model/delivery.ts'
import { TOPIC_EXCHANGE } from '../../model/destination.ts'
import type { BindingDefinition, ExchangeDefinition, Overflow, QueuePolicy } from '../../model/policy.ts'
import type { JournalOptions } from '../../storage/options.ts'
import type { SeededRandom } from '../random.ts'
import { CHOICES, choiceOf, KEY, type Traits } from './choices.ts'
import { type SentMessage, type Target, traitsOfMessage } from './messages.ts'
import type { Reference } from './reference.ts'

const KiB = 1024
/** The queue that stores what is sent to it once, by its id. */
export const ONCE = 'once'
/** The queue that remembers a few ids for some time. */
export const RECENT = 'recent'
/** The queue that keeps the last value of each key. */
export const LATEST = 'latest'
/** The queue for what is sent again and again. */
export const TICKS = 'ticks'
/** The queue whose messages are accepted in transactions. */
export const ORDERS = 'orders'
/** The queue most of whose consumers do not take everything. */
export const CHOOSY = 'choosy'
/** The queue that has one active consumer. */
export const SOLO = 'solo'
/** How long a message that has failed waits, in all queues but those of dead letters. */
export const BACKOFF: QueuePolicy['backoff'] = { delay: 40, multiplier: 2, maxDelay: 100, jitter: 0.2 }
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
  /** It has been declared at least once: from then on the broker knows the bindings. */
  isDeclared = false
  /** In force now, as far as the reference knows. */
  bindings: BindingDefinition[]
  readonly targets: readonly Target[]
  /** Those that get members of groups; queues that never get any are dispatched in another way. */
  private readonly grouped: ReadonlySet<Target>
  /** Nothing of level 'memory' goes to the queue that keeps last values, so that its counts survive restarts. */
  private readonly countsLast: boolean
  /** One queue grows so deep that its index is paged, because nobody consumes from it. */
  readonly floods: boolean
  /** Many messages are due at the same time: at multiples of so many wall milliseconds. */
  private readonly grid: number

  constructor(random: SeededRandom) {
    this.floods = random.chance(0.1)
    this.grid = random.pick([1, 50, 200])
    this.countsLast = random.chance(0.5)
    this.journal = journalOptions(random)
    this.engine = engineOptions(random, this.floods)
    this.declareAll(random)
    const on = (exchange: string, queue: string, key = '', selector?: string): BindingDefinition =>
      selector === undefined ? { exchange, queue, key } : { exchange, queue, key, selector }
    this.bindings = [
      on('everybody', 'fan-1'),
      on('everybody', 'limited', '', "colour IN ('red', 'green')"),
      on('exact', 'fan-1', 'one'),
      on('exact', 'fan-2', 'two'),
      on('exact', CHOOSY, 'three', random.pick(CHOICES).text),
      on('everybody', CHOOSY, '', "colour = 'green' AND weight < 5"),
      on(TOPIC_EXCHANGE, CHOOSY, '#', 'weight BETWEEN 3 AND 6'),
      on(TOPIC_EXCHANGE, 'fan-1', 'a.*'),
      on(TOPIC_EXCHANGE, 'fan-2', '#'),
      on(TOPIC_EXCHANGE, 'aging', '*.c.#'),
      on(TOPIC_EXCHANGE, 'volatile', 'a.#'),
    ]
    if (!this.countsLast) this.bindings.push(on('exact', LATEST, 'two'))
    const direct = this.queues.map(({ name }) => ({ exchange: '', key: name }))
    this.targets = [
      ...direct.filter(({ key }) => key !== 'volatile' && key !== ORDERS && key !== TICKS),
      { exchange: 'everybody', key: 'x' },
      { exchange: 'exact', key: 'one' },
      { exchange: 'exact', key: 'two' },
      { exchange: 'exact', key: 'three' },
      { exchange: 'exact', key: 'nobody' },
      { exchange: TOPIC_EXCHANGE, key: 'a.b' },
      { exchange: TOPIC_EXCHANGE, key: 'a.c' },
      { exchange: TOPIC_EXCHANGE, key: 'z' },
    ]
    this.grouped = new Set(
      this.targets.filter(({ key }) => random.chance(key === CHOOSY || key === SOLO ? 0.8 : 0.2)),
    )
  }

  groupFor(target: Target, random: SeededRandom): string {
    return this.grouped.has(target) && random.chance(0.5) ? `group-${random.between(1, 4)}` : ''
  }

  /** The level at which a message goes to a target for which this one is wanted. Ids of level 'memory' count for others of it only. */
  levelFor({ key }: Target, wanted: Durability): Durability {
    const isKeptOut = key === RECENT || (key === LATEST && this.countsLast)
    return wanted === 'memory' && isKeptOut ? 'disk' : wanted
  }

  /** Brings everything into being that is not there, as a program does after each start. */
  declareAt(broker: Broker): void {
    this.isDeclared = true
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
        keepsLast: policy?.lastValue !== undefined,
        deduplication: policy?.deduplication,
        deliveryTimeout: policy?.deliveryTimeout ?? Number.POSITIVE_INFINITY,
        maxDeliveries: policy?.maxDeliveries ?? 1,
      })
      reference.declared({
        name: dlqOf(name),
        volatile: false,
        ttl: Number.POSITIVE_INFINITY,
        dropsOldest: false,
        keepsLast: false,
        deduplication: undefined,
        deliveryTimeout: Number.POSITIVE_INFINITY,
        maxDeliveries: 1,
      })
    }
  }

  /** The queues that take a message, by a matcher of its own. */
  route(message: SentMessage): string[] {
    return this.routeFrom(message.target.exchange, message.target.key, traitsOfMessage(message))
  }

  private routeFrom(exchange: string, key: string, traits: Traits): string[] {
    if (exchange === '') return [key]
    const found = this.bindings.filter(
      (binding) =>
        binding.exchange === exchange &&
        accepts(binding, key) &&
        (choiceOf(binding.selector)?.takes(traits) ?? true),
    )
    if (found.length === 0 && exchange === 'exact') return this.routeFrom('everybody', key, traits)
    return [...new Set(found.map(({ queue }) => queue))]
  }

  /** A time for something to be delivered later: whole wall milliseconds. */
  soon(random: SeededRandom, wall: number): number {
    const delay = random.weighted({ at: 1, in: 5, later: 4, much: 1 })
    const at = {
      at: 0,
      in: random.between(0, 100),
      later: random.between(100, 1_000),
      much: random.between(1_000, 5_000),
    }
    return Math.ceil((wall + at[delay]) / this.grid) * this.grid
  }

  private declareAll(random: SeededRandom): void {
    const common: Partial<QueuePolicy> = {
      backoff: BACKOFF,
      maxDeliveries: 3,
      blockTimeout: random.between(20, 300),
    }
    const add = (name: string, policy: Partial<QueuePolicy>, durability?: 'memory'): void => {
      this.queues.push({ name, policy: { ...common, ...policy }, durability })
    }
    add('plain', {})
    add('deep', { maxDeliveries: 8 })
    const overflow = random.pick<Overflow>(['block', 'block', 'reject', 'drop-oldest', 'dead-letter'])
    const capacity = random.chance(0.5) ? { maxMessages: random.between(10, 60) } : { maxBytes: 8 * KiB }
    add('limited', { overflow, ...capacity })
    add('aging', { ttl: random.between(20, 400), expired: random.chance(0.5) ? '{queue}.dlq' : undefined })
    add('hasty', { deliveryTimeout: random.between(20, 100), maxDeliveries: 6 })
    add('fan-1', {})
    add('fan-2', { overflow: 'dead-letter', maxMessages: 400 })
    add('volatile', {}, 'memory')
    add(CHOOSY, { maxDeliveries: 6 })
    add(SOLO, { singleActiveConsumer: true })
    add(ORDERS, {})
    add(TICKS, {})
    add(LATEST, { lastValue: KEY, maxDeliveries: 6 })
    add(RECENT, { deduplication: { window: random.pick([100, 1_000]), count: random.pick([3, 8]) } })
    add(ONCE, { deduplication: { window: FOR_EVER, count: 100_000 } })
  }
}

function journalOptions(random: SeededRandom): Partial<JournalOptions> {
  return {
    segmentBytes: random.pick([4, 8, 16, 32, 64]) * KiB,
    roundBytes: random.pick([2, 4, 16, 64]) * KiB,
    cacheBytes: random.pick([0, 8, 32, 256]) * KiB,
    checkpointBytes: random.pick([8, 16, 32, 128]) * KiB,
    checkpointSettlements: random.pick([20, 200, 1_000_000]),
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
    candidates: random.pick([4, 100, 262_144]),
    heldMessages: random.between(5, 40),
    scheduledEntries: random.pick([8, 40, 16_384]),
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
