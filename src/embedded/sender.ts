import { encodeShared } from '../client/message-format.ts'
import type { Outgoing, ProviderSender, SendReceipt } from '../client/provider.ts'
import type { Address, Engine, Publication } from '../engine/api.ts'
import {
  DEFAULT_EXCHANGE,
  type Destination,
  isTopic,
  TEMPORARY_QUEUE,
  TOPIC_EXCHANGE,
} from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import { FORMAT_AMQP10 } from '../model/message.ts'
import type { PendingSend, PendingSends } from './pending-sends.ts'
import type { EmbeddedTransaction } from './transaction.ts'

const nothing = new Uint8Array(0)

/** By which the promise that was made last is answered: kept by one function for all, so that none is made for each. */
let resolve: PendingSend['resolve']
let reject: PendingSend['reject']

function keepAnswers(answer: PendingSend['resolve'], refuse: PendingSend['reject']): void {
  resolve = answer
  reject = refuse
}

/** What a sender needs of its connection. */
export interface SenderHome {
  readonly engine: Engine
  readonly connection: number
  readonly sends: PendingSends
}

/** Encodes and publishes under an identity, so that a resend is stored once. */
export class EmbeddedSender implements ProviderSender {
  private readonly home: SenderHome
  private readonly producer: number
  readonly lastSequence: number
  private sequence: number
  /** Filled anew for each message: the engine keeps none. */
  private readonly publication: { -readonly [K in keyof Publication]: Publication[K] }
  private undecided = 0
  private closed = false
  private idle: PromiseWithResolvers<void> | undefined

  constructor(home: SenderHome, producer: { readonly handle: number; readonly lastSequence: number }) {
    this.home = home
    this.producer = producer.handle
    this.lastSequence = producer.lastSequence
    this.sequence = producer.lastSequence
    this.publication = {
      tag: 0,
      exchange: '',
      key: '',
      also: undefined,
      durability: 'disk',
      priority: 4,
      format: FORMAT_AMQP10,
      payload: nothing,
      expiry: 0,
      due: undefined,
      repeat: undefined,
      producer: producer.handle,
      sequence: 0,
      mandatory: true,
      group: undefined,
      deduplicationId: undefined,
    }
  }

  send(message: Outgoing): Promise<SendReceipt> {
    if (this.closed) return Promise.reject(new MillraceError('closed', 'the sender is closed'))
    const promise = new Promise<SendReceipt>(keepAnswers)
    const { sends } = this.home
    const { content, durability } = message
    const tag = sends.add({ resolve, reject, messageId: content.messageId!, durability, sender: this })
    this.undecided++
    try {
      this.publish(message, tag, encodeShared(content))
    } catch (error) {
      sends.take(tag)!.reject(error)
      this.decided()
    }
    return promise
  }

  private publish(message: Outgoing, tag: number, payload: Uint8Array): void {
    const { destination } = message
    const { kind, name } = destination.kind === 'composite' ? destination.members[0]! : destination
    const transaction = message.transaction as EmbeddedTransaction | undefined
    const { prepare } = message
    const direct = kind === 'queue' || kind === 'temporary-queue'
    if (direct && name.startsWith(TEMPORARY_QUEUE)) this.assertExists(name)
    // What may be rolled back must not count as stored.
    const identified = transaction === undefined && prepare === undefined
    if (identified) this.sequence = message.sequence ?? this.sequence + 1
    const { publication } = this
    publication.transaction = transaction?.number
    publication.prepare = prepare === undefined ? undefined : { group: prepare }
    publication.producer = identified ? this.producer : 0
    publication.tag = tag
    publication.exchange = direct ? DEFAULT_EXCHANGE : TOPIC_EXCHANGE
    publication.key = name
    publication.durability = message.durability
    publication.priority = message.priority
    publication.payload = payload
    publication.expiry = message.expiry
    publication.due = message.content.deliveryTime
    publication.repeat = message.content.repetition
    publication.sequence = identified ? this.sequence : 0
    publication.also =
      destination.kind === 'composite' ? destination.members.slice(1).map(addressOf) : undefined
    publication.mandatory = direct
    publication.group = message.content.groupId
    publication.deduplicationId = message.content.deduplicationId
    this.home.engine.publish(this.home.connection, publication)
  }

  /** A temporary queue that is gone is not created again for a late reply. */
  private assertExists(name: string): void {
    if (this.home.engine.queue(name)) return
    throw new MillraceError('destination-not-found', `the temporary queue ${name} ended with its connection`)
  }

  /** One of its sends has been confirmed or refused. */
  decided(): void {
    if (--this.undecided === 0) this.idle?.resolve()
  }

  async close(): Promise<void> {
    this.closed = true
    if (this.undecided === 0) return
    this.idle ??= Promise.withResolvers<void>()
    await this.idle.promise
  }
}

function addressOf(destination: Destination): Address {
  return { exchange: isTopic(destination) ? TOPIC_EXCHANGE : DEFAULT_EXCHANGE, key: destination.name }
}
