/** The client of the latency benchmark, in a process of its own; with a `file:` URL the broker is in it. */
import { type Context, connect, queue } from '../../src/index.ts'
import { arrivals, type Setting, warmUp } from '../loads.ts'
import { probe } from '../probe.ts'
import { serveProgram } from '../programs.ts'
import type { Load, Order, Seen } from './order.ts'
import { upkeep } from './upkeep.ts'

const small: Setting = { durability: 'disk', size: 100 }
const body = new Uint8Array(small.size).fill(7)
const jobs = queue<Uint8Array>('jobs')
const sent = queue<Uint8Array>('sent')
let mq: Context

async function run(load: Load, seconds: number): Promise<Omit<Seen, 'probed'>> {
  switch (load.kind) {
    case 'rate': {
      const times = await arrivals({ mq, jobs }, seconds, small, load.rate)
      return { times, messages: times.length }
    }
    case 'one in flight':
      return counted(await oneInFlight(seconds))
    case 'senders':
      return counted(await confirms(load.senders, seconds))
  }
}

function counted(times: readonly number[]): Omit<Seen, 'probed'> {
  return { messages: times.length, times: Float64Array.from(times).sort() }
}

async function oneInFlight(seconds: number): Promise<number[]> {
  let arrived: () => void
  await using worker = mq.consume(jobs, () => arrived())
  await worker.ready
  const times: number[] = []
  const until = performance.now() + seconds * 1000
  for (let begun = performance.now(); begun < until; begun = performance.now()) {
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve
    })
    await mq.send(jobs, body)
    await arrival
    times.push(performance.now() - begun)
  }
  return times
}

/** How long each confirm takes. */
async function confirms(senders: number, seconds: number): Promise<number[]> {
  const producers = await Promise.all(Array.from({ length: senders }, () => mq.createProducer(sent)))
  const times: number[] = []
  const until = performance.now() + seconds * 1000
  await Promise.all(
    producers.map(async (producer) => {
      for (let begun = performance.now(); begun < until; begun = performance.now()) {
        await producer.send(body)
        times.push(performance.now() - begun)
      }
      await producer.close()
    }),
  )
  return times
}

serveProgram(async (order: Order): Promise<unknown> => {
  switch (order.do) {
    case 'connect':
      mq = await connect(order.url, order.options)
      await warmUp(mq, small)
      return
    case 'load': {
      probe()
      const seen = await run(order.load, order.seconds)
      return { ...seen, probed: probe() } satisfies Seen
    }
    case 'upkeep':
      return await upkeep(mq, order)
    case 'close':
      await mq.close()
  }
})
