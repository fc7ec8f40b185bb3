import { bodyOf, type Driver, numberOf } from '../driver.ts'
import { load } from '../packages.ts'

interface Amqplib {
  connect(url: string): Promise<Connection>
}

interface Connection {
  createConfirmChannel(): Promise<ConfirmChannel>
  createChannel(): Promise<Channel>
  close(): Promise<void>
}

interface Channel {
  assertQueue(name: string, options: { durable: boolean; arguments?: object }): Promise<unknown>
  prefetch(count: number): Promise<unknown>
  consume(queue: string, handler: (message: { content: Buffer } | null) => void): Promise<unknown>
  ack(message: object): void
}

interface ConfirmChannel extends Channel {
  sendToQueue(
    queue: string,
    body: Buffer,
    options: { persistent: boolean },
    confirmed: (error: unknown) => void,
  ): boolean
}

/** AMQP 0-9-1: publisher confirms on one channel, manual acknowledgement on another. The URL's fragment is the type of the queue. */
export async function open(url: string): Promise<Driver> {
  const { connect } = await load<Amqplib>('amqplib')
  const [address, type] = url.split('#')
  const connection = await connect(address!)
  const [sending, receiving] = [await connection.createConfirmChannel(), await connection.createChannel()]
  await sending.assertQueue('jobs', { durable: true, arguments: { 'x-queue-type': type } })
  await receiving.prefetch(4_000)
  return {
    send: (number) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      sending.sendToQueue('jobs', bodyOf(number), { persistent: true }, (error) =>
        error ? reject(new Error('not confirmed', { cause: error })) : resolve(),
      )
      return promise
    },
    consume: async (handler) => {
      await receiving.consume('jobs', (message) => {
        if (message === null) return
        handler(numberOf(message.content))
        receiving.ack(message)
      })
    },
    close: () => connection.close(),
  }
}
