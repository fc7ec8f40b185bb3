import { EventEmitter } from 'node:events'
import type { Context } from '../../client/context.ts'
import type { MessageProducer } from '../../client/producer.ts'
import { MillraceError } from '../../model/errors.ts'
import type { Claims } from './claims.ts'
import { type Attempt, Dispatch, isBrokerAway, isPoison } from './dispatch.ts'
import type { Outbox, Relaying } from './outbox.ts'
import { Pace } from './pace.ts'
import type { OutboxFailure } from './relay.ts'
import { configureRelay, type RelayConfiguration, type RelayOptions } from './relay-options.ts'
import { sendBatch } from './repair.ts'
import { asMillraceError, Trouble } from './trouble.ts'

export interface TenantRelayOptions extends Omit<RelayOptions, 'batches'> {
  /** Databases that are asked at once, with one connection to each. Default 4. */
  readonly atOnce?: number | undefined
}

export interface TenantRelayEvents {
  /** As of a relay, with the name of the tenant. */
  failed: [failure: OutboxFailure, tenant: string]
  /** What keeps it from the database of this tenant, or, without a name, from the broker or the list. Told once until it has worked again. */
  error: [error: MillraceError, tenant: string | undefined]
}

export interface TenantRelayStatistics {
  readonly sent: number
  readonly failed: number
  readonly expired: number
  /** Times that all tenants have had their turn. */
  readonly rounds: number
}

/** The outboxes of all tenants, by their names. Asked anew before each round, since they come and go. */
export type Tenants = () => Iterable<readonly [string, Outbox]> | Promise<Iterable<readonly [string, Outbox]>>

/** What is kept of a tenant from round to round. */
interface Visited extends Relaying {
  readonly claims: Claims
  readonly trouble: Trouble
  /** Monotonic milliseconds before which its database is left alone. */
  rest: number
}

/**
 * One relay for the outboxes of many databases. They are asked in turn, a few at once, and one connection to each is enough:
 * the databases that are in use at a moment do not grow with the tenants. In its turn a tenant has one batch sent, so that a
 * busy one holds up nobody; one whose database is away is passed over for a while.
 */
export class TenantRelay extends EventEmitter<TenantRelayEvents> implements AsyncDisposable {
  readonly statistics: { -readonly [K in keyof TenantRelayStatistics]: TenantRelayStatistics[K] } = {
    sent: 0,
    failed: 0,
    expired: 0,
    rounds: 0,
  }
  private readonly tenants: Tenants
  private readonly configuration: RelayConfiguration
  private readonly atOnce: number
  private readonly producer: MessageProducer
  private readonly dispatch: Dispatch
  private readonly pace: Pace
  private readonly visited: Map<Outbox, Visited> = new Map()
  private readonly broker: Trouble = new Trouble((error) => this.tell(error, undefined))
  private readonly list: Trouble = new Trouble((error) => this.tell(error, undefined))
  private readonly loop: Promise<void>
  /** The broker was, in this round: the other tenants need not find out. */
  private away = false
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(mq: Context, producer: MessageProducer, tenants: Tenants, options: TenantRelayOptions) {
    super()
    const { atOnce = 4, ...relay } = options
    if (!Number.isSafeInteger(atOnce) || atOnce < 1)
      throw new MillraceError('argument-invalid', `atOnce is a whole number from 1, not ${atOnce}`)
    this.tenants = tenants
    this.configuration = configureRelay(relay)
    this.atOnce = atOnce
    this.producer = producer
    this.dispatch = new Dispatch(producer, () => mq.connection.clock.wall())
    this.pace = new Pace(this.configuration.shortestPoll, this.configuration.longestPoll)
    // Whoever has asked for it can listen first.
    this.loop = new Promise((resolve) => setImmediate(resolve)).then(() => this.run())
  }

  private async run(): Promise<void> {
    while (!this.closing) {
      const pause = Math.max(this.broker.pause, this.list.pause)
      if (pause > 0) await this.pace.rest(pause)
      if (this.closing) return
      if (await this.round()) this.pace.found()
      else if (this.broker.pause === 0 && this.list.pause === 0) await this.pace.idle()
    }
  }

  /** Gives each tenant its turn. False: nothing was there. */
  private async round(): Promise<boolean> {
    this.statistics.rounds++
    this.away = false
    const waiting = await this.listed()
    let found = false
    const worker = async () => {
      for (let next = waiting.pop(); next && !this.closing; next = waiting.pop())
        found = (await this.visit(...next)) || found
    }
    await Promise.all(Array.from({ length: this.atOnce }, worker))
    return found
  }

  private async listed(): Promise<(readonly [string, Outbox])[]> {
    try {
      const tenants = [...(await this.tenants())]
      this.list.worked()
      const present = new Set(tenants.map(([, outbox]) => outbox))
      for (const [outbox, visited] of this.visited) if (!present.has(outbox)) this.forget(outbox, visited)
      return tenants.reverse()
    } catch (error) {
      this.list.failed(error)
      return []
    }
  }

  private async visit(name: string, outbox: Outbox): Promise<boolean> {
    const tenant = this.visited.get(outbox) ?? this.remember(name, outbox)
    if (performance.now() < tenant.rest || this.away) return false
    try {
      const tried = (attempts: readonly Attempt[]) => this.report(name, attempts)
      const batch = await sendBatch(this.dispatch, tenant.claims, this.configuration, tried)
      tenant.trouble.worked()
      if (!batch) return false
      for (const kind of ['sent', 'failed', 'expired'] as const) this.statistics[kind] += batch[kind]
      if (!batch.away) return true
      this.away = true
      this.broker.failed(batch.away)
      if (batch.away.code === 'closed') void this.close()
      return false
    } catch (error) {
      tenant.trouble.failed(error)
      tenant.rest = performance.now() + tenant.trouble.pause
      return false
    }
  }

  private remember(name: string, outbox: Outbox): Visited {
    const trouble = new Trouble((error) => this.tell(error, name))
    const [wake, expect] = [() => this.pace.wake(), () => this.pace.expect()]
    const visited = { claims: outbox.claims(), trouble, rest: 0, wake, expect, close: async () => {} }
    this.visited.set(outbox, visited)
    outbox.attach(visited, this.configuration)
    return visited
  }

  private forget(outbox: Outbox, visited: Visited): void {
    outbox.detach(visited)
    this.visited.delete(outbox)
  }

  private report(tenant: string, attempts: readonly Attempt[]): void {
    if (!attempts.some(({ error }) => error && isBrokerAway(error))) this.broker.worked()
    for (const { message, error } of attempts) {
      if (!error || isBrokerAway(error)) continue
      const { messageId, lane, failures } = message
      const poison = isPoison(failures, error)
      const failure = { messageId, key: lane || undefined, failures: failures + 1, error, poison }
      this.emit('failed', failure, tenant)
    }
  }

  private tell(error: MillraceError, tenant: string | undefined): void {
    if (this.closing) return
    if (this.listenerCount('error') > 0) this.emit('error', error, tenant)
    else process.emitWarning(error)
  }

  /** Claims nothing more, and waits for what is being sent. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    this.pace.end()
    await this.loop
    for (const [outbox, visited] of this.visited) this.forget(outbox, visited)
    await this.producer.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Starts to send what is, and will be, in the outboxes of many databases. Any number of these, and of relays, may do so.
 * Rejects as Context.createProducer, and with `argument-invalid`, `duration-invalid`.
 */
export async function relayTenants(
  mq: Context,
  tenants: Tenants,
  options: TenantRelayOptions = {},
): Promise<TenantRelay> {
  const producer = await mq.createProducer()
  try {
    return new TenantRelay(mq, producer, tenants, options)
  } catch (error) {
    await producer.close()
    throw asMillraceError(error)
  }
}
