import { connect } from '../client/connect.ts'
import type { Context } from '../client/context.ts'
import type { Provider } from '../client/provider.ts'
import { AttachPoint } from '../embedded/attach-point.ts'
import { EmbeddedConnection } from '../embedded/connection.ts'
import { canonical } from '../embedded/data-directory.ts'
import { HostClock, hostRandom } from '../embedded/host.ts'
import { type BrokerParts, SharedBroker } from '../embedded/shared-brokers.ts'
import type { ConnectionSink, Engine } from '../engine/api.ts'
import { MemoryStore } from '../engine/memory/store.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Registry } from '../gateway/amqp10/registry.ts'
import type { MillraceError } from '../model/errors.ts'
import { Journal } from '../storage/journal.ts'
import { lockDirectory } from '../storage/lock.ts'
import { NodeDisk } from '../storage/node-disk.ts'
import type { JournalWatch } from '../storage/watch.ts'
import { IN_MEMORY } from './config/settings.ts'

/** The broker that a server serves, and how it fares. */
export class ServedBroker {
  readonly engine: Engine
  readonly clock: Clock
  /** Why nothing is confirmed any more, as soon as nothing is. */
  readonly failed: Promise<MillraceError>
  failure: MillraceError | undefined
  /** The disk has no room for publishes. */
  diskFull = false
  private readonly shared: SharedBroker

  private constructor(shared: SharedBroker, clock: Clock) {
    const failed = Promise.withResolvers<MillraceError>()
    this.shared = shared
    this.clock = clock
    this.failed = failed.promise
    this.engine = shared.engine
    shared.join(undefined)
    const watch: ConnectionSink = {
      published: () => {},
      settled: () => {},
      deliver: () => {},
      cancelled: () => {},
      blocked: (queue, reason) => this.roomChanged(queue, reason === 'disk-full'),
      unblocked: (queue) => this.roomChanged(queue, false),
      failed: (error) => {
        this.failure = error
        failed.resolve(error)
      },
    }
    this.engine.connect(watch)
  }

  /** Rejects with `directory-locked`, `directory-unusable`, `journal-newer`. */
  static async open(data: string, options: EngineOptions, watch: JournalWatch): Promise<ServedBroker> {
    const parts = data === IN_MEMORY ? memoryParts() : directoryParts(canonical(data), watch)
    const shared = await SharedBroker.open({ ...parts, options }, () => {})
    return new ServedBroker(shared, parts.clock)
  }

  /** Who is connected, whatever way they came. */
  get registry(): Registry {
    return this.shared.registry
  }

  /** A connection in this process, to be closed before the broker is. */
  client(): Promise<Context> {
    const { shared } = this
    const provider: Provider = {
      schemes: ['memory'],
      connect: async (_url, { clientId, events }) => {
        shared.join(clientId)
        return new EmbeddedConnection(shared, clientId, events)
      },
    }
    return connect('memory:', { provider })
  }

  private roomChanged(queue: string, full: boolean): void {
    if (queue === '') this.diskFull = full
  }

  /** Resolves when the directory is closed and may be opened by others. */
  close(): Promise<void> {
    return this.shared.leave(undefined)
  }
}

type Parts = Omit<BrokerParts, 'options'>

function memoryParts(): Parts {
  const clock = new HostClock()
  return { store: new MemoryStore(clock), clock, random: hostRandom, release: () => {} }
}

function directoryParts(directory: string, watch: JournalWatch): Parts {
  const clock = new HostClock()
  const lock = lockDirectory(directory)
  const attachPoint = AttachPoint.announce(directory)
  const store = new Journal({ disk: new NodeDisk(directory), clock, watch })
  return { store, clock, random: hostRandom, release: () => lock.release(), attachPoint }
}
