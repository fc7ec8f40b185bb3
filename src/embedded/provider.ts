import type { Provider, ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { MemoryStore } from '../engine/memory/store.ts'
import type { EngineOptions } from '../engine/options.ts'
import type { Clock } from '../engine/ports/clock.ts'
import type { Random } from '../engine/ports/random.ts'
import { EmbeddedConnection } from './connection.ts'
import { HostClock, hostRandom } from './host.ts'
import { type Ended, SharedBroker, SharedBrokers } from './shared-brokers.ts'

export interface EmbeddedOptions extends EngineOptions {
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
  return { schemes: ['memory'], connect: (url, asked) => open(url, options, asked) }
}

async function open(
  url: string,
  options: EmbeddedOptions | undefined,
  asked: ProviderOptions,
): Promise<ProviderConnection> {
  const { clientId, events } = asked
  const name = url === 'memory:' ? `memory:#${++anonymous}` : url
  const broker = await brokers.connect(name, options, clientId, (ended) => openMemory(options ?? {}, ended))
  return new EmbeddedConnection(broker, clientId, events)
}

function openMemory(options: EmbeddedOptions, ended: Ended): Promise<SharedBroker> {
  const { clock = new HostClock(), random = hostRandom } = options
  return SharedBroker.open(
    { store: new MemoryStore(clock), clock, random, options, release: () => {} },
    ended,
  )
}
