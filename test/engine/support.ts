import { strict as assert } from 'node:assert'
import { calendar } from '../../src/client/cron.ts'
import type {
  BrowsedMessage,
  ConnectionSink,
  ConsumerOptions,
  Delivery,
  MessageLocation,
  PreparedCheck,
  Publication,
  PublishOutcome,
  QueueStatus,
  Settlement,
  StartReport,
} from '../../src/engine/api.ts'
import { Broker } from '../../src/engine/broker.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { EngineOptions } from '../../src/engine/options.ts'
import type { Contents } from '../../src/engine/ports/contents.ts'
import type { Store } from '../../src/engine/ports/store.ts'
import type { MillraceError } from '../../src/model/errors.ts'
import type { QueuePolicy } from '../../src/model/policy.ts'
import { Journal } from '../../src/storage/journal.ts'
import type { JournalOptions } from '../../src/storage/options.ts'
import { FaultyDisk } from '../../src/testing/faulty-disk.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { selectableValue } from '../../src/wire/amqp10/selection.ts'

/** Tests of one behaviour run the same every time, unless SEED says otherwise. */
const benchSeed = Number(process.env['SEED'] ?? 1)

/** More events than anything here needs: beyond, something goes round in circles. */
const PATIENCE = 2_000_000

/** Backoff without randomness: 100, 200, 400, … up to 1000 milliseconds. */
export const steadyBackoff: QueuePolicy['backoff'] = {
  delay: 100,
  multiplier: 2,
  maxDelay: 1_000,
  jitter: 0,
}

/** The reserve of a journal is a file that the simulated disk has to keep in memory. */
export const smallJournal: Partial<JournalOptions> = { segmentBytes: 1024 * 1024, reserveBytes: 64 * 1024 }

/** A broker under a virtual clock, on a store of its own that may outlive it. */
export class Bench {
  readonly clock: VirtualClock = new VirtualClock()
  readonly disk: FaultyDisk = new FaultyDisk(this.clock, new SeededRandom(benchSeed))
  readonly options: EngineOptions
  broker!: Broker
  store!: Store
  /** What the broker found when it was opened last. */
  found!: StartReport
  private readonly createStore: (bench: Bench) => Store

  private constructor(options: EngineOptions, createStore: (bench: Bench) => Store) {
    this.options = options
    this.createStore = createStore
  }

  static inMemory(options: EngineOptions = {}): Promise<Bench> {
    return Bench.on((bench) => new MemoryStore(bench.clock), options)
  }

  /** The real journal on a simulated disk that answers at once. */
  static onDisk(options: EngineOptions = {}, journal: Partial<JournalOptions> = {}): Promise<Bench> {
    return Bench.on(
      (bench) =>
        new Journal({
          disk: bench.disk.mount(),
          clock: bench.clock,
          options: { ...smallJournal, ...journal },
        }),
      options,
    )
  }

  static async on(createStore: (bench: Bench) => Store, options: EngineOptions = {}): Promise<Bench> {
    const bench = new Bench(options, createStore)
    await bench.open()
    return bench
  }

  connect(clientId?: string): Peer {
    return new Peer(this.broker, clientId)
  }

  /** Declares a queue with this policy, and steady backoff unless the policy has its own. */
  declare(name: string, policy: Partial<QueuePolicy> = {}): void {
    this.broker.declareQueue({ name, policy: { backoff: steadyBackoff, ...policy } })
  }

  status(queue: string): QueueStatus {
    const status = this.broker.queue(queue)
    assert.ok(status, `queue ${queue} exists`)
    return status
  }

  /** What is due now happens, with everything that it brings about now. */
  idle(): Promise<void> {
    return this.advance(0)
  }

  async advance(milliseconds: number): Promise<void> {
    const { clock } = this
    const until = clock.monotonic() + milliseconds
    for (let left = PATIENCE; ; left--) {
      await promises()
      if (clock.nextAt() > until) break
      assert.ok(left > 0, `${PATIENCE} events in ${milliseconds} ms and no end`)
      clock.step()
    }
    await clock.advance(until - clock.monotonic())
  }

  /** Everything in the queue, in the order of browsing, in pages of `limit`. */
  async browse(queue: string, limit = 1_000): Promise<BrowsedMessage[]> {
    const all: BrowsedMessage[] = []
    for (let after: string | undefined = ''; after !== undefined; ) {
      const from: string = after
      const page = await this.answer<Parameters<Parameters<Broker['browse']>[3]>[0]>((done) =>
        this.broker.browse(queue, from, limit, done),
      )
      all.push(...page.messages)
      after = page.next
    }
    return all
  }

  async texts(queue: string): Promise<string[]> {
    return (await this.browse(queue)).map(textOf)
  }

  locate(lsn: number): Promise<readonly MessageLocation[]> {
    return this.answer((done) => this.broker.locate(lsn, done))
  }

  /** Commits; answers the code of the error, undefined when it is done. */
  async commit(transaction: number): Promise<string | undefined> {
    const error = await this.answer<MillraceError | undefined>((done) =>
      this.broker.commitTransaction(transaction, done),
    )
    return error?.code
  }

  async rollback(transaction: number): Promise<void> {
    await this.answer<true>((done) => this.broker.rollbackTransaction(transaction, () => done(true)))
  }

  /** Decides a half message; answers the code of the error, undefined when it is done. */
  async decide(id: string, decision: 'commit' | 'rollback'): Promise<string | undefined> {
    const error = await this.answer<MillraceError | undefined>((done) =>
      this.broker.decidePrepared(id, decision, done),
    )
    return error?.code
  }

  /** What an operation of the broker tells its callback. */
  async answer<T>(ask: (done: (answer: T) => void) => void): Promise<T> {
    let answered: { readonly value: T } | undefined
    ask((value) => {
      answered = { value }
    })
    await this.idle()
    assert.ok(answered, 'the broker has answered')
    return answered.value
  }

  /** The broker is closed in good order and opened again. */
  async restart(): Promise<void> {
    await this.complete(this.broker.close())
    await this.reopen()
  }

  /** The power goes; a new broker is opened on what the disk has kept. */
  async crash(): Promise<void> {
    this.disk.crash()
    await this.reopen()
  }

  /** The process is killed; what it wrote is there, synced or not. */
  async kill(): Promise<void> {
    this.disk.kill()
    await this.reopen()
  }

  /** The engine is gone without a word, its store is not; a new engine is opened on it. */
  async reopen(): Promise<void> {
    this.clock.clear()
    await this.open()
  }

  private async open(): Promise<void> {
    this.store = this.createStore(this)
    const { store, clock } = this
    this.broker = new Broker(
      { store, clock, random: new SeededRandom(benchSeed), contents: json, calendar },
      this.options,
    )
    this.found = await this.complete(this.broker.open())
    await this.idle()
  }

  private async complete<T>(work: Promise<T>): Promise<T> {
    let isDone = false
    const watched = work.finally(() => {
      isDone = true
    })
    watched.catch(() => {})
    await this.idle()
    for (let i = 0; i < 10_000 && !isDone; i++) await this.advance(1)
    return watched
  }
}

/** Code that waits for promises runs on, as it does between two events of a host. */
function promises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Payloads in tests of headers exchanges and selectors are JSON objects. */
const json: Contents = {
  property(_format, payload, name) {
    return (JSON.parse(Buffer.from(payload).toString()) as Record<string, unknown>)[name]
  },
  deduplicationId: (_format, payload) => /^id=(\S+)/.exec(Buffer.from(payload).toString())?.[1],
  selectable(_format, payload, start, end, identifier) {
    // What a gateway has published is AMQP.
    if (payload[start] === 0) return selectableValue(payload, start, end, identifier)
    const text = Buffer.from(payload.subarray(start, end)).toString()
    const value = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>)[identifier] : undefined
    return Number.isInteger(value) ? BigInt(value as number) : value
  },
}

/** A delivery as a test keeps it. */
export interface Received extends Omit<Delivery, 'bytes' | 'start' | 'end'> {
  readonly consumer: number
  readonly text: string
}

export function textOf({ bytes, start, end }: Pick<Delivery, 'bytes' | 'start' | 'end'>): string {
  return Buffer.from(bytes.subarray(start, end)).toString()
}

const accepted: Settlement = { outcome: 'accepted' }
export const failed: Settlement = { outcome: 'modified', deliveryFailed: true }
export const released: Settlement = { outcome: 'released' }
export const rejected: Settlement = { outcome: 'rejected' }

/** A connection that records all that it is told. */
export class Peer implements ConnectionSink {
  readonly id: number
  /** By tag: 'accepted' or the code of the error. */
  readonly outcomes: Map<number, string> = new Map()
  readonly received: Received[] = []
  readonly requests: number[] = []
  /** Half messages by the tags of their publications, and those that it was asked for. */
  readonly prepared: Map<number, string> = new Map()
  readonly checks: PreparedCheck[] = []
  /** Rare notices as texts, in order. */
  readonly notices: string[] = []
  /** Called after each delivery has been recorded. */
  onDelivery: (delivery: Received) => void = () => {}
  onPublished: () => void = () => {}
  private readonly broker: Broker
  private nextTag = 1

  constructor(broker: Broker, clientId?: string) {
    this.broker = broker
    this.id = broker.connect(this, { clientId })
  }

  /** Sends to a queue by its name; answers the publication's tag. */
  send(queue: string, text: string, more: Partial<Publication> = {}): number {
    return this.publish('', queue, text, more)
  }

  publish(exchange: string, key: string, text: string, more: Partial<Publication> = {}): number {
    const tag = this.nextTag++
    this.broker.publish(this.id, {
      tag,
      exchange,
      key,
      durability: 'disk',
      priority: 4,
      format: 1,
      payload: Buffer.from(text),
      expiry: 0,
      producer: 0,
      sequence: 0,
      mandatory: false,
      ...more,
    })
    return tag
  }

  consume(queue: string, credit = 1_000, options: Partial<ConsumerOptions> = {}): number {
    const consumer = this.broker.consume(this.id, { queue, ...options })
    this.broker.grant(consumer, credit)
    return consumer
  }

  settle(
    delivery: Pick<Received, 'consumer' | 'tag'>,
    settlement: Settlement = accepted,
    request?: number,
    transaction?: number,
  ): number {
    const { consumer, tag } = delivery
    return this.broker.settle(consumer, tag, tag, settlement, request, transaction)
  }

  begin(): number {
    return this.broker.beginTransaction(this.id)
  }

  check(prepared: readonly PreparedCheck[]): void {
    this.checks.push(...prepared)
  }

  settleAll(deliveries: readonly Received[], settlement: Settlement = accepted): void {
    for (const delivery of deliveries) this.settle(delivery, settlement)
  }

  disconnect(): void {
    this.broker.disconnect(this.id)
  }

  /** Deliveries since the last call. */
  take(): Received[] {
    return this.received.splice(0)
  }

  /** Their payloads. */
  takeTexts(): string[] {
    return this.take().map(({ text }) => text)
  }

  /** The only delivery since the last call. */
  takeOne(): Received {
    const deliveries = this.take()
    assert.equal(deliveries.length, 1, 'exactly one delivery')
    return deliveries[0]!
  }

  published(outcomes: readonly PublishOutcome[]): void {
    for (const { tag: first, last, error, prepared } of outcomes) {
      for (let tag = first; tag <= last; tag++) {
        if (prepared !== undefined) this.prepared.set(tag, prepared)
        assert.ok(!this.outcomes.has(tag), `publication ${tag} is answered once`)
        this.outcomes.set(tag, error?.code ?? 'accepted')
      }
    }
    this.onPublished()
  }

  settled(requests: readonly number[]): void {
    this.requests.push(...requests)
  }

  deliver(consumer: number, deliveries: readonly Delivery[], count: number): void {
    for (const delivery of deliveries.slice(0, count)) {
      const { bytes, start, end, ...rest } = delivery
      const received = { ...rest, consumer, text: textOf({ bytes, start, end }) }
      this.received.push(received)
      this.onDelivery(received)
    }
  }

  cancelled(consumer: number, error: MillraceError): void {
    this.notices.push(`cancelled ${consumer}: ${error.code}`)
  }

  blocked(queue: string, reason: string): void {
    this.notices.push(`blocked by ${queue}: ${reason}`)
  }

  unblocked(queue: string): void {
    this.notices.push(`unblocked by ${queue}`)
  }

  failed(error: MillraceError): void {
    this.notices.push(`failed: ${error.code}`)
  }
}

/** An assertion that `call` throws the operating error of this code. */
export function refuses(call: () => unknown, code: string): void {
  assert.throws(call, (error: MillraceError) => error.code === code)
}

export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`)
}
