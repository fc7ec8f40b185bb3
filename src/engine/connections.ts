import { MillraceError } from '../model/errors.ts'
import type { ConnectionSink, ConnectionStatus, ConsumerOptions } from './api.ts'
import { Connection } from './connection.ts'
import { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { HalfMessages } from './half-messages.ts'
import type { Lifetimes } from './lifetimes.ts'
import type { Publisher } from './publisher.ts'
import type { Queue } from './queue.ts'
import type { Settlements } from './settlements.ts'
import type { Transactions } from './transactions.ts'

/** Who holds something for a connection, and lets go of it when that ends; who hands out to its consumers. */
interface Holders {
  readonly dispatcher: Dispatcher
  readonly settlements: Settlements
  readonly publisher: Publisher
  readonly transactions: Transactions
  readonly halves: HalfMessages
  readonly lifetimes: Lifetimes
}

/** Connections and their consumers: how they come, what credit they give, how they go. */
export class Connections {
  private readonly core: Core
  private readonly holders: Holders
  private nextConnection = 1
  private nextConsumer = 1

  constructor(core: Core, holders: Holders) {
    this.core = core
    this.holders = holders
  }

  /** Throws `closed`, or what ended the engine. */
  get(id: number): Connection {
    const { ended, connections } = this.core
    if (ended !== null) throw ended
    const connection = connections.get(id)
    if (connection === undefined) throw new MillraceError('closed', 'the connection has been closed')
    return connection
  }

  connect(sink: ConnectionSink, clientId: string | undefined): number {
    const id = this.nextConnection++
    const connection = new Connection(id, sink, clientId, this.core.clock.monotonic())
    this.core.connections.set(id, connection)
    if (!this.core.spaceAvailable) this.core.tellSpace(connection)
    return id
  }

  disconnect(id: number): void {
    const connection = this.core.connections.get(id)
    if (connection === undefined) return
    const { transactions, halves, publisher, settlements, lifetimes } = this.holders
    connection.closed = true
    this.core.connections.delete(id)
    transactions.disconnected(connection)
    halves.disconnected(connection)
    publisher.disconnected(connection)
    for (const consumer of [...connection.consumers]) {
      settlements.giveBack(consumer, true)
      lifetimes.leave(consumer)
    }
    lifetimes.disown(connection)
  }

  disconnectAll(): void {
    for (const id of [...this.core.connections.keys()]) this.disconnect(id)
  }

  consume(id: number, options: ConsumerOptions): number {
    const connection = this.get(id)
    const queue = this.core.topology.queueFor(options.queue, options.create ?? false)
    if (queue.consumers.some((other) => other.exclusive) || (options.exclusive && queue.consumers.length > 0))
      throw inUse(queue)
    if (queue.owner !== 0 && queue.owner !== id) throw inUse(queue)
    const consumer = new Consumer(this.nextConsumer++, queue, connection, options)
    this.core.consumers.set(consumer.id, consumer)
    this.holders.lifetimes.join(consumer)
    this.core.schedule()
    return consumer.id
  }

  grant(id: number, credit: number): void {
    const consumer = this.core.consumers.get(id)
    if (consumer === undefined) return
    consumer.credit += credit
    this.wake(consumer)
  }

  drain(id: number, done: (lapsed: number) => void): void {
    const consumer = this.core.consumers.get(id)
    if (consumer === undefined) {
      done(0)
      return
    }
    consumer.draining.push(done)
    consumer.queue.draining ??= new Set()
    consumer.queue.draining.add(consumer)
    this.wake(consumer)
  }

  private wake(consumer: Consumer): void {
    consumer.queue.assortment?.wake(consumer)
    this.holders.dispatcher.schedule(consumer.queue)
  }

  cancel(id: number, release: boolean): void {
    const consumer = this.core.consumers.get(id)
    if (consumer === undefined) return
    consumer.credit = 0
    consumer.cancelled = true
    consumer.releasing = release
    consumer.queue.assortment?.retire(consumer)
    if (release) this.holders.settlements.giveBack(consumer, false)
    // What a transaction has settled stays until that has ended.
    this.core.settledFor(consumer)
  }

  status(): ConnectionStatus[] {
    return [...this.core.connections.values()].map(({ id, clientId, since, consumers }) => {
      const unsettled = [...consumers].reduce((sum, consumer) => sum + consumer.unsettled, 0)
      return { id, clientId, since, consumers: consumers.size, unsettled }
    })
  }
}

export function inUse(queue: Queue): MillraceError {
  return new MillraceError(
    'destination-in-use',
    `queue ${JSON.stringify(queue.name)} has consumers or belongs to another connection`,
  )
}
