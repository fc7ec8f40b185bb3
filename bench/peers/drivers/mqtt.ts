import { bodyOf, type Driver, numberOf } from '../driver.ts'
import { load } from '../packages.ts'

interface Mqtt {
  connectAsync(url: string, options: object): Promise<Client>
}

interface Client {
  publishAsync(topic: string, body: Buffer, options: { qos: 1 }): Promise<unknown>
  subscribeAsync(topic: string, options: { qos: 1 }): Promise<unknown>
  on(event: 'message', listener: (topic: string, body: Buffer) => void): unknown
  endAsync(): Promise<void>
}

/** MQTT has no queues: what is nearest is a topic whose one subscriber has a session that persists. */
export async function open(url: string): Promise<Driver> {
  const { connectAsync } = await load<Mqtt>('mqtt')
  const [sending, receiving] = [
    await connectAsync(url, { clientId: 'sender' }),
    await connectAsync(url, { clientId: 'receiver', clean: false }),
  ]
  return {
    send: (number) => sending.publishAsync('jobs', bodyOf(number), { qos: 1 }),
    consume: async (handler) => {
      receiving.on('message', (_, body) => handler(numberOf(body)))
      await receiving.subscribeAsync('jobs', { qos: 1 })
    },
    close: async () => {
      await sending.endAsync()
      await receiving.endAsync()
    },
  }
}
