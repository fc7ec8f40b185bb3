import { randomUUID } from 'node:crypto'
import type { Destination } from '../../model/destination.ts'
import { isMillraceError } from '../../model/errors.ts'
import type { LocalAttach, ReceiverEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import type { AmqpError, Attach, DeliveryState } from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import type {
  Incoming,
  ProviderReceiver,
  ProviderSettlement,
  ProviderTransaction,
  ReceiverSink,
} from '../provider.ts'
import { CreditLine } from './credit-line.ts'
import { fromAmqp, lost, lostDelivery } from './errors.ts'
import { unappliedFilter } from './filters.ts'
import { Gathering } from './gathering.ts'
import { HeldDeliveries } from './held-deliveries.ts'
import { AmqpIncoming } from './incoming.ts'
import { toState } from './outcomes.ts'
import type { Resumable, Sessions } from './sessions.ts'
import type { Slab } from './slab.ts'
import type { AmqpTransaction } from './transactions.ts'

/** What a receiver needs of its connection. */
export interface ReceiverHome {
  /** Undefined while there is no line. */
  readonly sessions: Sessions | undefined
  readonly slab: Slab
  /** Whether the broker answers a settlement when it is durable. */
  readonly confirmsSettlements: boolean
  /** Calls `handOver` when everything that has come in one piece has been taken in. */
  arrived(receiver: AmqpReceiver): void
  forget(receiver: AmqpReceiver): void
}

/** How to attach, and what the messages are received from. */
export interface ReceiverSource {
  readonly attach: Omit<LocalAttach, 'name'>
  /** Default: a name of the link's own. */
  readonly linkName?: string | undefined
  readonly destination: Destination
  /** The node outlives the link (durable subscription): it is detached and not closed. */
  readonly lasting: boolean
}

/** A receiving link that is made anew on each line, with the credit that was given to it. */
export class AmqpReceiver implements ProviderReceiver, ReceiverEvents, Resumable {
  private readonly home: ReceiverHome
  readonly source: ReceiverSource
  private readonly name: string
  private readonly sink: ReceiverSink
  private readonly credit: CreditLine = new CreditLine()
  private readonly held: HeldDeliveries = new HeldDeliveries()
  private link: ReceiverLink | undefined
  private attaching: PromiseWithResolvers<void> | undefined
  /** On this line: what a refused attach never had is not lost. */
  private established = false
  private detaching: PromiseWithResolvers<void> | undefined
  /** Taken in and not handed over yet. */
  private batch: Incoming[] = []
  /** Wall milliseconds, of all of them. */
  private arrivedAt = 0
  /** Parts of a delivery that is not complete. */
  private readonly parts: Gathering = new Gathering()
  private failure: Error | undefined
  private closing: Promise<void> | undefined

  constructor(home: ReceiverHome, source: ReceiverSource, sink: ReceiverSink) {
    this.home = home
    this.source = source
    this.name = source.linkName ?? `receiver-${randomUUID()}`
    this.sink = sink
  }

  /** Attaches for the first time. Rejects with what the broker answers. */
  open(): Promise<void> {
    return this.attach()
  }

  private attach(): Promise<void> {
    const { sessions } = this.home
    if (!sessions) return Promise.resolve()
    this.attaching = Promise.withResolvers()
    this.link = sessions.attachReceiver({ ...this.source.attach, name: this.name }, this)
    return this.attaching.promise
  }

  attached(attach: Attach): void {
    // A refusal has no source, and says why when it detaches.
    if (attach.source === null) return
    const unapplied = unappliedFilter(this.source.attach.source?.filter, attach)
    if (unapplied !== undefined) return this.refuse(unapplied)
    this.established = true
    this.attaching?.resolve()
    this.attaching = undefined
    this.credit.attached(this.link!)
  }

  /** The broker would deliver what is not wanted. */
  private refuse(why: Error): void {
    this.link?.detach(!this.source.lasting)
    this.fail(why)
  }

  grant(credit: number): void {
    if (!this.closing && !this.failure) this.credit.grant(credit)
  }

  async drain(): Promise<number> {
    return this.closing || this.failure ? 0 : this.credit.drain()
  }

  drained(lapsed: number): void {
    this.handOver()
    this.credit.drained(lapsed)
  }

  transfer(part: TransferPart): void {
    if (part.aborted) this.parts.clear()
    else if (part.more) this.parts.add(part.bytes, part.start, part.end)
    else this.complete(part)
  }

  private complete(part: TransferPart): void {
    this.credit.used()
    const tag = this.held.add(part.id, part.settled)
    if (this.closing) return this.giveBack(tag)
    const { slab } = this.home
    const whole = this.parts.empty ? undefined : this.parts.finish(part.bytes, part.start, part.end)
    const start = whole ? 0 : slab.copy(part.bytes, part.start, part.end)
    const end = whole ? whole.length : start + part.end - part.start
    const bytes = whole ?? slab.bytes
    if (this.batch.length === 0) {
      this.home.arrived(this)
      this.arrivedAt = Date.now()
    }
    this.batch.push(new AmqpIncoming(tag, this.source.destination, this.arrivedAt, bytes, start, end))
  }

  /** Nobody is there to take it any more. */
  private giveBack(tag: number): void {
    void this.settle([tag, tag], { outcome: 'released' }).catch(() => {})
  }

  /** Gives the sink what has come. */
  handOver(): void {
    const { batch } = this
    if (batch.length === 0) return
    this.batch = []
    this.sink.deliver(batch)
  }

  /** In a transaction they are settled at once and forgotten: a broker that rolls back gives them back to their queue. */
  settle(
    ranges: readonly number[],
    settlement: ProviderSettlement,
    transaction?: ProviderTransaction,
  ): Promise<void> {
    const { link, home } = this
    if (this.failure || !link) return Promise.reject(lostDelivery(this.failure))
    const within = transaction as AmqpTransaction | undefined
    if (within?.failure) return Promise.reject(within.failure)
    const confirmed = home.confirmsSettlements && !within
    const outcome = toState(settlement)
    const settled = this.held.settle(ranges, link, within?.retired(outcome) ?? outcome, confirmed)
    if (this.closing) this.leaveWhenEmpty()
    return settled
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    if (!settled) return
    this.held.settled(first, last, state, (tag) => this.revoked(tag))
    if (this.closing) this.leaveWhenEmpty()
  }

  private revoked(tag: number): void {
    this.handOver()
    if (!this.closing) this.sink.revoked?.(tag)
  }

  close(options: { readonly release: boolean }): Promise<void> {
    this.closing ??= this.finish(options.release)
    return this.closing
  }

  /**
   * Without release the link stays, without credit, for as long as something that it delivered may be settled: settling
   * takes the link.
   */
  private async finish(release: boolean): Promise<void> {
    if (this.failure) return
    if (this.link && !this.attaching) await this.credit.drain()
    if (release) await this.release()
    this.leaveWhenEmpty()
    if (this.held.size === 0) await this.detaching?.promise
  }

  /** Gives back what it holds, also after it was closed without. */
  async release(): Promise<void> {
    const ranges = this.held.unsettledRanges()
    if (ranges.length > 0) await this.settle(ranges, { outcome: 'released' }).catch(() => {})
  }

  private leaveWhenEmpty(): void {
    if (this.held.size > 0 || this.detaching) return
    this.detaching = Promise.withResolvers()
    const { link } = this
    if (link) link.detach(!this.source.lasting)
    else this.detachConfirmed()
  }

  detachConfirmed(): void {
    this.detaching?.resolve()
    this.suspend()
    this.home.forget(this)
  }

  detached(_closed: boolean, error: AmqpError | undefined): void {
    const { attaching } = this
    const why = fromAmqp(error, error ? 'illegal-state' : 'connection-lost')
    this.attaching = undefined
    attaching?.reject(why)
    if (attaching) return this.suspend()
    // If the connection ends, the line says so by the end of this turn.
    setImmediate(() => {
      if (this.home.sessions && this.link) this.fail(why)
    })
  }

  async resume(): Promise<void> {
    if (this.closing) {
      this.credit.end()
      return this.detachConfirmed()
    }
    try {
      await this.attach()
    } catch (error) {
      // A line that is lost again is not the broker's answer.
      if (this.home.sessions) this.fail(error as Error)
    }
  }

  suspend(): void {
    const { link, attaching } = this
    if (link) this.home.sessions?.release(link)
    this.link = undefined
    this.attaching = undefined
    this.parts.clear()
    this.credit.lost(this.batch.length)
    this.batch = []
    this.held.lost()
    if (!this.home.sessions) attaching?.reject(lost(undefined))
    this.detaching?.resolve()
    const wasEstablished = this.established
    this.established = false
    if (wasEstablished && !this.closing && !this.failure) this.sink.lost?.()
  }

  fail(error: Error): void {
    if (this.failure) return
    this.failure = error
    const { attaching } = this
    this.suspend()
    attaching?.reject(error)
    this.credit.end()
    this.home.forget(this)
    if (!this.closing) this.sink.ended(isMillraceError(error) ? error : lost(error))
  }
}
