/**
 * Takes orders (POST /order) into a database of its own, and tells the inventory of each, in one of three ways. An order that
 * it has already is not taken again.
 */
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import { type Executor, fromSqlite, migrate, openOutbox, outboxSchema } from '../../src/patterns/index.ts'
import { servePosts } from '../support/serve-posts.ts'
import { type Order, orders, post, type Way } from './words.ts'

const ATTEMPTS = 4
/** Before the next attempt. Milliseconds. */
const PAUSE = 100

const [url, file, inventory, port] = process.argv.slice(2) as [string, string, string, string]
const connection = new DatabaseSync(file)
connection.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, way TEXT, item TEXT, pieces INTEGER);
`)
const database = fromSqlite(connection)
await migrate(database, outboxSchema)
const outbox = await openOutbox({ database })
const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
mq.on('error', (error) => console.error(`shop: ${error.message}`))
await outbox.relay(mq)

/** False when it is there already. */
async function insert(tx: Executor, { id, way, item, pieces }: Order): Promise<boolean> {
  const sql = 'INSERT INTO orders VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING'
  return (await tx.execute(sql, [id, way, item, pieces])).affected > 0
}

/** As is usual: it may fail, so it is tried again; in the end it is given up. */
async function call(order: Order): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await post(Number(inventory), '/take', order)
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
      await pause(PAUSE * 2 ** attempt)
    }
  }
}

let background = 0

const tellInventory: Readonly<Record<Way, (order: Order) => Promise<void>>> = {
  direct: async (order) => {
    if (await insert(database, order)) await call(order)
  },
  background: async (order) => {
    if (!(await insert(database, order))) return
    background++
    void call(order)
      .catch(() => {})
      .finally(() => background--)
  },
  queued: async (order) => {
    await database.transaction(async (tx) => {
      if (await insert(tx, order)) await outbox.send(tx, orders, order)
    })
  },
}

servePosts(Number(port), {
  '/order': (order: Order) => tellInventory[order.way](order),
  '/idle': async () => {
    while (background > 0) await pause(10)
  },
})
