import { DatabaseSync } from 'node:sqlite'
import {
  checkSchema,
  type Database,
  fromSqlite,
  inboxSchema,
  migrate,
  outboxSchema,
} from '../../src/patterns/index.ts'

/** A kind of database that the patterns are tested on. */
export interface Subject {
  readonly name: string
  /** An empty database with the tables of the patterns and a table `orders (id, note)`. */
  open(): Promise<Opened>
  /** Transactions can be open side by side. */
  readonly concurrent: boolean
}

export interface Opened extends AsyncDisposable {
  readonly database: Database
}

/** The tables of the patterns, and one of the applications that the tests play, empty. */
export async function prepare(database: Database): Promise<void> {
  try {
    await checkSchema(database, outboxSchema)
    await checkSchema(database, inboxSchema)
    for (const table of contents) await database.execute(`DELETE FROM ${table}`)
  } catch {
    // The first one, or after a test that has spoilt them.
    const { types, tableOptions } = database.dialect
    for (const table of [...contents, ...others]) await database.execute(`DROP TABLE IF EXISTS ${table}`)
    await database.execute(
      `CREATE TABLE orders (id ${types.counter}, note ${types.name} NOT NULL) ${tableOptions}`,
    )
    await migrate(database, outboxSchema)
    await migrate(database, inboxSchema)
  }
}

const contents: readonly string[] = ['millrace_inbox', 'millrace_outbox', 'millrace_outbox_markers', 'orders']
const others: readonly string[] = ['millrace_outbox_lanes', 'millrace_schema']

export const sqlite: Subject = {
  name: 'SQLite',
  concurrent: false,
  open: async () => {
    const connection = new DatabaseSync(':memory:')
    const database = fromSqlite(connection)
    await prepare(database)
    return { database, [Symbol.asyncDispose]: async () => connection.close() }
  },
}
