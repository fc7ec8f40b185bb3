import type { Engine } from '../../engine/api.ts'
import { MillraceError } from '../../model/errors.ts'
import {
  accepted,
  type DeliveryState,
  type TransactionalState,
} from '../../wire/amqp10/peer/performatives.ts'
import { Retirements } from '../retirements.ts'
import { operatingError } from './errors.ts'

const ID_BYTES = 8

/** Deliveries that were given an outcome in a transaction, and are settled by the broker when it is committed (core 4.4.2). */
export interface Retirement {
  readonly link: { retired(retirement: Retirement): void }
  /** Tags of the engine. */
  readonly from: number
  readonly to: number
  /** Ids of the wire. */
  readonly first: number
  readonly last: number
  readonly state: DeliveryState
}

/** A transaction of a client, and what the gateway has to remember of it. */
export class Transaction {
  /** The engine's number. */
  readonly number: number
  readonly id: Uint8Array
  /** What is answered to each message that is posted: one object, so that adjoining answers become one frame. */
  readonly accepted: TransactionalState
  /** Why it cannot be committed any more, where the client could not be told. */
  private failure: MillraceError | undefined
  /** Messages that were posted, and of which the engine has not said whether they were taken. */
  private undecided = 0
  private waiting: (() => void) | undefined
  private readonly engine: Engine
  /** What the receiver has settled, and what it has not. */
  readonly settled: Retirements = new Retirements()
  readonly unsettled: Retirement[] = []

  constructor(engine: Engine, number: number) {
    this.engine = engine
    this.number = number
    const id = Buffer.alloc(ID_BYTES)
    id.writeBigUInt64BE(BigInt(number))
    this.id = id
    this.accepted = { kind: 'transactional', transaction: id, outcome: accepted }
  }

  answer(outcome: DeliveryState): DeliveryState {
    return outcome.kind === 'accepted'
      ? this.accepted
      : { kind: 'transactional', transaction: this.id, outcome }
  }

  posted(): void {
    this.undecided++
  }

  decided(): void {
    this.undecided--
    if (this.undecided > 0) return
    this.waiting?.()
    this.waiting = undefined
  }

  /** Something in it was refused: it is done as a whole or not at all. */
  fail(cause: MillraceError): void {
    const why = `the transaction cannot be committed: ${cause.message}`
    this.failure ??= new MillraceError('transaction-rolled-back', why, { cause })
  }

  /** Does something that nobody waits for. */
  attempt(work: () => void): void {
    try {
      work()
    } catch (cause) {
      this.fail(operatingError(cause))
    }
  }

  /** `done(undefined)`: everything is durable; otherwise nothing has happened. */
  commit(done: (error: MillraceError | undefined) => void): void {
    const { engine, failure } = this
    if (this.undecided > 0) {
      this.waiting = () => this.commit(done)
      return
    }
    if (failure) return this.rollback(() => done(failure))
    engine.commitTransaction(this.number, (error) => {
      if (error) this.settled.giveBack(engine)
      else for (const each of this.unsettled) each.link.retired(each)
      done(error)
    })
  }

  /** What the receiver has not settled stays with it, acquired, until it says something else (core 4.4.2). */
  rollback(done: () => void): void {
    this.engine.rollbackTransaction(this.number, () => {
      this.settled.giveBack(this.engine)
      done()
    })
  }
}

/** The open transactions of a connection. */
export class Transactions {
  private readonly engine: Engine
  private readonly open: Map<number, Transaction> = new Map()
  /** The state that was seen last, and its transaction: all frames of a transaction mostly share one object. */
  private seen: TransactionalState | undefined
  private last: Transaction | undefined

  constructor(engine: Engine) {
    this.engine = engine
  }

  get count(): number {
    return this.open.size
  }

  /** Throws `memory-full` when the broker has too many. */
  begin(connection: number): Transaction {
    const transaction = new Transaction(this.engine, this.engine.beginTransaction(connection))
    this.open.set(transaction.number, transaction)
    return transaction
  }

  /** Throws `transaction-not-found`. */
  of(state: TransactionalState): Transaction {
    if (state !== this.seen) {
      this.last = this.find(state.transaction)
      this.seen = state
    }
    return this.last ?? notFound()
  }

  /** It has ended, or is about to: nothing more belongs to it. Throws `transaction-not-found`. */
  take(id: Uint8Array): Transaction {
    const transaction = this.find(id) ?? notFound()
    this.open.delete(transaction.number)
    this.seen = this.last = undefined
    return transaction
  }

  private find(id: Uint8Array): Transaction | undefined {
    if (id.length !== ID_BYTES) return undefined
    return this.open.get(Number(Buffer.from(id.buffer, id.byteOffset, ID_BYTES).readBigUInt64BE()))
  }
}

function notFound(): never {
  throw new MillraceError('transaction-not-found', 'there is no such transaction on this connection')
}
