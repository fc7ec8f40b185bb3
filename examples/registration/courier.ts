/** Takes greetings out of the queues and to the post office. It may be killed at any moment: what it held comes again. */
import { connect } from '../../src/index.ts'
import { tell } from '../support/program.ts'
import { deliver, greetings, type Kind } from './words.ts'

const [url, postOffice] = process.argv.slice(2) as [string, string]
const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
// Acknowledgements that were on their way when the broker died: what they were for comes again.
mq.on('error', (error) => error.code === 'delivery-settled' || console.error(`courier: ${error.message}`))

for (const kind of ['mail', 'text'] satisfies Kind[]) {
  mq.consume(greetings[kind], { concurrency: 8 }, async ({ messageId, body }) => {
    await deliver(Number(postOffice), kind, messageId!, body)
    tell({ event: 'delivered' })
  })
}
process.on('disconnect', () => process.exit())
tell({ event: 'ready' })
