/** A user of an embedded broker who has other things to do: in a process of its own, with the broker in this thread or another. */
import { stat } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { type Context, connect, queue, type Thread } from '../../src/index.ts'
import { throughput, warmUp } from '../loads.ts'
import { type Probed, probe } from '../probe.ts'
import { serveProgram } from '../programs.ts'

export interface ThreadOrder {
  readonly directory: string
  readonly thread: Thread
  readonly seconds: number
}

export interface ThreadSeen {
  /** As much as goes through. */
  readonly rate: number
  readonly messages: number
  readonly full: Probed
  /** A message in and out every so often, with pauses in between. */
  readonly pacedMessages: number
  readonly paced: Probed
  /** What somebody else's look at a file took meanwhile, in rising order: milliseconds. */
  readonly stats: Float64Array
}

const small = { durability: 'disk', size: 100 } as const
const jobs = queue<Uint8Array>('jobs')
const paced = queue<Uint8Array>('paced')
const body = new Uint8Array(small.size).fill(7)
/** Ten thousand a second, by a timer: nobody who waits by looking at the clock all the time has anything taken away. */
const BURST = { messages: 100, milliseconds: 10 }

serveProgram(async ({ directory, thread, seconds }: ThreadOrder): Promise<ThreadSeen> => {
  await using mq = await connect(`file:${directory}`, { thread })
  await warmUp(mq, small)
  await pace(mq, directory, seconds / 2)
  probe()
  const { rate, messages } = await throughput({ mq, jobs }, seconds, small, 'one by one')
  const full = probe()
  const stats = await pace(mq, directory, seconds)
  const pacedMessages = Math.floor((seconds * 1_000) / BURST.milliseconds) * BURST.messages
  return { rate, messages, full, pacedMessages, paced: probe(), stats: stats.sort() }
})

/** The load at a rate, and looks at a file all the time. */
async function pace(mq: Context, directory: string, seconds: number): Promise<Float64Array> {
  await using worker = mq.consume(paced, { prefetch: 1_000 }, () => {})
  await worker.ready
  const times: number[] = []
  let over = false
  const looking = (async () => {
    while (!over) {
      const begun = performance.now()
      await stat(directory)
      times.push(performance.now() - begun)
      await setTimeout(1)
    }
  })()
  const begun = performance.now()
  const sends: Promise<unknown>[] = []
  for (let burst = 0; burst < (seconds * 1_000) / BURST.milliseconds; burst++) {
    for (let i = 0; i < BURST.messages; i++) sends.push(mq.send(paced, body))
    await setTimeout(Math.max(0, begun + (burst + 1) * BURST.milliseconds - performance.now()))
  }
  await Promise.all(sends)
  over = true
  await looking
  return Float64Array.from(times)
}
