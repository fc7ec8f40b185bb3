import { unlessAborted } from './abandoning.ts'
import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { driverValues } from './database.ts'
import { dialects } from './dialects.ts'
import { attempt, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a connection, or a pool, of `mysql2/promise`. */
export interface Mysql2Queryable {
  execute(sql: string, values: (string | number | bigint | Buffer | null)[]): Promise<[unknown, unknown]>
}

export interface Mysql2PoolConnection extends Mysql2Queryable {
  query(sql: string): Promise<unknown>
  release(): void
  destroy(): void
}

export interface Mysql2Pool<Connection extends Mysql2PoolConnection> extends Mysql2Queryable {
  getConnection(): Promise<Connection>
}

export interface Mysql2Options {
  /** Of the transactions that it begins. Default READ COMMITTED, under which no gaps between rows are locked. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined
}

/** MySQL or MariaDB through a pool of `mysql2/promise`. Transactions are handed out as its connections. */
export function fromMysql2<Connection extends Mysql2PoolConnection>(
  pool: Mysql2Pool<Connection>,
  options: Mysql2Options = {},
): Database<Connection> {
  const isolation = (options.isolation ?? 'read committed').toUpperCase()
  return {
    ...fromMysql2Connection(pool),
    dialect: dialects.mysql,
    transaction: async (work, { signal } = {}) => {
      signal?.throwIfAborted()
      const connection = await attempt(() => pool.getConnection())
      const tx = new OpenTransaction<Connection>(connection, (sql, values) =>
        execute(connection, sql, values),
      )
      let intact = false
      try {
        await attempt(() => connection.query(`SET TRANSACTION ISOLATION LEVEL ${isolation}`))
        await attempt(() => connection.query('START TRANSACTION'))
        const result = await unlessAborted(() => work(tx), signal)
        await attempt(() => connection.query('COMMIT'))
        intact = true
        tx.committed()
        return result
      } catch (error) {
        // Whoever was abandoned may still hold the connection: it goes, and the server rolls back.
        intact = !signal?.aborted && (await rolledBack(connection))
        throw error
      } finally {
        tx.end()
        if (intact) connection.release()
        else connection.destroy()
      }
    },
  }
}

/** Statements in a transaction that the application has begun on this connection. */
export function fromMysql2Connection(connection: Mysql2Queryable): Executor {
  return executorOf((sql, values) => execute(connection, sql, values))
}

async function execute(
  connection: Mysql2Queryable,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<SqlResult> {
  const [result] = await connection.execute(sql, driverValues(parameters))
  return mysqlResult(result)
}

/** Rows of a query, or the header of what a statement has changed. */
export function mysqlResult(result: unknown): SqlResult {
  if (Array.isArray(result)) return { rows: result as Row[], affected: 0 }
  return { rows: [], affected: (result as { readonly affectedRows?: number }).affectedRows ?? 0 }
}

async function rolledBack(connection: Mysql2PoolConnection): Promise<boolean> {
  return connection.query('ROLLBACK').then(
    () => true,
    () => false,
  )
}
