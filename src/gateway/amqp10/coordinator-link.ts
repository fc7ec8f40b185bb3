import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { readCoordination } from '../../wire/amqp10/coordination.ts'
import { TransactionCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { ReceiverEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import {
  type AmqpError,
  type Attach,
  accepted,
  type Coordinator,
  type DeliveryState,
} from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type { AmqpConnection } from './connection.ts'
import { amqpError, operatingError, rejectedWith } from './errors.ts'
import type { Transaction } from './transactions.ts'

/** Declares and discharges that are not answered yet. */
const CREDIT = 50

const MAX_BYTES = 4_096

const REJECTED = 'amqp:rejected:list'

const capabilities = ['amqp:local-transactions', 'amqp:multi-txns-per-ssn', 'amqp:multi-ssns-per-txn']

/** A link to the coordinator (core 4.2): transactions are declared on it, and discharged; what is open ends with it. */
export class CoordinatorLink implements ReceiverEvents {
  private readonly connection: AmqpConnection
  private readonly link: ReceiverLink
  private readonly canReject: boolean
  private readonly declared: Set<Transaction> = new Set()
  private parts: Uint8Array[] = []
  private over = false

  constructor(connection: AmqpConnection, link: ReceiverLink, attach: Attach) {
    this.connection = connection
    this.link = link
    const outcomes = attach.source?.outcomes ?? []
    this.canReject = outcomes.length === 0 || outcomes.includes(REJECTED)
    connection.links++
  }

  /** A client attaches to the coordinator. */
  static attach(connection: AmqpConnection, link: ReceiverLink, attach: Attach): void {
    const coordinator = new CoordinatorLink(connection, link, attach)
    link.events = coordinator
    const target: Coordinator = { coordinator: true, capabilities }
    link.accept({ rcvSettleMode: 'first', target, maxMessageSize: MAX_BYTES })
    link.grant(CREDIT)
  }

  transfer({ id, settled, more, aborted, bytes, start, end }: TransferPart): void {
    this.parts.push(Uint8Array.from(bytes.subarray(start, end)))
    if (more) return
    const message = Buffer.concat(this.parts)
    this.parts = []
    this.connection.guard(() => {
      if (!aborted) this.handle(id, settled, message)
      if (!this.over) this.link.grant(1)
    })
  }

  private handle(id: number, settled: boolean, message: Uint8Array): void {
    try {
      const asked = readCoordination(message, 0, message.length)
      if (asked.kind === 'declare') this.begin(id, settled, asked.global)
      else this.discharge(id, settled, asked.transaction, asked.fail)
    } catch (cause) {
      this.refuse(id, settled, operatingError(cause))
    }
  }

  private begin(id: number, settled: boolean, global: boolean): void {
    if (global) throw new MillraceError('unsupported', 'distributed transactions are not supported')
    if (settled) throw new MillraceError('argument-invalid', 'a declare that is settled cannot be answered')
    const { connection, link } = this
    const transaction = connection.transactions.begin(connection.number)
    this.declared.add(transaction)
    link.settle(id, id, { kind: 'declared', transaction: transaction.id })
  }

  private discharge(id: number, settled: boolean, name: Uint8Array, fail: boolean): void {
    const transaction = this.connection.transactions.take(name)
    this.declared.delete(transaction)
    const done = (error: MillraceError | undefined): void =>
      this.connection.guard(() => {
        if (error) this.refuse(id, settled, error)
        else this.answer(id, settled, accepted)
      })
    if (fail) transaction.rollback(() => done(undefined))
    else transaction.commit(done)
  }

  private answer(id: number, settled: boolean, state: DeliveryState): void {
    if (!settled && !this.over) this.link.settle(id, id, state)
  }

  /** A controller that does not know the outcome rejected learns it by the end of its link (core 4.3). */
  private refuse(id: number, settled: boolean, error: MillraceError): void {
    const reason = reasonOf(error)
    if (!settled && this.canReject) return this.answer(id, settled, rejectedWith(reason))
    if (this.over) return
    this.leave()
    this.link.detach(true, reason)
  }

  detached(): void {
    this.connection.guard(() => this.leave())
  }

  /** Transactions whose controller is gone are rolled back (core 4.2). */
  private leave(): void {
    if (this.over) return
    this.over = true
    this.connection.links--
    for (const transaction of this.declared) {
      this.connection.transactions.take(transaction.id)
      transaction.rollback(() => {})
    }
    this.declared.clear()
  }
}

function reasonOf(error: MillraceError): AmqpError {
  const reason = amqpError(error)
  const timedOut = isMillraceError(error.cause) && error.cause.code === 'timeout'
  return timedOut ? { ...reason, condition: TransactionCondition.timeout } : reason
}
