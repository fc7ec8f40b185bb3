import type { Provider, ProviderConnection, ProviderOptions } from '../client/provider.ts'
import { isMillraceError } from '../model/errors.ts'
import type { Holding } from './attached.ts'
import { EmbeddedConnection } from './connection.ts'
import { type EmbeddedOptions, openDirectory, openMemory } from './opening.ts'
import { type SharedBroker, SharedBrokers } from './shared-brokers.ts'
import { type Whereabouts, whereabouts } from './whereabouts.ts'

const brokers = new SharedBrokers<SharedBroker>()

/**
 * The provider behind `memory:`, `memory:NAME` and `file:DIR`: the engine in this process. Connections to the same name or
 * directory share a broker, which closes with the last of them. When another process owns the directory, the connection is
 * attached to its broker, and this process takes over when that one ends. With options it is handed to `connect`:
 * `connect('file:./data', { provider: embedded({ … }) })`.
 */
export function embedded(options?: EmbeddedOptions): Provider {
  return {
    schemes: ['memory', 'file'],
    threads: true,
    connect: async (url, asked) => {
      if (asked.thread !== 'worker') return open(whereabouts(url), options, asked)
      const { openInThread } = await import('./threads.ts')
      return openInThread(whereabouts(url), options, asked)
    },
  }
}

async function open(
  { name, directory }: Whereabouts,
  options: EmbeddedOptions | undefined,
  asked: ProviderOptions,
): Promise<ProviderConnection> {
  const { clientId, events } = asked
  const join = (as: string | undefined) =>
    brokers.connect(name, options, as, (ended) =>
      directory === undefined
        ? openMemory(options ?? {}, ended)
        : openDirectory(directory, options ?? {}, ended),
    )
  try {
    return new EmbeddedConnection(await join(clientId), clientId, events)
  } catch (error) {
    if (directory === undefined || !isMillraceError(error) || error.code !== 'directory-locked') throw error
    const { attach } = await import('./attached.ts')
    return attach(directory, async () => held(await join(undefined)), asked)
  }
}

function held(broker: SharedBroker): Holding {
  return { alive: true, leave: () => broker.leave(undefined) }
}
