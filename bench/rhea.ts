import { once } from 'node:events'
import rhea from 'rhea'

const WINDOW = 2_000

/** The same load with rhea: durable messages through a queue, each confirmed to the sender and accepted by the receiver. */
export async function throughputOfRhea(
  { host, port }: { readonly host: string; readonly port: number },
  seconds: number,
  size: number,
): Promise<{ rate: number; messages: number }> {
  const container = rhea.create_container()
  const connection = container.connect({ host, port, reconnect: false })
  const body = Buffer.alloc(size, 7)
  const message = { durable: true, body: rhea.message.data_section(body) }
  let messages = 0
  connection.open_receiver({
    source: { address: 'jobs', capabilities: ['queue'] },
    credit_window: WINDOW * 2,
  })
  connection.on('message', () => {
    messages++
  })
  const sender = connection.open_sender({ target: { address: 'jobs', capabilities: ['queue'] } })
  await once(sender, 'sendable')
  const begun = performance.now()
  const until = begun + seconds * 1000
  let sent = 0
  let confirmed = 0
  const done = Promise.withResolvers<void>()
  const more = (): void => {
    while (performance.now() < until && sender.sendable() && sent - confirmed < WINDOW) {
      sender.send(message)
      sent++
    }
    if (performance.now() >= until && confirmed === sent && messages === sent) done.resolve()
  }
  sender.on('accepted', () => {
    confirmed++
    more()
  })
  sender.on('sendable', more)
  connection.on('message', more)
  more()
  await done.promise
  const rate = (messages / (performance.now() - begun)) * 1000
  connection.close()
  await once(connection, 'connection_close')
  return { rate, messages }
}
