import type { Context, Queue, Worker } from '../src/index.ts'
import { quantile } from './statistics.ts'

const WINDOW = 2_000
const BATCH = 1_000

export interface Setting {
  readonly durability: 'disk' | 'memory'
  readonly size: number
}

/** How a sender goes about it: many sends in flight, each with its own confirm; or whole batches, one after the other. */
export type Style = 'one by one' | 'in batches'

/** A connected broker and a queue of its own. */
export interface Subject {
  readonly mq: Context
  readonly jobs: Queue<Uint8Array>
}

/** Messages a second through a queue with acknowledgement of each, and how many there were. */
export async function throughput(
  { mq, jobs }: Subject,
  seconds: number,
  { durability, size }: Setting,
  style: Style,
): Promise<{ rate: number; messages: number }> {
  const body = new Uint8Array(size).fill(7)
  let messages = 0
  const worker = mq.consume(jobs, { prefetch: WINDOW * 2 }, () => {
    messages++
  })
  await worker.ready
  const begun = performance.now()
  const until = begun + seconds * 1000
  const send = (): Promise<unknown> => mq.send(jobs, body, { durability })
  if (style === 'one by one') await Promise.all(Array.from({ length: WINDOW }, () => repeat(send, until)))
  else while (performance.now() < until) await Promise.all(Array.from({ length: BATCH }, send))
  await settled(worker)
  return { rate: (messages / (performance.now() - begun)) * 1000, messages }
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
export async function latency(
  { mq, jobs }: Subject,
  seconds: number,
  { durability, size }: Setting,
  rate: number,
): Promise<Record<string, number>> {
  const total = Math.floor(rate * seconds * (1 + WARM_UP))
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
  const counted = times.subarray(Math.floor(rate * seconds * WARM_UP)).sort()
  return { p50: quantile(counted, 0.5), p99: quantile(counted, 0.99), 'p99.9': quantile(counted, 0.999) }
}
