import { connect, queue } from '../../../src/index.ts'
import { bodyOf, type Driver, numberOf } from '../driver.ts'

/**
 * Our AMQP 1.0 client, at any broker that speaks it. A URL with `#N` has N connections for each side, which take turns, for a
 * broker that has one message of a connection in its hands at a time.
 */
export async function open(url: string): Promise<Driver> {
  const [address, connections = '1'] = url.split('#')
  const open = (): Promise<Awaited<ReturnType<typeof connect>>[]> =>
    Promise.all(Array.from({ length: Number(connections) }, () => connect(address!)))
  const senders = await open()
  const receivers = connections === '1' ? senders : await open()
  const jobs = queue<Uint8Array>('jobs')
  const prefetch = Math.ceil(4_000 / receivers.length)
  return {
    send: (number) => senders[number % senders.length]!.send(jobs, bodyOf(number), { durability: 'disk' }),
    consume: async (handler) => {
      await Promise.all(
        receivers.map((mq) => mq.consume(jobs, { prefetch }, ({ body }) => handler(numberOf(body))).ready),
      )
    },
    close: async () => {
      for (const mq of new Set([...receivers, ...senders])) await mq.close({ drain: '20s' })
    },
  }
}
