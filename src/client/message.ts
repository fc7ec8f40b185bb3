import type { Destination } from '../model/destination.ts'
import { type Duration, milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import type { Body, PropertyValue } from '../model/message.ts'
import { MAX_RETRY_DELAY } from '../model/policy.ts'
import { plain } from './bodies.ts'
import { BYTES_ID } from './outgoing.ts'
import { type Conversions, convert } from './properties.ts'
import type { DeadLetter, Incoming, ProviderSettlement } from './provider.ts'
import type { StandardSchema } from './standard-schema.ts'
import { describeIssues } from './standard-schema.ts'

/** Who settles a message: the consumer that delivered it. */
export interface Settling {
  acknowledge(message: Message): Promise<void>
  settle(message: Message, settlement: ProviderSettlement): Promise<void>
}

export interface RetryOptions {
  /** How long the broker keeps it from everybody, at most a day. */
  readonly after?: Duration | undefined
}

/**
 * A received message (JMS Message). Read-only: what it shows is what was sent, also after redelivery. It is decoded when it
 * is looked at; what is malformed throws `message-invalid` at that point.
 */
export class Message<T = unknown> {
  /** @internal */
  readonly incoming: Incoming
  /** @internal */
  settled = false
  private readonly consumer: Settling
  private readonly redeliveries: number
  /** What the body was sent as, once it has been looked at; then what the schema has made of it. */
  private decoded: Body | undefined
  private value: { readonly body: T } | undefined

  static {
    // The types say that it is read-only; programs without types get an answer that names the reason.
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(Message.prototype))) {
      if (property.get)
        Object.defineProperty(Message.prototype, name, { ...property, set: () => refuseChange(name) })
    }
  }

  /** @internal */
  constructor(incoming: Incoming, consumer: Settling, redeliveries = 0) {
    this.incoming = incoming
    this.consumer = consumer
    this.redeliveries = redeliveries
  }

  /**
   * What was sent: text, bytes, the JSON value, an object for a map, an array for a stream; undefined when there is no body;
   * after a schema, its output. It is this receiver's own: changing it changes nothing for anybody else.
   */
  get body(): T {
    this.value ??= { body: plain(this.encoded) as T }
    return this.value.body
  }

  /** How the body was sent: text, bytes, json, map, stream, or as another AMQP value. */
  get kind(): Body['kind'] {
    return this.encoded.kind
  }

  private get encoded(): Body {
    this.decoded ??= this.incoming.content.body
    return this.decoded
  }

  /** What the sender has set; frozen. */
  get properties(): Readonly<Record<string, PropertyValue>> {
    return this.incoming.content.properties ?? {}
  }

  /**
   * One property, by JMSXGroupID, JMSXGroupSeq, JMSXDeliveryCount and JMSXUserID also what has a member of its own here;
   * undefined when there is none. With `as`, read as that type: see `convert`. Throws `message-format-invalid`.
   */
  property(name: string): PropertyValue | undefined
  property<K extends keyof Conversions>(name: string, as: K): Conversions[K] | undefined
  property(name: string, as?: keyof Conversions): PropertyValue | undefined {
    const value = this.defined(name) ?? own(this.properties, name)
    return as === undefined ? value : convert(value, as)
  }

  /** The properties that JMS defines (3.5.9). */
  private defined(name: string): PropertyValue | undefined {
    switch (name) {
      case 'JMSXGroupID':
        return this.groupId
      case 'JMSXGroupSeq':
        return this.groupSequence
      case 'JMSXDeliveryCount':
        return this.deliveryCount
      case 'JMSXUserID':
        return this.userId
      default:
        return undefined
    }
  }

  /** JMSMessageID. Begins with 'ID:' unless the sender chose otherwise. */
  get messageId(): string | undefined {
    return this.incoming.content.messageId
  }

  /** JMSCorrelationID. One of bytes is shown as 'ID:AMQP_BINARY:' and hexadecimal digits. */
  get correlationId(): string | undefined {
    return this.incoming.content.correlationId
  }

  /** JMSCorrelationIDAsBytes: of an id that was sent as bytes. */
  get correlationIdBytes(): Uint8Array | undefined {
    const { correlationId } = this
    if (!correlationId?.startsWith(BYTES_ID)) return undefined
    return new Uint8Array(Buffer.from(correlationId.slice(BYTES_ID.length), 'hex'))
  }

  /** JMSReplyTo: where the sender expects an answer. */
  get replyTo(): Destination | undefined {
    return this.incoming.content.replyTo
  }

  /** Who sent it, as the sender says (JMSXUserID); the broker does not check it. */
  get userId(): string | undefined {
    return this.incoming.content.userId
  }

  /** Where it was sent to; of a dead letter, where it was sent first. */
  get destination(): Destination {
    return this.incoming.destination
  }

  /** JMSType. */
  get type(): string | undefined {
    return this.incoming.content.type
  }

  get contentType(): string | undefined {
    return this.incoming.content.contentType
  }

  /** JMSXGroupID. */
  get groupId(): string | undefined {
    return this.incoming.content.groupId
  }

  /** JMSXGroupSeq. */
  get groupSequence(): number | undefined {
    return this.incoming.content.groupSequence
  }

  /** Wall milliseconds of the send call (JMSTimestamp). */
  get timestamp(): number | undefined {
    return this.incoming.content.timestamp
  }

  /** Wall milliseconds after which it is not delivered any more (JMSExpiration); undefined: never. */
  get expiration(): number | undefined {
    return this.incoming.expiry || undefined
  }

  /** Wall milliseconds before which it was not to be delivered (JMSDeliveryTime). */
  get deliveryTime(): number | undefined {
    return this.incoming.content.deliveryTime ?? this.timestamp
  }

  /** 0 to 9 (JMSPriority). */
  get priority(): number {
    return this.incoming.priority
  }

  /** JMSDeliveryMode. */
  get deliveryMode(): 'persistent' | 'non-persistent' {
    return this.incoming.durable ? 'persistent' : 'non-persistent'
  }

  /** 1 on first delivery (JMSXDeliveryCount). */
  get deliveryCount(): number {
    return this.incoming.deliveryCount + this.redeliveries
  }

  /** Whether it may have been delivered before (JMSRedelivered). */
  get redelivered(): boolean {
    return this.deliveryCount > 1
  }

  /** What the broker calls it: what `millrace why` takes. */
  get brokerId(): string {
    return this.incoming.brokerId
  }

  /** Of a dead letter: origin, reason and history. */
  get deadLetter(): DeadLetter | undefined {
    return this.incoming.deadLetter
  }

  /**
   * Done: the message will not be delivered again. Resolves when that is durable. In a session of mode 'client' it covers
   * everything the session has delivered so far. Rejects with `delivery-settled` when the broker has taken it back,
   * `illegal-state` when it was settled otherwise.
   */
  acknowledge(): Promise<void> {
    return this.consumer.acknowledge(this as Message)
  }

  /**
   * Gives it back as if it had not been delivered: no failure is counted, and it is ready at once, or when `after` has passed.
   * Rejects as `acknowledge`; with `after` also with `unsupported`, `duration-invalid`, `argument-invalid`.
   */
  async release(options: RetryOptions = {}): Promise<void> {
    const delay = delayOf(options)
    const settlement: ProviderSettlement = delay ? { outcome: 'modified', delay } : { outcome: 'released' }
    await this.consumer.settle(this as Message, settlement)
  }

  /** Cannot be processed, by anybody: dead-lettered at once. */
  reject(description?: string): Promise<void> {
    return this.consumer.settle(this as Message, { outcome: 'rejected', reason: 'rejected', description })
  }

  /**
   * Could not be processed this time: redelivered by the queue's backoff, or when `after` has passed (0: at once, in its
   * place); in the end dead-lettered. Rejects as `release`.
   */
  async fail(description?: string, options: RetryOptions = {}): Promise<void> {
    const delay = delayOf(options)
    const waits = delay === undefined ? {} : delay > 0 ? { delay } : { immediately: true }
    const failure = { outcome: 'modified', deliveryFailed: true, description, ...waits } as const
    await this.consumer.settle(this as Message, failure)
  }

  /**
   * Puts the schema's output in place of the body. Answers what is wrong with the body, or undefined.
   * @internal
   */
  validate(schema: StandardSchema): string | undefined | Promise<string | undefined> {
    let input: unknown
    try {
      input = plain(this.encoded)
    } catch (error) {
      return (error as Error).message
    }
    const result = schema['~standard'].validate(input)
    return result instanceof Promise ? result.then((late) => this.accept(late)) : this.accept(result)
  }

  private accept(result: Awaited<ReturnType<StandardSchema['~standard']['validate']>>): string | undefined {
    if (result.issues) return describeIssues(result.issues)
    this.value = { body: result.value as T }
    return undefined
  }
}

/** Milliseconds. Throws `duration-invalid`, `argument-invalid`. */
function delayOf({ after }: RetryOptions): number | undefined {
  if (after === undefined) return undefined
  const delay = Math.ceil(milliseconds(after))
  if (delay <= MAX_RETRY_DELAY) return delay
  throw new MillraceError(
    'argument-invalid',
    `a message is kept from everybody for a day at most, not for ${delay} ms; send it again with a delay`,
  )
}

function refuseChange(name: string): never {
  throw new MillraceError(
    'message-read-only',
    `a received message cannot be changed: ${name}; send a new one`,
  )
}

/** A message seen in a queue without taking it; it cannot be settled. */
export class BrowsedMessage<T = unknown> extends Message<T> {
  /** Its state in the delivery lifecycle: ready, waiting, acquired, … */
  readonly state: string

  /** @internal */
  constructor(incoming: Incoming, state: string) {
    super(incoming, browsed)
    this.state = state
  }
}

function refuseBrowsed(): Promise<never> {
  return Promise.reject(
    new MillraceError('illegal-state', 'a browsed message was not delivered; receive it to settle it'),
  )
}

const browsed: Settling = { acknowledge: refuseBrowsed, settle: refuseBrowsed }

/** The objects of properties have inherited members, which are nobody's properties. */
function own<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined
}
