import type { Dialect } from './dialects.ts'

/** What is given as a parameter of a statement. */
export type SqlValue = string | number | bigint | Uint8Array | null

/** A row as the driver gives it: large integers are numbers, bigints or texts, see `wholeNumber`. */
export type Row = Readonly<Record<string, unknown>>

export interface SqlResult {
  readonly rows: readonly Row[]
  /** Rows inserted, updated or deleted. */
  readonly affected: number
}

/**
 * Where statements run: in a transaction of the application's, or each by itself. Statements are in the words and with the
 * placeholders of the database (`Dialect.statement`). Calls are made one after the other. Failures are MillraceErrors, with
 * what the driver says as their cause; a statement that failed has changed nothing.
 */
export interface Executor {
  execute(sql: string, parameters?: readonly SqlValue[]): Promise<SqlResult>
  /** Calls back after the transaction has been committed, where the driver tells; never before. */
  readonly onCommit?: ((callback: () => void) => void) | undefined
}

/** A transaction, as the driver or query builder knows it, and as a place for statements. */
export interface Transaction<Native = unknown> extends Executor {
  readonly native: Native
}

export interface TransactionOptions {
  /**
   * Aborted: `work` is waited for no longer. The transaction is rolled back under it, nothing that it still tries through it
   * takes effect, and `transaction` rejects with the signal's reason.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * A database that may hand out transactions. `execute` alone commits at once.
 *
 * `transaction` commits when `work` resolves, and rolls back when it rejects, with the reason that it rejected with. When it
 * rejects with `database-unavailable` from the commit itself, nobody knows whether it was committed. Isolation is at least
 * READ COMMITTED.
 */
export interface Database<Native = unknown> extends Executor {
  readonly dialect: Dialect
  transaction<R>(work: (tx: Transaction<Native>) => R | Promise<R>, options?: TransactionOptions): Promise<R>
}

/** A whole number as any driver gives it. */
export function wholeNumber(value: unknown): number {
  return Number(value)
}

/** A text as any driver gives it: columns of bytes hold texts where texts would be compared without regard to case. */
export function text(value: unknown): string {
  return value instanceof Uint8Array
    ? Buffer.from(value.buffer, value.byteOffset, value.length).toString()
    : String(value)
}

/** The same, of a column that may be null. */
export function optionalText(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : text(value)
}

/** Drivers of MySQL and of older query builders take bytes as Buffer alone. */
export function driverValues(parameters: readonly SqlValue[]): (Exclude<SqlValue, Uint8Array> | Buffer)[] {
  return parameters.map((value) =>
    value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : value,
  )
}
