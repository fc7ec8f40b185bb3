/**
 * A process that uses a directory together with others. Its parent says by messages what to do, and is told by messages
 * what has happened.
 */
import { openSync, writeSync } from 'node:fs'
import { connect, isMillraceError, queue } from '../../src/index.ts'

/** What has happened, as each process tells it. */
export type Told =
  | { event: 'ready' | 'disconnected' | 'reconnected' | 'sent-all' }
  | { event: 'confirmed' | 'accepted'; number: number }
  | { event: 'delivered'; number: number; brokerId: string }
  | { event: 'error'; code: string; message: string }

export type Order = { order: 'send'; from: number; count: number } | { order: 'consume' } | { order: 'leave' }

const numbers = queue<number>('numbers')
const ledger = openSync(process.argv[3]!, 'a')

/** Written down first: messages to the parent that are on their way end with the process. */
function tell(told: Told): void {
  writeSync(ledger, `${JSON.stringify(told)}\n`)
  process.send!(told)
}

const mq = await connect(process.argv[2]!)
mq.on('disconnected', () => tell({ event: 'disconnected' }))
mq.on('reconnected', () => tell({ event: 'reconnected' }))
mq.on('error', ({ code, message }) => tell({ event: 'error', code, message }))

async function send(from: number, count: number): Promise<void> {
  const sends = Array.from({ length: count }, async (_, i) => {
    const number = from + i
    await mq.send(numbers, number)
    tell({ event: 'confirmed', number })
  })
  await Promise.all(sends)
  tell({ event: 'sent-all' })
}

function consume(): void {
  mq.consume(numbers, { concurrency: 10 }, async (message) => {
    const { body: number, brokerId } = message
    tell({ event: 'delivered', number, brokerId })
    try {
      await message.acknowledge()
      tell({ event: 'accepted', number })
    } catch (error) {
      // Lost with its owner: it comes again.
      if (!(isMillraceError(error) && error.code === 'delivery-settled')) throw error
    }
  })
}

process.on('message', (order: Order) => {
  switch (order.order) {
    case 'send':
      return void send(order.from, order.count)
    case 'consume':
      return consume()
    case 'leave':
      return void mq.close().then(() => process.disconnect())
  }
})
process.on('disconnect', () => process.exit())
tell({ event: 'ready' })
