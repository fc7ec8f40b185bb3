/**
 * Signs users up: POST /serial, /parallel or /queued with a name. Queued, the user and both messages are committed in one
 * transaction of the database, and the answer waits for nothing else; a relay sends the messages when there is a broker.
 */
import { DatabaseSync } from 'node:sqlite'
import { connect } from '../../src/index.ts'
import { type Executor, fromSqlite, migrate, openOutbox, outboxSchema } from '../../src/patterns/index.ts'
import { servePosts } from '../support/serve-posts.ts'
import { deliver, greetings, type Kind, type Way } from './words.ts'

const [url, file, postOffice] = process.argv.slice(2) as [string, string, string]
const connection = new DatabaseSync(file)
connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
connection.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, way TEXT)')
const database = fromSqlite(connection)
await migrate(database, outboxSchema)
const outbox = await openOutbox({ database })

const mq = await connect(url, { reconnect: { initial: 20, max: 200, firstAttempts: 100 } })
mq.on('error', (error) => console.error(`service: ${error.message}`))
await outbox.relay(mq)

async function insert(tx: Executor, name: string, way: Way): Promise<number> {
  const { rows } = await tx.execute('INSERT INTO users (name, way) VALUES (?, ?) RETURNING id', [name, way])
  return Number(rows[0]!['id'])
}

function greet(kind: Kind, way: Way, user: number, to: string): Promise<void> {
  return deliver(Number(postOffice), kind, `${way} ${user} ${kind}`, { user, to })
}

const ways: Readonly<Record<Way, (name: string) => Promise<void>>> = {
  serial: async (name) => {
    const user = await insert(database, name, 'serial')
    await greet('mail', 'serial', user, name)
    await greet('text', 'serial', user, name)
  },
  parallel: async (name) => {
    const user = await insert(database, name, 'parallel')
    await Promise.all([greet('mail', 'parallel', user, name), greet('text', 'parallel', user, name)])
  },
  queued: async (name) => {
    await database.transaction(async (tx) => {
      const user = await insert(tx, name, 'queued')
      await outbox.send(tx, greetings.mail, { user, to: name })
      await outbox.send(tx, greetings.text, { user, to: name })
    })
  },
}

servePosts(0, { '/serial': ways.serial, '/parallel': ways.parallel, '/queued': ways.queued })
