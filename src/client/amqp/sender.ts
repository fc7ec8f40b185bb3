import { randomUUID } from 'node:crypto'
import type { Durability } from '../../model/delivery.ts'
import type { Destination } from '../../model/destination.ts'
import { MillraceError } from '../../model/errors.ts'
import type { MessageContent } from '../../model/message.ts'
import type { SenderEvents } from '../../wire/amqp10/peer/events.ts'
import type { AmqpError, Attach, DeliveryState, Fields } from '../../wire/amqp10/peer/performatives.ts'
import type { SenderLink } from '../../wire/amqp10/peer/sender-link.ts'
import { Deque } from '../deque.ts'
import { encodeShared, keepEncoded } from '../message-format.ts'
import type { Capabilities, Outgoing, ProviderSender, SendReceipt } from '../provider.ts'
import { addressee } from './address.ts'
import { DeliveryWindow } from './delivery-window.ts'
import { sendPrefix } from './envelope.ts'
import { closedError, fromAmqp, lost } from './errors.ts'
import { OUTCOMES, type Resumable, type Sessions, source, target } from './sessions.ts'
import { LARGE_BYTES, type Slab } from './slab.ts'
import type { AmqpTransaction } from './transactions.ts'

/** What a sender needs of its connection. */
export interface SenderHome {
  /** Undefined while there is no line. */
  readonly sessions: Sessions | undefined
  readonly slab: Slab
  readonly durabilities: readonly Durability[]
  readonly capabilities: Pick<Capabilities, 'delay' | 'repetition'>
  readonly maxMessageBytes: number
  /** Counts in a message that waits for its decision. Throws `memory-full`. */
  reserve(bytes: number): void
  free(bytes: number): void
  /** Queues whose sends are being held, all of them, with the reasons. */
  blocked(sender: AmqpSender, reasons: ReadonlyMap<string, string>): void
  forget(sender: AmqpSender): void
}

/** A send that has not been decided: kept so that it can be sent again, over another line. */
interface PendingSend {
  readonly resolve: (receipt: SendReceipt) => void
  readonly reject: (error: unknown) => void
  readonly messageId: string
  readonly durability: Durability
  readonly priority: number
  readonly expiry: number
  readonly sequence: number
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  /** It belongs to this, on this line; it is not sent again on another. */
  readonly transaction: AmqpTransaction | undefined
  readonly prepare: string | undefined
  /** Under which the broker has scheduled it, as it has said before it confirms. */
  scheduleId: string | undefined
}

/** By which the promise that was made last is answered: kept by one function for all, so that none is made for each. */
let resolve: PendingSend['resolve']
let reject: PendingSend['reject']

function keepAnswers(answer: PendingSend['resolve'], refuse: PendingSend['reject']): void {
  resolve = answer
  reject = refuse
}

/** Room in front of a payload that a frame's header section takes at most; counted against the size limit. */
const PREFIX_BYTES = 64

/**
 * A sending link under an identity. The delivery tag is the message's number under it, so that what is sent again over
 * another line is stored once by a broker that knows such identities.
 */
export class AmqpSender implements ProviderSender, SenderEvents, Resumable {
  readonly producerId: string
  private readonly home: SenderHome
  /** Undefined: the anonymous relay. */
  private readonly destination: Destination | undefined
  private readonly name: string
  private link: SenderLink | undefined
  private attaching: PromiseWithResolvers<void> | undefined
  /** Sent on this link and not decided; then those that wait for credit or for a line. */
  private readonly flying: DeliveryWindow<PendingSend> = new DeliveryWindow()
  private readonly unsent: Deque<PendingSend> = new Deque()
  /** Something has been decided since the link was attached. */
  private progress = false
  private first: number | undefined
  private sequence = 0
  private closed = false
  private failure: Error | undefined
  private idle: PromiseWithResolvers<void> | undefined

  constructor(home: SenderHome, destination: Destination | undefined, producerId: string) {
    this.home = home
    this.destination = destination
    this.producerId = producerId
    this.name = `sender-${randomUUID()}`
  }

  get lastSequence(): number {
    return this.first ?? 0
  }

  /** Attaches for the first time. Rejects with what the broker answers. */
  open(): Promise<void> {
    return this.attach()
  }

  send(message: Outgoing): Promise<SendReceipt> {
    if (this.closed) return Promise.reject(closedError('sender'))
    if (this.failure) return Promise.reject(this.failure)
    const promise = new Promise<SendReceipt>(keepAnswers)
    const refuse = reject
    try {
      this.unsent.push(this.encode(message))
      this.pump()
    } catch (error) {
      refuse(error)
    }
    return promise
  }

  /** The payload has memory of its own, because the content may change after `send` and may have to be sent again. */
  private encode(message: Outgoing): PendingSend {
    const { durability, priority, expiry } = message
    const to = addressee(message.destination)
    const { home } = this
    if (!home.durabilities.includes(durability)) {
      throw new MillraceError('unsupported', `this broker has no durability ${durability}`)
    }
    this.checkSchedule(message.content)
    const payload = encodeShared(message.content, to)
    const size = payload.length
    if (size + PREFIX_BYTES > home.maxMessageBytes) throw tooLarge(size, home.maxMessageBytes)
    home.reserve(size)
    const kept = size > LARGE_BYTES && keepEncoded()
    const start = kept ? 0 : home.slab.copy(payload)
    const bytes = kept ? payload : home.slab.bytes
    this.sequence = message.sequence ?? this.sequence + 1
    const { sequence } = this
    const messageId = message.content.messageId!
    return {
      resolve,
      reject,
      messageId,
      durability,
      priority,
      expiry,
      sequence,
      bytes,
      start,
      end: start + size,
      transaction: message.transaction as AmqpTransaction | undefined,
      prepare: message.prepare,
      scheduleId: undefined,
    }
  }

  private checkSchedule({ deliveryTime, repetition }: MessageContent): void {
    const { delay, repetition: repeats } = this.home.capabilities
    if ((deliveryTime === undefined || delay) && (repetition === undefined || repeats)) return
    throw new MillraceError(
      'unsupported',
      'this broker does not deliver messages at a time to come, or repeatedly',
    )
  }

  private pump(): void {
    const { link } = this
    if (!link) return this.reattach()
    if (this.attaching) return
    while (link.credit > 0 && this.unsent.length > 0) {
      const send = this.unsent.shift()!
      const { transaction } = send
      if (transaction?.failure) {
        this.decide(send, transaction.failure)
        continue
      }
      const ttl = send.expiry === 0 ? 0 : Math.max(1, send.expiry - Date.now())
      const prefix = sendPrefix(send.durability, send.priority, ttl, send.prepare)
      const { bytes, start, end } = send
      const tag = tagOf(send.sequence)
      this.flying.push(link.send(false, 0, tag, prefix, bytes, start, end, transaction?.posted), send)
    }
    if (link.draining) link.drained()
  }

  /** After the broker has detached the link, sending attaches it again. */
  private reattach(): void {
    if (!this.home.sessions || this.attaching || this.failure) return
    this.attach().catch((error) => this.refuse(error))
  }

  private attach(): Promise<void> {
    const { sessions } = this.home
    if (!sessions) return Promise.resolve()
    this.progress = false
    this.attaching = Promise.withResolvers()
    const { kind, name: address = null } = this.destination ?? { name: undefined }
    this.link = sessions.attachSender(
      {
        name: this.name,
        sndSettleMode: 'unsettled',
        rcvSettleMode: 'first',
        source: source({ address: this.name, outcomes: OUTCOMES }),
        target: target({ address, capabilities: kind ? [kind] : [] }),
        properties: new Map([['millrace:producer-id', this.producerId]]),
      },
      this,
    )
    return this.attaching.promise
  }

  attached(attach: Attach): void {
    // A refusal has no target, and says why when it detaches.
    if (attach.target === null) return
    if (this.first === undefined) {
      this.first = Number(attach.properties.get('millrace:last-sequence') ?? 0)
      // What was sent before the first attach has its numbers already.
      if (this.sequence === 0) this.sequence = this.first
    }
    this.attaching?.resolve()
    this.attaching = undefined
    this.pump()
  }

  flow(properties?: Fields): void {
    if (properties) this.readBlocks(properties)
    if (properties) this.readScheduled(properties)
    this.pump()
  }

  /** Where the target is fixed the reason alone is told, elsewhere queues and reasons. '' or none: sends flow again. */
  private readBlocks(properties: Fields): void {
    const blocked = properties.get('millrace:blocked')
    const { destination } = this
    if (blocked instanceof Map) this.home.blocked(this, blocked)
    else if (typeof blocked === 'string' && destination) {
      const queue = blocked === 'queue-full' ? destination.name : ''
      this.home.blocked(this, new Map(blocked === '' ? [] : [[queue, blocked]]))
    }
  }

  private readScheduled(properties: Fields): void {
    const scheduled = properties.get('millrace:scheduled')
    if (!Array.isArray(scheduled)) return
    const send = this.flying.find(Number(scheduled[0]))
    if (send) send.scheduleId = String(scheduled[1])
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    if (state?.kind === 'received') return
    if (!settled) this.link?.settle(first, last, state)
    this.progress = true
    this.flying.takeIds(first, last, (send) => this.decide(send, refusalOf(state), state))
  }

  detached(_closed: boolean, error: AmqpError | undefined): void {
    const { attaching } = this
    this.suspend()
    const why = fromAmqp(error, 'connection-lost')
    if (attaching) return attaching.reject(why)
    // If the connection ends, the line says so by the end of this turn.
    setImmediate(() => {
      if (!this.home.sessions || this.link || this.unsent.length === 0) return
      if (this.progress) this.reattach()
      else this.refuse(why)
    })
  }

  /** What is undecided is not stored, and nothing says that another attempt would do better. */
  private refuse(error: unknown): void {
    for (const send of this.takeAll()) this.decide(send, error)
  }

  private decide(send: PendingSend, refusal: unknown, state?: DeliveryState): void {
    const { messageId, durability, prepare, scheduleId } = send
    this.home.free(send.end - send.start)
    if (refusal !== undefined) send.reject(refusal)
    else if (prepare !== undefined)
      send.resolve({ messageId, durability, prepared: preparedId(state), scheduleId })
    else if (scheduleId !== undefined) send.resolve({ messageId, durability, scheduleId })
    else send.resolve({ messageId, durability })
    if (this.idle && this.undecided === 0) this.idle.resolve()
  }

  private get undecided(): number {
    return this.flying.size + this.unsent.length
  }

  private takeAll(): PendingSend[] {
    return [...this.flying.takeAll(), ...this.unsent.clear()]
  }

  async resume(): Promise<void> {
    try {
      await this.attach()
    } catch (error) {
      // A line that is lost again is not the broker's answer.
      if (this.home.sessions) this.refuse(error)
    }
  }

  suspend(): void {
    const { link, attaching } = this
    if (link) this.home.sessions?.release(link)
    this.link = undefined
    this.attaching = undefined
    this.unsent.unshift(this.flying.takeAll().filter((send) => !this.abandon(send)))
    if (!this.home.sessions) attaching?.reject(lost(undefined))
  }

  /**
   * Without an answer nobody knows whether it was stored. Sent again a message in a transaction could be in it twice, and a
   * half message would be another one: its broker asks for the first.
   */
  private abandon(send: PendingSend): boolean {
    const { transaction, prepare } = send
    if (!transaction && prepare === undefined) return false
    const error = lost(undefined)
    this.decide(send, transaction ? transaction.fail(error) : error)
    return true
  }

  fail(error: Error): void {
    this.failure = error
    this.attaching?.reject(error)
    this.attaching = undefined
    this.refuse(error)
  }

  async close(): Promise<void> {
    this.closed = true
    if (this.undecided > 0) {
      this.idle ??= Promise.withResolvers()
      await this.idle.promise
    }
    const { link } = this
    if (link && !this.failure) link.detach(true)
    this.suspend()
    this.home.forget(this)
  }
}

const tag = new Uint8Array(8)

/** Valid until the next call: links copy what they are given as a tag. */
function tagOf(sequence: number): Uint8Array {
  const high = Math.floor(sequence / 2 ** 32)
  for (let i = 0; i < 4; i++) {
    tag[i] = high >>> (24 - 8 * i)
    tag[4 + i] = sequence >>> (24 - 8 * i)
  }
  return tag
}

/** Why a send was refused; undefined: it was accepted. */
function refusalOf(state: DeliveryState | undefined): MillraceError | undefined {
  switch (state?.kind) {
    case 'accepted':
      return undefined
    case 'transactional':
      return state.outcome && refusalOf(state.outcome)
    case 'rejected':
      return fromAmqp(state.error, 'message-unroutable')
    case 'released':
    case 'modified':
      return new MillraceError('message-unroutable', 'the broker gave the message back')
    default:
      return new MillraceError('connection-lost', 'the broker settled the send without saying how')
  }
}

/** A half message is answered as what is posted in a transaction: what names the transaction decides it. */
function preparedId(state: DeliveryState | undefined): string | undefined {
  return state?.kind === 'transactional' ? Buffer.from(state.transaction).toString() : undefined
}

function tooLarge(size: number, limit: number): MillraceError {
  return new MillraceError('message-too-large', `the message has ${size} bytes; the broker takes ${limit}`)
}
