import { MillraceError } from '../../model/errors.ts'
import { unlessAborted } from './abandoning.ts'
import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { dialects } from './dialects.ts'
import { attempt, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a DatabaseSync of node:sqlite. */
export interface SqliteConnection {
  readonly isTransaction: boolean
  exec(sql: string): void
  prepare(sql: string): SqliteStatement
}

export interface SqliteStatement {
  all(...parameters: SqlValue[]): unknown[]
  run(...parameters: SqlValue[]): { readonly changes: number | bigint }
  columns(): unknown[]
}

export interface SqliteOptions {
  /** How long to try when another connection to the same file is writing. Milliseconds, default 5,000. */
  readonly busyTimeout?: number | undefined
}

/** The transaction that a handler is given: it refuses when it has ended. */
export type SqliteTransaction = Executor

/**
 * SQLite through node:sqlite. The connection can be in one transaction at a time, so that its users take turns, those who
 * begin one by themselves included; statements that others run meanwhile on the same connection belong to it. While a
 * transaction is open, nobody else writes to the file.
 */
export function fromSqlite(
  connection: SqliteConnection,
  options: SqliteOptions = {},
): Database<SqliteTransaction> {
  const turns = turnsOf(connection)
  const patience = options.busyTimeout ?? 5_000
  const run = statementsOf(connection)
  return {
    dialect: dialects.sqlite,
    execute: (sql, parameters = []) =>
      turns.next(async () => attempt(() => persist(patience, connection, () => run(sql, parameters)))),
    transaction: (work, { signal } = {}) =>
      turns.next(async () => {
        signal?.throwIfAborted()
        await attempt(() => persist(patience, connection, () => connection.exec('BEGIN IMMEDIATE')))
        const execute = async (sql: string, parameters: readonly SqlValue[]) => run(sql, parameters)
        const native = new OpenTransaction<undefined>(undefined, execute)
        const tx = new OpenTransaction<SqliteTransaction>(native, execute)
        try {
          const result = await unlessAborted(() => work(tx), signal)
          await attempt(() => persist(patience, undefined, () => connection.exec('COMMIT')))
          native.committed()
          tx.committed()
          return result
        } catch (error) {
          // Some failures have rolled it back already.
          if (connection.isTransaction) connection.exec('ROLLBACK')
          throw error
        } finally {
          native.end()
          tx.end()
        }
      }),
  }
}

/** Statements in a transaction that the application has begun on this connection. */
export function fromSqliteTransaction(connection: SqliteConnection): Executor {
  const run = statementsOf(connection)
  return executorOf(async (sql, parameters) => {
    if (connection.isTransaction) return run(sql, parameters)
    throw new MillraceError('illegal-state', 'the connection is in no transaction; begin one first')
  })
}

/** Whoever uses the same connection takes turns, through however many adapters. */
class Turns {
  private last: Promise<unknown> = Promise.resolve()

  next<R>(work: () => Promise<R>): Promise<R> {
    const turn = this.last.then(work, work)
    this.last = turn.catch(() => {})
    return turn
  }
}

const known = new WeakMap<SqliteConnection, Turns>()

function turnsOf(connection: SqliteConnection): Turns {
  const turns = known.get(connection) ?? new Turns()
  known.set(connection, turns)
  return turns
}

/** Statements that are prepared once. */
const KEPT_STATEMENTS = 200

function statementsOf(
  connection: SqliteConnection,
): (sql: string, parameters: readonly SqlValue[]) => SqlResult {
  const prepared = new Map<string, { readonly statement: SqliteStatement; readonly answers: boolean }>()
  return (sql, parameters) => {
    let entry = prepared.get(sql)
    if (!entry) {
      const statement = connection.prepare(sql)
      entry = { statement, answers: statement.columns().length > 0 }
      if (prepared.size >= KEPT_STATEMENTS) prepared.delete(prepared.keys().next().value!)
      prepared.set(sql, entry)
    }
    const { statement, answers } = entry
    if (!answers) return { rows: [], affected: Number(statement.run(...parameters).changes) }
    const rows = statement.all(...parameters) as Row[]
    return { rows, affected: rows.length }
  }
}

/** Longest pause between two attempts. Milliseconds. */
const LONGEST_PAUSE = 50
const SQLITE_BUSY = 5

/**
 * Tries again while another connection writes, or while the application has a transaction open on `connection`. It waits in
 * between, since whoever is to finish may be in this very process.
 */
async function persist<R>(
  patience: number,
  connection: SqliteConnection | undefined,
  work: () => R,
): Promise<R> {
  const giveUp = performance.now() + patience
  for (let pause = 1; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    const taken = connection?.isTransaction ?? false
    try {
      if (!taken) return work()
      if (performance.now() > giveUp)
        throw new MillraceError(
          'database-conflict',
          `a transaction has been open on the connection for ${patience} ms`,
        )
    } catch (error) {
      const { errcode } = error as { readonly errcode?: number }
      if (errcode === undefined || (errcode & 0xff) !== SQLITE_BUSY || performance.now() > giveUp) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
