/**
 * Keeps the stock, in a database of its own. It takes pieces out when it is called (POST /take), and for orders that come
 * through the queue, each exactly once: the inbox remembers their ids in the same transaction.
 */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import {
  type Executor,
  fromSqlite,
  idempotent,
  inboxSchema,
  migrate,
  openInbox,
} from '../../src/patterns/index.ts'
import { servePosts } from '../support/serve-posts.ts'
import { items, type Order, orders, STOCK, ways } from './words.ts'

/** After the stock is changed a label is printed; the answer comes after that. Milliseconds. */
const LABEL = 15

const [url, file, port] = process.argv.slice(2) as [string, string, string]
const connection = new DatabaseSync(file)
connection.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS stock (item TEXT, way TEXT, pieces INTEGER, PRIMARY KEY (item, way));
  CREATE TABLE IF NOT EXISTS movements (number INTEGER PRIMARY KEY, order_id TEXT, way TEXT, item TEXT, pieces INTEGER);
`)
const fill = connection.prepare('INSERT INTO stock VALUES (?, ?, ?) ON CONFLICT DO NOTHING')
for (const item of items) for (const way of ways) fill.run(item, way, STOCK)

const database = fromSqlite(connection)
await migrate(database, inboxSchema)
const inbox = await openInbox({ database, consumer: 'inventory' })

async function take(tx: Executor, { id, way, item, pieces }: Order): Promise<void> {
  await tx.execute('UPDATE stock SET pieces = pieces - ? WHERE item = ? AND way = ?', [pieces, item, way])
  await tx.execute('INSERT INTO movements (order_id, way, item, pieces) VALUES (?, ?, ?, ?)', [
    id,
    way,
    item,
    pieces,
  ])
}

const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
// Acknowledgements that were on their way when the broker died: what they were for comes again.
mq.on('error', (error) => error.code === 'delivery-settled' || console.error(`inventory: ${error.message}`))
mq.consume(
  orders,
  { concurrency: 4 },
  idempotent((message, { tx }) => take(tx, message.body), { inbox }),
)

servePosts(Number(port), {
  '/take': async (order: Order) => {
    await database.transaction((tx) => take(tx, order))
    await pause(LABEL)
  },
})
