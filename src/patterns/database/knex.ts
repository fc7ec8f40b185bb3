import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { driverValues } from './database.ts'
import { type DialectName, dialects } from './dialects.ts'
import { mysqlResult } from './mysql2.ts'
import { callBack, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of Knex, or of one of its transactions. */
export interface KnexQueryable {
  raw(sql: string, bindings: readonly never[]): PromiseLike<unknown>
  /** Of a transaction: resolves when it has been committed. */
  readonly executionPromise?: Promise<unknown> | undefined
}

export interface KnexDatabase<Tx extends KnexQueryable> extends KnexQueryable {
  transaction<R>(work: (tx: Tx) => Promise<R>): Promise<R>
}

/** Statements in a transaction of Knex. */
export function fromKnex(trx: KnexQueryable): Executor
/** A whole database through Knex, which speaks to one of this dialect. Transactions are handed out as its own. */
export function fromKnex<Tx extends KnexQueryable>(knex: KnexDatabase<Tx>, dialect: DialectName): Database<Tx>
export function fromKnex<Tx extends KnexQueryable>(
  knex: KnexDatabase<Tx> | KnexQueryable,
  dialect?: DialectName,
): Executor | Database<Tx> {
  if (dialect === undefined) {
    return executorOf(
      (sql, parameters) => execute(knex, sql, parameters),
      (callback) => void knex.executionPromise?.then(callback, () => {}),
    )
  }
  return {
    ...executorOf((sql, parameters) => execute(knex, sql, parameters)),
    dialect: dialects[dialect],
    transaction: (work, options) =>
      callBack(
        (callback) => (knex as KnexDatabase<Tx>).transaction(callback),
        (native) => new OpenTransaction<Tx>(native, (sql, parameters) => execute(native, sql, parameters)),
        work,
        options,
      ),
  }
}

/** Knex writes its own placeholders, and knows only question marks. */
async function execute(
  knex: KnexQueryable,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<SqlResult> {
  const values = driverValues(parameters)
  const ordered: unknown[] = []
  const marked = sql.replace(/\$(\d+)/g, (_, number: string) => {
    ordered.push(values[Number(number) - 1])
    return '?'
  })
  return resultOf(await knex.raw(marked, (ordered.length > 0 ? ordered : values) as never[]))
}

/** As the driver underneath has answered: pg an object, mysql2 a pair. */
function resultOf(answer: unknown): SqlResult {
  if (Array.isArray(answer)) return mysqlResult(answer[0])
  const { rows = [], rowCount } = answer as { rows?: Row[]; rowCount?: number | null }
  return { rows, affected: rowCount ?? rows.length }
}
