import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { dialects } from './dialects.ts'
import { callBack, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a transaction of PGlite. */
export interface PgliteQueryable {
  query(
    query: string,
    parameters: unknown[],
  ): Promise<{ readonly rows: unknown[]; readonly affectedRows?: number | undefined }>
}

export interface Pglite<Tx extends PgliteQueryable> extends PgliteQueryable {
  transaction<R>(work: (tx: Tx) => Promise<R>): Promise<R | undefined>
}

/** PostgreSQL in this process, through PGlite, which runs one transaction after the other. */
export function fromPglite<Tx extends PgliteQueryable>(pglite: Pglite<Tx>): Database<Tx> {
  return {
    ...fromPgliteTransaction(pglite),
    dialect: dialects.postgresql,
    transaction: (work, options) =>
      callBack(
        (callback) => pglite.transaction(callback),
        (native) => new OpenTransaction<Tx>(native, (sql, parameters) => query(native, sql, parameters)),
        work,
        options,
      ),
  }
}

/** Statements in a transaction of the application's. */
export function fromPgliteTransaction(tx: PgliteQueryable): Executor {
  return executorOf((sql, parameters) => query(tx, sql, parameters))
}

async function query(tx: PgliteQueryable, sql: string, parameters: readonly SqlValue[]): Promise<SqlResult> {
  const { rows, affectedRows } = await tx.query(sql, [...parameters])
  return { rows: rows as Row[], affected: affectedRows ?? 0 }
}
