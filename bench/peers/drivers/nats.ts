import { bodyOf, type Driver, numberOf } from '../driver.ts'
import { load } from '../packages.ts'

interface Nats {
  connect(options: object): Promise<Connection>
}

interface Connection {
  jetstream(): JetStream
  jetstreamManager(): Promise<{
    streams: { add(options: object): Promise<unknown> }
    consumers: { add(stream: string, options: object): Promise<unknown> }
  }>
  close(): Promise<void>
}

interface JetStream {
  publish(subject: string, body: Uint8Array): Promise<unknown>
  consumers: {
    get(stream: string, name: string): Promise<{ consume(options: object): Promise<Messages> }>
  }
}

interface Messages extends AsyncIterable<{ readonly data: Uint8Array; ack(): void }> {
  close(): Promise<unknown>
}

/** A stream that keeps a message until it is acknowledged, and a consumer that pulls. */
export async function open(url: string): Promise<Driver> {
  const { connect } = await load<Nats>('nats')
  const connection = await connect({ servers: url })
  const [jetstream, manager] = [connection.jetstream(), await connection.jetstreamManager()]
  await manager.streams.add({ name: 'jobs', subjects: ['jobs'], storage: 'file', retention: 'workqueue' })
  const consumer = { durable_name: 'worker', ack_policy: 'explicit', max_ack_pending: 8_000 }
  await manager.consumers.add('jobs', consumer)
  let messages: Messages | undefined
  return {
    send: (number) => jetstream.publish('jobs', bodyOf(number)),
    consume: async (handler) => {
      messages = await (await jetstream.consumers.get('jobs', 'worker')).consume({ max_messages: 4_000 })
      void forEach(messages, handler)
    },
    close: async () => {
      await messages?.close()
      await connection.close()
    },
  }
}

async function forEach(messages: Messages, handler: (number: number) => void): Promise<void> {
  for await (const message of messages) {
    handler(numberOf(message.data))
    message.ack()
  }
}
