import type {
  Database,
  Executor,
  SqlResult,
  SqlValue,
  Transaction,
  TransactionOptions,
} from '../../src/patterns/index.ts'

/** A database that tells what is asked of it, and can be made to fail. */
export class WatchedDatabase implements Database {
  dialect: Database['dialect']
  readonly statements: string[] = []
  /** Transactions that are open. */
  open = 0
  /** Thrown by everything until it is undefined again. */
  failure: Error | undefined
  /** Called before and after each statement and transaction; may wait, or throw what that fails with. */
  onStep: (step: string) => unknown = () => {}
  /** Plants a bug in a statement. */
  rewrite: (sql: string) => string = (sql) => sql
  private readonly database: Database

  constructor(database: Database) {
    this.database = database
    this.dialect = database.dialect
  }

  execute(sql: string, parameters?: readonly SqlValue[]): Promise<SqlResult> {
    return this.watched(this.database).execute(sql, parameters)
  }

  async transaction<R>(work: (tx: Transaction) => R | Promise<R>, options?: TransactionOptions): Promise<R> {
    if (this.failure) throw this.failure
    await this.onStep('before BEGIN')
    this.open++
    try {
      const result = await this.database.transaction(async (tx) => {
        const outcome = await work({ ...this.watched(tx), native: tx.native, onCommit: tx.onCommit })
        await this.onStep('before COMMIT')
        return outcome
      }, options)
      await this.onStep('after COMMIT')
      return result
    } finally {
      this.open--
    }
  }

  private watched(executor: Executor): Executor {
    return {
      execute: async (sql, parameters) => {
        this.statements.push(sql)
        if (this.failure) throw this.failure
        const what = sql.split(/\s+/, 3).join(' ')
        await this.onStep(`before ${what}`)
        const result = await executor.execute(this.rewrite(sql), parameters)
        await this.onStep(`after ${what}`)
        return result
      },
    }
  }
}
