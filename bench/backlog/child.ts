import { monitorEventLoopDelay } from 'node:perf_hooks'
import { NodeDisk } from '../../src/storage/node-disk.ts'
import { EngineLoad } from '../engine-load.ts'
import { WatchedDisk } from '../watched-disk.ts'
import type { Facts, Queues, Request } from './protocol.ts'

/**
 * The broker of the backlog benchmark, in a process of its own: it opens the directory that it is told, does what it is
 * asked, one thing after the other, and answers with facts.
 */
const SIZE = 100
const RESOLUTION = 1
const NANOSECONDS = 1e6
/** Credit of all consumers together. */
const CREDIT = 40_000
/** Of the consumer that others must not suffer from: it holds ten messages for so many milliseconds. */
const SLOW = { credit: 10, pause: 50 }

const payload = Buffer.alloc(SIZE, 'x')
const disk = new WatchedDisk(new NodeDisk(process.argv[2]!))
const load = new EngineLoad(disk)
const delay = monitorEventLoopDelay({ resolution: RESOLUTION })
/** Consumers that the last drain has left for the next one. */
let staying: number[] = []
/** Deliveries that drains have counted. */
let counted = 0

function names({ first = 0, queues }: Queues): string[] {
  return Array.from({ length: queues }, (_, i) => `q${first + i}`)
}

async function publish({ count, ...queues }: Queues & { count: number }): Promise<void> {
  const keys = names(queues)
  await load.publish(count, (index) => ({ key: keys[index % keys.length]!, payload }))
}

/** From all queues at once, until `count` have come; a few more may have. */
async function drain({
  count,
  stay,
  ...queues
}: Queues & { count: number; stay?: boolean }): Promise<number> {
  const isFirst = staying.length === 0
  // Those who stayed have gone on since.
  const delivered = isFirst ? load.delivered : counted
  const credit = Math.max(100, Math.min(4_000, Math.floor(CREDIT / queues.queues)))
  if (isFirst) staying = names(queues).map((name) => load.consume(name, credit))
  await load.until(delivered + count)
  if (!stay) for (const consumer of staying.splice(0)) load.cancel(consumer)
  counted = load.delivered
  return counted - delivered
}

/** From one queue after the other. */
async function drainInTurn(queues: Queues): Promise<number> {
  let count = 0
  for (const name of names(queues)) {
    const { messages } = load.broker.queue(name)!
    const consumer = load.consume(name, 4_000)
    await load.until(load.delivered + messages)
    load.cancel(consumer)
    count += messages
  }
  return count
}

/** Through a queue whose consumer keeps up, while somebody holds on to the head of another queue, or nobody does. */
async function keepUp({ count, slow }: { count: number; slow: boolean }): Promise<void> {
  load.broker.declareQueue({ name: 'tail' })
  const stop = slow ? await holdHead('q0') : () => {}
  const consumer = load.consume('tail', 4_000)
  const delivered = load.delivered
  await load.publish(count, () => ({ key: 'tail', payload }))
  await load.until(delivered + count)
  load.cancel(consumer)
  stop()
}

/** A consumer that is slow takes from the head of a queue, and gives back what it holds when it is stopped. */
async function holdHead(queue: string): Promise<() => void> {
  const { broker } = load
  let stopped = false
  const first = Promise.withResolvers<void>()
  const connection = broker.connect({
    deliver: (consumer, deliveries, count) => {
      first.resolve()
      const tags = [deliveries[0]!.tag, deliveries[count - 1]!.tag] as const
      setTimeout(() => {
        if (stopped) return
        broker.settle(consumer, ...tags, { outcome: 'accepted' })
        broker.grant(consumer, count)
      }, SLOW.pause)
    },
    published: () => {},
    settled: () => {},
    cancelled: () => {},
    blocked: () => {},
    unblocked: () => {},
    failed: (error) => {
      throw error
    },
  })
  broker.grant(broker.consume(connection, { queue }), SLOW.credit)
  await first.promise
  return () => {
    stopped = true
    broker.disconnect(connection)
  }
}

async function answer(request: Request): Promise<number> {
  switch (request.do) {
    case 'open':
      return (await load.open()).operationsReplayed
    case 'declare':
      for (const name of names(request)) load.broker.declareQueue({ name })
      return request.queues
    case 'publish':
      await publish(request)
      return request.count
    case 'drain':
      return await drain(request)
    case 'drain in turn':
      return await drainInTurn(request)
    case 'keep up':
      await keepUp(request)
      return request.count
    case 'wait':
      await new Promise((resolve) => setTimeout(resolve, request.milliseconds))
      return 0
    case 'close':
      await load.close()
      return 0
  }
}

function messagesIn(): number {
  return load.broker.queues().reduce((sum, { messages }) => sum + messages, 0)
}

async function measured(request: Request): Promise<Facts> {
  const { reads, bytesRead, bytesWritten, syncs } = disk
  const before = process.cpuUsage()
  const begun = performance.now()
  delay.reset()
  delay.enable()
  const count = await answer(request)
  delay.disable()
  const { user, system } = process.cpuUsage(before)
  const isOpen = request.do !== 'close'
  return {
    count,
    milliseconds: performance.now() - begun,
    processor: (user + system) / 1e3,
    longestDelay: delay.count > 0 ? Math.max(0, delay.max / NANOSECONDS - RESOLUTION) : 0,
    reads: disk.reads - reads,
    bytesRead: disk.bytesRead - bytesRead,
    bytesWritten: disk.bytesWritten - bytesWritten,
    syncs: disk.syncs - syncs,
    messages: isOpen ? messagesIn() : 0,
    diskBytes: load.broker.store().diskBytes,
    heap: process.memoryUsage().heapUsed,
    buffers: process.memoryUsage().arrayBuffers,
  }
}

process.on('message', (request: Request) => {
  void measured(request).then((facts) => {
    process.send!(facts)
    if (request.do === 'close') process.disconnect()
  })
})

// The parent has gone.
process.on('disconnect', () => process.exit())
