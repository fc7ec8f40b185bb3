/** Clients through the API, in a process of their own: subscribers, bodies; with a `file:` URL the broker is in it. */
import { type Context, connect, queue, type Topic, topic, type Worker } from '../../src/index.ts'
import { throughput, warmUp } from '../loads.ts'
import { probe } from '../probe.ts'
import { serveProgram } from '../programs.ts'
import type { ClientOrder, Growth } from './order.ts'

const WARM_UP = 0.3
const small = { durability: 'disk', size: 100 } as const
const body = new Uint8Array(small.size).fill(7)
const news = topic<Uint8Array>('news')
/** Of bodies that are under way together. */
const BYTES_IN_FLIGHT = 32 * 2 ** 20
const DELIVERIES_AT_ONCE = 100_000

/** Subscribes so many; what they get is counted. */
class Subscribers {
  delivered = 0
  private readonly workers: Worker<Uint8Array>[] = []
  private awaited: { readonly count: number; readonly come: () => void } | undefined

  static async open(mq: Context, count: number, durable: boolean): Promise<Subscribers> {
    const subscribers = new Subscribers()
    for (let i = 0; i < count; i++) {
      const from = durable ? await mq.subscribe(news, { name: `s${i}`, shared: true }) : news
      subscribers.workers.push(mq.consume(from as Topic<Uint8Array>, () => subscribers.take()))
    }
    await Promise.all(subscribers.workers.map(({ ready }) => ready))
    return subscribers
  }

  /** Messages, until each of them has come to all. */
  async send(mq: Context, messages: number): Promise<void> {
    const count = this.workers.length
    const step = Math.max(1, Math.floor(DELIVERIES_AT_ONCE / count))
    for (let left = messages; left > 0; left -= step) {
      const now = Math.min(step, left)
      const come = this.until(this.delivered + now * count)
      await Promise.all(Array.from({ length: now }, () => mq.send(news, body)))
      await come
    }
  }

  private take(): void {
    if (++this.delivered === this.awaited?.count) this.awaited.come()
  }

  private until(count: number): Promise<void> {
    return new Promise((come) => {
      this.awaited = { count, come }
    })
  }
}

async function subscribers({
  directory,
  count,
  deliveries,
  durable,
}: Extract<ClientOrder, { do: 'subscribers' }>): Promise<Growth> {
  await using mq = await connect(`file:${directory}`)
  const all = await Subscribers.open(mq, count, durable)
  const messages = Math.ceil(deliveries / count)
  await all.send(mq, Math.ceil(messages / 2))
  probe()
  await all.send(mq, messages)
  const { elapsed, processor } = probe()
  const delivered = messages * count
  return { rate: (delivered / elapsed) * 1_000, processor: (processor * 1_000) / delivered }
}

async function bodies({ url, size, seconds }: Extract<ClientOrder, { do: 'bodies' }>): Promise<Growth> {
  await using mq = await connect(url)
  const subject = { mq, jobs: queue<Uint8Array>('jobs') }
  const setting = {
    ...small,
    size,
    inFlight: Math.max(2, Math.min(2_000, Math.floor(BYTES_IN_FLIGHT / size))),
  }
  await warmUp(mq, small)
  await throughput(subject, WARM_UP, setting, 'one by one')
  probe()
  const { rate, messages } = await throughput(subject, seconds, setting, 'one by one')
  return { rate, processor: (probe().processor * 1_000) / messages }
}

serveProgram((order: ClientOrder) => (order.do === 'bodies' ? bodies(order) : subscribers(order)))
