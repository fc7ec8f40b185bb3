import type { ConnectionSink } from '../../src/engine/api.ts'
import type { Broker } from '../../src/engine/broker.ts'
import { OperationType } from '../../src/engine/ports/operations.ts'
import type { Queue } from '../../src/engine/queue.ts'
import type { Group } from '../../src/engine/selective/groups.ts'
import type { Disk, DiskFile } from '../../src/storage/disk.ts'
import {
  FRAME_HEADER,
  FrameHeader,
  findFrameMagic,
  frameIsWhole,
  readFrameHeader,
  writeFrameHeader,
} from '../../src/storage/format.ts'
import { SOLO } from '../../src/testing/simulation/plan.ts'
import { coreOf, replaced, type Tampering, withClient } from './tampering.ts'

/** Faults of a kind that programmers make, each put between two real parts. */
export const bugs: Readonly<Record<string, Tampering>> = {
  'confirms before the sync': {
    store: (store) =>
      withClient(store, (client) => ({
        written: (lsn) => {
          client.written(lsn)
          client.durable(lsn)
        },
      })),
  },
  'skips the checksum': { disk: skipChecksums },
  'forgets settlements at replay': {
    store: (store) =>
      withClient(store, (client) => ({
        apply: (lsn, type, bytes, start, end) => {
          if (type !== OperationType.settle) client.apply(lsn, type, bytes, start, end)
        },
      })),
  },
  'forgets decisions of transactions at replay': {
    store: (store) =>
      withClient(store, (client) => ({
        apply: (lsn, type, bytes, start, end) => {
          if (type !== OperationType.decide) client.apply(lsn, type, bytes, start, end)
        },
      })),
  },
  'commits what is rolled back': {
    broker: (broker) =>
      replaced(broker, {
        rollbackTransaction: (transaction, done) => broker.commitTransaction(transaction, () => done()),
      }),
  },
  'shows half messages at once': {
    broker: (broker) =>
      replaced(broker, {
        publish: (connection, { prepare: _, ...publication }) => broker.publish(connection, publication),
      }),
  },
  'drops a survivor in compaction': { disk: dropSurvivors },
  'dispatches twice': { broker: dispatchTwice },
  'routes without looking at the selectors of bindings': {
    broker: (broker) => replaced(broker, { bind: ({ selector: _, ...binding }) => broker.bind(binding) }),
  },
  'takes what a selector asks for with AND for decided by its first half': {
    broker: (broker) =>
      replaced(broker, {
        consume: (connection, { selector, ...options }) =>
          broker.consume(connection, { ...options, selector: selector?.replace(/ AND weight.*/, '') }),
      }),
  },
  'forgets groups of messages': {
    broker: (broker) =>
      replaced(broker, {
        publish: (connection, { group: _, ...publication }) => broker.publish(connection, publication),
      }),
  },
  'hands a group over while something of it is unsettled': { broker: handOverEarly },
  'lets a group go on past a member that waits': { broker: goPastWaiting },
  'does not look again at what comes back to selective consumers': { broker: forgetReturns },
  'hands out the least urgent first': { broker: serveUrgentLast },
  'does not look at the priority of consumers': {
    broker: (broker) =>
      replaced(broker, {
        consume: (connection, { priority, queue, ...options }) =>
          broker.consume(connection, { ...options, queue, priority: queue === SOLO ? priority : 0 }),
      }),
  },
  'gives what is to go to one active consumer to all': {
    broker: (broker) =>
      replaced(broker, {
        declareQueue: ({ policy, ...declaration }, connection) =>
          broker.declareQueue(
            { ...declaration, policy: { ...policy, singleActiveConsumer: false } },
            connection,
          ),
      }),
  },
}

/** Makes damaged frames look whole as they are read. */
function skipChecksums(disk: Disk): Disk {
  const numbers = new Map<DiskFile, number>()
  return replaced(disk, {
    open: (path, mode, done) =>
      disk.open(path, mode, (error, file, size) => {
        const number = /(\d+)\.(segment|cluster)$/.exec(path)?.[1]
        if (file && number !== undefined) numbers.set(file, Number(number))
        done(error, file, size)
      }),
    read: (file, into, position, done) =>
      disk.read(file, into, position, (error, count) => {
        const number = numbers.get(file)
        const bytes = Buffer.from(into.buffer, into.byteOffset, count)
        if (!error && number !== undefined) mend(bytes, number, position)
        done(error, count)
      }),
  })
}

function mend(bytes: Buffer, segment: number, position: number): void {
  const header = new FrameHeader()
  const first = -position & 7
  for (let at = findFrameMagic(bytes, first); at >= 0; at = findFrameMagic(bytes, at + 8)) {
    if (!readFrameHeader(bytes, at, header) || at + header.span > bytes.length) continue
    if (frameIsWhole(bytes, at, header, segment, position + at)) continue
    const payload = bytes.subarray(at + FRAME_HEADER, at + FRAME_HEADER + header.length)
    writeFrameHeader(header, payload, segment, position + at).copy(bytes, at)
  }
}

/** The last buffers of what is written to a cluster never get there. */
function dropSurvivors(disk: Disk): Disk {
  const clusters = new Set<DiskFile>()
  return replaced(disk, {
    open: (path, mode, done) =>
      disk.open(path, mode, (error, file, size) => {
        if (file && path.endsWith('.cluster')) clusters.add(file)
        done(error, file, size)
      }),
    write: (file, buffers, position, done) => {
      if (!clusters.has(file)) return disk.write(file, buffers, position, done)
      const kept = buffers.map((bytes, i) => (i < buffers.length - 3 ? bytes : new Uint8Array(bytes.length)))
      return disk.write(file, kept, position, done)
    },
  })
}

/** Groups count nothing as unsettled. */
function handOverEarly(broker: Broker): Broker {
  return withoutCount(broker, 'unsettled')
}

/** Groups count nothing as waiting. */
function goPastWaiting(broker: Broker): Broker {
  return withoutCount(broker, 'parked')
}

function withoutCount(broker: Broker, count: keyof Group): Broker {
  const core = coreOf(broker)
  const { grouped } = core
  core.grouped = (queue) => {
    grouped(queue)
    const groups = queue.groups!
    const get = groups.get.bind(groups)
    groups.get = (number) => Object.defineProperty(get(number), count, { get: () => 0, set: () => {} })
  }
  return broker
}

function forgetReturns(broker: Broker): Broker {
  return replaced(broker, {
    settle: (consumer, ...rest) => {
      const assortment = coreOf(broker).consumers.get(consumer)?.queue.assortment
      const arrived = assortment?.arrived.slice() ?? []
      const count = broker.settle(consumer, ...rest)
      if (assortment) assortment.arrived = arrived
      return count
    },
  })
}

/** Where everybody takes everything; elsewhere the places of messages are numbers. */
function serveUrgentLast(broker: Broker): Broker {
  const dispatcher = Reflect.get(broker, 'dispatcher') as { dispatch(queue: Queue): void }
  const dispatch = dispatcher.dispatch.bind(dispatcher)
  dispatcher.dispatch = (queue) => {
    if (queue.assortment !== null) return dispatch(queue)
    queue.lanes.reverse()
    dispatch(queue)
    queue.lanes.reverse()
  }
  return broker
}

function dispatchTwice(broker: Broker): Broker {
  return replaced(broker, {
    connect: (sink, options) => {
      const twice: ConnectionSink['deliver'] = (consumer, deliveries, count) => {
        sink.deliver(consumer, deliveries, count)
        sink.deliver(consumer, deliveries, count)
      }
      return broker.connect(replaced(sink, { deliver: twice }), options)
    },
  })
}
