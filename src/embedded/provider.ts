import type { Provider, ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { MemoryStore } from '../engine/memory/store.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import type { Store } from '../engine/ports/store.ts'
import { isMillraceError } from '../model/errors.ts'
import { Journal } from '../storage/journal.ts'
import { lockDirectory } from '../storage/lock.ts'
import { NodeDisk } from '../storage/node-disk.ts'
import type { JournalOptions } from '../storage/options.ts'
import type { AttachPoint } from './attach-point.ts'
import type { Holding } from './attached.ts'
import { EmbeddedConnection } from './connection.ts'
import { canonical, directoryOf } from './data-directory.ts'
import { HostClock, hostRandom } from './host.ts'
import { type Ended, SharedBroker, SharedBrokers } from './shared-brokers.ts'

export interface EmbeddedOptions extends EngineOptions {
  /** How the journal of a `file:` broker uses its directory. */
  readonly journal?: Partial<JournalOptions> | undefined
  /** Time and randomness, for tests; by default the host's. */
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

const brokers = new SharedBrokers()
let anonymous = 0

/**
 * The provider behind `memory:`, `memory:NAME` and `file:DIR`: the engine in this process. Connections to the same name or
 * directory share a broker, which closes with the last of them. When another process owns the directory, the connection is
 * attached to its broker, and this process takes over when that one ends. With options it is handed to `connect`:
 * `connect('file:./data', { provider: embedded({ … }) })`.
 */
export function embedded(options?: EmbeddedOptions): Provider {
  return { schemes: ['memory', 'file'], connect: (url, asked) => open(url, options, asked) }
}

async function open(
  url: string,
  options: EmbeddedOptions | undefined,
  asked: ProviderOptions,
): Promise<ProviderConnection> {
  const { clientId, events } = asked
  const { name, directory, start } = locate(url)
  const join = (as: string | undefined) =>
    brokers.connect(name, options, as, (ended) => start(options ?? {}, ended))
  try {
    return new EmbeddedConnection(await join(clientId), clientId, events)
  } catch (error) {
    if (!directory || !isMillraceError(error) || error.code !== 'directory-locked') throw error
    const { attach } = await import('./attached.ts')
    return attach(directory, async () => held(await join(undefined)), error, asked)
  }
}

function held(broker: SharedBroker): Holding {
  return { leave: () => broker.leave(undefined) }
}

type Start = (options: EmbeddedOptions, ended: Ended) => Promise<SharedBroker>

/** The name under which the broker is shared, and how it is started. */
function locate(url: string): { name: string; directory?: string; start: Start } {
  const scheme = url.slice(0, url.indexOf(':')).toLowerCase()
  const rest = url.slice(scheme.length + 1)
  if (scheme === 'memory') {
    return { name: `memory:${rest === '' ? `#${++anonymous}` : rest}`, start: openMemory }
  }
  const directory = canonical(directoryOf(url))
  const start: Start = (options, ended) => openDirectory(directory, options, ended)
  return { name: `file:${directory}`, directory, start }
}

function openMemory(options: EmbeddedOptions, ended: Ended): Promise<SharedBroker> {
  const { clock = new HostClock(), random = hostRandom } = options
  return start(options, { store: new MemoryStore(clock), clock, random, release: () => {} }, ended)
}

async function openDirectory(
  directory: string,
  options: EmbeddedOptions,
  ended: Ended,
): Promise<SharedBroker> {
  const { clock = new HostClock(), random = hostRandom, journal = {} } = options
  // Loaded for directories alone: a broker in memory needs no network.
  const { AttachPoint } = await import('./attach-point.ts')
  const lock = lockDirectory(directory)
  const attachPoint = AttachPoint.announce(directory)
  const store = new Journal({ disk: new NodeDisk(directory), clock, options: journal })
  return start(options, { store, clock, random, release: () => lock.release(), attachPoint }, ended)
}

interface Parts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly release: () => void
  readonly attachPoint?: AttachPoint | undefined
}

function start(options: EmbeddedOptions, parts: Parts, ended: Ended): Promise<SharedBroker> {
  return SharedBroker.open({ ...parts, options }, ended)
}
