/** Takes all orders out of the queue and prints them, a line each, in the order in which they arrived. */
import { connect } from '../../src/index.ts'
import { formatOrder, orders } from './order.ts'

const [url] = process.argv.slice(2) as [string]

await using mq = await connect(url)
const consumer = await mq.createConsumer(orders)
const acknowledgements: Promise<void>[] = []
for (;;) {
  const message = await consumer.receive({ timeout: 0 })
  if (!message) break
  console.log(formatOrder(message.body))
  acknowledgements.push(message.acknowledge())
}
await Promise.all(acknowledgements)
