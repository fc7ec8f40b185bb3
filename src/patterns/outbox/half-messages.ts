import { randomUUID } from 'node:crypto'
import type { Context } from '../../client/context.ts'
import type { Sendable } from '../../client/destinations.ts'
import type { SendOptions } from '../../client/outgoing.ts'
import type { Checks, Decision, HalfMessage, PreparedMessage } from '../../client/prepared.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import type { Database, Executor, Transaction } from '../database/database.ts'
import { wholeNumber } from '../database/database.ts'
import { Sweeper } from '../database/sweeper.ts'
import type { Statements } from './statements.ts'

export interface HalfMessageOptions {
  readonly mq: Context
  /** Name of the processes any of which can say what became of a transaction; all of them use the same database. */
  readonly producerGroup: string
  /**
   * How long a transaction may take from its first message to its commit. After that it may be given up, and its commit fails
   * with `superseded`. Default 1 min.
   */
  readonly commitWithin?: Duration | undefined
}

/** What the work of a transaction on half messages is given. */
export interface OutboxTransaction<Native> {
  /** The transaction, as the driver or query builder has it, and as a place for statements. */
  readonly tx: Native
  readonly executor: Transaction<Native>
  /** Prepares a message at the broker: it is sent if the transaction is committed. Rejects as Context.prepare. */
  send<T>(
    destination: Sendable<T>,
    body: NoInfer<T>,
    options?: PreparedOptions,
  ): Promise<{ readonly messageId: string }>
}

export type PreparedOptions = Omit<SendOptions, 'sequence' | 'signal'>

/** Property by which a half message says which transaction it belongs to. */
const TRANSACTION = 'millraceTransaction'
const VERDICTS = ['rollback', 'commit'] as const
const [ROLLED_BACK, COMMITTED] = [0, 1]
/** How long verdicts are remembered; the broker asks for minutes, transactions do not last for days. */
const RETENTION = 7 * 86_400_000

/**
 * Messages that are prepared at the broker before the transaction of the application is committed, and sent after that. A
 * marker, written in the transaction as its last row, says that it was committed; when the process dies in between, the
 * broker asks any of its group, which looks for the marker. One that is not there after its time is written as a tombstone,
 * so that the transaction cannot be committed any more.
 */
export class HalfMessages<Native> {
  readonly commitWithin: number
  private readonly database: Database<Native>
  private readonly statements: Statements
  private readonly mq: Context
  private readonly producerGroup: string
  private readonly sweeper: Sweeper
  /** Monotonic milliseconds at which the broker has asked first, for clocks that are set back. */
  private readonly asked: Map<string, number> = new Map()
  private checks: Checks | undefined

  /** Rejects as Context.answerChecks. */
  static async open<Native>(
    database: Database<Native>,
    statements: Statements,
    options: HalfMessageOptions,
  ): Promise<HalfMessages<Native>> {
    const opened = new HalfMessages(database, statements, options)
    opened.checks = await options.mq.answerChecks(options.producerGroup, (message) => opened.check(message))
    return opened
  }

  private constructor(database: Database<Native>, statements: Statements, options: HalfMessageOptions) {
    this.database = database
    this.statements = statements
    this.mq = options.mq
    this.producerGroup = options.producerGroup
    this.commitWithin = milliseconds(options.commitWithin ?? '1m')
    this.sweeper = new Sweeper(markersOf(database, statements), RETENTION, () => {})
  }

  async transaction<R>(work: (transaction: OutboxTransaction<Native>) => R | Promise<R>): Promise<R> {
    const id = randomUUID()
    const halves: HalfMessage[] = []
    let committing = false
    let result: R
    try {
      result = await this.database.transaction(async (executor) => {
        const answer = await work({ tx: executor.native, executor, send: this.sender(id, halves) })
        if (halves.length > 0) await this.mark(executor, id)
        committing = true
        return answer
      })
    } catch (error) {
      // After a commit of which nobody knows, the marker says what became of it, when the broker asks.
      if (!committing) await this.decide(halves, 'rollback')
      throw error
    }
    await this.decide(halves, 'commit')
    this.sweeper.turn()
    return result
  }

  private sender(id: string, halves: HalfMessage[]): OutboxTransaction<Native>['send'] {
    return async (destination, body, options = {}) => {
      const { mq, producerGroup } = this
      const properties = { ...options.properties, [TRANSACTION]: id }
      const half = await mq.prepare(destination, body, { ...options, properties, producerGroup })
      halves.push(half)
      return { messageId: half.messageId }
    }
  }

  private async mark(executor: Executor, id: string): Promise<void> {
    if (await insertMarker(executor, this.statements, id, COMMITTED!)) return
    throw new MillraceError(
      'superseded',
      `the transaction took longer than ${this.commitWithin} ms, and was given up`,
    )
  }

  /** What cannot be told the broker asks for. */
  private async decide(halves: readonly HalfMessage[], verdict: 'commit' | 'rollback'): Promise<void> {
    await Promise.allSettled(halves.map((half) => half[verdict]()))
  }

  private async check(message: PreparedMessage): Promise<Decision> {
    const id = String(message.properties[TRANSACTION] ?? '')
    if (id === '') return 'unknown'
    const verdict = (await this.find(id)) ?? (this.isLate(id, message) ? await this.giveUp(id) : 'unknown')
    if (verdict !== 'unknown') this.asked.delete(id)
    return verdict
  }

  private async find(id: string): Promise<Decision | undefined> {
    const { rows } = await this.database.execute(this.statements.marker, [id])
    return rows[0] && VERDICTS[wholeNumber(rows[0]['verdict'])]
  }

  private isLate(id: string, { timestamp = 0 }: PreparedMessage): boolean {
    const now = performance.now()
    const first = this.asked.get(id) ?? now
    this.asked.set(id, first)
    const since = this.mq.connection.clock.wall() - timestamp
    return Math.max(since, now - first) >= this.commitWithin
  }

  /** From now on it cannot be committed, unless it has been meanwhile. */
  private async giveUp(id: string): Promise<Decision> {
    const given = await insertMarker(this.database, this.statements, id, ROLLED_BACK!)
    return given ? 'rollback' : ((await this.find(id)) ?? 'unknown')
  }

  async close(): Promise<void> {
    await this.checks?.close()
  }
}

/** False: there is a verdict already. */
async function insertMarker(
  executor: Executor,
  statements: Statements,
  id: string,
  verdict: number,
): Promise<boolean> {
  try {
    return (await executor.execute(statements.mark, [id, verdict])).affected > 0
  } catch (error) {
    if (isMillraceError(error) && error.code === 'database-duplicate') return false
    throw error
  }
}

function markersOf(database: Database, statements: Statements): ConstructorParameters<typeof Sweeper>[0] {
  return {
    clock: async () => wholeNumber((await database.execute(statements.clock)).rows[0]!['at']),
    sweep: async (retention, limit) =>
      (await database.execute(statements.sweepMarkers(limit), [retention])).affected,
  }
}
