import type { Clock } from '../../client/clock.ts'
import type { Message } from '../../client/message.ts'
import type { Duration } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import { unlessAborted } from '../database/abandoning.ts'
import { describe, judge } from '../retry/policy.ts'
import { headersOf, readMessage, type SagaMessage, written } from './message.ts'
import type { CheckedStep, Saga, StepContext, UndoContext } from './saga.ts'
import type { SagaFailure } from './worker.ts'

/** What becomes of the message of a step. */
export type Outcome<State> =
  | { readonly kind: 'next'; readonly next: SagaMessage<State>; readonly failure?: SagaFailure }
  | {
      readonly kind: 'again'
      readonly reason: string
      readonly after: Duration | undefined
      readonly failure: SagaFailure
    }
  /** It goes back uncounted, because its worker closes; or somebody else has it already. */
  | { readonly kind: 'released' | 'lost'; readonly failure?: undefined }

/** One delivery of one step. */
export class Attempt<State> {
  private readonly saga: Saga<State>
  private readonly message: Message<SagaMessage<State>>
  private readonly clock: Clock
  private readonly aborter = new AbortController()
  private lost: MillraceError | undefined
  /** A handler for messages has put it aside, with this as the reason. */
  private parked: string | undefined
  /** As it came: what a step does to its state without returning it is not to depend on how far it got. */
  private readonly came: SagaMessage<State>

  constructor(saga: Saga<State>, message: Message<SagaMessage<State>>, clock: Clock) {
    this.saga = saga
    this.message = message
    this.clock = clock
    this.came = readMessage<State>(written(message.body))!
  }

  /** `tag`: of the delivery that is not held any more; undefined: none is. */
  lose(tag: number | undefined, why: MillraceError): void {
    if (tag !== undefined && tag !== this.message.incoming.tag) return
    this.lost ??= why
    this.aborter.abort(why)
  }

  async run(): Promise<Outcome<State>> {
    const { came } = this
    const step = this.saga.course.step(came.step)
    if (!step || (came.direction === 'back' && !step.undo))
      return this.stuck(new Error(`this program has nothing to do for the step ${came.step}`))
    const { attempts } = step
    if (this.message.deliveryCount > attempts)
      return this.failed(new Error(`it was begun ${attempts} times, and did not end`), true)
    try {
      const state = await this.timed(step)
      return this.lost ? this.forsaken(this.lost) : this.passed(state)
    } catch (error) {
      return this.lost ? this.forsaken(this.lost) : this.judged(step, error)
    }
  }

  /** It was done before, and what was to come after it can never be sent. */
  refused(why: MillraceError): Outcome<State> {
    return this.failed(why, true)
  }

  private forsaken({ code }: MillraceError): Outcome<State> {
    return { kind: code === 'closed' ? 'released' : 'lost' }
  }

  private async timed(step: CheckedStep<State>): Promise<State | undefined> {
    const { aborter } = this
    const { name, limit } = step
    const tooLong = (): void =>
      aborter.abort(new MillraceError('timeout', `the step ${name} has not returned within ${limit} ms`))
    const cancel = limit === undefined ? undefined : this.clock.after(limit, tooLong)
    try {
      return await unlessAborted(() => this.call(step), aborter.signal)
    } finally {
      cancel?.()
    }
  }

  private call(step: CheckedStep<State>): ReturnType<CheckedStep<State>['run']> {
    const { message, came, aborter } = this
    const { state } = message.body
    const context: StepContext<State> = {
      signal: aborter.signal,
      id: came.id,
      idempotencyKey: message.messageId ?? '',
      attempt: message.deliveryCount,
      message: this.guarded(),
    }
    if (came.direction === 'forward') return step.run(state, context)
    const outcome: UndoContext['outcome'] = came.unsure ? 'unknown' : 'done'
    const undoes = headersOf({ ...came, direction: 'forward' }).messageId!
    return step.undo!(state, { ...context, outcome, undoes, error: came.error ?? '' })
  }

  /** The message for handlers that are made for messages: it is settled with the step, and not by them. */
  private guarded(): Message<SagaMessage<State>> {
    const refuse = async (): Promise<never> => {
      throw new MillraceError('illegal-state', 'the message of a step is settled when the step has returned')
    }
    const reject = async (description = 'rejected'): Promise<void> => {
      this.parked = description
    }
    const settling = { acknowledge: refuse, release: refuse, fail: refuse, reject }
    return Object.create(
      this.message,
      Object.fromEntries(Object.entries(settling).map(([name, value]) => [name, { value }])),
    )
  }

  private passed(returned: State | undefined): Outcome<State> {
    const { came } = this
    const { course } = this.saga
    const state = returned === undefined ? came.state : (returned as State)
    try {
      const next = came.direction === 'forward' ? course.advanced(came, state) : course.undone(came, state)
      JSON.stringify(written(next))
      return { kind: 'next', next }
    } catch (error) {
      // No attempt would make it one that can be written down, and the step was done.
      return this.failed(error, true)
    }
  }

  private judged({ retry = {}, attempts }: CheckedStep<State>, error: unknown): Outcome<State> {
    if (this.parked !== undefined) return this.stuck(error, this.parked)
    const { deliveryCount } = this.message
    const verdict = judge(retry, error, deliveryCount)
    // An attempt before this one may have done what this one says cannot be done.
    if (verdict.kind === 'dead-letter') return this.failed(error, deliveryCount > 1)
    if (deliveryCount >= attempts) return this.failed(error, true)
    const { reason, after } = verdict
    return { kind: 'again', reason, after, failure: this.failure(error, 'again') }
  }

  private failed(error: unknown, unsure: boolean): Outcome<State> {
    if (this.came.direction === 'back') return this.stuck(error)
    const next = this.saga.course.turned(this.came, describe(error), unsure)
    return { kind: 'next', next, failure: this.failure(error, 'back') }
  }

  private stuck(error: unknown, problem = describe(error)): Outcome<State> {
    return {
      kind: 'next',
      next: this.saga.course.stuck(this.came, problem),
      failure: this.failure(error, 'stuck'),
    }
  }

  private failure(error: unknown, next: SagaFailure['next']): SagaFailure {
    const { id, step, direction } = this.came
    return { id, step, direction, attempt: this.message.deliveryCount, error, next }
  }
}
