import type { Broker } from '../../src/engine/broker.ts'
import type { Deduplication } from '../../src/model/policy.ts'
import { coreOf, replaced, type Tampering, withClient } from './tampering.ts'

/** The kind of the sections of a checkpoint that hold deduplication ids. */
const SEEN_SECTION = 5

/** The same for queues that know the ids of what they have taken. */
export const deduplicationBugs: Readonly<Record<string, Tampering>> = {
  'forgets at a restart which ids it has seen': {
    store: (store) =>
      withClient(store, (client) => ({
        restore: (section) => section[0] !== SEEN_SECTION && client.restore(section),
      })),
  },
  'begins the window of ids anew at a restart': { broker: beginAnew },
  'knows ids for longer than their window': withPolicy(({ window, count }) => ({
    window: window * 2,
    count,
  })),
  'knows an id less than it should': withPolicy(({ window, count }) => ({ window, count: count - 1 })),
  'knows an id more than it should': withPolicy(({ window, count }) => ({ window, count: count + 1 })),
}

function withPolicy(tamper: (policy: Deduplication) => Deduplication): Tampering {
  return {
    broker: (broker) =>
      replaced(broker, {
        declareQueue: ({ policy, ...declaration }, connection) => {
          const { deduplication } = policy ?? {}
          const other = deduplication && { deduplication: tamper(deduplication) }
          return broker.declareQueue({ ...declaration, policy: { ...policy, ...other } }, connection)
        },
      }),
  }
}

function beginAnew(broker: Broker): Broker {
  return replaced(broker, {
    open: async () => {
      const report = await broker.open()
      const core = coreOf(broker)
      for (const { seen } of core.topology.byId.values())
        for (const [id] of [...(seen?.entries() ?? [])]) seen!.add(id, false, core.wall())
      return report
    },
  })
}
