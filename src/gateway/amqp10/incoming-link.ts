import type { Engine, Publication } from '../../engine/api.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { FORMAT_AMQP10 } from '../../model/message.ts'

import type { ReceiverEvents, TransferPart } from '../../wire/amqp10/peer/events.ts'
import {
  type AmqpError,
  type Attach,
  accepted,
  type DeliveryState,
  released,
  type TransactionalState,
} from '../../wire/amqp10/peer/performatives.ts'
import type { ReceiverLink } from '../../wire/amqp10/peer/receiver-link.ts'
import { next } from '../../wire/amqp10/peer/serial.ts'
import { Typed } from '../../wire/amqp10/values.ts'
import type { AmqpConnection, EngineProducer } from './connection.ts'
import { amqpError, operatingError, rejectedWith } from './errors.ts'
import { IncomingBody } from './incoming-body.ts'
import type { Starved } from './intake.ts'
import { MessageHead } from './message-head.ts'
import { Relay } from './relay.ts'
import type { Route } from './route.ts'
import type { Transaction } from './transactions.ts'
import type { Sender } from './undecided-sends.ts'

/** Property of a flow: why the queue takes nothing, '' when it does again; of a relay a map of queues and reasons. */
const BLOCKED_KEY = 'millrace:blocked'

/** Property of a flow: a delivery, and the number under which it has been scheduled. */
const SCHEDULED_KEY = 'millrace:scheduled'

const REJECTED = 'amqp:rejected:list'

/** Credit until it is known how large the sender's messages are. */
const FIRST_CREDIT = 100

const nothing = new Uint8Array(0)

/**
 * Of whole messages on links with a fixed address, one after the other: with thousands of links, an object of each would be out
 * of the caches. What is still to be read of others keeps a head of its own, and so does a relay, whose messages resemble
 * each other.
 */
const passingHead = new MessageHead()

/** Filled anew for each message of any link: the engine keeps none. */
const publication: { -readonly [K in keyof Publication]: Publication[K] } = {
  tag: 0,
  exchange: '',
  key: '',
  also: undefined,
  durability: 'disk',
  priority: 4,
  format: FORMAT_AMQP10,
  payload: nothing,
  body: undefined,
  expiry: 0,
  due: undefined,
  repeat: undefined,
  producer: 0,
  sequence: 0,
  mandatory: true,
  group: '',
  deduplicationId: undefined,
}

/** A producer identity that a link sends under. */
export interface Identity {
  readonly handle: number
  readonly lastSequence: number
}

export interface IncomingOptions {
  readonly connection: AmqpConnection
  readonly link: ReceiverLink
  readonly attach: Attach
  readonly destination: Route | Relay
  readonly identity: Identity | undefined
  /** The link has ended. */
  readonly left: (() => void) | undefined
}

/** Messages from a sender: each becomes a publication, and what becomes of that is its outcome. */
export class IncomingLink implements ReceiverEvents, Sender, Starved, EngineProducer {
  private readonly connection: AmqpConnection
  private readonly engine: Engine
  private readonly link: ReceiverLink
  private readonly options: IncomingOptions
  private readonly number: number
  private readonly canReject: boolean
  private readonly destination: Route | Relay
  private ownHead: MessageHead | undefined
  private body: IncomingBody | undefined
  /** What became of the delivery whose parts still come: they are passed over. */
  private refused = false
  isTold = false
  private sequence = 0
  /** Of the delivery whose parts come. */
  private transaction: Transaction | undefined
  /** Posted and not decided, by delivery-id; undefined on a link that has never seen a transaction. */
  private posted: Map<number, Transaction> | undefined
  /** Queues that hold its sends; undefined as long as there is none, as is asked twice with each message. */
  private blocks: Set<string> | undefined
  /** What the client of a relay has been told: queues whose sends are held, and why. */
  private held: Map<string, string> | undefined
  private undecided = 0
  private undecidedBytes = 0
  /** Whole bytes: a fraction would be an object beside this one. */
  private averageSize: number
  private over = false
  /** Decided, and to be forgotten when the sender has settled them: receiver-settle-mode second (core 2.6.12). */
  private readonly unforgotten: Set<number> | undefined

  constructor(options: IncomingOptions) {
    const { connection, link, attach } = options
    this.options = options
    this.connection = connection
    this.engine = connection.engine
    this.link = link
    this.destination = options.destination
    this.averageSize = Math.floor(connection.gateway.limits.unsettledBytes / FIRST_CREDIT)
    const outcomes = attach.source?.outcomes ?? []
    this.canReject = outcomes.length === 0 || outcomes.includes(REJECTED)
    if (attach.rcvSettleMode === 'second') this.unforgotten = new Set()
    this.number = connection.sends.join(this)
    connection.producers.add(this)
    connection.links++
  }

  transfer(part: TransferPart): void {
    try {
      if (part.first) this.begin(part)
      if (part.aborted) return this.forgetBody()
      if (this.refused) return
      if (part.state?.kind === 'transactional') this.enlist(part.state)
      if (part.first && !part.more) return this.whole(part)
      this.gather(part)
    } catch (cause) {
      if (!isMillraceError(cause)) return this.connection.fault(cause)
      this.refuse(part, cause)
    }
  }

  private begin(part: TransferPart): void {
    this.refused = false
    this.transaction = undefined
    if (part.format !== 0)
      throw new MillraceError('message-invalid', `message format ${part.format} is not known here`)
    if (this.options.identity) this.sequence = sequenceOf(part.tag)
  }

  /** 4.4.1: any frame of a delivery may say to which transaction it belongs, and all that do say the same. */
  private enlist(state: TransactionalState): void {
    const transaction = this.connection.transactions.of(state)
    if (this.transaction && this.transaction !== transaction)
      throw new MillraceError('argument-invalid', 'the parts of a delivery belong to different transactions')
    this.transaction = transaction
  }

  private whole({ id, settled, bytes, start, end }: TransferPart): void {
    const isRelay = this.destination instanceof Relay
    const head = isRelay ? this.headOfOurs() : passingHead
    head.read(bytes, start, end, isRelay, this.connection.unsaidDurability)
    publication.payload = bytes.subarray(head.payloadStart, end)
    publication.body = undefined
    publication.deduplicationId = undefined
    this.publish(head, id, settled, end - start)
  }

  private headOfOurs(): MessageHead {
    this.ownHead ??= new MessageHead()
    return this.ownHead
  }

  /** A part of a message of several frames. */
  private gather(part: TransferPart): void {
    const head = this.headOfOurs()
    this.body ??= new IncomingBody(this.connection, (bytes) => {
      const isRelay = this.destination instanceof Relay
      head.read(bytes, 0, bytes.length, isRelay, this.connection.unsaidDurability)
      return head.payloadStart
    })
    this.body.append(part.bytes, part.start, part.end)
    if (part.more) return
    const { body } = this
    this.body = undefined
    body.end()
    publication.payload = body.payload
    publication.body = body.number
    publication.deduplicationId = body.deduplicationId
    this.publish(head, part.id, part.settled, body.size)
    body.release()
    publication.payload = nothing
  }

  private publish(head: MessageHead, id: number, settled: boolean, size: number): void {
    const { connection, destination } = this
    const route =
      destination instanceof Relay ? destination.routeOf(head.to, head.toKind) : (destination as Route)
    // Throws when it is gone: a temporary queue is not created again for a late reply.
    if (route.temporary) this.engine.declareQueue({ name: route.key, passive: true })
    publication.exchange = route.exchange
    publication.key = route.key
    publication.also = route.also
    publication.mandatory = route.mandatory
    publication.durability = head.durability
    publication.priority = head.priority
    publication.expiry = head.expiry(connection.gateway.wall)
    publication.group = head.group
    publication.due = head.schedule.due(connection.gateway.wall)
    publication.repeat = head.schedule.repetition
    this.identify(id, head.prepare)
    publication.tag = connection.sends.add(this.number, id, size, settled)
    this.undecided++
    this.undecidedBytes += size
    if (!this.blocks) connection.intake.add(size)
    this.averageSize += Math.floor((size - this.averageSize) / 16)
    try {
      this.engine.publish(connection.number, publication)
    } catch (cause) {
      connection.sends.undo(publication.tag)
      this.decided(id, size, settled, operatingError(cause))
    }
  }

  /** What may be rolled back has no identity: its sequence must not count as stored. */
  private identify(id: number, prepare: string | undefined): void {
    const { transaction } = this
    const certain = transaction === undefined && prepare === undefined
    publication.transaction = transaction?.number
    publication.prepare = prepare === undefined ? undefined : { group: prepare }
    publication.producer = certain ? (this.options.identity?.handle ?? 0) : 0
    publication.sequence = certain ? this.sequence : 0
    if (!transaction) return
    this.posted ??= new Map()
    this.posted.set(id, transaction)
    transaction.posted()
  }

  /** Refused before the engine was asked. */
  private refuse(part: TransferPart, error: MillraceError): void {
    this.refused = part.more
    this.forgetBody()
    const { transaction } = this
    transaction?.fail(error)
    this.answer(part.id, part.settled, error, part.tag, transaction)
    this.replenish()
  }

  decided(
    id: number,
    size: number,
    settled: boolean,
    error: MillraceError | undefined,
    prepared?: string,
    scheduled?: number,
  ): void {
    this.undecided--
    this.undecidedBytes -= size
    if (!this.blocks) this.connection.intake.remove(size)
    const transaction = this.posted?.get(id)
    if (transaction) {
      this.posted!.delete(id)
      // Qpid JMS, for one, does not look at the outcomes of what it posts: who commits must learn it.
      if (error) transaction.fail(error)
      transaction.decided()
    }
    if (this.over) {
      if (this.undecided === 0) this.connection.sends.leave(this.number)
    } else if (error) this.answer(id, settled, error, undefined, transaction)
    else if (!settled) {
      if (scheduled !== undefined) this.tellScheduled(id, scheduled)
      this.settle(id, transaction?.accepted ?? (prepared === undefined ? accepted : preparedAs(prepared)))
    }
  }

  /** An acceptance has no place for the number by which the message can be cancelled: our own client is told before it. */
  private tellScheduled(id: number, scheduled: number): void {
    if (this.options.identity === undefined) return
    this.link.tellFirst(new Map([[SCHEDULED_KEY, [new Typed('uint', id), new Typed('ulong', scheduled)]]]))
  }

  private settle(id: number, state: DeliveryState): void {
    if (this.link.settle(id, id, state, !this.unforgotten)) this.unforgotten?.add(id)
  }

  disposition(first: number, last: number, _state: DeliveryState | undefined, settled: boolean): void {
    if (!settled || !this.unforgotten) return
    for (let id = first; ; id = next(id)) {
      this.unforgotten.delete(id)
      if (id === last) break
    }
    this.connection.guard(() => this.replenish())
  }

  decidedAll(): void {
    this.replenish()
  }

  /** Says why a message was not taken, where the sender can be told (Anonymous Terminus 1.0, 2.2.2). */
  private answer(
    id: number,
    settled: boolean,
    error: MillraceError,
    tag: Uint8Array | undefined,
    transaction: Transaction | undefined,
  ): void {
    const reason = amqpError(error)
    const state = this.canReject ? rejectedWith(reason) : released
    if (!settled) this.settle(id, transaction?.answer(state) ?? state)
    if (!settled && this.canReject) return
    // Who cannot be told otherwise that his transaction is not there is told so (core 4.3).
    const lost = error.code === 'transaction-not-found'
    if (!lost && (transaction || !(this.destination instanceof Relay))) return
    const info = new Map(reason.info)
    if (tag) info.set('delivery-tag', Uint8Array.from(tag))
    this.end({ ...reason, info })
  }

  /** Lets the sender send more, as far as what is undecided allows in messages and in bytes. */
  replenish(): void {
    if (this.over || this.blocks) return
    const { connection, link, averageSize } = this
    const { creditWindow, unsettledBytes } = connection.gateway.limits
    const target = Math.min(creditWindow, Math.max(1, Math.floor(unsettledBytes / averageSize)))
    const held = this.undecided + (this.unforgotten?.size ?? 0)
    const more = target - held - link.credit
    if (more <= 0 || (more * 4 < target && link.credit > 0)) return
    if (connection.intake.hasRoomFor(this)) link.grant(more)
  }

  /** Sends to the queue are held: no more are asked for, and the sender is told why. */
  blocked(queue: string, reason: string): void {
    if (this.tellsQueues) {
      this.held ??= new Map()
      this.tellHeld(this.held.set(queue, reason))
    }
    if (!this.concerns(queue) || this.blocks?.has(queue)) return
    if (!this.blocks) this.connection.intake.remove(this.undecidedBytes)
    this.blocks ??= new Set()
    this.blocks.add(queue)
    this.link.tell(new Map([[BLOCKED_KEY, reason]]))
  }

  unblocked(queue: string): void {
    if (this.held?.delete(queue)) this.tellHeld(this.held)
    if (!this.blocks?.delete(queue) || this.blocks.size > 0) return
    this.blocks = undefined
    this.connection.intake.add(this.undecidedBytes)
    this.link.tell(new Map([[BLOCKED_KEY, '']]))
    this.replenish()
  }

  /** A relay goes on taking messages for other queues, and a link to several waits with each message; our own client is told of all that are held. */
  private tellHeld(held: ReadonlyMap<string, string>): void {
    this.link.tell(new Map([[BLOCKED_KEY, new Map(held)]]))
  }

  private get tellsQueues(): boolean {
    return this.hasManyQueues && this.options.identity !== undefined
  }

  private get hasManyQueues(): boolean {
    const { destination } = this
    return destination instanceof Relay || destination.also !== undefined
  }

  /** '' stands for every queue. Where there are several, each message is answered for itself. */
  private concerns(queue: string): boolean {
    const destination = this.destination as Route
    if (this.hasManyQueues) return false
    return queue === '' || (destination.mandatory && destination.key === queue)
  }

  detached(): void {
    this.connection.guard(() => this.leave())
  }

  private end(error: AmqpError): void {
    if (this.over) return
    this.leave()
    this.link.detach(true, error)
  }

  private leave(): void {
    if (this.over) return
    this.over = true
    this.forgetBody()
    this.connection.intake.forget(this)
    this.connection.producers.delete(this)
    this.connection.links--
    if (this.undecided === 0) this.connection.sends.leave(this.number)
    this.options.left?.()
  }

  private forgetBody(): void {
    this.body?.abort()
    this.body = undefined
  }
}

/** What decides a half message is told as what names a transaction: it is one of a single message. */
function preparedAs(id: string): DeliveryState {
  return { kind: 'transactional', transaction: Buffer.from(id), outcome: accepted }
}

/** Under an identity the delivery tag is the sequence, in eight bytes. Throws `argument-invalid`. */
function sequenceOf(tag: Uint8Array): number {
  if (tag.length === 8) {
    const high = ((tag[0]! << 24) | (tag[1]! << 16) | (tag[2]! << 8) | tag[3]!) >>> 0
    const low = ((tag[4]! << 24) | (tag[5]! << 16) | (tag[6]! << 8) | tag[7]!) >>> 0
    const sequence = high * 0x1_0000_0000 + low
    if (sequence > 0 && Number.isSafeInteger(sequence)) return sequence
  }
  throw new MillraceError(
    'argument-invalid',
    'a delivery tag under a producer identity is a sequence of eight bytes, from 1',
  )
}
