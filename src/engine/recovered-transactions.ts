import type { Core } from './core.ts'
import type { HalfMessages } from './half-messages.ts'
import { LsnList } from './index/lsn-list.ts'
import { decisions, type JournalledSettlement, readSettlement } from './ports/decisions.ts'
import { type OperationReader, PublishFlag, type PublishHead } from './ports/operations.ts'
import { forEachInRuns } from './ports/settle-operation.ts'
import type { Queue } from './queue.ts'
import { dueFlagsOf } from './schedule/undecided-schedule.ts'
import { type SettledRow, Transaction } from './transaction.ts'
import type { Transactions } from './transactions.ts'
import type { Undecided } from './undecided.ts'
import { readHalves, readTransactionSection } from './undecided-sections.ts'

interface Unfinished {
  readonly priority: number
  readonly settlement: JournalledSettlement
}

/**
 * Transactions and half messages while the engine recovers: what of them is known, what has been decided, and which
 * settlements of committed ones have left no trace in the log yet.
 */
export class RecoveredTransactions {
  /** The checkpoint contains the operations up to here. */
  asOf = 0
  private readonly core: Core
  private readonly undecided: Undecided
  private readonly transactions: Transactions
  private readonly halves: HalfMessages
  private readonly open = new Map<number, Transaction>()
  /** By queue and LSN. */
  private readonly unfinished = new Map<number, Map<number, Unfinished>>()
  /** Left the schedule after the checkpoint, as far as they wait for a decision. */
  private readonly unscheduled = new Set<number>()
  private hadCheckpoint = false

  constructor(core: Core, undecided: Undecided, transactions: Transactions, halves: HalfMessages) {
    this.core = core
    this.undecided = undecided
    this.transactions = transactions
    this.halves = halves
  }

  /** A section that transactionSections wrote; those of the queues have been read. */
  readTransactions(reader: OperationReader): void {
    readTransactionSection(reader, (part, lsns) => {
      const { transaction: id, isCommitted, queue, priority, settlement, scheduled, ids } = part
      const holder = this.core.topology.byId.get(queue)
      if (settlement !== undefined) {
        for (const lsn of lsns) this.expect(queue, lsn, { priority, settlement })
      } else if (scheduled !== undefined) {
        const transaction = isCommitted ? new Transaction(id) : this.find(id)
        scheduled.forEach((lsn, facts) => {
          this.undecided.scheduled.add(transaction.scheduled, lsn, facts, scheduled.flags)
        })
        if (isCommitted) this.makeReady(transaction)
      } else if (holder !== undefined) {
        const transaction = isCommitted ? new Transaction(id) : this.find(id)
        for (const [deduplicationId, at] of ids) transaction.remember(holder, deduplicationId, false, at)
        for (const lsn of lsns) transaction.add(holder, priority, lsn)
        if (isCommitted) this.makeReady(transaction)
      }
    })
  }

  readHalves(reader: OperationReader, asOf: number): void {
    this.asOf = asOf
    this.hadCheckpoint = true
    readHalves(reader, (half) => {
      this.halves.remember(half.lsn, half, this.queuesOf(half.targets), half.checks)
      if (half.isCommitted) this.halves.recoverCommitted(half.lsn)
    })
  }

  /** A publish operation that belongs to a transaction, or is a half message. */
  published(lsn: number, head: PublishHead): void {
    if (lsn <= this.asOf) return
    const isScheduled = (head.flags & PublishFlag.due) !== 0
    const queues = this.queuesOf(isScheduled ? head.targets : head.queues)
    if (head.flags & PublishFlag.prepared) {
      // It keeps the key that it was sent with.
      const key = head.flags & PublishFlag.direct ? (queues[0]?.name ?? '') : head.key
      this.halves.remember(lsn, { ...head, key }, queues, 0)
    } else if (head.flags & PublishFlag.transacted) {
      const transaction = this.find(head.transaction)
      if (isScheduled) this.undecided.scheduled.add(transaction.scheduled, lsn, head, dueFlagsOf(head, false))
      for (const queue of queues) {
        if (!isScheduled) transaction.add(queue, head.priority, lsn)
        if (head.flags & PublishFlag.deduplicated)
          transaction.remember(queue, head.deduplicationId, false, head.publishedAt)
      }
    }
  }

  /**
   * The operation `by` says that a message has left the schedule. One that waits for a decision has been rolled back; or what
   * said that it was committed is damaged, and then it is not to be scheduled once more.
   */
  leftSchedule(by: number, lsn: number): void {
    if (by <= this.asOf || !this.undecided.scheduled.has(lsn)) return
    const half = this.halves.find(lsn)
    if (half === undefined) this.unscheduled.add(lsn)
    else this.halves.recoverGone(half)
  }

  enlisted(lsn: number, reader: OperationReader): void {
    if (lsn <= this.asOf) return
    const transaction = this.find(reader.varint())
    const queue = this.core.topology.byId.get(reader.varint())
    const priority = reader.byte()
    const settlement = readSettlement(reader)
    const lsns = new LsnList()
    forEachInRuns(reader, (settled) => lsns.push(settled), lsn)
    if (queue === undefined || reader.failed) return
    const lane = queue.lane(priority)
    transaction.settled.push({ queue, lane, settlement, consumer: undefined, isVolatile: false, lsns })
  }

  decided(lsn: number, reader: OperationReader): void {
    if (lsn <= this.asOf) return
    const id = reader.varint()
    const decision = decisions[reader.byte()]
    const half = this.halves.find(id)
    if (half !== undefined) {
      if (decision === 'asked') half.checks++
      else if (decision === 'commit') this.halves.recoverCommitted(id)
      return
    }
    const transaction = this.open.get(id)
    if (transaction === undefined || decision !== 'commit') return
    this.open.delete(id)
    this.makeReady(transaction)
    countIds(transaction, lsn)
    for (const { queue, lane, settlement, lsns } of transaction.settled) {
      for (const settled of lsns.rising())
        this.expect(queue.id, settled, { priority: lane.priority, settlement })
    }
  }

  /** The log says what became of a message: it is not to be settled once more. */
  settled(queue: number, lsn: number): void {
    this.unfinished.get(queue)?.delete(lsn)
  }

  /**
   * The journal has been read, and the engine may write: what is not decided is rolled back, what is committed completed.
   * If the checkpoint was lost, decisions may be lost with it; then nothing that may have been confirmed is rolled back.
   */
  finish(isDamaged: boolean): void {
    const committed = new Transaction(0)
    for (const [id, messages] of this.unfinished) {
      const queue = this.core.topology.byId.get(id)
      if (queue !== undefined) addRows(committed, queue, messages)
    }
    this.unfinished.clear()
    const isLost = isDamaged && !this.hadCheckpoint
    for (const transaction of this.open.values()) {
      const { stored, scheduled } = transaction
      if (isLost) countIds(transaction, Number.POSITIVE_INFINITY)
      for (const row of stored.values()) {
        if (isLost) this.undecided.commit(row)
        else this.undecided.rollBack(row)
      }
      for (const row of scheduled.values()) row.drop(this.unscheduled)
      if (isLost) this.undecided.scheduled.commit(scheduled)
      else this.undecided.scheduled.rollBack(scheduled)
    }
    this.open.clear()
    this.unscheduled.clear()
    this.transactions.complete(committed)
    this.halves.recovered()
  }

  private find(id: number): Transaction {
    let transaction = this.open.get(id)
    if (transaction === undefined) {
      transaction = new Transaction(id)
      this.open.set(id, transaction)
    }
    return transaction
  }

  private expect(queue: number, lsn: number, unfinished: Unfinished): void {
    const messages = this.unfinished.get(queue) ?? new Map<number, Unfinished>()
    if (messages.size === 0) this.unfinished.set(queue, messages)
    messages.set(lsn, unfinished)
  }

  private makeReady(transaction: Transaction): void {
    for (const row of transaction.stored.values()) this.undecided.makeReady(row)
    this.undecided.scheduled.recoverCommitted(transaction.scheduled)
  }

  private queuesOf(ids: readonly number[]): Queue[] {
    return ids.flatMap((id) => this.core.topology.byId.get(id) ?? [])
  }
}

/** What was decided before a queue was written into the checkpoint is in its ids. */
function countIds({ seen }: Transaction, decidedAt: number): void {
  for (const [queue, ids] of seen) if (decidedAt > queue.asOf) queue.seen?.merge(ids)
}

/** Messages that are settled alike, and lie in the same lane, become one row. */
function addRows(transaction: Transaction, queue: Queue, messages: ReadonlyMap<number, Unfinished>): void {
  const rows = new Map<JournalledSettlement, SettledRow[]>()
  for (const [lsn, { priority, settlement }] of messages) {
    const lane = queue.lane(priority)
    const alike = rows.get(settlement) ?? []
    if (alike.length === 0) rows.set(settlement, alike)
    let row = alike.find((other) => other.lane === lane)
    if (row === undefined) {
      row = { queue, lane, settlement, consumer: undefined, isVolatile: false, lsns: new LsnList() }
      alike.push(row)
      transaction.settled.push(row)
    }
    row.lsns.push(lsn)
  }
}
