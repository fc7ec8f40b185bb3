import { randomUUID } from 'node:crypto'
import { MillraceError } from '../../model/errors.ts'
import { encodeDeclare, encodeDischarge } from '../../wire/amqp10/coordination.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import {
  type AmqpError,
  type Attach,
  accepted,
  type Coordinator,
  type DeliveryState,
  type TransactionalState,
} from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { Deque } from '../deque.ts'
import type { ProviderTransaction } from '../provider.ts'
import { DeliveryWindow } from './delivery-window.ts'
import { fromAmqp, lost } from './errors.ts'
import { OUTCOMES, type Resumable, type Sessions, source } from './sessions.ts'

const target: Coordinator = {
  coordinator: true,
  capabilities: ['amqp:local-transactions', 'amqp:multi-txns-per-ssn', 'amqp:multi-ssns-per-txn'],
}

/** A transaction on a line; it ends with it. */
export class AmqpTransaction implements ProviderTransaction {
  /** The state of what is sent in it. */
  readonly posted: TransactionalState
  /** Why it cannot be committed any more. */
  failure: MillraceError | undefined
  private readonly coordinator: CoordinatorLine
  private readonly accepted: TransactionalState

  constructor(coordinator: CoordinatorLine, transaction: Uint8Array) {
    this.coordinator = coordinator
    this.posted = { kind: 'transactional', transaction }
    this.accepted = { ...this.posted, outcome: accepted }
  }

  /** The state of what is settled in it with that outcome: one object for the usual one, so that neighbours share a frame. */
  retired(outcome: DeliveryState): TransactionalState {
    return outcome.kind === 'accepted' ? this.accepted : { ...this.posted, outcome }
  }

  /** It cannot be committed any more; answers the error that says so. */
  fail(cause: MillraceError): MillraceError {
    this.failure ??= rolledBack(cause)
    return this.failure
  }

  async commit(): Promise<void> {
    const { failure } = this
    if (failure) {
      await this.rollback()
      throw failure
    }
    await this.coordinator.discharge(this, false)
  }

  rollback(): Promise<void> {
    return this.coordinator.discharge(this, true)
  }
}

function rolledBack(cause: MillraceError): MillraceError {
  if (cause.code === 'transaction-rolled-back') return cause
  const message = `nothing of the transaction has happened: ${cause.message}`
  return new MillraceError('transaction-rolled-back', message, { cause })
}

/** Something said to the coordinator, until it is answered. */
interface Word {
  readonly bytes: Uint8Array
  /** Undefined: it is to be declared. */
  readonly transaction: AmqpTransaction | undefined
  readonly fail: boolean
  readonly resolve: (transaction: AmqpTransaction) => void
  readonly reject: (error: Error) => void
}

/** The link of a connection to the coordinator of its broker (core 4.2), attached when it is first needed. */
export class CoordinatorLine implements SenderEvents, Resumable {
  private readonly home: { readonly sessions: Sessions | undefined }
  private readonly name: string = `coordinator-${randomUUID()}`
  private link: SenderLink | undefined
  private isAttached = false
  /** Open, on this line. */
  private readonly open: Set<AmqpTransaction> = new Set()
  private readonly unsent: Deque<Word> = new Deque()
  private readonly flying: DeliveryWindow<Word> = new DeliveryWindow()
  private failure: Error | undefined

  constructor(home: { readonly sessions: Sessions | undefined }) {
    this.home = home
  }

  /** Declares a transaction. Rejects with what the broker answers, `unsupported` when it has no coordinator. */
  begin(): Promise<AmqpTransaction> {
    return this.say(encodeDeclare(), undefined, false)
  }

  /** Resolves also for a transaction that is to be rolled back and whose line is lost: its broker has done so. */
  async discharge(transaction: AmqpTransaction, fail: boolean): Promise<void> {
    if (!this.open.delete(transaction)) {
      if (fail) return
      throw transaction.fail(new MillraceError('transaction-not-found', 'the transaction has ended'))
    }
    await this.say(encodeDischarge(transaction.posted.transaction, fail), transaction, fail)
  }

  private say(
    bytes: Uint8Array,
    transaction: AmqpTransaction | undefined,
    fail: boolean,
  ): Promise<AmqpTransaction> {
    if (this.failure) return Promise.reject(this.failure)
    return new Promise((resolve, reject) => {
      this.unsent.push({ bytes, transaction, fail, resolve, reject })
      if (this.link) this.pump()
      else this.attach()
    })
  }

  private attach(): void {
    const { sessions } = this.home
    if (!sessions) return
    const attach = {
      name: this.name,
      sndSettleMode: 'unsettled',
      rcvSettleMode: 'first',
      source: source({ address: this.name, outcomes: OUTCOMES }),
      target,
    } as const
    this.link = sessions.attachSender(attach, this)
  }

  attached(attach: Attach): void {
    // A refusal has no target, and says why when it detaches.
    if (attach.target === null) return
    this.isAttached = true
    this.pump()
  }

  flow(): void {
    this.pump()
  }

  private pump(): void {
    const { link } = this
    if (!link || !this.isAttached) return
    while (link.credit > 0 && this.unsent.length > 0) {
      const word = this.unsent.shift()!
      // What was settled in the transaction is said before its end is.
      link.session.peer.writeDispositions()
      this.flying.push(link.send(false, 0, null, null, word.bytes, 0, word.bytes.length), word)
    }
    if (link.draining) link.drained()
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    if (!settled) this.link?.settle(first, last, state)
    this.flying.takeIds(first, last, (word) => this.answered(word, state))
  }

  private answered({ transaction, resolve, reject }: Word, state: DeliveryState | undefined): void {
    if (state?.kind === 'declared' && !transaction) {
      const begun = new AmqpTransaction(this, state.transaction)
      this.open.add(begun)
      return resolve(begun)
    }
    if (state?.kind === 'accepted' && transaction) return resolve(transaction)
    const error = fromAmqp(state?.kind === 'rejected' ? state.error : undefined, 'transaction-rolled-back')
    reject(transaction ? transaction.fail(error) : error)
  }

  /** Without a coordinator the broker has no transactions; those that were open have been rolled back. */
  detached(_closed: boolean, error: AmqpError | undefined): void {
    const why = fromAmqp(error, this.isAttached ? 'transaction-rolled-back' : 'unsupported')
    this.end(why)
    this.rejectAll((word) => (word.transaction ? word.transaction.fail(why) : why))
  }

  async resume(): Promise<void> {
    if (this.unsent.length > 0) this.attach()
  }

  /** Transactions end with their line. Of a commit that was under way nobody knows what has become. */
  suspend(): void {
    const error = lost(undefined)
    const [flying, unsent] = [this.flying.takeAll(), this.unsent.clear()]
    this.end(error)
    for (const word of flying) this.abandon(word, error)
    for (const word of unsent) this.abandon(word, word.transaction?.fail(error))
  }

  /** `error`: of a commit. What is not declared yet is declared on the next line, and a rollback has come about. */
  private abandon(word: Word, error: Error | undefined): void {
    if (!word.transaction) this.unsent.push(word)
    else if (word.fail) word.resolve(word.transaction)
    else word.reject(error!)
  }

  private end(cause: MillraceError): void {
    if (this.link) this.home.sessions?.release(this.link)
    this.link = undefined
    this.isAttached = false
    for (const transaction of this.open) transaction.fail(cause)
    this.open.clear()
  }

  fail(error: Error): void {
    this.failure = error
    this.rejectAll(() => error)
  }

  private rejectAll(why: (word: Word) => Error): void {
    for (const word of [...this.flying.takeAll(), ...this.unsent.clear()]) word.reject(why(word))
  }
}
