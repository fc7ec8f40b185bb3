import { EventEmitter } from 'node:events'
import type { MessageConsumer } from '../../client/consumer.ts'
import type { Context, Dependant } from '../../client/context.ts'
import type { Message } from '../../client/message.ts'
import type { MessageProducer } from '../../client/producer.ts'
import type { Session } from '../../client/session.ts'
import { settlesWithin } from '../../client/waiting.ts'
import type { CloseOptions } from '../../client/worker.ts'
import { milliseconds } from '../../model/duration.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { whole } from '../arguments.ts'
import { passed } from '../waiting.ts'
import { Attempt, type Outcome } from './attempt.ts'
import type { SagaMessage } from './message.ts'
import type { Saga } from './saga.ts'

export interface SagaWorkerOptions {
  /** Steps that may run at once, each of another saga. Default 1. */
  readonly concurrency?: number | undefined
}

/** A step that was not done, or not undone, this time. */
export interface SagaFailure {
  readonly id: string
  readonly step: string
  readonly direction: SagaMessage['direction']
  readonly attempt: number
  readonly error: unknown
  /** What comes of it: the step is repeated, the saga goes back, or it is stuck. */
  readonly next: 'again' | 'back' | 'stuck'
}

export interface SagaEvents {
  failed: [failure: SagaFailure]
}

/** Waits of a lane whose hand-overs the broker refuses. Milliseconds. */
const FIRST_PAUSE = 10
const LONGEST_PAUSE = 10_000
/** Refusals that are remembered until their messages come again. Of one that is forgotten the step is done again. */
const REFUSALS = 1_000

/** Runs the steps of the sagas of one kind. Closed with its context. */
export class SagaWorker<State = unknown>
  extends EventEmitter<SagaEvents>
  implements Dependant, AsyncDisposable
{
  /** Resolves when it receives. Rejects with what kept it from it. */
  readonly ready: Promise<void>
  /** Resolves when it has been closed. Rejects when the broker ended it. */
  readonly closed: Promise<void>
  private readonly mq: Context
  private readonly lanes: readonly Lane<State>[]
  private readonly end = Promise.withResolvers<void>()
  private closing: Promise<void> | undefined
  private failed = false

  /** @internal */
  constructor(mq: Context, saga: Saga<State>, { concurrency = 1 }: SagaWorkerOptions) {
    super()
    this.mq = mq
    const tell = (failure: SagaFailure) => void this.emit('failed', failure)
    const count = whole('concurrency', concurrency, 1)
    const refusals = new Refusals()
    this.lanes = Array.from({ length: count }, () => new Lane<State>(mq, saga, refusals, tell))
    this.closed = this.end.promise
    this.closed.catch(() => {})
    this.ready = this.open()
    this.ready.catch((error) => this.fail(error))
    mq.adopt(this)
  }

  private async open(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.open()))
    for (const lane of this.lanes) lane.run().catch((error) => this.fail(error))
  }

  private fail(error: unknown): void {
    if (this.closing || this.failed) return
    this.failed = true
    this.mq.connection.report(error)
    this.end.reject(error)
  }

  /**
   * Begins with no further step, and waits for those that run. When `drain` has passed, their signal is aborted and they go
   * back to the broker. A step must not wait for it. When the broker is away before it was opened, it waits for it, or until
   * `drain` has passed.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.closing ??= this.finish(options)
    return this.closing
  }

  private async finish({ drain }: CloseOptions): Promise<void> {
    const limit = drain === undefined ? undefined : milliseconds(drain)
    const begun = performance.now()
    const opened = this.ready.catch(() => {})
    // A broker that is away opens nothing; what it would have opened ends with the connection.
    const isOpen = await settlesWithin(opened, limit)
    const left = limit === undefined ? undefined : Math.max(0, limit - (performance.now() - begun))
    const ends = Promise.all(this.lanes.map((lane) => lane.end()))
    if (!(await settlesWithin(ends, left))) for (const lane of this.lanes) lane.abandon()
    await ends
    const closed = Promise.all(this.lanes.map((lane) => lane.close()))
    if (isOpen) await closed
    else closed.catch(() => {})
    this.end.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * What came after a step and can never be sent, because it is too large. Nothing of a transaction happens in which a send was
 * refused: the message of the step has to come once more, to be handed over otherwise.
 */
class Refusals {
  /** By the id that the broker has given the message of the step. */
  private readonly reasons: Map<string, MillraceError> = new Map()

  add({ brokerId }: Message, why: MillraceError): void {
    this.reasons.set(brokerId, why)
    // Their messages have come to another process.
    if (this.reasons.size > REFUSALS) this.reasons.delete(this.reasons.keys().next().value!)
  }

  take({ brokerId }: Message): MillraceError | undefined {
    const why = this.reasons.get(brokerId)
    this.reasons.delete(brokerId)
    return why
  }
}

/**
 * One step after the other, each in a transaction of the broker: that the message of the step is settled, the message of the
 * next one and the status happen together or not at all.
 */
class Lane<State> {
  private readonly mq: Context
  private readonly saga: Saga<State>
  private readonly refusals: Refusals
  private readonly tell: (failure: SagaFailure) => void
  private readonly session: Session
  private producer!: MessageProducer
  private consumer!: MessageConsumer<SagaMessage<State>>
  private readonly ending = new AbortController()
  private running: Promise<void> = Promise.resolve()
  private attempt: Attempt<State> | undefined
  private pause = 0

  constructor(mq: Context, saga: Saga<State>, refusals: Refusals, tell: (failure: SagaFailure) => void) {
    this.mq = mq
    this.saga = saga
    this.refusals = refusals
    this.tell = tell
    this.session = mq.connection.createSession({ acknowledge: 'transacted' })
  }

  async open(): Promise<void> {
    this.producer = await this.session.createProducer()
    // What becomes dead is where it can be seen, and resumed.
    await this.session.declared(this.saga.parked)
    await this.session.declared(this.saga.statuses)
    this.consumer = await this.session.createConsumer(this.saga.queue, { prefetch: 0 })
    this.consumer.forfeited = (tag, why) => this.attempt?.lose(tag, why)
  }

  run(): Promise<void> {
    this.running = this.loop()
    return this.running
  }

  /** No further step; resolves when the one that runs is through. */
  async end(): Promise<void> {
    this.ending.abort()
    await this.running.catch(() => {})
  }

  abandon(): void {
    const why = new MillraceError('closed', 'the worker was closed before the step returned')
    this.attempt?.lose(undefined, why)
  }

  close(): Promise<void> {
    return this.session.close()
  }

  private async loop(): Promise<void> {
    const { signal } = this.ending
    while (!signal.aborted) {
      const message = await this.consumer.receive({ signal }).catch((error) => {
        if (signal.aborted) return undefined
        throw error
      })
      if (!message) return
      await this.handle(message)
      if (this.pause > 0 && !signal.aborted) await passed(this.mq.clock, this.pause)
    }
  }

  private async handle(message: Message<SagaMessage<State>>): Promise<void> {
    const attempt = new Attempt<State>(this.saga, message, this.mq.clock)
    this.attempt = attempt
    const refusal = this.refusals.take(message)
    try {
      const outcome = refusal ? attempt.refused(refusal) : await attempt.run()
      await this.settle(message, outcome, refusal !== undefined)
      this.pause = 0
    } catch (error) {
      // The transaction has not happened, and the message comes again.
      await this.session.rollback().catch(() => {})
      this.pause = Math.min(Math.max(FIRST_PAUSE, this.pause * 2), LONGEST_PAUSE)
      if (!isLost(error)) this.mq.connection.report(error)
    } finally {
      this.attempt = undefined
    }
  }

  /** `isOther`: what came after it was refused before. */
  private async settle(
    message: Message<SagaMessage<State>>,
    outcome: Outcome<State>,
    isOther: boolean,
  ): Promise<void> {
    if (outcome.failure) this.tell(outcome.failure)
    switch (outcome.kind) {
      case 'lost':
        return this.session.rollback()
      case 'released':
        return message.release()
      case 'again':
        return message.fail(outcome.reason, outcome.after === undefined ? {} : { after: outcome.after })
      default:
        await this.handOver(message, outcome.next, isOther)
    }
  }

  private async handOver(
    message: Message<SagaMessage<State>>,
    next: SagaMessage<State>,
    isOther: boolean,
  ): Promise<void> {
    const { saga, producer } = this
    try {
      await saga.send({ send: producer.sendTo.bind(producer) }, next)
    } catch (error) {
      const why = `what comes after it was refused: ${(error as Error).message}`
      if (!isOther && isMillraceError(error) && error.code === 'message-too-large') {
        this.refusals.add(message, error)
        await message.fail(why, { after: 0 })
        return this.session.rollback()
      }
      // After a rollback it would come again at once; there is no room for it, and no hurry.
      await message.fail(why)
      throw error
    }
    await this.session.commit()
  }
}

/** Somebody else has the message, or will: there is nothing to be told. */
function isLost(error: unknown): boolean {
  if (!isMillraceError(error)) return false
  return error.code === 'connection-lost' || error.code === 'delivery-settled'
}
