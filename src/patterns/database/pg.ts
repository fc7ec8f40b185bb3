import { unlessAborted } from './abandoning.ts'
import type { Database, Executor, Row, SqlResult, SqlValue, Transaction } from './database.ts'
import { driverValues } from './database.ts'
import { dialects } from './dialects.ts'
import { attempt, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a client of the package `pg`, or of its pool. */
export interface PgQueryable {
  query(query: {
    readonly text: string
    readonly values: unknown[]
  }): Promise<{ readonly rows: unknown[]; readonly rowCount: number | null }>
}

export interface PgPoolClient extends PgQueryable {
  release(destroy?: boolean): void
  on(event: 'error', listener: (error: Error) => void): unknown
  removeListener(event: 'error', listener: (error: Error) => void): unknown
}

export interface PgPool<Client extends PgPoolClient> extends PgQueryable {
  connect(): Promise<Client>
}

export interface PgOptions {
  /** Of the transactions that it begins. Default READ COMMITTED. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined
}

/** PostgreSQL through a pool of the package `pg`. Transactions are handed out as its clients. */
export function fromPg<Client extends PgPoolClient>(
  pool: PgPool<Client>,
  options: PgOptions = {},
): Database<Client> {
  const begin = `BEGIN ISOLATION LEVEL ${(options.isolation ?? 'read committed').toUpperCase()}`
  return {
    ...fromPgClient(pool),
    dialect: dialects.postgresql,
    transaction: async (work, { signal } = {}) => {
      signal?.throwIfAborted()
      const client = await attempt(() => pool.connect())
      // A connection that is lost while nobody asks it anything tells so by an event, which without listener ends the process.
      client.on('error', ignore)
      const tx = new OpenTransaction<Client>(client, (sql, parameters) => query(client, sql, parameters))
      let intact = false
      try {
        await tx.execute(begin)
        const result = await unlessAborted(() => work(tx), signal)
        await tx.execute('COMMIT')
        intact = true
        tx.committed()
        return result
      } catch (error) {
        // Whoever was abandoned may still hold the client: it goes, and the server rolls back.
        intact = !signal?.aborted && (await rolledBack(tx))
        throw error
      } finally {
        tx.end()
        client.removeListener('error', ignore)
        client.release(!intact)
      }
    },
  }
}

/** Statements in a transaction that the application has begun on this client. */
export function fromPgClient(client: PgQueryable): Executor {
  return executorOf((sql, parameters) => query(client, sql, parameters))
}

async function query(client: PgQueryable, sql: string, parameters: readonly SqlValue[]): Promise<SqlResult> {
  const { rows, rowCount } = await client.query({ text: sql, values: driverValues(parameters) })
  return { rows: rows as Row[], affected: rowCount ?? 0 }
}

async function rolledBack(tx: Transaction): Promise<boolean> {
  return tx.execute('ROLLBACK').then(
    () => true,
    () => false,
  )
}

function ignore(): void {}
