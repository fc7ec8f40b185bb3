/**
 * Works off the orders at the rate that it is allowed, whatever the rush. It may be killed at any moment. That an order was
 * dealt with, the sale and the answer are one transaction: the order has one effect, however often it comes, and is answered.
 */
import { DatabaseSync } from 'node:sqlite'
import { connect } from '../../src/index.ts'
import {
  fromSqlite,
  idempotent,
  inboxSchema,
  migrate,
  openInbox,
  openOutbox,
  outboxSchema,
  shapedConsumer,
} from '../../src/patterns/index.ts'
import { tell } from '../support/program.ts'
import { answersAt, orders } from './words.ts'

const [url, file, perSecond] = process.argv.slice(2) as [string, string, string]
const connection = new DatabaseSync(file)
connection.exec(`
  PRAGMA busy_timeout = 5000;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS sold (number INTEGER PRIMARY KEY, buyer INTEGER, token INTEGER, at INTEGER);
`)
const database = fromSqlite(connection)
await migrate(database, inboxSchema)
await migrate(database, outboxSchema)
const inbox = await openInbox({ database, consumer: 'till' })
const outbox = await openOutbox({ database })

const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
// Acknowledgements that were on their way when the broker died: what they were for comes again.
mq.on('error', (error) => error.code === 'delivery-settled' || console.error(`till: ${error.message}`))
// Soon, the other till sends what one had claimed that was killed.
await outbox.relay(mq, { lease: '2s' })

const consumer = shapedConsumer(
  mq,
  orders,
  { concurrency: 4, rate: { perSecond: Number(perSecond), burst: 5 } },
  idempotent(
    async ({ body: { buyer, number, token, door } }, { executor }) => {
      const { affected } = await executor.execute(
        'INSERT INTO sold VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
        [number, buyer, token, Date.now()],
      )
      await outbox.send(executor, answersAt(door), { buyer, number, sold: affected > 0 })
    },
    { inbox },
  ),
)
await consumer.ready
process.on('disconnect', () => process.exit())
tell({ event: 'ready' })
