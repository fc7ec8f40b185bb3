import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { driverValues } from './database.ts'
import { type DialectName, dialects } from './dialects.ts'
import { callBack, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a Kysely, or of one of its transactions. */
export interface KyselyQueryable {
  executeQuery(query: never): Promise<{
    readonly rows: readonly unknown[]
    readonly numAffectedRows?: bigint | undefined
  }>
  /** Plugins would rename columns. */
  withoutPlugins(): KyselyQueryable
}

export interface KyselyDatabase<Tx extends KyselyQueryable> extends KyselyQueryable {
  transaction(): { execute<R>(work: (tx: Tx) => Promise<R>): Promise<R> }
}

/** Statements in a transaction of Kysely. */
export function fromKysely(tx: KyselyQueryable): Executor
/** A whole database through Kysely, which speaks to one of this dialect. Transactions are handed out as its own. */
export function fromKysely<Tx extends KyselyQueryable>(
  kysely: KyselyDatabase<Tx>,
  dialect: DialectName,
): Database<Tx>
export function fromKysely<Tx extends KyselyQueryable>(
  kysely: KyselyDatabase<Tx> | KyselyQueryable,
  dialect?: DialectName,
): Executor | Database<Tx> {
  const plain = kysely.withoutPlugins()
  const executor = executorOf((sql, parameters) => execute(plain, sql, parameters))
  if (dialect === undefined) return executor
  return {
    ...executor,
    dialect: dialects[dialect],
    transaction: (work, options) =>
      callBack(
        (callback) => (kysely as KyselyDatabase<Tx>).transaction().execute(callback),
        (native) => {
          const inside = native.withoutPlugins()
          return new OpenTransaction<Tx>(native, (sql, parameters) => execute(inside, sql, parameters))
        },
        work,
        options,
      ),
  }
}

async function execute(
  kysely: KyselyQueryable,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<SqlResult> {
  const values = driverValues(parameters)
  // What CompiledQuery.raw would make of it.
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] }
  const compiled = { sql, parameters: values, query, queryId: { queryId: 'millrace' } }
  const { rows, numAffectedRows } = await kysely.executeQuery(compiled as never)
  return { rows: rows as readonly Row[], affected: Number(numAffectedRows ?? rows.length) }
}
