/** SQLite, and migrations; the other databases are in pglite.test.ts and in test/databases. */
import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { connect } from '../../src/index.ts'
import {
  checkSchema,
  fromSqlite,
  fromSqliteTransaction,
  migrate,
  openOutbox,
  type Schema,
} from '../../src/patterns/index.ts'
import { testDatabase } from '../../src/testing/index.ts'
import { bodies, orders, quickly, take } from './outbox-bench.ts'
import { sqlite } from './subjects.ts'

testDatabase({
  name: 'node:sqlite',
  concurrent: false,
  open: async () => {
    const connection = new DatabaseSync(':memory:')
    return { database: fromSqlite(connection), close: async () => connection.close() }
  },
})

suite('SQLite: one connection for all', () => {
  const open = (busyTimeout?: number) => {
    const connection = new DatabaseSync(':memory:')
    connection.exec('CREATE TABLE notes (note TEXT)')
    return { connection, database: fromSqlite(connection, { busyTimeout }) }
  }
  const count = (connection: DatabaseSync) =>
    connection.prepare('SELECT count(*) AS n FROM notes').get()!['n']

  test('statements wait for the transaction that the application has begun by itself', async () => {
    const { connection, database } = open()
    connection.exec('BEGIN')
    const other = database.execute("INSERT INTO notes VALUES ('other')")
    await fromSqliteTransaction(connection).execute("INSERT INTO notes VALUES ('own')")
    await new Promise((resolve) => setTimeout(resolve, 5))
    connection.exec('ROLLBACK')
    await other
    assert.equal(count(connection), 1)
  })

  test('a transaction that stays open is database-conflict in the end', async () => {
    const { connection, database } = open(20)
    connection.exec('BEGIN')
    await assert.rejects(database.execute('SELECT 1'), { code: 'database-conflict' })
    await assert.rejects(
      database.transaction(() => assert.fail('it has begun')),
      { code: 'database-conflict' },
    )
  })

  test('a database that takes no writes is database-read-only: told once, nothing busy, and nothing is lost', async () => {
    await using opened = await sqlite.open()
    const { database } = opened
    await using mq = await connect('memory:')
    await using outbox = await openOutbox({ database })
    const send = () => database.transaction((tx) => outbox.send(tx, orders, 1))
    await send()
    await database.execute('PRAGMA query_only = ON')
    await assert.rejects(send(), { code: 'database-read-only' })
    const told: string[] = []
    const relay = await outbox.relay(mq, quickly)
    relay.on('error', ({ code }) => told.push(code))
    while (told.length === 0) await setImmediate()
    const [before, begun] = [relay.statistics.polls, performance.now()]
    await new Promise((resolve) => setTimeout(resolve, 150))
    // After 100, 200, 400 ms, and so on.
    const most = Math.log2((performance.now() - begun) / 100) + 2
    assert.ok(relay.statistics.polls - before <= most, `asked ${relay.statistics.polls - before} times`)
    assert.deepEqual(told, ['database-read-only'])
    await database.execute('PRAGMA query_only = OFF')
    assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
  })

  test('outside of a transaction fromSqliteTransaction does nothing', async () => {
    const { connection } = open()
    const own = fromSqliteTransaction(connection)
    await assert.rejects(own.execute("INSERT INTO notes VALUES ('own')"), { code: 'illegal-state' })
    assert.equal(count(connection), 0)
  })
})

suite('migrations', () => {
  const first = () => ['CREATE TABLE things (id INTEGER)']
  const second = () => ['ALTER TABLE things ADD COLUMN name TEXT', 'CREATE INDEX by_name ON things (name)']
  const version = (count: 1 | 2): Schema => ({
    component: 'things',
    table: 'things',
    versions: [first, second].slice(0, count),
  })

  test('nothing is made that nobody asked for: without tables it is schema-missing', async () => {
    const database = fromSqlite(new DatabaseSync(':memory:'))
    await assert.rejects(checkSchema(database, version(1)), { code: 'schema-missing' })
    await assert.rejects(checkSchema(database, version(1)), { code: 'schema-missing' })
    assert.equal(await migrate(database, version(1)), 0)
    await checkSchema(database, version(1))
  })

  test('older tables are schema-older until they are migrated, newer ones schema-newer and left alone', async () => {
    const database = fromSqlite(new DatabaseSync(':memory:'))
    await migrate(database, version(1))
    await assert.rejects(checkSchema(database, version(2)), { code: 'schema-older' })
    assert.equal(await migrate(database, version(2)), 1)
    assert.equal(await migrate(database, version(2)), 2)
    await checkSchema(database, version(2))
    await assert.rejects(checkSchema(database, version(1)), { code: 'schema-newer' })
    await assert.rejects(migrate(database, version(1)), { code: 'schema-newer' })
  })

  test('a migration that fails leaves the version that was there', async () => {
    const database = fromSqlite(new DatabaseSync(':memory:'))
    await migrate(database, version(1))
    const broken: Schema = { ...version(1), versions: [first, () => [second()[0]!, 'CREATE NONSENSE']] }
    await assert.rejects(migrate(database, broken), { code: 'database-failed' })
    await checkSchema(database, version(1))
    await migrate(database, version(2))
  })

  test('two that migrate at once make the tables once', async () => {
    const connection = new DatabaseSync(':memory:')
    const found = await Promise.all([1, 2].map(() => migrate(fromSqlite(connection), version(2))))
    assert.deepEqual(found, [0, 2])
  })
})
