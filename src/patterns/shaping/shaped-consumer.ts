import { EventEmitter } from 'node:events'
import type { Clock } from '../../client/clock.ts'
import type { MessageConsumer } from '../../client/consumer.ts'
import type { Context, Dependant } from '../../client/context.ts'
import type { Receivable } from '../../client/destinations.ts'
import type { Session } from '../../client/session.ts'
import { settlesWithin } from '../../client/waiting.ts'
import type { CloseOptions } from '../../client/worker.ts'
import { milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import { explainConsumer } from '../explain/consumer.ts'
import type { Explanation } from '../explain/explanation.ts'
import type { BreakerState } from './circuit-breaker.ts'
import type { Shape, ShapedConsumerOptions } from './consumer-options.ts'
import { Intake } from './intake.ts'
import { TokenBucket } from './token-bucket.ts'
import { type Attempt, type Counts, type Excuse, type UnitHandler, UnitRunner } from './unit-runner.ts'

export interface ShapedEvents {
  breaker: [state: BreakerState]
}

/** What a consumer is doing, and what it has done. */
export interface ShapedStatus extends Counts {
  /** Undefined: it has none. */
  readonly breaker: BreakerState | undefined
  /** Handlers that may run at once, and that run. */
  readonly limit: number
  readonly running: number
  /** Messages that the broker keeps for a while because their keys were too fast. */
  readonly deferred: number
}

/**
 * Takes messages at the pace that what is behind it can bear. What cannot be begun with stays with the broker; see Intake.
 * Closed with its context.
 */
export class ShapedConsumer<T = unknown>
  extends EventEmitter<ShapedEvents>
  implements Dependant, AsyncDisposable
{
  /** Resolves when it receives. Rejects with what kept it from it. */
  readonly ready: Promise<void>
  /** Resolves when it has been closed. Rejects when the broker ended it. */
  readonly closed: Promise<void>
  private readonly mq: Context
  private readonly from: Receivable<T>
  private readonly shape: Shape<T>
  private readonly clock: Clock
  /** Of its own: it acknowledges message by message, whatever the context does. */
  private readonly session: Session
  private readonly intake: Intake<T>
  private readonly runner: UnitRunner<T>
  private readonly end = Promise.withResolvers<void>()
  private stopped = false
  private failed = false
  private cancelPause: (() => void) | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(
    mq: Context,
    from: Receivable<T>,
    options: ShapedConsumerOptions<T>,
    shape: Shape<T>,
    handler: UnitHandler<T>,
  ) {
    super()
    this.mq = mq
    this.from = from
    this.shape = shape
    this.clock = options.clock ?? mq.clock
    const report = (error: unknown): void => mq.connection.report(error)
    this.session = mq.connection.createSession()
    const { clock, attempted, isDown } = this
    const { retryDelay } = mq.capabilities
    const { retry, isolate } = shape
    this.runner = new UnitRunner<T>({ handler, retry, isolate, clock, retryDelay, report, attempted, isDown })
    this.intake = this.createIntake(report, retryDelay)
    this.closed = this.end.promise
    this.closed.catch(() => {})
    const { selector, noLocal, priority, maxBytes } = options
    const receiving = { prefetch: 0, selector, noLocal, priority, maxBytes }
    this.ready = this.session.createConsumer(from, receiving).then((consumer) => this.begin(consumer))
    this.ready.catch((error) => this.fail(error))
    mq.adopt(this)
    this.heed(options.signal, report)
  }

  private createIntake(report: (error: unknown) => void, brokerKeeps: boolean): Intake<T> {
    const { clock, shape } = this
    const { size, window, prefetch, rate, keyRates, keyOf } = shape
    return new Intake<T>({
      clock,
      limit: () => this.limit,
      size,
      window,
      prefetch,
      bucket: rate && new TokenBucket(rate, clock.monotonic()),
      keyed: keyRates && { rates: keyRates, keyOf, brokerKeeps },
      work: (unit) => this.runner.run(unit),
      report,
    })
  }

  private heed(signal: AbortSignal | undefined, report: (error: unknown) => void): void {
    if (!signal) return
    const abort = (): void => void this.close().catch(report)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    this.closed.catch(() => {}).finally(() => signal.removeEventListener('abort', abort))
  }

  private begin(consumer: MessageConsumer<T>): void {
    const feed = consumer.feed({
      available: () => (feed.error ? this.fail(feed.error) : this.intake.pump()),
      forfeited: (tag, why) => {
        this.intake.forfeit(tag)
        this.runner.forfeit(tag, why)
      },
      idle: async () => (this.runner.abandoned ? undefined : this.intake.idle()),
    })
    this.runner.admit = (message) => feed.admit(message)
    this.intake.begin(feed)
    this.flow()
  }

  private fail(error: unknown): void {
    if (this.closing || this.failed) return
    this.failed = true
    this.mq.connection.report(error)
    this.end.reject(error)
  }

  private get limit(): number {
    const { breaker, adaptive, fixed } = this.shape
    if (breaker?.state === 'half-open') return 1
    return adaptive?.limit ?? fixed
  }

  private readonly isDown = (): boolean => this.shape.breaker?.state === 'open'

  /** Messages flow, or do not, as things are now. */
  private flow(): void {
    if (this.stopped || this.closing || this.isDown()) void this.intake.pause()
    else this.intake.resume()
  }

  private readonly attempted = ({ latency, succeeded }: Attempt): Excuse | undefined => {
    const { adaptive, breaker } = this.shape
    adaptive?.observe(latency, succeeded, this.intake.running)
    if (!breaker) return undefined
    const before = breaker.state
    const now = this.clock.monotonic()
    if (succeeded) breaker.succeeded(now)
    else if (breaker.failed(now)) this.tryAfter(breaker.pause)
    if (breaker.state !== before) {
      this.emit('breaker', breaker.state)
      this.flow()
    }
    // The failure that opens it counts, so that a message which fails alone does not do so for ever.
    if (breaker.state === 'closed' || before === 'closed') return undefined
    // The one that was tried in vain lets another be the next, in case it was to blame.
    return { after: before === 'half-open' ? breaker.pause * 1.5 : 0 }
  }

  private tryAfter(pause: number): void {
    this.cancelPause = this.clock.after(pause, () => {
      this.shape.breaker?.tryOne()
      this.emit('breaker', 'half-open')
      this.flow()
    })
  }

  get status(): ShapedStatus {
    const { intake, shape, limit } = this
    const { deferred, running } = intake
    return { ...this.runner.counts, breaker: shape.breaker?.state, limit, running, deferred }
  }

  /** What it promises, in words, as the broker is configured. Rejects as `explainConsumer`. */
  async explain(): Promise<Explanation> {
    await this.ready
    const { size, isolate, adaptive, fixed, keyRates, breaker } = this.shape
    return explainConsumer(this.mq, this.from, {
      concurrency: adaptive?.most ?? fixed,
      batch: size > 1 ? { size, isolate } : undefined,
      keyed: keyRates !== undefined,
      breaker: breaker !== undefined,
      counted: true,
    })
  }

  /** Begins with nothing further; resolves when the handlers that are running have returned. */
  async stop(): Promise<void> {
    this.stopped = true
    this.flow()
    await this.intake.idle()
  }

  /** Goes on after `stop`. Throws `closed`. */
  start(): void {
    if (this.closing) throw new MillraceError('closed', 'the consumer is closed')
    this.stopped = false
    this.flow()
  }

  /**
   * Begins with nothing further, and waits for the handlers that are running. When `drain` has passed, their signal is aborted
   * and their messages go back. Resolves when the settlements are durable. A handler must not wait for it.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.closing ??= this.finish(options)
    return this.closing
  }

  private async finish(options: CloseOptions): Promise<void> {
    const drain = options.drain === undefined ? undefined : milliseconds(options.drain)
    await this.ready.catch(() => {})
    this.cancelPause?.()
    await this.intake.pause()
    if (!(await settlesWithin(this.intake.idle(), drain))) this.runner.abandon()
    await this.session.close()
    this.end.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
