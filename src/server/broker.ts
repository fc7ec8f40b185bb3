import { connect } from '../client/connect.ts'
import type { Context } from '../client/context.ts'
import type { Provider } from '../client/provider.ts'
import { AttachPoint } from '../embedded/attach-point.ts'
import { EmbeddedConnection } from '../embedded/connection.ts'
import { canonical } from '../embedded/data-directory.ts'
import { hostRandom } from '../embedded/host.ts'
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
import { ServerLoop } from './loop.ts'

/** The broker that a server serves, and how it fares. */
export class ServedBroker {
  readonly engine: Engine
  readonly clock: Clock
  readonly loop: ServerLoop
  /** Why nothing is confirmed any more, as soon as nothing is. */
  readonly failed: Promise<MillraceError>
  failure: MillraceError | undefined
  /** The disk has no room for publishes. */
  diskFull = false
  private readonly shared: SharedBroker

  private constructor(shared: SharedBroker, loop: ServerLoop) {
    const failed = Promise.withResolvers<MillraceError>()
    this.shared = shared
    this.loop = loop
    this.clock = loop.engine
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
    const loop = new ServerLoop()
    const parts = data === IN_MEMORY ? memoryParts(loop) : directoryParts(canonical(data), loop, watch)
    const shared = await SharedBroker.open({ ...parts, options }, () => {})
    return new ServedBroker(shared, loop)
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

function memoryParts(loop: ServerLoop): Parts {
  return { store: new MemoryStore(loop.store), clock: loop.engine, random: hostRandom, release: () => {} }
}

function directoryParts(directory: string, loop: ServerLoop, watch: JournalWatch): Parts {
  const lock = lockDirectory(directory)
  const attachPoint = AttachPoint.announce(directory)
  const store = new Journal({ disk: new NodeDisk(directory), clock: loop.store, watch })
  return { store, clock: loop.engine, random: hostRandom, release: () => lock.release(), attachPoint }
}
