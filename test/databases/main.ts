/**
 * The patterns on the real servers, PostgreSQL and MariaDB, through their drivers and through query builders. The servers
 * belong to this run: they live in temporary directories and are stopped at its end.
 */
import { join } from 'node:path'
import { after } from 'node:test'
import { sql } from 'drizzle-orm'
import { drizzle as drizzleMysql } from 'drizzle-orm/mysql2'
import { drizzle as drizzlePg } from 'drizzle-orm/node-postgres'
import createKnex from 'knex'
import { Kysely, MysqlDialect, PostgresDialect } from 'kysely'
import { createPool as createCallbackPool } from 'mysql2'
import { createPool, type Pool as MysqlPool } from 'mysql2/promise'
import { Pool } from 'pg'
import { fromDrizzle, fromKnex, fromKysely, fromMysql2, fromPg } from '../../src/patterns/index.ts'
import { testDatabase } from '../../src/testing/index.ts'
import { CuttingProxy } from '../faults/cutting-proxy.ts'
import { testHalfMessages } from '../patterns/half-messages-suite.ts'
import { testInboxFaults } from '../patterns/inbox-faults-suite.ts'
import { testInbox } from '../patterns/inbox-suite.ts'
import { testOutbox } from '../patterns/outbox-suite.ts'
import { prepare, type Subject } from '../patterns/subjects.ts'
import { type Harsh, testBadInput } from './bad-input.ts'
import { startMariadb, startPostgres } from './servers.ts'

const [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()])
after(async () => {
  await Promise.all([postgres.stop(), mariadb.stop()])
})

const pg = { host: postgres.socket, port: postgres.port, user: 'millrace', database: 'postgres' }
const mysql = { socketPath: mariadb.socket, user: 'root', database: 'millrace' }
await createDatabase()

async function createDatabase(): Promise<void> {
  const pool = createPool({ socketPath: mariadb.socket, user: 'root' })
  await pool.query('CREATE DATABASE millrace')
  await pool.end()
}

/** A connection that is lost tells so by an event, an idle one through its pool, one in use, but for our own adapter, by itself. */
function openPg(): Pool {
  return new Pool(pg).on('error', () => {}).on('connect', (client) => client.on('error', () => {}))
}

function openMysql(): MysqlPool {
  return createPool(mysql)
}

testDatabase({
  name: 'pg on PostgreSQL',
  open: async () => {
    const pool = openPg()
    return { database: fromPg(pool), close: () => pool.end() }
  },
})

testDatabase({
  name: 'Kysely on PostgreSQL',
  open: async () => {
    const kysely = new Kysely<Record<string, never>>({ dialect: new PostgresDialect({ pool: openPg() }) })
    return { database: fromKysely(kysely, 'postgresql'), close: () => kysely.destroy() }
  },
})

testDatabase({
  name: 'Knex on PostgreSQL',
  open: async () => {
    const knex = createKnex({ client: 'pg', connection: pg })
    return { database: fromKnex(knex, 'postgresql'), close: () => knex.destroy() }
  },
})

testDatabase({
  name: 'Drizzle on PostgreSQL',
  open: async () => {
    const pool = openPg()
    return { database: fromDrizzle(drizzlePg({ client: pool }), sql, 'postgresql'), close: () => pool.end() }
  },
})

testDatabase({
  name: 'mysql2 on MariaDB',
  open: async () => {
    const pool = openMysql()
    return { database: fromMysql2(pool), close: () => pool.end() }
  },
})

testDatabase({
  name: 'Kysely on MariaDB',
  open: async () => {
    const pool = createCallbackPool(mysql)
    const kysely = new Kysely<Record<string, never>>({ dialect: new MysqlDialect({ pool }) })
    return { database: fromKysely(kysely, 'mysql'), close: () => kysely.destroy() }
  },
})

testDatabase({
  name: 'Knex on MariaDB',
  open: async () => {
    const knex = createKnex({ client: 'mysql2', connection: mysql })
    return { database: fromKnex(knex, 'mysql'), close: () => knex.destroy() }
  },
})

testDatabase({
  name: 'Drizzle on MariaDB',
  open: async () => {
    const pool = openMysql()
    return { database: fromDrizzle(drizzleMysql({ client: pool }), sql, 'mysql'), close: () => pool.end() }
  },
})

const onPostgres: Subject = {
  name: 'PostgreSQL',
  concurrent: true,
  open: async () => {
    const pool = openPg()
    const database = fromPg(pool)
    await prepare(database)
    return { database, [Symbol.asyncDispose]: () => pool.end() }
  },
}

const onMariadb: Subject = {
  name: 'MariaDB',
  concurrent: true,
  open: async () => {
    const pool = openMysql()
    const database = fromMysql2(pool)
    await prepare(database)
    return { database, [Symbol.asyncDispose]: () => pool.end() }
  },
}

/** What an administrator does, and what a program sees of it that reaches the server through a proxy. */
const ends: (() => Promise<unknown>)[] = []
after(async () => {
  for (const end of ends) await end()
})

async function harshPostgres(): Promise<Harsh> {
  const proxy = await CuttingProxy.start(join(postgres.socket, `.s.PGSQL.${postgres.port}`))
  const who = { user: 'millrace', database: 'postgres' }
  // Whoever keeps the others from writing can write.
  const administrator = new Pool({ ...pg, options: '-c default_transaction_read_only=off' }).on(
    'error',
    () => {},
  )
  const program = new Pool({ ...who, host: '127.0.0.1', port: proxy.port })
    .on('error', () => {})
    .on('connect', (client) => client.on('error', () => {}))
  ends.push(
    () => administrator.end(),
    () => program.end(),
    () => proxy.stop(),
  )
  return {
    name: 'PostgreSQL',
    database: fromPg(administrator),
    application: fromPg(program),
    proxy,
    shrink: 'ALTER TABLE millrace_outbox ALTER COLUMN headers TYPE VARCHAR(20000)',
    readOnly: async (on) => {
      const expected = on ? 'on' : 'off'
      await administrator.query(`ALTER SYSTEM SET default_transaction_read_only = ${expected}`)
      await administrator.query('SELECT pg_reload_conf()')
      // Each session hears of it by itself.
      while (
        (await program.query('SHOW default_transaction_read_only')).rows[0].default_transaction_read_only !==
        expected
      );
    },
  }
}

async function harshMariadb(): Promise<Harsh> {
  const proxy = await CuttingProxy.start(mariadb.socket)
  const administrator = openMysql()
  for (const host of ['localhost', '127.0.0.1']) {
    await administrator.query(`CREATE USER IF NOT EXISTS shop@'${host}'`)
    await administrator.query(`GRANT ALL ON millrace.* TO shop@'${host}'`)
  }
  const program = createPool({ user: 'shop', database: 'millrace', host: '127.0.0.1', port: proxy.port })
  ends.push(
    () => administrator.end(),
    () => program.end(),
    () => proxy.stop(),
  )
  return {
    name: 'MariaDB',
    database: fromMysql2(administrator),
    application: fromMysql2(program),
    proxy,
    shrink: 'ALTER TABLE millrace_outbox MODIFY body BLOB NOT NULL',
    readOnly: async (on) => {
      await administrator.query(`SET GLOBAL read_only = ${on ? 1 : 0}`)
    },
  }
}

let harsh: Promise<readonly [Harsh, Harsh]> | undefined
const opened = () => (harsh ??= Promise.all([harshPostgres(), harshMariadb()]))
testBadInput(async () => (await opened())[0], 'PostgreSQL')
testBadInput(async () => (await opened())[1], 'MariaDB')

for (const subject of [onPostgres, onMariadb]) {
  testOutbox(subject)
  testInbox(subject)
  testInboxFaults(subject)
  testHalfMessages(subject)
}
