import type { Delivery, Engine, Settlement } from '../../engine/api.ts'
import type { MillraceError } from '../../model/errors.ts'
import { AmqpCondition, LinkCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import {
  type AmqpError,
  type Attach,
  type DeliveryState,
  released,
  type TransactionalState,
} from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { ChunkedDelivery } from './chunked-delivery.ts'
import type { AmqpConnection, EngineConsumer } from './connection.ts'
import { DeliveryPrefix } from './delivery-prefix.ts'
import { amqpError, operatingError } from './errors.ts'
import { MILLRACE } from './opening.ts'
import { accept, release, settlementOf, undeliverableHere } from './outcomes.ts'
import type { Waiting } from './outlet.ts'
import type { Stealable } from './registry.ts'
import type { SourceNode } from './sources.ts'
import type { Retirement } from './transactions.ts'
import { Window } from './window.ts'

/** What a link asks of the engine at once, in messages and, as far as their size can be guessed, in bytes. */
const SLICE_MESSAGES = 1_024
const SLICE_BYTES = 256 * 1024
const FIRST_GUESS = 1_024

/** Messages from a queue of the engine to a receiver: credit becomes grants, deliveries transfers, dispositions settlements. */
export class OutgoingLink implements SenderEvents, EngineConsumer, Waiting, Stealable {
  private readonly connection: AmqpConnection
  private readonly engine: Engine
  private readonly link: SenderLink
  private readonly node: SourceNode
  private readonly consumer: number
  private readonly presettled: boolean
  private readonly maxSize: number
  private readonly otherwise: Settlement
  private readonly prefix: DeliveryPrefix
  /** The receiver wants to know when a delivery is taken back; others take no disposition that they have not asked for. */
  private readonly tellsRevoked: boolean
  /** Unsettled deliveries by the engine's tags. */
  private readonly window = new Window()
  /** Deliveries that wait for a large one in front of them, which is being sent. */
  private readonly queue: Delivery[] = []
  private large: ChunkedDelivery | undefined
  private granted = 0
  private draining = false
  private averageSize = FIRST_GUESS
  private over = false

  constructor(
    connection: AmqpConnection,
    link: SenderLink,
    attach: Attach,
    node: SourceNode,
    consumer: number,
  ) {
    this.connection = connection
    this.engine = connection.engine
    this.link = link
    this.node = node
    this.consumer = consumer
    this.presettled = attach.sndSettleMode === 'settled'
    this.maxSize = attach.maxMessageSize || Number.POSITIVE_INFINITY
    const { defaultOutcome } = attach.source!
    this.otherwise = (defaultOutcome && settlementOf(defaultOutcome)) ?? release
    this.tellsRevoked = attach.desiredCapabilities.includes(MILLRACE)
    this.prefix = new DeliveryPrefix(this.tellsRevoked)
    connection.consumers.set(consumer, this)
    connection.links++
  }

  flow(): void {
    this.connection.guard(() => this.pump())
  }

  /** Asks the engine for as much as the receiver's credit, its unsettled bytes and the output allow. */
  pump(): void {
    if (this.over) return
    if (this.large) return this.large.resume()
    const { link } = this
    const open = link.credit - this.granted
    if (open <= 0) {
      if (!link.draining) return
      return link.credit === 0 ? link.drained() : this.drain()
    }
    const slice = this.slice()
    if (slice === 0) return this.connection.outlet.wait(this)
    const more = Math.min(open, slice - this.granted)
    if (more > 0) {
      this.granted += more
      this.engine.grant(this.consumer, more)
    }
    if (link.draining) this.drain()
  }

  /** Messages that may be asked for in all; one at least while nothing is unsettled. */
  private slice(): number {
    const { outlet } = this.connection
    if (this.link.session.congested || !outlet.flows) return 0
    const bytes = this.presettled ? SLICE_BYTES : Math.min(SLICE_BYTES, outlet.room)
    const messages = Math.min(SLICE_MESSAGES, Math.floor(bytes / this.averageSize))
    return messages === 0 && (bytes === SLICE_BYTES || this.window.count === 0) ? 1 : messages
  }

  private drain(): void {
    if (this.draining) return
    this.draining = true
    this.engine.drain(this.consumer, (lapsed) => {
      this.draining = false
      this.granted -= lapsed
      // What is still being sent goes first; the rest of the credit is looked at again after it.
      if (this.over || this.large) return
      if (lapsed > 0 && this.link.draining) this.link.drained()
      else this.pump()
    })
  }

  deliver(deliveries: readonly Delivery[], count: number): void {
    this.granted -= count
    for (let i = 0; i < count; i++) {
      const delivery = deliveries[i]!
      if (this.queue.length > 0 || delivery.chunks.length > 0) this.queue.push({ ...delivery })
      else this.send(delivery)
    }
    this.sendQueued()
    this.pump()
  }

  private sendQueued(): void {
    while (this.queue.length > 0 && !this.large) {
      const delivery = this.queue[0]!
      if (delivery.chunks.length > 0 && this.maySend(delivery)) return this.begin(delivery)
      this.queue.shift()
      if (delivery.chunks.length === 0) this.send(delivery)
    }
  }

  /** Otherwise it has gone back: the receiver has taken credit away meanwhile, or wants no message of that size. */
  private maySend({ tag, size }: Delivery): boolean {
    const refusal = this.link.credit <= 0 ? release : size > this.maxSize ? undeliverableHere : undefined
    if (refusal) this.engine.settle(this.consumer, tag, tag, refusal)
    return refusal === undefined
  }

  private send(delivery: Delivery): void {
    if (!this.maySend(delivery)) return
    const { bytes, start, end } = delivery
    const prefix = this.prefix.of(delivery, this.timeLeft(delivery))
    const id = this.link.send(this.presettled, 0, null, prefix, bytes, start, end)
    if (this.presettled) this.engine.settle(this.consumer, delivery.tag, delivery.tag, accept)
    else this.remember(delivery, id)
    this.averageSize += (delivery.size - this.averageSize) / 16
  }

  private begin(delivery: Delivery): void {
    const { link, engine, connection } = this
    const prefix = this.prefix.of(delivery, this.timeLeft(delivery))
    const id = link.begin(this.presettled, 0, null, prefix)
    if (!this.presettled) this.remember(delivery, id)
    const flows = (): boolean => {
      const may = connection.outlet.flows && !link.session.congested
      if (!may) connection.outlet.wait(this)
      return may
    }
    this.large = new ChunkedDelivery({
      engine,
      link,
      chunks: delivery.chunks,
      flows,
      done: (whole) => this.ended(delivery, whole),
    })
    this.averageSize += (delivery.size - this.averageSize) / 16
    this.large.resume()
  }

  /** The large delivery at the head of the queue has been sent, or was aborted because a part of it is damaged. */
  private ended(delivery: Delivery, whole: boolean): void {
    this.large = undefined
    this.queue.shift()
    const { tag, lsn, queue } = delivery
    if (!whole) {
      const description = `a part of the body of message ${lsn} in ${queue} is damaged`
      this.engine.settle(this.consumer, tag, tag, { outcome: 'rejected', description })
      this.forget(tag, tag)
    } else if (this.presettled) this.engine.settle(this.consumer, tag, tag, accept)
    this.sendQueued()
    this.pump()
  }

  private remember(delivery: Delivery, id: number): void {
    this.window.put(delivery.tag, id, delivery.size, 1)
    this.connection.outlet.delivered(delivery.size)
  }

  private timeLeft({ expiry }: Delivery): number | undefined {
    return expiry === 0 ? undefined : Math.max(1, expiry - this.connection.gateway.wall())
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    this.connection.guard(() => {
      if (state?.kind === 'transactional') return this.retire(first, last, state, settled)
      const settlement = (state && settlementOf(state)) ?? (settled ? this.otherwise : undefined)
      if (this.over || settlement === undefined) return
      const from = this.window.keyFrom(first)
      const to = this.window.keyFrom((last + 1) >>> 0) - 1
      if (settled) {
        this.engine.settle(this.consumer, from, to, settlement)
        this.forget(from, to)
      } else if (this.node.lapses) this.answerEach(from, to, settlement, state!)
      else this.answer(first, last, from, to, settlement, state!)
      this.connection.outlet.wake()
    })
  }

  /** 4.4.2: the outcome is applied when the transaction is committed. Without an outcome nothing is asked for. */
  private retire(first: number, last: number, state: TransactionalState, settled: boolean): void {
    const { engine, consumer, window, connection } = this
    const settlement =
      (state.outcome && settlementOf(state.outcome)) ?? (settled ? this.otherwise : undefined)
    if (this.over || settlement === undefined) return
    const from = window.keyFrom(first)
    const to = window.keyFrom((last + 1) >>> 0) - 1
    try {
      const transaction = connection.transactions.of(state)
      transaction.attempt(() => engine.settle(consumer, from, to, settlement, undefined, transaction.number))
      if (settled) {
        transaction.settled.add(consumer, from, to)
        this.forget(from, to)
      } else transaction.unsettled.push({ link: this, from, to, first, last, state })
      connection.outlet.wake()
    } catch (cause) {
      this.end(amqpError(operatingError(cause)))
      this.node.left?.(false)
    }
  }

  retired({ from, to, first, last, state }: Retirement): void {
    if (this.over) return
    this.link.settle(first, last, state)
    this.forget(from, to)
  }

  /** The receiver waits for our word: it is told when the settlement is durable. */
  private answer(
    first: number,
    last: number,
    from: number,
    to: number,
    settlement: Settlement,
    state: DeliveryState,
  ): void {
    const { link } = this
    const request = this.connection.request(() => link.settle(first, last, state))
    this.engine.settle(this.consumer, from, to, settlement, request)
    this.forget(from, to)
  }

  /** As `answer`, where deliveries may have been taken back meanwhile: for those the answer is released. */
  private answerEach(from: number, to: number, settlement: Settlement, state: DeliveryState): void {
    const { link, window } = this
    for (let tag = from; tag <= to; tag++) {
      if (!window.take(tag)) continue
      this.connection.outlet.settled(1, window.size)
      const { id } = window
      let held = true
      const request = this.connection.request(() => link.settle(id, id, held ? state : released))
      held = this.engine.settle(this.consumer, tag, tag, settlement, request) > 0
    }
  }

  private forget(from: number, to: number): void {
    const { window } = this
    const { count, bytes } = window
    for (let tag = from; tag <= to; tag++) window.take(tag)
    this.connection.outlet.settled(count - window.count, bytes - window.bytes)
  }

  detached(closed: boolean): void {
    this.connection.guard(() => {
      if (this.over) return
      this.leave()
      const { engine, consumer, otherwise } = this
      // Modified as the default is what JMS clients ask for everywhere: what they prefetched and did not look at has not
      // failed, so it goes back like released (docs/spec/amqp.md).
      if (otherwise.outcome === 'accepted' || otherwise.outcome === 'rejected')
        engine.settle(consumer, 1, Number.POSITIVE_INFINITY, otherwise)
      engine.cancel(consumer, { release: true })
      this.node.left?.(closed)
    })
  }

  /** It took the receiver too long. What the receiver still says of it is not answered. */
  revoked(tag: number): void {
    const { window, link } = this
    if (this.over || !this.tellsRevoked || !window.take(tag)) return
    this.connection.outlet.settled(1, window.size)
    link.settle(window.id, window.id, released)
    this.connection.outlet.wake()
  }

  /** The engine has ended the consumer. */
  cancelled(error: MillraceError): void {
    if (this.over) return
    this.leave()
    const gone = amqpError(error)
    const condition = error.code === 'destination-not-found' ? AmqpCondition.resourceDeleted : gone.condition
    this.link.detach(true, { ...gone, condition })
    this.node.left?.(false)
  }

  stolen(): void {
    const description = 'a link of the same container and name has taken its place'
    this.end({ condition: LinkCondition.stolen, description })
  }

  private end(error: AmqpError): void {
    if (this.over) return
    this.leave()
    this.engine.cancel(this.consumer, { release: true })
    this.link.detach(true, error)
  }

  private leave(): void {
    this.over = true
    this.large?.forget()
    this.connection.consumers.delete(this.consumer)
    this.connection.links--
    this.connection.outlet.forget(this)
    this.connection.outlet.settled(this.window.count, this.window.bytes)
  }
}
