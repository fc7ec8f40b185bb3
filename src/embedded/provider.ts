import type { Provider, ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { MemoryStore } from '../engine/memory/store.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import type { Store } from '../engine/ports/store.ts'
import { Journal } from '../storage/journal.ts'
import { lockDirectory } from '../storage/lock.ts'
import { NodeDisk } from '../storage/node-disk.ts'
import type { JournalOptions } from '../storage/options.ts'
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
 * directory share a broker, which closes with the last of them. With options it is handed to `connect`:
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
  const [name, start] = locate(url)
  const broker = await brokers.connect(name, options, clientId, (ended) => start(options ?? {}, ended))
  return new EmbeddedConnection(broker, clientId, events)
}

type Start = (options: EmbeddedOptions, ended: Ended) => Promise<SharedBroker>

/** The name under which the broker is shared, and how it is started. */
function locate(url: string): [name: string, start: Start] {
  const scheme = url.slice(0, url.indexOf(':')).toLowerCase()
  const rest = url.slice(scheme.length + 1)
  if (scheme === 'memory') return [`memory:${rest === '' ? `#${++anonymous}` : rest}`, openMemory]
  const directory = canonical(directoryOf(url))
  return [`file:${directory}`, (options, ended) => openDirectory(directory, options, ended)]
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
  const lock = lockDirectory(directory)
  const store = new Journal({ disk: new NodeDisk(directory), clock, options: journal })
  return start(options, { store, clock, random, release: () => lock.release() }, ended)
}

interface Parts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly release: () => void
}

function start(options: EmbeddedOptions, parts: Parts, ended: Ended): Promise<SharedBroker> {
  return SharedBroker.open({ ...parts, options }, ended)
}
