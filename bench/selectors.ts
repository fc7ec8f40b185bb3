import { encodeShared, selectableValue } from '../src/client/message-format.ts'
import { HostClock } from '../src/embedded/host.ts'
import type { ConnectionSink } from '../src/engine/api.ts'
import { Broker } from '../src/engine/broker.ts'
import { MemoryStore } from '../src/engine/memory/store.ts'
import { SeededRandom } from '../src/testing/random.ts'
import { round3, summarize } from './statistics.ts'

/**
 * What a publish costs when consumers of its queue have selectors: routing, storing in memory, looking into the message,
 * finding whom it is for, and handing it out. Microseconds of CPU a message, median with [lowest, highest].
 */
const MESSAGES = 10_000
const BATCH = 250
const ROUNDS = 5

interface Load {
  readonly name: string
  readonly selectors: readonly string[]
}

const loads: readonly Load[] = [
  { name: 'no selector', selectors: [''] },
  ...[1, 100, 10_000].map((count) => ({ name: `${count} equalities`, selectors: equalities(count) })),
  {
    name: '100 linear',
    selectors: Array.from({ length: 100 }, (_, i) => `customer LIKE '%x${i}' OR size > 9`),
  },
]

function equalities(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `customer = 'c${i}'`)
}

const sink: ConnectionSink = {
  published: () => {},
  settled: () => {},
  deliver: () => {},
  cancelled: () => {},
  blocked: () => {},
  unblocked: () => {},
  check: () => {},
  failed: (error) => {
    throw error
  },
}

async function measure({ selectors }: Load): Promise<number> {
  const clock = new HostClock()
  const contents = {
    deduplicationId: () => undefined,
    property: () => undefined,
    selectable: (_format: number, payload: Uint8Array, start: number, end: number, name: string) =>
      selectableValue(payload, start, end, name),
  }
  const ports = { store: new MemoryStore(clock), clock, random: new SeededRandom(1), contents }
  const broker = new Broker(ports, { memoryBytes: 2 ** 30 })
  await broker.open()
  const connection = broker.connect(sink)
  broker.declareQueue({ name: 'q' })
  for (const selector of selectors) {
    broker.grant(broker.consume(connection, { queue: 'q', selector }), MESSAGES)
  }
  const payloads = Array.from({ length: 100 }, (_, i) =>
    Buffer.from(
      encodeShared({
        properties: { customer: `c${i}`, size: 5 },
        body: { kind: 'text', value: 'x'.repeat(50) },
      }),
    ),
  )
  const began = process.cpuUsage()
  for (let sent = 0; sent < MESSAGES; sent += BATCH) {
    for (let i = 0; i < BATCH; i++) publish(broker, connection, sent + i, payloads[(sent + i) % 100]!)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { user, system } = process.cpuUsage(began)
  await broker.close()
  return (user + system) / MESSAGES
}

function publish(broker: Broker, connection: number, tag: number, payload: Uint8Array): void {
  broker.publish(connection, {
    tag,
    exchange: '',
    key: 'q',
    durability: 'memory',
    priority: 4,
    format: 1,
    payload,
    expiry: 0,
    producer: 0,
    sequence: 0,
    mandatory: true,
  })
}

for (const load of loads) {
  const values: number[] = []
  await measure(load)
  for (let round = 0; round < ROUNDS; round++) values.push(await measure(load))
  const { median, min, max } = summarize(values)
  console.log(`${load.name.padEnd(18)} ${round3(median)} µs  [${round3(min)}, ${round3(max)}]`)
}
