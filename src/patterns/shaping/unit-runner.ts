import type { Clock } from '../../client/clock.ts'
import { groupOf } from '../../client/fetched.ts'
import type { Message } from '../../client/message.ts'
import { Deliveries, Delivery, type HandlerContext } from '../../client/worker.ts'
import { MillraceError } from '../../model/errors.ts'
import { carryOut, judge, type RetryPolicy, type Verdict } from '../retry/policy.ts'
import { Said } from '../retry/retrying.ts'

/** What has become of messages. */
export interface Counts {
  readonly done: number
  readonly failed: number
  readonly deadLettered: number
  /** Given back uncounted, because what the handler needs is down. */
  readonly givenBack: number
}

/** A call of the handler has ended. */
export interface Attempt {
  /** Milliseconds. */
  readonly latency: number
  /** False: all its messages have failed, for reasons that may pass. */
  readonly succeeded: boolean
}

/** What the handler needs is down, and not the message to blame: it is given back uncounted, for so many milliseconds. */
export interface Excuse {
  readonly after: number
}

/**
 * Handles the messages of a unit. `said` has one entry for each. Rejects when it has failed as a whole; otherwise answers, if
 * it likes, what has become of each.
 */
export type UnitHandler<T> = (
  unit: readonly Message<T>[],
  said: readonly Said[],
  context: HandlerContext,
) => Promise<readonly PromiseSettledResult<unknown>[] | undefined>

interface RunnerOptions<T> {
  readonly handler: UnitHandler<T>
  readonly retry: RetryPolicy
  /** When a unit fails as a whole, its messages are tried one by one. */
  readonly isolate: boolean
  readonly clock: Clock
  /** The broker keeps what is given back for a while. */
  readonly retryDelay: boolean
  readonly report: (error: unknown) => void
  readonly attempted: (attempt: Attempt) => Excuse | undefined
  /** What the handler needs is down: it is not to be called. */
  readonly isDown: () => boolean
}

const untried: Verdict = { kind: 'retry', reason: 'not tried', after: undefined }

/** What came of an attempt. */
interface Result<T> {
  /** Messages that are to be tried one by one. */
  readonly alone: readonly Message<T>[]
  /** Some of the others come again. */
  readonly again: boolean
}

/** What the handler of a unit is given: its signal is aborted when one of the deliveries is lost. */
class UnitContext implements HandlerContext {
  private readonly deliveries: readonly Delivery[]

  constructor(deliveries: readonly Delivery[]) {
    this.deliveries = deliveries
  }

  get signal(): AbortSignal {
    const [first, ...others] = this.deliveries.map(({ signal }) => signal)
    return others.length === 0 ? first! : AbortSignal.any([first!, ...others])
  }
}

/** Runs the handler for a unit, and settles its messages by what comes of it. */
export class UnitRunner<T> {
  readonly counts = { done: 0, failed: 0, deadLettered: 0, givenBack: 0 }
  /** Handlers that are still running have had their time: what they return is too late. */
  abandoned = false
  /** Whether the body of a message fits its schema; one that does not has been dead-lettered. */
  admit: (message: Message<T>) => boolean | Promise<boolean> = () => true
  private readonly options: RunnerOptions<T>
  private readonly deliveries = new Deliveries()

  constructor(options: RunnerOptions<T>) {
    this.options = options
  }

  abandon(): void {
    this.abandoned = true
    const why = new MillraceError('closed', 'the consumer was closed before its handler returned')
    this.deliveries.forfeit(why, undefined)
  }

  /** A delivery is not held any more; undefined: none of them is. */
  forfeit(tag: number | undefined, why: MillraceError): void {
    this.deliveries.forfeit(why, tag)
  }

  async run(unit: readonly Message<T>[]): Promise<void> {
    const admitted = await this.admitted(unit)
    if (admitted.length === 0) return
    const { alone } = await this.attempt(admitted)
    /** Groups of which a member comes again: those behind it must not pass it. */
    const waiting = new Set<string | undefined>()
    for (const message of alone) {
      const group = groupOf(message)
      if (this.options.isDown() || (group !== undefined && waiting.has(group))) {
        this.settle(message, untried, { after: 0 })
      } else if ((await this.attempt([message])).again) {
        waiting.add(group)
      }
    }
  }

  private async admitted(unit: readonly Message<T>[]): Promise<readonly Message<T>[]> {
    const answers = unit.map((message) => this.admit(message))
    if (answers.every((answer) => answer === true)) return unit
    const fits = await Promise.all(
      answers.map(async (answer, i) => {
        try {
          return await answer
        } catch (error) {
          // A schema that fails says nothing about the message.
          const message = unit[i]!
          this.settle(message, judge(this.options.retry, error, message.deliveryCount), undefined)
          return false
        }
      }),
    )
    return unit.filter((_, i) => fits[i])
  }

  private async attempt(unit: readonly Message<T>[]): Promise<Result<T>> {
    const { handler, isolate, clock, report } = this.options
    const said = unit.map(() => new Said())
    const deliveries = unit.map(({ incoming }) => new Delivery(incoming.tag, this.deliveries))
    const began = clock.monotonic()
    let results: Awaited<ReturnType<UnitHandler<T>>>
    let thrown: { readonly error: unknown } | undefined
    try {
      results = await handler(unit, said, new UnitContext(deliveries))
    } catch (error) {
      thrown = { error }
    }
    const latency = clock.monotonic() - began
    for (const delivery of deliveries) this.deliveries.ended(delivery)
    const open = unit.filter((message, i) => !message.settled && !said[i]!.verdict)
    if (thrown && (this.abandoned || open.length === 0)) report(thrown.error)
    if (this.abandoned) return { alone: [], again: false }
    const alone = thrown && isolate && open.length > 1 ? open : []
    const verdicts = unit.map(
      (message, i) => said[i]!.verdict ?? this.verdictOn(message, thrown ?? failureOf(results?.[i])),
    )
    const failed = unit.map((message, i) => !message.settled && verdicts[i]?.kind === 'retry')
    const excuse = this.options.attempted({ latency, succeeded: failed.includes(false) })
    for (const [i, message] of unit.entries())
      if (!alone.includes(message)) this.settle(message, verdicts[i], excuse)
    return { alone, again: failed.includes(true) }
  }

  private verdictOn(
    message: Message<T>,
    failure: { readonly error: unknown } | undefined,
  ): Verdict | undefined {
    return failure && judge(this.options.retry, failure.error, message.deliveryCount)
  }

  private settle(message: Message<T>, verdict: Verdict | undefined, excuse: Excuse | undefined): void {
    const { counts } = this
    const { report, retryDelay } = this.options
    if (message.settled) {
      counts.done++
    } else if (!verdict) {
      counts.done++
      // Whoever sends acknowledgements tells of those that fail.
      message.acknowledge().catch(() => {})
    } else if (verdict.kind === 'retry' && excuse) {
      counts.givenBack++
      message.release(retryDelay ? excuse : {}).catch(report)
    } else {
      counts[verdict.kind === 'retry' ? 'failed' : 'deadLettered']++
      carryOut(message, verdict).catch(report)
    }
  }
}

function failureOf(
  result: PromiseSettledResult<unknown> | undefined,
): { readonly error: unknown } | undefined {
  return result?.status === 'rejected' ? { error: result.reason } : undefined
}
