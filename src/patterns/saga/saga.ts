import type { Context } from '../../client/context.ts'
import { type Composite, composite, type Queue, queue } from '../../client/destinations.ts'
import type { BrowsedMessage, Message } from '../../client/message.ts'
import type { SendOptions } from '../../client/outgoing.ts'
import type { Handler, HandlerContext } from '../../client/worker.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import type { Explanation } from '../explain/explanation.ts'
import type { Undoing } from '../inbox/handling.ts'
import type { RetryPolicy } from '../retry/policy.ts'
import { Course, type Decision } from './course.ts'
import { explainSaga } from './explain.ts'
import {
  headersOf,
  messageSchema,
  readMessage,
  type SagaMessage,
  type SagaPhase,
  selectorOf,
  written,
} from './message.ts'
import { SagaWorker, type SagaWorkerOptions } from './worker.ts'

/** What a step is given beside the state. */
export interface StepContext<State = unknown> extends HandlerContext {
  /** Aborted when the delivery is lost, or the time that the step may take has passed. */
  readonly signal: AbortSignal
  /** Of the saga. */
  readonly id: string
  /** The same in every attempt, and for no other step: for services that do once what they are asked twice. */
  readonly idempotencyKey: string
  /** 1 the first time. */
  readonly attempt: number
  /** The message that the step is, for handlers such as `idempotent` and `recorded` make. It is settled when the step has returned. */
  readonly message: Message<SagaMessage<State>>
}

export interface UndoContext<State = unknown> extends StepContext<State>, Undoing {
  /** 'unknown': the step was begun, and nobody knows whether it was done. There may be nothing to undo. */
  readonly outcome: 'done' | 'unknown'
  /** The idempotencyKey of the step that is undone. */
  readonly undoes: string
  /** Why the saga goes back. */
  readonly error: string
}

export interface StepRetry extends RetryPolicy {
  /**
   * Deliveries after which it is given up, those counted that ended with their process. Default 10; Infinity: never. What comes again and when says
   * the broker: by its backoff (1 s, 2 s, 4 s, … 5 min), or by `after`.
   */
  readonly attempts?: number | undefined
}

/** One step of a saga. It may be repeated, so that its effect has to be the same when it is. */
export interface SagaStep<State> {
  /** Under which messages that are under way know it. */
  readonly name: string
  /** Returns the state that the next step is given; nothing: it stays as it is. */
  readonly run: (state: State, context: StepContext<State>) => State | undefined | Promise<State | undefined>
  /** Takes back what `run` has done. Without, there is nothing to be taken back. */
  readonly undo?:
    | ((state: State, context: UndoContext<State>) => State | undefined | Promise<State | undefined>)
    | undefined
  /** Of `run` and of `undo`. */
  readonly retry?: StepRetry | undefined
  /** How long an attempt may take; then it has failed, with `timeout`. Default: for ever. */
  readonly timeout?: Duration | undefined
}

export interface SagaOptions {
  /** How long the status of a saga that is done or undone is kept. Default 7 days. */
  readonly keep?: Duration | undefined
  /** For how long a second start of the same id is known for one, and of how many sagas. Default 1 day, 100,000. */
  readonly deduplication?:
    | { readonly window?: Duration | undefined; readonly count?: number | undefined }
    | undefined
}

export interface SagaStatus<State = unknown> extends Omit<SagaMessage<State>, 'unsure' | 'done' | 'problem'> {
  /** Since when it stands there. Wall milliseconds. */
  readonly since: number
}

/** The message that a saga begins with, for whoever sends it in his own way, such as through an outbox. */
export interface SagaStart {
  readonly destination: Composite<SagaMessage>
  readonly body: SagaMessage
  readonly options: SendOptions
}

const MAX_ID_BYTES = 255
const DEFAULT_ATTEMPTS = 10

/** A step whose settings have been checked. @internal */
export interface CheckedStep<State> extends SagaStep<State> {
  readonly attempts: number
  /** Milliseconds. */
  readonly limit: number | undefined
}

/**
 * A course of steps, each of which is a durable message that carries the state; when one of them cannot be done, those before
 * it are undone in reverse order, each by a message too. A step is settled, the next one sent and the status replaced by one
 * record of the broker, so that after a crash the saga stands before a step or behind it. A saga has one message at any time.
 * This is the description, which is the same for all programs that start, run or watch such sagas.
 */
export class Saga<State = unknown> {
  readonly name: string
  /** What is to be done. */
  readonly queue: Queue<SagaMessage, SagaMessage<State>>
  /** The last status of each. */
  readonly statuses: Queue<SagaMessage>
  /** What waits for somebody to look at it. */
  readonly parked: Queue<SagaMessage>
  /** Milliseconds. @internal */
  readonly keep: number
  /** @internal */
  readonly course: Course<State, CheckedStep<State>>
  /** @internal */
  readonly steps: readonly CheckedStep<State>[]
  private readonly moves: Composite<SagaMessage>
  private readonly parking: Composite<SagaMessage>

  /** @internal */
  constructor(name: string, steps: readonly SagaStep<State>[], options: SagaOptions) {
    const { keep = '7d', deduplication = {} } = options
    if (typeof name !== 'string' || name === '')
      throw new MillraceError('argument-invalid', 'a saga has a name that is a text')
    this.name = name
    this.keep = milliseconds(keep)
    this.steps = checkSteps(steps)
    this.course = new Course(this.steps)
    const base = `millrace.saga.${name}`
    const { window = '1d', count } = deduplication
    const known = { deduplication: { window, count } }
    this.queue = queue<SagaMessage, SagaMessage<State>>(base, {
      body: messageSchema<State>(name),
      policy: { ...known, maxDeliveries: Number.POSITIVE_INFINITY, deadLetter: `${base}.stuck` },
    })
    this.statuses = queue<SagaMessage>(`${base}.status`, {
      policy: { ...known, lastValue: 'saga', deadLetter: false },
    })
    this.parked = queue<SagaMessage>(`${base}.stuck`, { policy: { deadLetter: false } })
    this.moves = composite<SagaMessage>(plain(this.queue), this.statuses)
    this.parking = composite<SagaMessage>(this.parked, this.statuses)
  }

  /**
   * The message that starts a saga, for an outbox or another transaction: `outbox.send(tx, destination, body, options)`. Throws
   * `argument-invalid`, `message-invalid`.
   */
  message(id: string, state: State): SagaStart {
    this.checkId(id)
    const first = this.course.begin(this.name, id, state)
    const options = headersOf(first)
    return {
      destination: this.moves,
      body: written(first),
      options: { ...options, deduplicationId: options.messageId },
    }
  }

  /**
   * Starts the saga of this id, unless it has been started within the window of `deduplication`: then nothing happens, whatever
   * the state. Resolves when that is durable, or, in a transacted context, taken for its commit. Rejects as `message`, and as
   * Context.send.
   */
  async start(mq: Context, id: string, state: State): Promise<void> {
    this.assertSupported(mq)
    const { destination, body, options } = this.message(id, state)
    await mq.send(destination, body, options)
  }

  /** Runs the steps, here and wherever else this is called. Closed with its context. Throws `unsupported`, `argument-invalid`, `closed`. */
  work(mq: Context, options: SagaWorkerOptions = {}): SagaWorker<State> {
    this.assertSupported(mq)
    return new SagaWorker<State>(mq, this, options)
  }

  /** Where the saga stands; undefined: it was never started, or its status has been kept for long enough. Rejects as `list`. */
  async status(mq: Context, id: string): Promise<SagaStatus<State> | undefined> {
    let last: SagaStatus<State> | undefined
    for await (const status of this.select(mq, selectorOf(id))) last = status
    return last
  }

  /** Where they all stand, or those in one phase. Rejects as QueueBrowser. */
  list(
    mq: Context,
    options: { readonly status?: SagaPhase | undefined } = {},
  ): AsyncGenerator<SagaStatus<State>> {
    return this.select(mq, options.status === undefined ? undefined : `status = '${options.status}'`)
  }

  private async *select(mq: Context, selector: string | undefined): AsyncGenerator<SagaStatus<State>> {
    try {
      for await (const message of mq.browse(this.statuses, { selector })) {
        const status = statusOf<State>(message)
        if (status) yield status
      }
    } catch (error) {
      // Nobody has started one yet.
      if (!isMillraceError(error) || error.code !== 'destination-not-found') throw error
    }
  }

  /**
   * Lets a saga that is stuck go on: 'again' (default) with what it could not do, and all its attempts; 'done' behind that, because
   * somebody has done it by hand; 'back', of one that was on its way, by undoing it from there. False: no such saga is stuck.
   * Rejects with `argument-invalid` when there is no such step any more to go on behind, and as Context.transaction.
   */
  resume(mq: Context, id: string, decision: Decision = 'again'): Promise<boolean> {
    return mq.transaction(async (tx) => {
      await using consumer = await tx.createConsumer(this.parked, { selector: selectorOf(id), prefetch: 0 })
      const parked = await consumer.receive({ timeout: 0 })
      if (!parked) return false
      const message = readMessage<State>(parked.body)
      const next = message && this.course.decided(message, decision)
      if (!next) throw new MillraceError('argument-invalid', `nobody knows how ${id} would go on`)
      await this.send(tx, next)
      await tx.commit()
      return true
    })
  }

  /** Forgets the status of a saga that is done or undone; the others stay. Resolves with whether there was one. */
  async forget(mq: Context, id: string): Promise<boolean> {
    const selector = `${selectorOf(id)} AND status IN ('done', 'undone')`
    return (await mq.management.purge(this.statuses.name, { selector })) > 0
  }

  /** What may be lost, or done twice, in which order, until when, as it and the broker are configured. Rejects as ProviderManagement.queues. */
  explain(mq: Context): Promise<Explanation> {
    return explainSaga(this, mq)
  }

  /** Sends on what is to be done next, or only says how it ended, to whoever asks. @internal */
  send(to: Pick<Context, 'send'>, next: SagaMessage<State>): Promise<unknown> {
    const body = written(next)
    const options = headersOf(next)
    switch (next.status) {
      case 'running':
      case 'undoing':
        return to.send(this.moves, body, options)
      case 'stuck':
        return to.send(this.parking, body, options)
      default:
        return to.send(this.statuses, body, { ...options, ttl: this.keep })
    }
  }

  private assertSupported({ capabilities }: Context): void {
    if (capabilities.policies && capabilities.transactions && capabilities.compositeDestinations) return
    throw new MillraceError(
      'unsupported',
      'a saga needs transactions, sends to several queues, and queues that keep last values',
    )
  }

  private checkId(id: string): void {
    if (typeof id !== 'string' || id === '')
      throw new MillraceError('argument-invalid', 'a saga has an id that is a text')
    for (const { name } of this.steps) {
      const step = { saga: this.name, id, step: name, direction: 'back' } as const
      const { messageId } = headersOf({ ...step, status: 'undoing', state: undefined, done: [] })
      if (Buffer.byteLength(messageId!) > MAX_ID_BYTES)
        throw new MillraceError(
          'argument-invalid',
          `the saga, its id and a step have at most ${MAX_ID_BYTES} bytes together: ${messageId!.slice(0, 60)}…`,
        )
    }
  }
}

/** Who sends has no use for what the schema makes of it. */
function plain({
  kind,
  name,
  policy,
}: Queue<SagaMessage, never> | Queue<SagaMessage, SagaMessage>): Queue<SagaMessage> {
  return Object.freeze({ kind, name, policy })
}

function statusOf<State>(message: BrowsedMessage<SagaMessage>): SagaStatus<State> | undefined {
  const read = readMessage<State>(message.body)
  if (!read) return undefined
  const { unsure: _, done: __, problem, error = problem, ...rest } = read
  const why = read.status === 'stuck' ? (problem ?? error) : error
  return { ...rest, since: message.timestamp ?? 0, ...(why === undefined ? {} : { error: why }) }
}

function checkSteps<State>(steps: readonly SagaStep<State>[]): CheckedStep<State>[] {
  if (!Array.isArray(steps) || steps.length === 0)
    throw new MillraceError('argument-invalid', 'a saga has at least one step')
  const names = new Set<string>()
  return steps.map((step) => {
    const { name, run, undo, retry: { attempts = DEFAULT_ATTEMPTS } = {}, timeout } = step
    if (typeof name !== 'string' || name === '' || names.has(name))
      throw new MillraceError(
        'argument-invalid',
        `each step has a name of its own, not ${JSON.stringify(name)}`,
      )
    names.add(name)
    if (typeof run !== 'function' || (undo !== undefined && typeof undo !== 'function'))
      throw new MillraceError('argument-invalid', `run and undo of the step ${name} are functions`)
    if (attempts !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(attempts) && attempts > 0))
      throw new MillraceError('argument-invalid', `attempts is a whole number above 0, not ${attempts}`)
    const limit = timeout === undefined ? undefined : milliseconds(timeout)
    return { ...step, attempts, limit }
  })
}

/** Describes sagas. Throws `argument-invalid`, `destination-invalid`, `duration-invalid`. */
export function saga<State>(
  name: string,
  steps: readonly SagaStep<State>[],
  options: SagaOptions = {},
): Saga<State> {
  return new Saga<State>(name, steps, options)
}

/**
 * A step from a handler for messages, such as `idempotent` and `recorded` make: the body of its message is a SagaMessage, and what
 * it returns is not kept, so that the state stays as it came. It does not settle the message; when it rejects it, the saga is stuck.
 */
export function handled<State>(
  handler: Handler<SagaMessage<State>>,
): (state: State, context: StepContext<State>) => Promise<undefined> {
  return async (_, context) => {
    await handler(context.message, context)
    return undefined
  }
}
