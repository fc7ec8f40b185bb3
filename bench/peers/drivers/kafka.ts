import { bodyOf, type Driver, numberOf } from '../driver.ts'
import { gather } from '../gather.ts'
import { load } from '../packages.ts'

interface Kafka {
  Admin: new (options: object) => Client & { createTopics(options: object): Promise<unknown> }
  Producer: new (options: object) => Client & { send(options: object): Promise<unknown> }
  Consumer: new (options: object) => Client & { consume(options: object): Promise<Stream> }
}

interface Client {
  close(force?: boolean): Promise<void>
}

interface Stream {
  on(event: 'data', listener: (message: { readonly value: Buffer }) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  close(): Promise<unknown>
}

/** One topic with one partition, since everybody else has one queue. */
export async function open(url: string): Promise<Driver> {
  const { Admin, Producer, Consumer } = await load<Kafka>('@platformatic/kafka')
  const common = { clientId: 'bench', bootstrapBrokers: [url] }
  const admin = new Admin(common)
  await admin.createTopics({ topics: ['jobs'], partitions: 1, replicas: 1 })
  await admin.close()
  const producer = new Producer(common)
  const consumer = new Consumer({ ...common, groupId: 'workers' })
  let stream: Stream | undefined
  return {
    send: gather(
      (numbers) =>
        producer.send({ acks: -1, messages: numbers.map((n) => ({ topic: 'jobs', value: bodyOf(n) })) }),
      { sends: 5, messages: 500 },
    ),
    consume: async (handler) => {
      stream = await consumer.consume({ topics: ['jobs'], mode: 'earliest', autocommit: 100 })
      stream.on('data', ({ value }) => handler(numberOf(value)))
    },
    close: async () => {
      await stream?.close()
      await consumer.close(true)
      await producer.close(true)
    },
  }
}
