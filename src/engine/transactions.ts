import { MillraceError } from '../model/errors.ts'
import type { Settlement } from './api.ts'
import type { Connection } from './connection.ts'
import type { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import { LsnList } from './index/lsn-list.ts'
import { StateCode } from './lifecycle.ts'
import { leavesTrace, writeDecision, writeEnlistment } from './ports/decisions.ts'
import { OperationType, PublishFlag, type PublishHead } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { dueFlagsOf } from './schedule/undecided-schedule.ts'
import type { Settlements } from './settlements.ts'
import { type SettledRow, Transaction } from './transaction.ts'
import type { Undecided } from './undecided.ts'

type Done = (error: MillraceError | undefined) => void

/** LSNs in one enlist operation. */
const ENLISTED_AT_ONCE = 100_000

/**
 * Publications and settlements that happen together or not at all. What a transaction publishes is written at once, and lies
 * in its queues undecided; what it settles stays with the consumer. The commit writes what is settled, and then one small
 * record, which decides. When that is durable, all of it takes effect in one step, and what follows from it is written as
 * for any message; if the engine ends in between, the next start does it (RecoveredTransactions).
 */
export class Transactions {
  /** Decided, with consequences that are not in the log yet. */
  readonly finishing: Set<Transaction> = new Set()
  private readonly core: Core
  private readonly settlements: Settlements
  private readonly undecided: Undecided
  private readonly open = new Map<number, Transaction>()
  /** Of all that are open. */
  private operations = 0
  private sweeping = false
  /** What waits for room is refused; set by the publisher. */
  refuseHeld: (transaction: number, tags: ReadonlySet<number>, error: MillraceError) => void = () => {}

  constructor(core: Core, settlements: Settlements, undecided: Undecided) {
    this.core = core
    this.settlements = settlements
    this.undecided = undecided
    core.takenBack = (consumer, tag, why) => this.takenBack(consumer, tag, why)
  }

  /** Transactions whose messages a checkpoint has to know of. */
  *all(): Generator<{ transaction: Transaction; isDecided: boolean }> {
    for (const transaction of this.open.values()) yield { transaction, isDecided: false }
    for (const transaction of this.finishing) yield { transaction, isDecided: true }
  }

  begin(connection: Connection): number {
    const { maxTransactions } = this.core.options
    if (this.open.size >= maxTransactions) {
      throw new MillraceError(
        'memory-full',
        `${maxTransactions} transactions are open (maxTransactions); commit some, or begin again later`,
      )
    }
    // LSNs are never used twice, so that no transaction is taken for one of an earlier run.
    const transaction = new Transaction(this.core.log.skip(), connection)
    transaction.usedAt = this.core.clock.monotonic()
    this.open.set(transaction.id, transaction)
    this.watch()
    return transaction.id
  }

  /**
   * The open transaction of this connection; one that is to be committed is only open for the publications it waits for, by
   * their tags. Throws `transaction-not-found`, `transaction-rolled-back`.
   */
  use(connection: Connection, id: number, tag = 0): Transaction {
    const transaction = this.open.get(id)
    if (transaction?.connection !== connection) throw notFound(id)
    if (transaction.committing !== null && !transaction.held.has(tag)) throw notFound(id)
    if (transaction.cause !== null) throw rolledBack(transaction.cause)
    transaction.usedAt = this.core.clock.monotonic()
    return transaction
  }

  /** Makes sure that so many operations more are within the limits. Throws `transaction-too-large`, `memory-full`. */
  reserve(transaction: Transaction, operations: number): void {
    const { maxTransactionOperations, openOperations } = this.core.options
    if (transaction.operations + operations > maxTransactionOperations) {
      const error = new MillraceError(
        'transaction-too-large',
        `the transaction has more than ${maxTransactionOperations} operations (maxTransactionOperations) and is rolled back; commit more often`,
      )
      this.doom(transaction, error)
      throw error
    }
    if (this.operations + operations > openOperations) {
      throw new MillraceError(
        'memory-full',
        `open transactions have more than ${openOperations} operations (openOperations); commit some, or try again later`,
      )
    }
  }

  /** A publication of the transaction was stored. `reserve` has been asked. */
  stored(
    transaction: Transaction,
    queues: readonly Queue[],
    head: PublishHead,
    lsn: number,
    isVolatile: boolean,
  ): void {
    const isScheduled = (head.flags & PublishFlag.due) !== 0
    if (isScheduled)
      this.undecided.scheduled.add(transaction.scheduled, lsn, head, dueFlagsOf(head, isVolatile))
    for (const queue of queues) {
      if (!isScheduled) transaction.add(queue, head.priority, lsn)
      if (head.deduplicationId !== '')
        transaction.remember(queue, head.deduplicationId, isVolatile, head.publishedAt)
    }
    this.count(transaction, queues.length)
  }

  /** A publication that waited for room has been stored, or was refused with this error. */
  heldNoMore(connection: Connection, id: number, tag: number, error?: MillraceError): void {
    const transaction = this.open.get(id)
    if (transaction?.connection !== connection || !transaction.held.delete(tag)) return
    const done = transaction.committing
    if (done === null) return
    if (error !== undefined) {
      this.doom(transaction, error)
      this.end(transaction)
      this.core.answer(() => done(rolledBack(error)))
    } else if (transaction.held.size === 0) {
      this.decide(transaction, done)
    }
  }

  /** Answers how many deliveries were enlisted. */
  settle(
    transaction: Transaction,
    consumer: Consumer,
    first: number,
    last: number,
    settlement: Settlement,
  ): number {
    const to = Math.min(last, consumer.nextTag - 1)
    const from = Math.max(first, consumer.firstTag)
    this.reserve(transaction, Math.min(to - from + 1, consumer.unsettled - consumer.enlisted))
    let count = 0
    for (let tag = from; tag <= to; tag++) if (transaction.enlist(consumer, tag, settlement)) count++
    this.count(transaction, count)
    return count
  }

  commit(id: number, done: Done): void {
    const transaction = this.open.get(id)
    if (transaction === undefined || transaction.committing !== null) {
      this.core.answer(() => done(notFound(id)))
    } else if (transaction.cause !== null) {
      const { cause } = transaction
      this.end(transaction)
      this.core.answer(() => done(rolledBack(cause)))
    } else if (transaction.held.size > 0) {
      transaction.committing = done
    } else {
      this.decide(transaction, done)
    }
  }

  rollback(id: number, done: () => void): void {
    const transaction = this.open.get(id)
    if (transaction !== undefined && transaction.committing === null) {
      this.undo(transaction, notFound(id))
      this.end(transaction)
    }
    this.core.answer(done)
  }

  /** What the connection has not committed is rolled back. */
  disconnected(connection: Connection): void {
    for (const transaction of [...this.open.values()]) {
      if (transaction.connection !== connection) continue
      this.giveUpCommit(transaction)
      this.undo(transaction, notFound(transaction.id))
      this.end(transaction)
    }
  }

  /** Its commit waited for room, and now never comes. */
  private giveUpCommit(transaction: Transaction): void {
    const done = transaction.committing
    if (done === null) return
    transaction.committing = null
    const lost = new MillraceError(
      'connection-lost',
      'the connection was lost while its sends waited for room',
    )
    this.core.answer(() => done(rolledBack(lost)))
  }

  /** It was found in the journal, committed: what is missing of its consequences happens now. */
  complete(transaction: Transaction): void {
    this.finishing.add(transaction)
    this.takeEffect(transaction)
  }

  private count(transaction: Transaction, operations: number): void {
    transaction.operations += operations
    this.operations += operations
  }

  /** Writes the decision. Nothing can stop it any more. */
  private decide(transaction: Transaction, done: Done): void {
    const { core } = this
    this.end(transaction)
    this.finishing.add(transaction)
    const consumers = transaction.takeOver()
    for (const consumer of consumers) core.settledFor(consumer)
    const finish = (): void => {
      this.takeEffect(transaction)
      core.answer(() => done(undefined))
    }
    const isRecorded = this.record(transaction)
    // From now on, because a repetition is confirmed after what is in the log by then.
    for (const [queue, ids] of transaction.seen) queue.seen?.merge(ids)
    if (!isRecorded) {
      finish()
      return
    }
    core.confirms.decided(core.log.lastOperation, finish)
    core.schedule()
  }

  /** False when there is nothing in it that the journal would have to know. */
  private record(transaction: Transaction): boolean {
    const { log } = this.core
    let any = transaction.journalled
    for (const row of transaction.settled) {
      if (row.isVolatile || !leavesTrace(row.settlement)) continue
      any = true
      const lsns = row.lsns.rising()
      for (let from = 0; from < lsns.length; from += ENLISTED_AT_ONCE) {
        const part = lsns.subarray(from, from + ENLISTED_AT_ONCE)
        const batch = log.begin(OperationType.enlist)
        writeEnlistment(batch, transaction.id, row.queue.id, row.lane.priority, row.settlement, part)
        log.end()
      }
    }
    if (!any) return false
    writeDecision(log.begin(OperationType.decide), transaction.id, 'commit')
    log.end()
    return true
  }

  private takeEffect(transaction: Transaction): void {
    for (const row of transaction.stored.values()) this.undecided.commit(row)
    transaction.stored.clear()
    this.undecided.scheduled.commit(transaction.scheduled)
    const { settled } = transaction
    transaction.settled = []
    for (const row of settled) this.settleRow(transaction, row)
    this.settlements.transfers.afterAll(() => this.finishing.delete(transaction))
    this.core.schedule()
  }

  private settleRow(transaction: Transaction, row: SettledRow): void {
    const { queue, lane } = row
    const moving: SettledRow = { ...row, lsns: new LsnList() }
    for (const lsn of row.lsns.rising()) {
      const chunk = lane.chunkOf(lsn)
      if (chunk === null) continue
      const slot = chunk.find(lsn)
      if (slot < 0) continue
      this.settlements.settleCommitted(row, chunk, slot)
      // It is on its way to a dead-letter queue, and a checkpoint must not forget that it has to go there.
      if (chunk.lsnOf(slot) === lsn && chunk.stateOf(slot) === StateCode.acquired) moving.lsns.push(lsn)
    }
    if (moving.lsns.count > 0) transaction.settled.push(moving)
    this.settlements.schedule(queue)
  }

  /** It can only be rolled back, which happens now; its owner learns why when it uses it next. */
  private doom(transaction: Transaction, cause: MillraceError): void {
    transaction.cause = cause
    this.undo(transaction, rolledBack(cause))
  }

  private undo(transaction: Transaction, error: MillraceError): void {
    for (const row of transaction.stored.values()) this.undecided.rollBack(row)
    transaction.stored.clear()
    transaction.seen.clear()
    this.undecided.scheduled.rollBack(transaction.scheduled)
    for (const consumer of transaction.giveUp()) {
      if (consumer.releasing) this.settlements.giveBack(consumer, false)
      this.core.settledFor(consumer)
    }
    this.count(transaction, -transaction.operations)
    if (transaction.held.size === 0) return
    const tags = new Set(transaction.held)
    transaction.held.clear()
    this.refuseHeld(transaction.id, tags, error)
  }

  private end(transaction: Transaction): void {
    this.count(transaction, -transaction.operations)
    this.open.delete(transaction.id)
  }

  private takenBack(consumer: Consumer, tag: number, why: string): void {
    for (const transaction of this.open.values()) {
      if (!transaction.has(consumer, tag)) continue
      this.doom(transaction, new MillraceError('delivery-settled', `a delivery was taken back: ${why}`))
      return
    }
  }

  /** One deadline for all of them, as long as any is open. */
  private watch(): void {
    if (this.sweeping) return
    this.sweeping = true
    const { clock, deadlines, options } = this.core
    let oldest = clock.monotonic()
    for (const transaction of this.open.values()) {
      if (isIdle(transaction) && transaction.usedAt < oldest) oldest = transaction.usedAt
    }
    deadlines.add(oldest + options.transactionTimeout, () => {
      this.sweeping = false
      this.sweep()
      if (this.open.size > 0) this.watch()
    })
  }

  private sweep(): void {
    const { clock, options } = this.core
    const now = clock.monotonic()
    for (const transaction of this.open.values()) {
      if (!isIdle(transaction) || transaction.usedAt + options.transactionTimeout > now) continue
      const idle = `nothing happened in the transaction for ${options.transactionTimeout} ms (transactionTimeout)`
      this.doom(transaction, new MillraceError('timeout', idle))
    }
  }
}

/** It may time out: it has not ended, and does not wait for room to be committed. */
function isIdle({ cause, committing }: Transaction): boolean {
  return cause === null && committing === null
}

function notFound(id: number): MillraceError {
  return new MillraceError(
    'transaction-not-found',
    `transaction ${id} has ended, or never began on this connection; begin another one`,
  )
}

function rolledBack(cause: MillraceError): MillraceError {
  return new MillraceError('transaction-rolled-back', `the transaction was rolled back: ${cause.message}`, {
    cause,
  })
}
