import { EventEmitter } from 'node:events'
import type { Context } from '../../client/context.ts'
import type { MessageProducer } from '../../client/producer.ts'
import { settlesWithin } from '../../client/waiting.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import type { MillraceError } from '../../model/errors.ts'
import type { Claim, Claims } from './claims.ts'
import { type Attempt, Dispatch, isBrokerAway, isPoison, settlementOf } from './dispatch.ts'
import { Pace } from './pace.ts'
import type { RelayConfiguration } from './relay-options.ts'
import { Trouble } from './trouble.ts'

/** A message that could not be sent. */
export interface OutboxFailure {
  readonly messageId: string
  readonly key: string | undefined
  /** How often, with this time. */
  readonly failures: number
  readonly error: MillraceError
  /** Somebody has to look at it: trying again does not help, or has not so far. It is tried again all the same. */
  readonly poison: boolean
}

export interface RelayEvents {
  /** The message is tried again later; meanwhile it holds up those of its key, and no other. */
  failed: [failure: OutboxFailure]
  /** What keeps the relay from working: the database, or the broker. Told once until it has worked again. */
  error: [error: MillraceError]
}

export interface RelayStatistics {
  /** Messages that the broker has confirmed. */
  readonly sent: number
  readonly failed: number
  /** Messages whose time to live had passed; they were not sent. */
  readonly expired: number
  /** Confirmed messages whose claim had run out: they are, or will be, sent twice, under the same id. */
  readonly superseded: number
  /** Times that it has looked for messages. */
  readonly polls: number
}

/**
 * Sends what the outbox holds, until it is closed. It claims some messages, sends them while no transaction is open, and
 * deletes those that the broker has confirmed, as long as the claim still holds. What a relay that died has claimed is taken
 * over when its lease has run out.
 */
export class Relay extends EventEmitter<RelayEvents> implements AsyncDisposable {
  readonly statistics: { -readonly [K in keyof RelayStatistics]: RelayStatistics[K] } = {
    sent: 0,
    failed: 0,
    expired: 0,
    superseded: 0,
    polls: 0,
  }
  private readonly claims: Claims
  private readonly configuration: RelayConfiguration
  private readonly dispatch: Dispatch
  private readonly producer: MessageProducer
  private readonly pace: Pace
  private readonly left: (relay: Relay) => void
  private readonly batches: Set<Promise<void>> = new Set()
  private readonly loop: Promise<void>
  private readonly database: Trouble = new Trouble((error) => this.tell(error))
  private readonly broker: Trouble = new Trouble((error) => this.tell(error))
  private closing: Promise<void> | undefined

  /** @internal */
  static async start(
    mq: Context,
    claims: Claims,
    configuration: RelayConfiguration,
    left: (relay: Relay) => void,
  ): Promise<Relay> {
    return new Relay(mq, await mq.createProducer(), claims, configuration, left)
  }

  private constructor(
    mq: Context,
    producer: MessageProducer,
    claims: Claims,
    configuration: RelayConfiguration,
    left: (relay: Relay) => void,
  ) {
    super()
    this.producer = producer
    this.claims = claims
    this.configuration = configuration
    this.left = left
    this.pace = new Pace(configuration.shortestPoll, configuration.longestPoll)
    this.dispatch = new Dispatch(producer, () => mq.connection.clock.wall())
    // Whoever has asked for it can listen first.
    this.loop = new Promise((resolve) => setImmediate(resolve)).then(() => this.run())
  }

  /** Something has been committed. @internal */
  wake(): void {
    this.pace.wake()
  }

  /** Something may be committed soon. @internal */
  expect(): void {
    this.pace.expect()
  }

  private async run(): Promise<void> {
    while (!this.closing) {
      const pause = Math.max(this.database.pause, this.broker.pause)
      if (pause > 0) await this.pace.rest(pause)
      const claim = this.closing ? undefined : await this.take()
      if (claim) {
        this.pace.found()
        this.track(this.process(claim))
        while (this.batches.size >= this.configuration.batches) await Promise.race(this.batches)
      } else if (this.database.pause === 0 && !this.closing) await this.pace.idle()
    }
  }

  private async take(): Promise<Claim | undefined> {
    this.statistics.polls++
    try {
      const claim = await this.claims.take(this.configuration)
      this.database.worked()
      return claim
    } catch (error) {
      this.database.failed(error)
      return undefined
    }
  }

  private track(batch: Promise<void>): void {
    const tracked = batch.finally(() => this.batches.delete(tracked))
    this.batches.add(tracked)
  }

  private async process(claim: Claim): Promise<void> {
    const renewing = setInterval(() => void this.renew(claim), this.configuration.lease / 3)
    try {
      const attempts = await this.dispatch.send(claim)
      this.count(attempts)
      await this.settle(claim, attempts)
    } finally {
      clearInterval(renewing)
    }
  }

  private async renew(claim: Claim): Promise<void> {
    await this.claims.renew(claim.token).catch((error) => this.database.failed(error))
  }

  /** What the broker has confirmed is confirmed: the database is told as soon as it hears. */
  private async settle(claim: Claim, attempts: readonly Attempt[]): Promise<void> {
    const settlement = settlementOf(claim, attempts)
    for (;;) {
      try {
        this.statistics.superseded += await this.claims.settle(claim.token, settlement)
        return this.database.worked()
      } catch (error) {
        this.database.failed(error)
        if (this.closing) return
        await new Promise((resolve) => setTimeout(resolve, this.database.pause))
      }
    }
  }

  private count(attempts: readonly Attempt[]): void {
    for (const { message, error, expired } of attempts) {
      if (expired) this.statistics.expired++
      else if (!error) this.statistics.sent++
      else if (!isBrokerAway(error)) this.failed(message, error)
    }
    const away = attempts.find(({ error }) => error && isBrokerAway(error))
    if (!away) return this.broker.worked()
    this.broker.failed(away.error)
    if (away.error?.code === 'closed') void this.close()
  }

  private failed({ messageId, lane, failures }: Attempt['message'], error: MillraceError): void {
    this.statistics.failed++
    const poison = isPoison(failures, error)
    this.emit('failed', { messageId, key: lane || undefined, failures: failures + 1, error, poison })
  }

  private tell(error: MillraceError): void {
    if (this.closing) return
    if (this.listenerCount('error') > 0) this.emit('error', error)
    else process.emitWarning(error)
  }

  /**
   * Claims nothing more, waits for what is being sent, and tells the database. When `drain` has passed, that is left to the
   * next relay, which sends it again under the same ids.
   */
  close(options: { readonly drain?: Duration | undefined } = {}): Promise<void> {
    this.closing ??= this.finish(options.drain === undefined ? undefined : milliseconds(options.drain))
    return this.closing
  }

  private async finish(drain: number | undefined): Promise<void> {
    this.pace.end()
    const done = this.loop.then(() => Promise.allSettled(this.batches))
    await settlesWithin(done, drain)
    this.left(this)
    await settlesWithin(this.producer.close(), drain)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
