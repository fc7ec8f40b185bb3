/** The engine on a journal with many queues or many subscribers, in a process of its own, without the API above it. */
import { NodeDisk } from '../../src/storage/node-disk.ts'
import { EngineLoad } from '../engine-load.ts'
import { memory } from '../probe.ts'
import { serveProgram } from '../programs.ts'
import type { EngineOrder, Growth } from './order.ts'

const payload = Buffer.alloc(100, 'x')
const WARM_UP = 200_000
const WARM_QUEUES = 100
/** Credit of a consumer, and of all together. */
const CREDIT = { each: 100, all: 100_000 }
/** Published before their deliveries are waited for: a broker that must keep far more than is under way is another matter. */
const DELIVERIES_AT_ONCE = 200_000

let load: EngineLoad

function names(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${kind}${i}`)
}

function consumeAll(queues: readonly string[]): void {
  const credit = Math.max(1, Math.min(CREDIT.each, Math.floor(CREDIT.all / queues.length)))
  for (const name of queues) load.consume(name, credit)
}

/** Messages to queues in no order, through to their settlement. */
async function toQueues(queues: readonly string[], messages: number): Promise<void> {
  const { delivered } = load
  await load.publish(messages, (index) => ({
    key: queues[(Math.imul(index, 0x9e3779b1) >>> 0) % queues.length]!,
    payload,
  }))
  await load.until(delivered + messages)
}

/** Messages to a topic, each to all of its subscribers. */
async function toTopic(subscribers: number, messages: number): Promise<void> {
  const step = Math.max(1, Math.floor(DELIVERIES_AT_ONCE / subscribers))
  for (let left = messages; left > 0; left -= step) {
    const count = Math.min(step, left)
    const { delivered } = load
    await load.publish(count, () => ({ exchange: 'amq.topic', key: 'topic', payload }))
    await load.until(delivered + count * subscribers)
  }
}

async function queues({ count, messages }: { count: number; messages: number }): Promise<Growth> {
  const warm = names('warm', WARM_QUEUES)
  for (const name of warm) load.broker.declareQueue({ name })
  consumeAll(warm)
  await toQueues(warm, WARM_UP)
  const before = memory()
  const all = names('q', count)
  for (const name of all) load.broker.declareQueue({ name })
  const declared = memory()
  consumeAll(all)
  // What the first messages of a queue make is made once.
  await toQueues(all, Math.max(messages / 10, count * 2))
  const figures = await timed(messages, () => toQueues(all, messages))
  return { ...figures, idleBytes: (declared - before) / count }
}

async function subscribers({ count, deliveries }: { count: number; deliveries: number }): Promise<Growth> {
  const all = names('s', count)
  for (const name of all) {
    load.broker.declareQueue({ name })
    load.broker.bind({ exchange: 'amq.topic', queue: name, key: 'topic' })
  }
  consumeAll(all)
  const messages = Math.ceil(deliveries / count)
  await toTopic(count, Math.ceil(messages / 2))
  return await timed(messages * count, () => toTopic(count, messages))
}

async function timed(count: number, work: () => Promise<void>): Promise<Growth> {
  const before = process.cpuUsage()
  const begun = performance.now()
  await work()
  const { user, system } = process.cpuUsage(before)
  return { rate: (count / (performance.now() - begun)) * 1_000, processor: (user + system) / count }
}

serveProgram(async (order: EngineOrder): Promise<Growth> => {
  load = new EngineLoad(new NodeDisk(order.directory))
  await load.open()
  const figures = order.do === 'queues' ? await queues(order) : await subscribers(order)
  await load.close()
  return figures
})
