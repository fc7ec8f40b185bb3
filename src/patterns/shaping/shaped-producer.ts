import { EventEmitter } from 'node:events'
import type { Clock } from '../../client/clock.ts'
import type { Context, Dependant } from '../../client/context.ts'
import type { Sendable } from '../../client/destinations.ts'
import type { SendOptions } from '../../client/outgoing.ts'
import type { MessageProducer, ProducerOptions } from '../../client/producer.ts'
import type { SendReceipt } from '../../client/provider.ts'
import type { Session } from '../../client/session.ts'
import { abortable } from '../../client/waiting.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { whole } from '../arguments.ts'
import type { Explanation } from '../explain/explanation.ts'
import { explainProducer } from '../explain/producer.ts'
import { Backpressure, type Pressure, PressureGauge, type PressureReason } from './pressure.ts'
import { checkRate, type RateOptions, TokenBucket } from './token-bucket.ts'

export interface ShapedProducerOptions extends Omit<ProducerOptions, 'id'> {
  /** Sends that have not been confirmed. Default 1,000. */
  readonly maxInFlight?: number | undefined
  /** Sends that wait for room; one more is refused at once. Default 10,000. */
  readonly maxWaiting?: number | undefined
  /** How long a send waits for room, unless it says otherwise. Default 30 s. */
  readonly deadline?: Duration | undefined
  readonly rate?: RateOptions | undefined
  /** Time, for tests. Default: the connection's. */
  readonly clock?: Clock | undefined
}

export interface ShapedSendOptions extends Omit<SendOptions, 'sequence'> {
  /** How long it waits for room; 0: not at all. What has been begun waits for the broker's answer, whatever this says. */
  readonly deadline?: Duration | undefined
}

export interface ProducerEvents {
  pressure: [reason: PressureReason]
  relieved: []
}

export interface ProducerStatus {
  readonly inFlight: number
  readonly waiting: number
  readonly confirmed: number
  /** Refusals of the broker after which a send was tried again. */
  readonly refusals: number
}

interface Waiting {
  /** Place in the order of calls. */
  readonly number: number
  readonly body: unknown
  readonly options: SendOptions
  readonly resolve: (receipt: SendReceipt) => void
  readonly reject: (error: unknown) => void
  /** Monotonic milliseconds. */
  readonly deadline: number
  cancel: (() => void) | undefined
  /** Place in the order in which sends were begun. */
  begun: number
}

/** After a refusal one send tries whether there is room again; these are the pauses between tries. Milliseconds. */
const FIRST_PAUSE = 50
const LONGEST_PAUSE = 1_000

/**
 * A producer that does not run ahead of the broker: so many sends are in flight, the others wait for room in the order of their
 * calls, until their deadlines. How much fits and what happens beyond is the queue's policy; a send that the broker refuses for
 * want of room is tried again. Closed with its context.
 */
export class ShapedProducer<Input = unknown>
  extends EventEmitter<ProducerEvents>
  implements Dependant, AsyncDisposable
{
  readonly destination: Sendable<Input>
  /** Resolves when it has been closed. */
  readonly closed: Promise<void>
  private readonly mq: Context
  private readonly setting: ProducerOptions
  private readonly session: Session
  private readonly producer: MessageProducer<Input>
  private readonly clock: Clock
  private readonly maxInFlight: number
  private readonly maxWaiting: number
  private readonly deadline: number
  private readonly bucket: TokenBucket | undefined
  private readonly gauge: PressureGauge
  private readonly end = Promise.withResolvers<void>()
  private waiting: Waiting[] = []
  private calls = 0
  private beginnings = 0
  private inFlight = 0
  private confirmed = 0
  private refusals = 0
  /** The broker has no room; one send tries from time to time. */
  private refused:
    | { readonly reason: PressureReason; readonly pause: number; readonly since: number }
    | undefined
  private trying = false
  /** Why the broker holds sends. */
  private held: PressureReason | undefined
  private isConnected = true
  private cancelTimer: (() => void) | undefined
  private readonly unsubscribe: () => void
  private closing: Promise<void> | undefined

  /** @internal */
  constructor(
    mq: Context,
    session: Session,
    producer: MessageProducer<Input>,
    options: ShapedProducerOptions,
  ) {
    super()
    this.mq = mq
    const { durability, priority, ttl, delay } = options
    this.setting = { durability, priority, ttl, delay }
    this.session = session
    this.producer = producer
    this.destination = producer.destination!
    this.clock = options.clock ?? mq.clock
    this.maxInFlight = whole('maxInFlight', options.maxInFlight ?? 1_000, 1)
    this.maxWaiting = whole('maxWaiting', options.maxWaiting ?? 10_000, 0)
    this.deadline = milliseconds(options.deadline ?? 30_000)
    const { rate } = options
    this.bucket = rate && new TokenBucket(checkRate('rate', rate), this.clock.monotonic())
    this.gauge = new PressureGauge((reason) =>
      reason ? this.emit('pressure', reason) : this.emit('relieved'),
    )
    this.closed = this.end.promise
    this.unsubscribe = this.listen(mq)
    mq.adopt(this)
  }

  private listen(mq: Context): () => void {
    const { kind, name } = this.destination
    const isOurs = (queue: string): boolean => kind !== 'queue' || queue === name || queue === ''
    const listeners = {
      blocked: (queue: string, reason: string) => this.heldFor(isOurs(queue) ? reason : this.held),
      unblocked: (queue: string) => this.heldFor(isOurs(queue) ? undefined : this.held),
      disconnected: () => this.connected(false),
      reconnected: () => this.connected(true),
    }
    const { connection } = mq
    connection.on('blocked', listeners.blocked)
    connection.on('unblocked', listeners.unblocked)
    connection.on('disconnected', listeners.disconnected)
    connection.on('reconnected', listeners.reconnected)
    return () => {
      connection.off('blocked', listeners.blocked)
      connection.off('unblocked', listeners.unblocked)
      connection.off('disconnected', listeners.disconnected)
      connection.off('reconnected', listeners.reconnected)
    }
  }

  private heldFor(reason: string | undefined): void {
    this.held = reason as PressureReason | undefined
    this.measure()
  }

  private connected(isConnected: boolean): void {
    this.isConnected = isConnected
    this.measure()
  }

  /** Undefined: a send would be begun at once. */
  get pressure(): Pressure | undefined {
    return this.gauge.pressure
  }

  get status(): ProducerStatus {
    const { inFlight, confirmed, refusals, waiting } = this
    return { inFlight, waiting: waiting.length, confirmed, refusals }
  }

  /** What its sends promise, in words, as the broker is configured. Rejects as `explainProducer`. */
  explain(): Promise<Explanation> {
    const { maxInFlight, deadline } = this
    return explainProducer(this.mq, this.destination, { ...this.setting, maxInFlight, deadline })
  }

  /**
   * Sends when there is room; the body is not to be changed before it resolves. Resolves when the message is confirmed. Rejects
   * with `backpressure`, and nothing sent, when there was no room in time; with what MessageProducer.send rejects with, except
   * for want of room; and with the reason of `signal`.
   */
  send(body: Input, options: ShapedSendOptions = {}): Promise<SendReceipt> {
    if (this.closing) return Promise.reject(new MillraceError('closed', 'the producer is closed'))
    const { deadline: limit, ...rest } = options
    const { promise, resolve, reject } = Promise.withResolvers<SendReceipt>()
    try {
      rest.signal?.throwIfAborted()
      const deadline = this.clock.monotonic() + (limit === undefined ? this.deadline : milliseconds(limit))
      const number = this.calls++
      this.enter({ number, body, options: rest, resolve, reject, deadline, cancel: undefined, begun: 0 })
    } catch (error) {
      return Promise.reject(error)
    }
    return abortable(promise, rest.signal)
  }

  /** Resolves when a send would be begun at once. Rejects with `backpressure`, `closed`, the reason of `signal`. */
  async ready(options: { readonly deadline?: Duration; readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal, deadline = this.deadline } = options
    const until = this.clock.monotonic() + milliseconds(deadline)
    for (let { pressure } = this; pressure; { pressure } = this) {
      const left = until - this.clock.monotonic()
      if (left <= 0) throw this.late(pressure.reason)
      let cancel = (): void => {}
      const passed = new Promise<void>((resolve) => {
        cancel = this.clock.after(left, resolve)
      })
      await abortable(Promise.race([pressure.relieved, passed, this.closed]), signal).finally(() => cancel())
      if (this.closing) throw new MillraceError('closed', 'the producer is closed')
    }
  }

  /** Sends it now, or lets it wait. */
  private enter(send: Waiting): void {
    const now = this.clock.monotonic()
    if (this.waiting.length === 0 && this.reason(now) === undefined) return this.begin(send, now)
    if (this.waiting.length >= this.maxWaiting || send.deadline <= now) {
      return send.reject(this.late(this.reason(now) ?? 'in-flight'))
    }
    this.wait(send, now)
    this.pump()
  }

  private wait(send: Waiting, now: number): void {
    let at = this.waiting.length
    while (at > 0 && this.waiting[at - 1]!.number > send.number) at--
    this.waiting.splice(at, 0, send)
    send.cancel = this.clock.after(send.deadline - now, () => this.giveUp(send))
    send.options.signal?.addEventListener('abort', () => this.drop(send), { once: true })
  }

  private giveUp(send: Waiting): void {
    const reason = this.reason(this.clock.monotonic()) ?? 'in-flight'
    if (this.drop(send)) send.reject(this.late(reason))
  }

  private drop(send: Waiting): boolean {
    const at = this.waiting.indexOf(send)
    if (at < 0) return false
    this.waiting.splice(at, 1)
    send.cancel?.()
    this.measure()
    return true
  }

  private late(reason: PressureReason, cause?: unknown): Backpressure {
    return new Backpressure(
      reason,
      `there was no room for the message in time: ${reason}; nothing was sent`,
      {
        cause,
      },
    )
  }

  /** Why nothing can be sent now. */
  private reason(now: number): PressureReason | undefined {
    if (this.refused) return this.refused.reason
    if (this.inFlight >= this.maxInFlight)
      return this.isConnected ? (this.held ?? 'in-flight') : 'disconnected'
    return this.bucket && this.bucket.available(now) < 1 ? 'rate' : undefined
  }

  private measure(): void {
    this.gauge.set(this.reason(this.clock.monotonic()))
  }

  private pump(): void {
    const now = this.clock.monotonic()
    let reason = this.reason(now)
    for (; reason === undefined && this.waiting.length > 0; reason = this.reason(now))
      this.begin(this.waiting.shift()!, now)
    if (reason === 'rate') this.later(Math.max(1, this.bucket!.waitFor(now, 1)), () => this.pump())
    this.gauge.set(reason)
  }

  private later(delay: number, what: () => void): void {
    this.cancelTimer ??= this.clock.after(delay, () => {
      this.cancelTimer = undefined
      what()
    })
  }

  private begin(send: Waiting, now: number): void {
    send.cancel?.()
    this.inFlight++
    send.begun = ++this.beginnings
    this.bucket?.take(now, 1)
    // Whoever is in flight is waited for by nobody but its caller: the signal has been seen to.
    const { signal: _signal, ...options } = send.options
    this.producer.send(send.body as Input, options).then(
      (receipt) => this.succeeded(send, receipt),
      (error: unknown) => this.failed(send, error),
    )
    this.measure()
  }

  private succeeded(send: Waiting, receipt: SendReceipt): void {
    this.inFlight--
    this.confirmed++
    // What was begun before the refusal says nothing about the room there is since.
    if (this.refused && send.begun > this.refused.since) {
      this.refused = undefined
      this.trying = false
    }
    send.resolve(receipt)
    this.pump()
  }

  private failed(send: Waiting, error: unknown): void {
    this.inFlight--
    const reason = roomReason(error)
    if (reason === undefined) {
      this.trying = false
      send.reject(error)
    } else this.noRoom(send, reason, error)
    if (this.refused && !this.trying) this.later(this.refused.pause, () => this.tryOne())
    this.pump()
  }

  /** Nothing of it was stored, so that it can be sent again. */
  private noRoom(send: Waiting, reason: PressureReason, error: unknown): void {
    this.refusals++
    const isTry = this.trying
    this.trying = false
    const before = this.refused
    const pause = before ? (isTry ? Math.min(before.pause * 2, LONGEST_PAUSE) : before.pause) : FIRST_PAUSE
    this.refused = { reason, pause, since: this.beginnings }
    const now = this.clock.monotonic()
    if (send.deadline <= now || this.closing) send.reject(this.late(reason, error))
    else if (!send.options.signal?.aborted) this.wait(send, now)
  }

  private tryOne(): void {
    const next = this.waiting.shift()
    if (next) {
      this.trying = true
      this.begin(next, this.clock.monotonic())
    } else {
      // Nobody waits: the next call tries.
      this.refused = undefined
    }
    this.measure()
  }

  /** No more sends; those that wait for room are refused with `backpressure`. Resolves when the others are decided. */
  close(): Promise<void> {
    this.closing ??= this.finish()
    return this.closing
  }

  private async finish(): Promise<void> {
    for (const send of [...this.waiting]) this.giveUp(send)
    this.unsubscribe()
    await this.session.close()
    this.cancelTimer?.()
    this.gauge.set(undefined)
    this.end.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const reasons: ReadonlySet<string> = new Set<PressureReason>(['queue-full', 'memory-full', 'disk-full'])

/** Undefined: it was refused for something else than want of room. */
function roomReason(error: unknown): PressureReason | undefined {
  return isMillraceError(error) && reasons.has(error.code) ? (error.code as PressureReason) : undefined
}

/** A producer that waits for room instead of running ahead of the broker. Rejects as Context.createProducer. */
export async function shapedProducer<Input>(
  mq: Context,
  destination: Sendable<Input>,
  options: ShapedProducerOptions = {},
): Promise<ShapedProducer<Input>> {
  const session = mq.connection.createSession()
  const { durability, priority, ttl, delay } = options
  try {
    const producer = await session.createProducer(destination, { durability, priority, ttl, delay })
    return new ShapedProducer<Input>(mq, session, producer, options)
  } catch (error) {
    await session.close()
    throw error
  }
}
