import { MillraceError } from '../model/errors.ts'
import type { BindingDefinition, ExchangeDefinition, QueueDefinition } from '../model/policy.ts'
import { parseSelector } from '../model/selector/selector.ts'
import type {
  BrowsePage,
  ConnectionSink,
  ConnectionStatus,
  ConsumerOptions,
  Engine,
  MessageLocation,
  MoveOptions,
  PreparedStatus,
  Publication,
  QueueDeclaration,
  QueueStatus,
  ScheduledPage,
  Settlement,
  StartReport,
} from './api.ts'
import { Browser } from './browser.ts'
import { Connections, inUse } from './connections.ts'
import type { Consumer } from './consumer.ts'
import { Core, type EnginePorts } from './core.ts'
import { Dispatcher } from './dispatcher.ts'
import { Expiry } from './expiry.ts'
import { HalfMessages } from './half-messages.ts'
import { readChunk } from './large-bodies.ts'
import { Lifetimes } from './lifetimes.ts'
import type { EngineOptions } from './options.ts'
import { Overflow } from './overflow.ts'
import type { StoreStatus } from './ports/store.ts'
import { Publisher } from './publisher.ts'
import { statusOf } from './queue-status.ts'
import { RecoveredQueues } from './recovered-queues.ts'
import { RecoveredTransactions } from './recovered-transactions.ts'
import { Recovery } from './recovery.ts'
import { Firing } from './schedule/firing.ts'
import { ScheduleQueries } from './schedule/queries.ts'
import { Schedule } from './schedule/schedule.ts'
import { UndecidedSchedule } from './schedule/undecided-schedule.ts'
import { Settlements } from './settlements.ts'
import { Snapshots } from './snapshot.ts'
import { StoreEvents } from './store-events.ts'
import { Transactions } from './transactions.ts'
import { Undecided } from './undecided.ts'

const MAX_BROWSE = 1000
const MAX_SETTLEMENT_TEXT = 1024

/** The engine: see Engine for what its methods promise. This class only finds the parts that do the work. */
export class Broker implements Engine {
  private readonly core: Core
  private readonly dispatcher: Dispatcher
  private readonly settlements: Settlements
  private readonly publisher: Publisher
  private readonly lifetimes: Lifetimes
  private readonly clients: Connections
  private readonly browser: Browser
  private readonly snapshots: Snapshots
  private readonly recovery: Recovery
  private readonly schedule: Schedule
  private readonly firing: Firing
  private readonly queries: ScheduleQueries
  private readonly transactions: Transactions
  private readonly halves: HalfMessages
  private readonly recovered: RecoveredTransactions
  private readonly recoveredQueues: RecoveredQueues
  private closing: Promise<void> | null = null

  constructor(ports: EnginePorts, options: EngineOptions = {}) {
    this.core = new Core(ports, options)
    this.dispatcher = new Dispatcher(this.core)
    this.settlements = new Settlements(this.core, this.dispatcher.schedule)
    this.dispatcher.settlements = this.settlements
    new Expiry(this.core, this.settlements).start()
    const { core, settlements } = this
    const overflow = new Overflow(core, settlements)
    this.schedule = new Schedule(core)
    const scheduled = new UndecidedSchedule(this.schedule)
    const undecided = new Undecided(core, scheduled, overflow, this.dispatcher.schedule)
    this.transactions = new Transactions(core, settlements, undecided)
    this.halves = new HalfMessages(core, undecided)
    this.firing = new Firing(this.schedule, settlements, overflow)
    this.queries = new ScheduleQueries(this.schedule)
    const { transactions, halves, schedule } = this
    this.publisher = new Publisher(core, { overflow, transactions, halves, schedule })
    this.lifetimes = new Lifetimes(core, settlements, this.queries, this.dispatcher.schedule)
    const { dispatcher, publisher, lifetimes } = this
    const holders = { dispatcher, settlements, publisher, transactions, halves, lifetimes }
    this.clients = new Connections(core, holders)
    this.browser = new Browser(this.core)
    this.recovered = new RecoveredTransactions(core, undecided, transactions, halves)
    const { recovered } = this
    this.snapshots = new Snapshots(core, { settlements, transactions, halves, recovered, schedule })
    this.recoveredQueues = new RecoveredQueues(core)
    const found = { transactions: recovered, queues: this.recoveredQueues }
    this.recovery = new Recovery(core, this.snapshots, settlements, found)
  }

  async open(): Promise<StartReport> {
    const { core, dispatcher, publisher, firing, snapshots, recovery } = this
    const { log, store } = core
    const events = new StoreEvents({ core, dispatcher, publisher, firing, snapshots, recovery })
    const report = await store.open(events)
    log.lastLsn = Math.max(log.lastLsn, report.lastLsn)
    log.lastOperation = log.lastLsn
    log.becameDurable(log.lastLsn)
    await this.recovery.finish()
    this.core.start()
    this.recoveredQueues.finish()
    this.recovered.finish(report.quarantined.length > 0)
    this.schedule.start()
    this.lifetimes.recovered()
    this.firing.start()
    const { ended } = core
    if (ended === null) return { ...report, recoveredQueues: this.recoveredQueues.report() }
    // The disk has failed meanwhile.
    await this.close()
    throw ended
  }

  close(): Promise<void> {
    this.closing ??= this.shutDown()
    return this.closing
  }

  private async shutDown(): Promise<void> {
    const { core } = this
    this.clients.disconnectAll()
    const ended = new MillraceError('closed', 'the broker has been closed')
    core.ended ??= ended
    this.publisher.end(ended)
    this.schedule.index.stop()
    core.close()
    await core.store.close()
    core.confirms.finish(ended)
    core.tell()
  }

  whenDurable(done: (error: MillraceError | undefined) => void): void {
    this.checkOpen()
    this.core.whenDurable(done)
  }

  declareQueue(declaration: QueueDeclaration, connection = 0): QueueDefinition {
    this.checkOpen()
    const queue = this.core.topology.declare(declaration)
    this.lifetimes.declared(queue, connection)
    this.core.schedule()
    return queue.definition
  }

  declareExchange(definition: ExchangeDefinition): void {
    this.checkOpen()
    this.core.topology.declareExchange(definition)
    this.core.schedule()
  }

  deleteExchange(name: string): void {
    this.checkOpen()
    this.core.topology.deleteExchange(name)
    this.core.schedule()
  }

  bind(binding: BindingDefinition): void {
    this.checkOpen()
    this.core.topology.bind(binding)
    this.core.schedule()
  }

  unbind(binding: BindingDefinition): void {
    this.checkOpen()
    this.core.topology.unbind(binding)
    this.core.schedule()
  }

  purgeQueue(name: string, done: (messages: number) => void, selector?: string): void {
    this.checkOpen()
    const queue = this.core.topology.queueFor(name, false)
    if (selector === undefined) this.lifetimes.removal.purge(queue, done)
    else this.settlements.relocation.purge(queue, selector, done)
  }

  deleteQueue(name: string, options: { ifUnused?: boolean }, done: (messages: number) => void): void {
    this.checkOpen()
    const queue = this.core.topology.queueFor(name, false)
    if (options.ifUnused && queue.consumers.length > 0) throw inUse(queue)
    this.lifetimes.delete(queue, done)
  }

  moveMessages(
    from: string,
    to: string | undefined,
    options: MoveOptions,
    done: (messages: number) => void,
  ): void {
    this.checkOpen()
    const { topology } = this.core
    const target = to === undefined ? undefined : topology.queueFor(to, false)
    this.settlements.relocation.move(topology.queueFor(from, false), target, options, done)
  }

  connect(sink: ConnectionSink, options: { clientId?: string | undefined } = {}): number {
    this.checkOpen()
    return this.clients.connect(sink, options.clientId)
  }

  disconnect(id: number): void {
    this.clients.disconnect(id)
  }

  openProducer(id: number, name: string): { handle: number; lastSequence: number } {
    this.clients.get(id)
    const { producers, log } = this.core
    let producer = producers.find(name)
    if (producer === undefined) {
      const handle = producers.newHandle()
      producers.add(name, handle, this.core.wall())
      log.meta({ op: 'producer', id: name, handle })
      this.core.schedule()
      producer = { handle, last: 0 }
    }
    return { handle: producer.handle, lastSequence: producer.last }
  }

  publish(connection: number, publication: Publication): void {
    this.publisher.publish(this.clients.get(connection), publication)
  }

  openBody(connection: number): number {
    return this.publisher.bodies.start(this.clients.get(connection))
  }

  appendBody(body: number, bytes: Uint8Array): void {
    this.publisher.bodies.append(body, bytes)
  }

  abortBody(body: number): void {
    this.publisher.bodies.abort(body)
  }

  consume(connection: number, options: ConsumerOptions): number {
    return this.clients.consume(connection, options)
  }

  grant(consumer: number, credit: number): void {
    this.clients.grant(consumer, credit)
  }

  drain(consumer: number, done: (lapsed: number) => void): void {
    this.clients.drain(consumer, done)
  }

  cancel(consumer: number, options: { release: boolean }): void {
    this.clients.cancel(consumer, options.release)
  }

  settle(
    id: number,
    first: number,
    last: number,
    settlement: Settlement,
    request?: number,
    transaction?: number,
  ): number {
    const consumer = this.core.consumers.get(id)
    if (consumer === undefined) return 0
    const { description } = settlement
    const bounded =
      description !== undefined && description.length > MAX_SETTLEMENT_TEXT
        ? { ...settlement, description: description.slice(0, MAX_SETTLEMENT_TEXT) }
        : settlement
    if (transaction !== undefined) return this.enlist(consumer, first, last, bounded, request, transaction)
    const count = this.settlements.settle(consumer, first, last, bounded)
    if (request !== undefined) {
      const { connection } = consumer
      this.settlements.transfers.afterAll(() => this.core.confirmSettlement(connection, request))
    }
    this.core.settledFor(consumer)
    return count
  }

  private enlist(
    consumer: Consumer,
    first: number,
    last: number,
    settlement: Settlement,
    request: number | undefined,
    id: number,
  ): number {
    const { connection } = consumer
    const transaction = this.transactions.use(connection, id)
    const count = this.transactions.settle(transaction, consumer, first, last, settlement)
    if (request === undefined) return count
    connection.settled(request)
    this.core.touch(connection)
    return count
  }

  beginTransaction(connection: number): number {
    return this.transactions.begin(this.clients.get(connection))
  }

  commitTransaction(transaction: number, done: (error: MillraceError | undefined) => void): void {
    this.checkOpen()
    this.transactions.commit(transaction, done)
  }

  rollbackTransaction(transaction: number, done: () => void): void {
    this.transactions.rollback(transaction, done)
  }

  decidePrepared(
    id: string,
    decision: 'commit' | 'rollback',
    done: (error: MillraceError | undefined) => void,
  ): void {
    this.checkOpen()
    this.halves.decide(id, decision, done)
  }

  joinGroup(connection: number, group: string): void {
    this.halves.join(this.clients.get(connection), group)
  }

  leaveGroup(connection: number, group: string): void {
    this.halves.leave(this.clients.get(connection), group)
  }

  prepared(): readonly PreparedStatus[] {
    return this.halves.status()
  }

  browse(
    name: string,
    after: string,
    limit: number,
    done: (page: BrowsePage) => void,
    selector?: string,
  ): void {
    const queue = this.core.topology.queueFor(name, false)
    const chosen = selector === undefined ? undefined : parseSelector(selector)
    this.browser.browse(queue, after, Math.min(limit, MAX_BROWSE), done, chosen)
  }

  locate(lsn: number, done: (locations: readonly MessageLocation[]) => void): void {
    this.browser.locate(lsn, (held) => {
      if (held.length > 0) done(held)
      else this.queries.locate(lsn, done)
    })
  }

  scheduled(
    queue: string | undefined,
    after: string,
    limit: number,
    done: (page: ScheduledPage) => void,
  ): void {
    const only = queue === undefined ? undefined : this.core.topology.queueFor(queue, false)
    this.queries.list(only, after, Math.min(limit, MAX_BROWSE), done)
  }

  cancelScheduled(lsn: number, done: (cancelled: boolean) => void): void {
    this.checkOpen()
    this.queries.cancel(lsn, done)
  }

  cancelAllScheduled(queue: string, done: (messages: number) => void): void {
    this.checkOpen()
    this.queries.cancelAll(this.core.topology.queueFor(queue, false), done)
  }

  readChunk(lsn: number, done: (bytes: Uint8Array | null) => void): void {
    readChunk(this.core.store, lsn, done)
  }

  connections(): readonly ConnectionStatus[] {
    return this.clients.status()
  }

  queues(): readonly QueueStatus[] {
    return [...this.core.topology.queues.values()].map(statusOf)
  }

  queue(name: string): QueueStatus | undefined {
    const queue = this.core.topology.queues.get(name)
    return queue === undefined ? undefined : statusOf(queue)
  }

  virtualTopicOf(queue: string): string | undefined {
    return this.core.policies.virtualTopicOf(queue)
  }

  exchanges(): readonly ExchangeDefinition[] {
    return [...this.core.topology.exchanges.values()].map((exchange) => exchange.definition)
  }

  bindings(queue?: string): readonly BindingDefinition[] {
    if (queue !== undefined) {
      const bindings = this.core.topology.queues.get(queue)?.bindings ?? []
      return [...bindings].map((binding) => binding.definition)
    }
    return [...this.core.topology.exchanges.values()].flatMap((exchange) =>
      [...exchange.bindings.values()].map((binding) => binding.definition),
    )
  }

  store(): StoreStatus {
    return this.core.store.status()
  }

  private checkOpen(): void {
    if (this.core.ended !== null) throw this.core.ended
  }
}
