import { MillraceError } from '../../model/errors.ts'
import type { Database, Executor, Row, SqlResult, SqlValue } from './database.ts'
import { driverValues } from './database.ts'
import { type DialectName, dialects } from './dialects.ts'
import { mysqlResult } from './mysql2.ts'
import { callBack, executorOf, OpenTransaction } from './transactions.ts'

/** What is needed of a database or transaction of Drizzle: `execute`, or, on SQLite, `all` and `run`. */
export interface DrizzleQueryable {
  execute?(query: never): unknown
  all?(query: never): unknown
  run?(query: never): unknown
}

/** The `sql` of drizzle-orm, by which a statement and its parameters are told. */
export type DrizzleSql = (strings: TemplateStringsArray, ...values: never[]) => unknown

export interface DrizzleDatabase<Tx extends DrizzleQueryable> extends DrizzleQueryable {
  transaction<R>(work: (tx: Tx) => Promise<R>): Promise<R>
}

/** Statements in a transaction of Drizzle, with `sql` of the same package. */
export function fromDrizzle(tx: DrizzleQueryable, sql: DrizzleSql): Executor
/** A whole database through Drizzle. Transactions are handed out as its own; those on SQLite cannot wait, and are not. */
export function fromDrizzle<Tx extends DrizzleQueryable & object>(
  drizzle: DrizzleDatabase<Tx>,
  sql: DrizzleSql,
  dialect: Exclude<DialectName, 'sqlite'>,
): Database<Tx>
export function fromDrizzle<Tx extends DrizzleQueryable & object>(
  drizzle: DrizzleDatabase<Tx> | DrizzleQueryable,
  sql: DrizzleSql,
  dialect?: DialectName,
): Executor | Database<Tx> {
  const executor = executorOf((text, parameters) => execute(drizzle, sql, text, parameters))
  if (dialect === undefined) return executor
  return {
    ...executor,
    dialect: dialects[dialect],
    transaction: (work, options) =>
      callBack(
        (callback) => (drizzle as DrizzleDatabase<Tx>).transaction(callback),
        (native) => new RevocableTransaction<Tx>(native, sql),
        work,
        options,
      ),
  }
}

/** What is handed out would go on to work, later, on a connection that is somebody else's by then. */
class RevocableTransaction<Tx extends DrizzleQueryable & object> extends OpenTransaction<Tx> {
  private readonly revoke: () => void

  constructor(native: Tx, sql: DrizzleSql) {
    const { proxy, revoke } = Proxy.revocable(native, {})
    super(proxy, (text, parameters) => execute(native, sql, text, parameters))
    this.revoke = revoke
  }

  override end(): void {
    super.end()
    this.revoke()
  }
}

async function execute(
  drizzle: DrizzleQueryable,
  sql: DrizzleSql,
  text: string,
  parameters: readonly SqlValue[],
): Promise<SqlResult> {
  const query = tagged(sql, text, driverValues(parameters)) as never
  if (drizzle.execute) return resultOf(await drizzle.execute(query))
  if (!drizzle.all || !drizzle.run)
    throw new MillraceError('argument-invalid', 'a database of Drizzle has execute, or all and run')
  if (!/^SELECT|\bRETURNING\b/i.test(text)) return resultOf(await drizzle.run(query))
  const rows = (await drizzle.all(query)) as readonly Row[]
  return { rows, affected: rows.length }
}

/** The statement as a template: its parts between the placeholders, and the values in the order of their places. */
function tagged(sql: DrizzleSql, text: string, values: readonly unknown[]): unknown {
  const parts: string[] = []
  const ordered: unknown[] = []
  let from = 0
  for (const match of text.matchAll(/\$(\d+)|\?/g)) {
    parts.push(text.slice(from, match.index))
    ordered.push(values[match[1] === undefined ? ordered.length : Number(match[1]) - 1])
    from = match.index + match[0].length
  }
  parts.push(text.slice(from))
  return sql(Object.assign(parts, { raw: parts }), ...(ordered as never[]))
}

/** As the driver underneath has answered. */
function resultOf(answer: unknown): SqlResult {
  if (Array.isArray(answer)) return mysqlResult(answer[0])
  const { rows, rowCount, affectedRows, changes, rowsAffected } = answer as {
    readonly rows?: readonly Row[]
    readonly rowCount?: number | null
    readonly affectedRows?: number
    readonly changes?: number
    readonly rowsAffected?: number
  }
  const found = rows ?? []
  return { rows: found, affected: rowCount ?? affectedRows ?? changes ?? rowsAffected ?? found.length }
}
