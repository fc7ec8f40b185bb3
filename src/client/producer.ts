import { randomBytes } from 'node:crypto'
import type { Durability } from '../model/delivery.ts'
import { type Duration, milliseconds } from '../model/duration.ts'
import { type ErrorCode, MillraceError } from '../model/errors.ts'
import { IdSeries } from '../model/message.ts'
import { assertSendable, MAX_NAME_BYTES, type Sendable, type TypedDestination } from './destinations.ts'
import {
  checkDurability,
  checkPriority,
  copyContent,
  makeOutgoing,
  type SendDefaults,
  type SendOptions,
} from './outgoing.ts'
import { HalfMessage } from './prepared.ts'
import type { Capabilities, Outgoing, ProviderSender, SendReceipt } from './provider.ts'
import type { Session } from './session.ts'
import { describeIssues, type StandardResult } from './standard-schema.ts'
import type { Work } from './transacted.ts'
import { abortable } from './waiting.ts'

export interface ProducerOptions {
  /**
   * Identity of the producer, kept by the broker across restarts, at most one producer at a time. Each message has a
   * number under it, `sequence`, by default one more than the one before. A message that is sent again with its number
   * is stored once, so that whoever does not know whether a send was confirmed repeats it. Default: none.
   */
  readonly id?: string | undefined
  /** Defaults for what this producer sends: 'disk', 4, no ttl, no delay. */
  readonly durability?: Durability | undefined
  readonly priority?: number | undefined
  readonly ttl?: Duration | undefined
  readonly delay?: Duration | undefined
}

export interface PrepareOptions extends Omit<SendOptions, 'sequence'> {
  /** Name of the producers any of which can say what became of it; see Context.answerChecks. */
  readonly producerGroup: string
}

/**
 * Sends messages, to one destination or, when it was created without, to any (JMS MessageProducer). Many sends may be in
 * flight; they are ordered by call.
 */
export class MessageProducer<Input = unknown> implements AsyncDisposable {
  readonly destination: Sendable<Input> | undefined
  private readonly session: Session
  private readonly sender: ProviderSender
  private readonly defaults: SendDefaults
  private readonly identified: boolean
  private readonly series = new IdSeries(`ID:${randomBytes(9).toString('base64url')}-`)
  private sent = 0
  /** Resolves when everything that has to happen before the next send has; undefined: nothing has to. */
  private gate: Promise<void> | undefined
  /** Resolves when the sends that wait for the transaction to begin have been handed over. */
  private joining: Promise<unknown> | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(
    session: Session,
    sender: ProviderSender,
    destination: Sendable<Input> | undefined,
    options: ProducerOptions,
  ) {
    this.session = session
    this.sender = sender
    this.destination = destination
    this.identified = options.id !== undefined
    const { clock } = session.connection
    this.defaults = {
      durability: checkDurability(options.durability ?? 'disk'),
      priority: checkPriority(options.priority ?? 4),
      ttl: options.ttl === undefined ? 0 : milliseconds(options.ttl),
      delay: options.delay === undefined ? 0 : milliseconds(options.delay),
      wall: () => clock.wall(),
    }
  }

  /** Highest sequence that was stored under the producer's id when it was created; 0: none. */
  get lastSequence(): number {
    return this.sender.lastSequence
  }

  /** Sends to the destination the producer was created for. Resolves and rejects as `sendTo`. */
  send(body: Input, options?: SendOptions): Promise<SendReceipt> {
    const { destination } = this
    if (destination) return this.sendTo(destination, body, options)
    return refuse(
      'illegal-state',
      'the producer was created without destination; use sendTo(destination, body)',
    )
  }

  /**
   * Resolves when the message has reached the durability asked for; sends of one producer and one durability resolve in the
   * order of their calls, while a refusal, or a lesser durability, may be told before (JMS 7.3 waits). In a transacted
   * session it resolves when the broker has taken the message for the commit. Rejects, with nothing sent, with `closed`,
   * `destination-invalid`, `message-invalid`, `message-format-invalid`, `message-too-large`, `schedule-invalid`, `destination-conflict`, `queue-full`, `memory-full`, `disk-full`,
   * `journal-failed`.
   */
  sendTo<T>(destination: Sendable<T>, body: T, options?: SendOptions): Promise<SendReceipt>
  sendTo(destination: Sendable<never>, body: unknown, options?: SendOptions): Promise<SendReceipt> {
    return this.hand(destination, body, options)
  }

  /** `prepare`: the group of producers of a half message. */
  private hand(
    destination: Sendable<never>,
    body: unknown,
    options: SendOptions | undefined,
    prepare?: string,
  ): Promise<SendReceipt> {
    if (this.closing) return refuse('closed', 'the producer is closed')
    if (this.destination && destination !== this.destination) {
      return refuse('illegal-state', `the producer was created for ${this.destination.name}`)
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason)
    if (options?.sequence !== undefined) {
      const problem = this.sequenceProblem(options.sequence, options.durability)
      if (problem) return refuse('argument-invalid', problem)
    }
    try {
      assertSendable(destination)
      const checked = this.checked(destination, body)
      const outgoing = makeOutgoing(destination, body, options, this.defaults, this.series, this.sent++)
      const receipt = this.dispatch(checked, prepare === undefined ? outgoing : { ...outgoing, prepare })
      return options?.signal ? abortable(receipt, options.signal) : receipt
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Stores a half message for the destination the producer was created for, to be decided later; it is no part of a
   * transaction. `producerGroup` is asked when it is left undecided. Resolves when it is on disk. Rejects
   * as `send`, and with `unsupported`, `message-unroutable` when no queue would take it.
   */
  prepare(body: Input, options: PrepareOptions): Promise<HalfMessage> {
    const { destination } = this
    if (destination) return this.prepareFor(destination, body, options)
    return refuse('illegal-state', 'the producer was created without destination; use prepareFor')
  }

  /** The same for any destination. */
  async prepareFor<T>(
    destination: Sendable<T>,
    body: NoInfer<T>,
    options: PrepareOptions,
  ): Promise<HalfMessage> {
    const { prepared } = this.session.connection.provided
    if (!prepared) throw new MillraceError('unsupported', 'this provider has no half messages')
    const { producerGroup, ...rest } = options
    if (typeof producerGroup !== 'string' || producerGroup === '')
      throw new MillraceError(
        'argument-invalid',
        'a half message needs a producerGroup, which is asked for it',
      )
    return new HalfMessage(prepared, await this.hand(destination, body, rest, producerGroup))
  }

  /** Sends what was made of a body earlier, by whoever keeps it until it is confirmed. @internal */
  forward(destination: Sendable<never>, outgoing: Outgoing): Promise<SendReceipt> {
    if (this.closing) return refuse('closed', 'the producer is closed')
    try {
      return this.dispatch(this.checked(destination, undefined), outgoing)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  private dispatch(checked: Promise<void> | undefined, outgoing: Outgoing): Promise<SendReceipt> {
    const { work } = this.session
    if (work && outgoing.prepare === undefined) return work.track(this.within(work, checked, outgoing))
    return checked || this.gate ? this.inTurn(checked, outgoing) : this.sender.send(outgoing)
  }

  /** In the transaction that is current, which begins with the first send. */
  private within(work: Work, checked: Promise<void> | undefined, outgoing: Outgoing): Promise<SendReceipt> {
    const joined = work.join()
    const { transaction } = work
    if (!checked && !this.gate) {
      if (transaction) return this.sender.send({ ...outgoing, transaction })
      const kept = { ...outgoing, content: copyContent(outgoing.content) }
      this.joining = joined
      return work.whenBegun((begun) => this.sender.send({ ...kept, transaction: begun }))
    }
    return this.inTurn(Promise.all([joined, checked]), outgoing, work)
  }

  private sequenceProblem(sequence: number, durability?: Durability): string | undefined {
    if (!this.identified) return 'a sequence needs a producer that was created with an id'
    if ((durability ?? this.defaults.durability) === 'memory')
      return "a sequence is remembered on disk; the durability 'memory' has none"
    if (Number.isSafeInteger(sequence) && sequence > 0) return undefined
    return `sequence is a whole number above 0, not ${sequence}`
  }

  /** Undefined: nothing is to be waited for. */
  private checked(destination: Sendable<never>, body: unknown): Promise<void> | undefined {
    if (destination.kind !== 'composite')
      return destination.schema || destination.policy ? this.check(destination, body) : undefined
    assertSupported(this.session.connection.provided.capabilities)
    const waits = destination.members.flatMap((member) => this.check(member, body) ?? [])
    return waits.length === 0 ? undefined : Promise.all(waits).then(() => {})
  }

  /** Checks the body and declares the queue; undefined when that is done at once. */
  private check(destination: TypedDestination<never>, body: unknown): Promise<void> | undefined {
    const declared = this.session.declared(destination)
    const result = destination.schema?.['~standard'].validate(body)
    if (result instanceof Promise) return Promise.all([declared, result.then(assertValid)]).then(() => {})
    if (result) assertValid(result)
    return declared
  }

  /** Sends when the earlier sends that had to wait have been handed over, so that the order of calls is kept. */
  private async inTurn(
    checked: Promise<unknown> | undefined,
    outgoing: Outgoing,
    work?: Work,
  ): Promise<SendReceipt> {
    const kept = { ...outgoing, content: copyContent(outgoing.content) }
    const before = this.gate
    const passed = Promise.withResolvers<void>()
    this.gate = passed.promise
    checked?.catch(() => {})
    let receipt: Promise<SendReceipt>
    try {
      await before
      await checked
      receipt = this.sender.send(work ? { ...kept, transaction: work.transaction } : kept)
    } finally {
      if (this.gate === passed.promise) this.gate = undefined
      passed.resolve()
    }
    return receipt
  }

  /** Resolves when every send is decided. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    await this.gate
    await this.joining?.catch(() => {})
    await this.sender.close()
    this.session.forget(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Throws `unsupported`. */
export function assertSupported({ compositeDestinations }: Capabilities): void {
  if (compositeDestinations) return
  throw new MillraceError('unsupported', 'this provider cannot send to several destinations at once')
}

/** Throws `argument-invalid`. */
export function checkProducerId(id: string): string {
  if (typeof id === 'string' && id !== '' && Buffer.byteLength(id) <= MAX_NAME_BYTES) return id
  throw new MillraceError(
    'argument-invalid',
    `the id of a producer is a text of 1 to ${MAX_NAME_BYTES} bytes, not ${JSON.stringify(id)}`,
  )
}

function refuse(code: ErrorCode, message: string): Promise<never> {
  return Promise.reject(new MillraceError(code, message))
}

function assertValid(result: StandardResult<unknown>): void {
  if (!result.issues) return
  throw new MillraceError(
    'message-invalid',
    `the body does not fit the schema: ${describeIssues(result.issues)}`,
  )
}
