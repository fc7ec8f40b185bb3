import { type Driver, SIZE } from '../driver.ts'
import { gather } from '../gather.ts'
import { load } from '../packages.ts'

interface Job {
  readonly data: { readonly number: number }
}

interface BullMq {
  Queue: new (name: string, options: object) => Queue
  Worker: new (name: string, handler: (job: Job) => Promise<void>, options: object) => Worker
}

interface Closeable {
  close(): Promise<void>
  on(event: 'error', listener: (error: Error) => void): unknown
}

interface Queue extends Closeable {
  addBulk(jobs: readonly object[]): Promise<unknown>
}

interface Worker extends Closeable {
  waitUntilReady(): Promise<unknown>
}

const CONCURRENCY = 100
/** Its jobs are JSON. */
const filling = 'x'.repeat(SIZE - JSON.stringify({ number: 1_000_000, filling: '' }).length)

export async function open(url: string): Promise<Driver> {
  const { Queue, Worker } = await load<BullMq>('bullmq')
  const { hostname: host, port } = new URL(url)
  const connection = { host, port: Number(port) }
  const queue = new Queue('jobs', { connection })
  let worker: Worker | undefined
  return {
    send: gather((numbers) => queue.addBulk(numbers.map(jobOf)), { sends: 5, messages: 100 }),
    consume: async (handler) => {
      const work = async ({ data }: Job): Promise<void> => handler(data.number)
      worker = new Worker('jobs', work, { connection, concurrency: CONCURRENCY })
      await worker.waitUntilReady()
    },
    close: async () => {
      await worker?.close()
      await queue.close()
    },
  }
}

function jobOf(number: number): object {
  return { name: 'job', data: { number, filling }, opts: { removeOnComplete: true } }
}
