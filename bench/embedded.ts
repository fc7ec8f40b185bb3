import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Context, connect, type Queue, queue, type Worker } from '../src/index.ts'
import type { Row, Scale } from './rows.ts'
import { quantile } from './statistics.ts'

const WINDOW = 2_000
const BATCH = 1_000

interface Setting {
  readonly durability: 'disk' | 'memory'
  readonly size: number
}

/** How a sender goes about it: many sends in flight, each with its own confirm; or whole batches, one after the other. */
type Style = 'one by one' | 'in batches'

/** Through a queue of the embedded broker, with acknowledgement of every message. */
export function embeddedRows(scale: Scale): Row[] {
  const rows: Row[] = []
  for (const durability of ['disk', 'memory'] as const) {
    for (const size of [100, 1024]) {
      for (const style of ['one by one', 'in batches'] as const) {
        rows.push({
          name: `embedded: ${durability}, ${size} B, ${style}`,
          unit: 'msg/s',
          measure: () => throughput(scale, { durability, size }, style),
        })
      }
    }
  }
  for (const durability of ['disk', 'memory'] as const) {
    for (const rate of [1_000, 10_000]) {
      rows.push({
        name: `embedded: ${durability}, 100 B, end to end at ${rate / 1000} k/s`,
        unit: 'ms',
        measure: () => latency(scale, { durability, size: 100 }, rate),
      })
    }
  }
  return rows
}

async function withBroker<T>(
  scale: Scale,
  use: (mq: Context, jobs: Queue<Uint8Array>) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(scale.directory, 'data-'))
  try {
    await using mq = await connect(`file:${directory}`)
    return await use(mq, queue<Uint8Array>('jobs'))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function throughput(
  scale: Scale,
  { durability, size }: Setting,
  style: Style,
): Promise<Record<string, number>> {
  return withBroker(scale, async (mq, jobs) => {
    const body = new Uint8Array(size).fill(7)
    let received = 0
    const worker = mq.consume(jobs, { prefetch: WINDOW * 2 }, () => {
      received++
    })
    await worker.ready
    const begun = performance.now()
    const until = begun + scale.seconds * 1000
    const send = (): Promise<unknown> => mq.send(jobs, body, { durability })
    if (style === 'one by one') await Promise.all(Array.from({ length: WINDOW }, () => repeat(send, until)))
    else while (performance.now() < until) await Promise.all(Array.from({ length: BATCH }, send))
    await settled(worker)
    return { '': (received / (performance.now() - begun)) * 1000 }
  })
}

async function repeat(send: () => Promise<unknown>, until: number): Promise<void> {
  while (performance.now() < until) await send()
}

/** Everything that was sent has been received and its acknowledgement is durable. */
async function settled(worker: Worker<Uint8Array>): Promise<void> {
  await worker.close()
}

/** Share of a latency row that is not counted: files are created and code is compiled in it. */
const WARM_UP = 0.4

/**
 * From the moment a message is due to the call of the handler, at a fixed rate: what was due is sent, however late we are.
 * The sender looks at the clock in every turn of the event loop, because a timer would add its millisecond.
 */
function latency(scale: Scale, { durability, size }: Setting, rate: number): Promise<Record<string, number>> {
  return withBroker(scale, async (mq, jobs) => {
    const total = Math.floor(rate * scale.seconds * (1 + WARM_UP))
    const times = new Float64Array(total)
    const done = Promise.withResolvers<void>()
    let received = 0
    const worker = mq.consume(jobs, { prefetch: WINDOW }, () => {
      times[received] = performance.now() - dueAt(received)
      if (++received === total) done.resolve()
    })
    await worker.ready
    const body = new Uint8Array(size).fill(7)
    const begun = performance.now()
    const dueAt = (index: number): number => begun + (index / rate) * 1000
    let sent = 0
    const tick = (): void => {
      for (const now = performance.now(); sent < total && dueAt(sent) <= now; sent++) {
        mq.send(jobs, body, { durability }).catch(done.reject)
      }
      if (sent < total) setImmediate(tick)
    }
    tick()
    await done.promise
    await settled(worker)
    const counted = times.subarray(Math.floor(rate * scale.seconds * WARM_UP)).sort()
    return { p50: quantile(counted, 0.5), p99: quantile(counted, 0.99), 'p99.9': quantile(counted, 0.999) }
  })
}
