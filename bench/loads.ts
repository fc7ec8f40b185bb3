import { setTimeout } from 'node:timers/promises'
import { type Context, type Queue, queue, type Worker } from '../src/index.ts'
import { quantile } from './statistics.ts'
import { Ticker } from './ticker.ts'
import { Times } from './times.ts'

const WINDOW = 2_000
const BATCH = 1_000

export interface Setting {
  readonly durability: 'disk' | 'memory'
  readonly size: number
  /** Sends that may be under way; 2,000 unless said otherwise. */
  readonly inFlight?: number
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
  { durability, size, inFlight = WINDOW }: Setting,
  style: Style,
): Promise<{ rate: number; messages: number }> {
  const body = new Uint8Array(size).fill(7)
  let messages = 0
  const worker = mq.consume(jobs, { prefetch: inFlight * 2 }, () => {
    messages++
  })
  await worker.ready
  const begun = performance.now()
  const until = begun + seconds * 1000
  const send = (): Promise<unknown> => mq.send(jobs, body, { durability })
  if (style === 'one by one') await Promise.all(Array.from({ length: inFlight }, () => repeat(send, until)))
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

/**
 * Seconds at full speed before anything counts, and then at the rate of the row: so long the disk and the compiler are busy
 * with what came before.
 */
const WARM_UP = 1
const DISCARDED = 2.5
/** So many times as long as others a row of latencies takes: it has fewer messages. */
const LONGER = 4

/** Code compiled and files created, so that what comes next is not measured on them; in a queue that nobody else uses. */
export async function warmUp(mq: Context, setting: Setting, style: Style = 'one by one'): Promise<void> {
  await throughput({ mq, jobs: queue<Uint8Array>('warm-up') }, WARM_UP, setting, style)
}

/** Percentiles of times, in rising order. */
export function percentiles(times: Float64Array): Record<string, number> {
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), 'p99.9': quantile(times, 0.999) }
}

/** Percentiles of `arrivals`, warmed up. */
export async function latency(
  subject: Subject,
  seconds: number,
  setting: Setting,
  rate: number,
): Promise<Record<string, number>> {
  await warmUp(subject.mq, setting)
  return percentiles(await arrivals(subject, LONGER * seconds, setting, rate))
}

/** Milliseconds from due to arrival at a fixed rate (see Steady), in rising order. */
export async function arrivals(
  subject: Subject,
  seconds: number,
  setting: Setting,
  rate: number,
): Promise<Float64Array> {
  const steady = await Steady.start(subject, setting, rate)
  await setTimeout((seconds + DISCARDED) * 1000)
  await steady.stop()
  return steady.times.sorted(Math.floor(rate * DISCARDED))
}

/**
 * Messages at a fixed rate, and for each the milliseconds from the moment it is due to the call of the handler: what is due is
 * sent, however late we are.
 */
export class Steady {
  /** In the order in which the messages were due. */
  readonly times: Times = new Times()
  private readonly begun = performance.now()
  private readonly worker: Worker<Uint8Array>
  private readonly rate: number
  private readonly arrivedAll: PromiseWithResolvers<void> = Promise.withResolvers()
  private sent = 0
  private received = 0
  private taken = 0
  private stopped = false
  private readonly ticker: Ticker

  private constructor(ticker: Ticker, { mq, jobs }: Subject, { durability, size }: Setting, rate: number) {
    this.ticker = ticker
    this.rate = rate
    this.worker = mq.consume(jobs, { prefetch: WINDOW }, () => this.arrived())
    const body = new Uint8Array(size).fill(7)
    ticker.begin(this.begun, rate, () => {
      for (const now = performance.now(); this.dueAt(this.sent) <= now; this.sent++) {
        mq.send(jobs, body, { durability }).catch(this.arrivedAll.reject)
      }
    })
  }

  static async start(subject: Subject, setting: Setting, rate: number): Promise<Steady> {
    const steady = new Steady(await Ticker.start(), subject, setting, rate)
    await steady.worker.ready
    return steady
  }

  /** Times of the messages that were due between two moments of performance.now(), in rising order. */
  between(from: number, to: number): Float64Array {
    const index = (moment: number): number =>
      Math.max(0, Math.ceil(((moment - this.begun) / 1000) * this.rate)) - this.taken
    return this.times.sorted(index(from), index(to))
  }

  /** Times since this was last called, in rising order; they are then forgotten. */
  take(): Float64Array {
    const times = this.times.sorted()
    this.taken += times.length
    this.times.clear()
    return times
  }

  /** Resolves when everything has arrived and its acknowledgement is durable. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.ticker.stop()
    if (this.received < this.sent) await this.arrivedAll.promise
    await settled(this.worker)
  }

  private dueAt(index: number): number {
    return this.begun + (index / this.rate) * 1000
  }

  private arrived(): void {
    this.times.push(performance.now() - this.dueAt(this.received))
    if (++this.received === this.sent && this.stopped) this.arrivedAll.resolve()
  }
}
