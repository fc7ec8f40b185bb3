import { MillraceError } from '../../model/errors.ts'
import { unlessAborted } from './abandoning.ts'
import type { Executor, SqlResult, SqlValue, Transaction, TransactionOptions } from './database.ts'
import { databaseError } from './failures.ts'

type Execute = (sql: string, parameters: readonly SqlValue[]) => Promise<SqlResult>

/** An executor over what a driver or query builder has; its failures become errors of the catalogue. */
export function executorOf(execute: Execute, onCommit?: Executor['onCommit']): Executor {
  return {
    execute: (sql, parameters = []) => attempt(() => execute(sql, parameters)),
    onCommit,
  }
}

/** Rejects with errors of the catalogue. */
export async function attempt<R>(work: () => R | Promise<R>): Promise<R> {
  try {
    return await work()
  } catch (error) {
    throw databaseError(error)
  }
}

/** A transaction that the adapter has begun, and will end. */
export class OpenTransaction<Native> implements Transaction<Native> {
  readonly native: Native
  private readonly run: Execute
  private readonly callbacks: (() => void)[] = []
  private ended = false

  constructor(native: Native, run: Execute) {
    this.native = native
    this.run = run
  }

  async execute(sql: string, parameters: readonly SqlValue[] = []): Promise<SqlResult> {
    if (this.ended) throw new MillraceError('illegal-state', 'the transaction has ended')
    return attempt(() => this.run(sql, parameters))
  }

  readonly onCommit = (callback: () => void): void => {
    this.callbacks.push(callback)
  }

  /** Nothing more is executed through it. */
  end(): void {
    this.ended = true
  }

  committed(): void {
    this.end()
    for (const callback of this.callbacks) callback()
  }
}

/**
 * Database.transaction for what calls back with a transaction of its own, and commits or rolls back by how that ends. What
 * `work` throws goes before what fails because of it, such as the rollback on a connection that is lost.
 */
export async function callBack<Native, R>(
  begin: (callback: (native: Native) => Promise<R>) => Promise<unknown>,
  open: (native: Native) => OpenTransaction<Native>,
  work: (tx: Transaction<Native>) => R | Promise<R>,
  { signal }: TransactionOptions = {},
): Promise<R> {
  signal?.throwIfAborted()
  let done: { readonly tx: OpenTransaction<Native>; readonly result: R } | undefined
  let thrown: { readonly error: unknown } | undefined
  try {
    await begin(async (native) => {
      const tx = open(native)
      try {
        const result = await unlessAborted(() => work(tx), signal)
        done = { tx, result }
        return result
      } catch (error) {
        thrown = { error }
        throw error
      } finally {
        tx.end()
      }
    })
  } catch (error) {
    throw thrown ? thrown.error : databaseError(error)
  }
  done!.tx.committed()
  return done!.result
}
