import type { ConnectionSink } from '../../src/engine/api.ts'
import type { Broker } from '../../src/engine/broker.ts'
import { OperationType } from '../../src/engine/ports/operations.ts'
import type { Store, StoreClient } from '../../src/engine/ports/store.ts'
import type { Disk, DiskFile } from '../../src/storage/disk.ts'
import {
  FRAME_HEADER,
  FrameHeader,
  findFrameMagic,
  frameIsWhole,
  readFrameHeader,
  writeFrameHeader,
} from '../../src/storage/format.ts'
import type { SimulationOptions } from '../../src/testing/index.ts'

/** The kind of the sections of a checkpoint that hold deduplication ids. */
const SEEN_SECTION = 5

type Tampering = NonNullable<SimulationOptions['tampering']>

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
  'forgets at a restart which ids it has seen': {
    store: (store) =>
      withClient(store, (client) => ({
        restore: (section) => section[0] !== SEEN_SECTION && client.restore(section),
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
}

/** `base` with some of its methods replaced; the rest are called on `base` itself. */
function replaced<T extends object>(base: T, replacements: Partial<T>): T {
  return new Proxy(base, {
    get: (target, name) => {
      const replacement = Reflect.get(replacements, name)
      if (replacement !== undefined) return replacement
      const value = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function withClient(store: Store, tamper: (client: StoreClient) => Partial<StoreClient>): Store {
  return replaced(store, { open: (client) => store.open(replaced(client, tamper(client))) })
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
