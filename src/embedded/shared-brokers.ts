import { calendar } from '../client/cron.ts'
import { findDeduplicationId, findProperty, selectableValue } from '../client/message-format.ts'
import type { Engine, StartReport } from '../engine/api.ts'
import { Broker } from '../engine/broker.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Contents } from '../engine/ports/contents.ts'
import type { Random } from '../engine/ports/random.ts'
import type { Store } from '../engine/ports/store.ts'
import { type Member, Registry } from '../gateway/amqp10/registry.ts'
import { MillraceError } from '../model/errors.ts'
import { FORMAT_AMQP10 } from '../model/message.ts'
import type { AttachPoint } from './attach-point.ts'
import type { BrokerHome } from './connection.ts'
import { KeepAlive } from './host.ts'

const MiB = 1024 * 1024

/** What a broker is made of. */
export interface BrokerParts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly options: EngineOptions
  /** Gives up what was held for the broker, such as the lock of its directory, after it has closed. */
  readonly release: () => void
  /** Where other processes attach to the broker, for as long as it is open. */
  readonly attachPoint?: AttachPoint | undefined
}

/** Told when the last connection has left, with when the broker has closed. */
export type Ended = (closed: Promise<void>) => void

const contents: Contents = {
  deduplicationId: (format, payload) => (format === FORMAT_AMQP10 ? findDeduplicationId(payload) : undefined),
  property: (format, payload, name) => (format === FORMAT_AMQP10 ? findProperty(payload, name) : undefined),
  selectable: (format, payload, start, end, identifier) =>
    format === FORMAT_AMQP10 ? selectableValue(payload, start, end, identifier) : undefined,
}

/** Any connection of this process, as those from elsewhere see it. */
const inProcess: Member = {}

/** A broker in this process and the connections to it; it closes with the last of them. */
export class SharedBroker implements BrokerHome {
  readonly engine: Engine
  readonly maxMessageBytes: number
  readonly clock: Clock
  /** Who is connected, in this process and from others. */
  readonly registry: Registry = new Registry()
  private readonly parts: BrokerParts
  private readonly ended: Ended
  private readonly keepAlive = new KeepAlive()
  private connections = 0

  private constructor(parts: BrokerParts, ended: Ended) {
    this.parts = parts
    this.ended = ended
    this.clock = parts.clock
    this.maxMessageBytes = parts.options.maxMessageBytes ?? 128 * MiB
    const { store, clock, random, options } = parts
    this.engine = new Broker(
      { store, clock, random, contents, calendar },
      { ...options, maxMessageBytes: this.maxMessageBytes },
    )
  }

  static async open(parts: BrokerParts, ended: Ended): Promise<SharedBroker> {
    const broker = new SharedBroker(parts, ended)
    broker.keepAlive.hold()
    try {
      broker.warnOf(await broker.engine.open())
      await broker.serve()
    } catch (error) {
      await parts.attachPoint?.close()
      parts.release()
      throw error
    } finally {
      broker.keepAlive.release()
    }
    return broker
  }

  /** Messages that are no longer where everybody looks for them. */
  private warnOf({ recoveredQueues }: StartReport): void {
    for (const { name, messages } of recoveredQueues)
      process.emitWarning(
        `the declaration of a queue is damaged; its messages, ${messages}, are in the queue ${name}`,
      )
  }

  /** Other processes can do without; what keeps them out is told as a warning. */
  private async serve(): Promise<void> {
    const { attachPoint, clock, random } = this.parts
    const { engine, maxMessageBytes, registry } = this
    const warn = (what: string) => (cause: unknown) => void process.emitWarning(`${what}: ${String(cause)}`)
    const faulted = warn('a connection from another process was ended by a fault of ours')
    await attachPoint
      ?.serve({ engine, clock, random, faulted, gateway: { maxMessageBytes, registry } })
      .catch(warn('other processes cannot attach to the directory'))
  }

  /** Counts a connection in. Throws `client-id-invalid` when its client is connected. */
  join(clientId: string | undefined): void {
    if (clientId !== undefined) this.registry.join(clientId, inProcess, 'refuse')
    this.connections++
    this.keepAlive.hold()
  }

  leave(clientId: string | undefined): Promise<void> {
    if (clientId !== undefined) this.registry.leave(clientId, inProcess)
    if (--this.connections > 0) {
      this.keepAlive.release()
      return Promise.resolve()
    }
    const closed = this.shutDown()
    this.ended(closed)
    return closed
  }

  private async shutDown(): Promise<void> {
    try {
      await this.parts.attachPoint?.close()
      await this.engine.close()
    } finally {
      this.parts.release()
      this.keepAlive.release()
    }
  }
}

/** A broker that several connections share. */
export interface Shared {
  /** Counts a connection in. */
  join(clientId: string | undefined): void
}

interface Slot<B> {
  readonly broker: Promise<B>
  readonly options: object | undefined
}

/** Brokers by name: connections of one process to the same name share one. */
export class SharedBrokers<B extends Shared> {
  private readonly slots = new Map<string, Slot<B>>()
  /** When brokers that are closing have closed; until then nobody opens their name again. */
  private readonly closing = new Map<string, Promise<void>>()

  /**
   * The broker of that name, counted in for one connection; opened when there is none. Rejects with `illegal-state` when
   * it is open with other options, `client-id-invalid`, and what `open` rejects with.
   */
  async connect(
    name: string,
    options: object | undefined,
    clientId: string | undefined,
    open: (ended: Ended) => Promise<B>,
  ): Promise<B> {
    for (;;) {
      await this.closing.get(name)
      const slot = this.slots.get(name) ?? this.open(name, options, open)
      if (options !== undefined && slot.options !== options) {
        throw new MillraceError('illegal-state', `${name} is open in this process with other options`)
      }
      const broker = await slot.broker
      // While this waited, the last connection may have left.
      if (this.slots.get(name) !== slot) continue
      broker.join(clientId)
      return broker
    }
  }

  private open(name: string, options: object | undefined, open: (ended: Ended) => Promise<B>): Slot<B> {
    const broker = open((closed) => {
      this.slots.delete(name)
      const settled = closed.catch(() => {}).finally(() => this.closing.delete(name))
      this.closing.set(name, settled)
    })
    const slot: Slot<B> = { broker, options }
    this.slots.set(name, slot)
    broker.catch(() => this.slots.delete(name))
    return slot
  }
}
