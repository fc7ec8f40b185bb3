import type { Broker } from '../../src/engine/broker.ts'
import type { LastValues } from '../../src/engine/last-values.ts'
import { StateCode } from '../../src/engine/lifecycle.ts'
import { keysOf } from '../../src/engine/replacement.ts'
import type { Settlements } from '../../src/engine/settlements.ts'
import { LATEST } from '../../src/testing/simulation/plan.ts'
import { coreOf, replaced, type Tampering, withClient } from './tampering.ts'

/** The kind of the sections of a checkpoint that hold the messages by which others are replaced. */
const VALUES_SECTION = 9

/** The same for queues that keep the last value of each key. */
export const lastValueBugs: Readonly<Record<string, Tampering>> = {
  'delivers the older value again although a newer one has been confirmed': {
    broker: (broker) =>
      withValues(broker, (values) => {
        values.isOutdated = () => false
      }),
  },
  'keeps the older of two values': {
    broker: (broker) =>
      withValues(broker, (values) => {
        const count = values.count.bind(values)
        values.count = (value) => (count(value) === undefined ? undefined : value)
      }),
  },
  'counts a replaced message twice': { broker: countTwice },
  'lets the older value go before the newer one is on disk': { broker: replaceEarly },
  'lets a last value give way to one that is not committed': { broker: replaceUncommitted },
  'forgets at a restart which values it keeps': {
    store: (store) =>
      withClient(store, (client) => ({
        restore: (section) => section[0] !== VALUES_SECTION && client.restore(section),
      })),
  },
}

/** Tampers with the values of each queue that keeps them, once they are there. */
function withValues(broker: Broker, tamper: (values: LastValues) => void): Broker {
  const core = coreOf(broker)
  const { keyed } = core
  const known = new WeakSet<LastValues>()
  core.keyed = (queue, ...message) => {
    if (!known.has(queue.values!)) tamper(queue.values!)
    known.add(queue.values!)
    keyed(queue, ...message)
  }
  return broker
}

function settlementsOf(broker: Broker): Settlements {
  return Reflect.get(broker, 'settlements') as Settlements
}

function countTwice(broker: Broker): Broker {
  const settlements = settlementsOf(broker)
  const discard = settlements.discard.bind(settlements)
  settlements.discard = (queue, lane, chunk, slot, departure) => {
    discard(queue, lane, chunk, slot, departure)
    if (departure === 'replaced') queue.departed.replaced++
  }
  return broker
}

/** What goes is written on its own, before what it makes room for. */
function replaceEarly(broker: Broker): Broker {
  const core = coreOf(broker)
  return replaced(broker, {
    publish: (connection, publication) => {
      const { exchange, key: name, format, payload, body, prepare, transaction, due } = publication
      const queue = exchange === '' && name === LATEST ? core.topology.queues.get(LATEST) : undefined
      const isPlain = (body ?? prepare ?? transaction ?? due) === undefined
      const [own] = queue && isPlain ? keysOf(core.contents, [queue], format, payload) : []
      const older = own && queue!.values!.before(own.key)
      const lane = older && queue!.lane(older.priority)
      const chunk = lane?.chunkOf(older!.lsn)
      const slot = chunk?.resident ? chunk.find(older!.lsn) : -1
      if (slot >= 0 && chunk!.stateOf(slot) === StateCode.ready) {
        settlementsOf(broker).discard(queue!, lane!, chunk!, slot, 'replaced')
        core.commit()
      }
      broker.publish(connection, publication)
    },
  })
}

function replaceUncommitted(broker: Broker): Broker {
  const core = coreOf(broker)
  const { keyed } = core
  core.keyed = (queue, lsn, head, flags) => keyed(queue, lsn, head, flags, StateCode.ready)
  return broker
}
