import type { Broker } from '../../src/engine/broker.ts'
import type { Core } from '../../src/engine/core.ts'
import type { Store, StoreClient } from '../../src/engine/ports/store.ts'
import type { SimulationOptions } from '../../src/testing/index.ts'

export type Tampering = NonNullable<SimulationOptions['tampering']>

/** `base` with some of its methods replaced; the rest are called on `base` itself. */
export function replaced<T extends object>(base: T, replacements: Partial<T>): T {
  return new Proxy(base, {
    get: (target, name) => {
      const replacement = Reflect.get(replacements, name)
      if (replacement !== undefined) return replacement
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

export function withClient(store: Store, tamper: (client: StoreClient) => Partial<StoreClient>): Store {
  return replaced(store, { open: (client) => store.open(replaced(client, tamper(client))) })
}

export function coreOf(broker: Broker): Core {
  return Reflect.get(broker, 'core') as Core
}
