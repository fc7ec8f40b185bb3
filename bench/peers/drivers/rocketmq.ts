import { bodyOf, type Driver, numberOf } from '../driver.ts'
import { load } from '../packages.ts'

interface RocketMq {
  Producer: new (options: object) => Client & { send(message: object): Promise<unknown> }
  PushConsumer: new (options: object) => Client
  ConsumeResult: { readonly SUCCESS: unknown }
}

interface Client {
  startup(): Promise<void>
  shutdown(): Promise<void>
}

/** A client writes its log into the home folder unless it is given one. */
const logger = { debug() {}, info() {}, warn() {}, error: console.error }

export async function open(url: string): Promise<Driver> {
  const { Producer, PushConsumer, ConsumeResult } = await load<RocketMq>('rocketmq-client-nodejs')
  const common = { endpoints: url, namespace: '', logger, requestTimeout: 30_000 }
  const producer = new Producer({ ...common, topics: ['jobs'] })
  await producer.startup()
  let consumer: Client | undefined
  return {
    send: (number) => producer.send({ topic: 'jobs', tag: 'job', body: bodyOf(number) }),
    consume: async (handler) => {
      const consume = async ({ body }: { body: Buffer }): Promise<unknown> => {
        handler(numberOf(body))
        return ConsumeResult.SUCCESS
      }
      consumer = new PushConsumer({
        ...common,
        consumerGroup: 'workers',
        subscriptions: new Map([['jobs', '*']]),
        messageListener: { consume },
        maxCacheMessageCount: 4_000,
      })
      await consumer.startup()
    },
    close: async () => {
      await consumer?.shutdown()
      await producer.shutdown()
    },
  }
}
