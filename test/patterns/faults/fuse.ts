import type { ProviderConnection, ProviderTransaction } from '../../../src/client/provider.ts'
import { type Context, MillraceError, type Provider } from '../../../src/index.ts'
import type { Database, Executor, Transaction } from '../../../src/patterns/index.ts'

export const faults = [
  'process ended',
  'process paused',
  'statement failed',
  'broker killed',
  'connection cut',
] as const
export type Fault = (typeof faults)[number]

/** What a fault does beyond the process that it befalls. */
export interface Effects {
  /** It does not live on. */
  ended(): void
  /** Resolves when the process is allowed to go on. */
  paused(life: Fuse): Promise<void>
  /** Resolves when the broker is gone; it comes again by itself. */
  killBroker(): Promise<void>
  /** The next connection to the database that does something is cut. */
  cutConnection(): void
  count(fault: Fault): void
}

/** What stands between the effects of a process. */
export interface Points {
  readonly signal: AbortSignal
  /** Transactions that are open. */
  open: number
  /** A point between two effects. */
  point(place: 'database' | 'broker'): Promise<void>
}

/** Lets one life of a process go on to a step, before or after an effect, where the fault befalls it. */
export class Fuse implements Points {
  private readonly at: number
  private readonly fault: Fault
  private readonly effects: Effects
  private readonly aborter = new AbortController()
  private steps = 0
  private blown = false
  /** The process may only be paused where it keeps nobody from the database. */
  private readonly alone: boolean
  open = 0
  /** Everything fails from now on, and has no effect. */
  dead = false
  /** The connection to the broker of this life. */
  mq: Context | undefined

  /** `alone`: the database has one transaction at a time. */
  constructor(at: number, fault: Fault, alone: boolean, effects: Effects) {
    this.at = at
    this.fault = fault
    this.alone = alone
    this.effects = effects
  }

  get signal(): AbortSignal {
    return this.aborter.signal
  }

  /** It will be, or was, paused: meanwhile it hears of nothing. */
  get pauses(): boolean {
    return this.at >= 0 && this.fault === 'process paused'
  }

  kill(): void {
    this.dead = true
    this.aborter.abort(gone())
  }

  async point(place: 'database' | 'broker'): Promise<void> {
    if (this.dead) throw gone()
    if (this.at < 0 || this.blown || this.steps++ < this.at) return
    if (this.fault === 'statement failed' && place !== 'database') return
    if (this.fault === 'process paused' && this.alone && this.open > 0) return
    this.blown = true
    await this.blow()
  }

  private async blow(): Promise<void> {
    const { effects, fault } = this
    // What is cut counts when it has been.
    if (fault === 'connection cut') return effects.cutConnection()
    effects.count(fault)
    if (fault === 'process paused') return effects.paused(this)
    if (fault === 'broker killed') return effects.killBroker()
    if (fault === 'statement failed')
      throw new MillraceError('database-unavailable', 'the connection was cut')
    this.kill()
    effects.ended()
    throw gone()
  }
}

/** What whoever is dead gets for an answer: nothing that somebody would have to be told. */
export function gone(): MillraceError {
  return new MillraceError('database-unavailable', 'this process is dead')
}

/** A database as one life of a process sees it. */
export function fusedDatabase(database: Database, fuse: Points): Database {
  const fused = (executor: Executor): Executor => ({
    execute: async (sql, parameters) => {
      await fuse.point('database')
      const result = await executor.execute(sql, parameters)
      await fuse.point('database')
      return result
    },
  })
  return {
    ...fused(database),
    dialect: database.dialect,
    transaction: async (work, { signal } = {}) => {
      await fuse.point('database')
      const either = signal ? AbortSignal.any([signal, fuse.signal]) : fuse.signal
      fuse.open++
      try {
        return await database.transaction(
          async (tx) => {
            const inside: Transaction = { ...fused(tx), native: tx.native, onCommit: tx.onCommit }
            const answer = await work(inside)
            await fuse.point('database')
            return answer
          },
          { signal: either },
        )
      } finally {
        fuse.open--
        // The commit may have been the last thing.
        await fuse.point('database')
      }
    },
  }
}

/** The broker as one life sees it: what it is told can be cut off before and after. */
export function fusedProvider(provider: Provider, fuse: Points): Provider {
  return {
    schemes: provider.schemes,
    connect: async (url, options) => fusedConnection(await provider.connect(url, options), fuse),
  }
}

function fusedConnection(connection: ProviderConnection, fuse: Points): ProviderConnection {
  const around =
    <A extends unknown[], R>(call: (...values: A) => Promise<R>) =>
    async (...values: A): Promise<R> => {
      await fuse.point('broker')
      const result = await call(...values)
      await fuse.point('broker')
      return result
    }
  const { prepared } = connection
  const cut = (transaction: ProviderTransaction): ProviderTransaction =>
    replaced(transaction, { commit: around(() => transaction.commit()) })
  return replaced(connection, {
    beginTransaction: () => {
      const begun = connection.beginTransaction()
      return begun instanceof Promise ? begun.then(cut) : cut(begun)
    },
    createSender: async (...values) => {
      const sender = await connection.createSender(...values)
      return replaced(sender, { send: around((message) => sender.send(message)) })
    },
    createReceiver: async (...values) => {
      const receiver = await connection.createReceiver(...values)
      return replaced(receiver, { settle: around((...settled) => receiver.settle(...settled)) })
    },
    prepared:
      prepared &&
      replaced(prepared, {
        decide: around((id, decision) => prepared.decide(id, decision)),
        answerChecks: (group, answer) =>
          // Whoever is dead answers nothing.
          prepared.answerChecks(group, (check) => around(answer)(check).catch(() => 'unknown' as const)),
      }),
  })
}

/** The object, with these methods in place of its own. */
export function replaced<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get: (of, name) => {
      if (Object.hasOwn(methods, name)) return methods[name as keyof T]
      const value: unknown = Reflect.get(of, name, of)
      return typeof value === 'function' ? value.bind(of) : value
    },
  })
}
