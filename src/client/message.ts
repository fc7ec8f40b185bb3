import type { Destination } from '../model/destination.ts'
import { MillraceError } from '../model/errors.ts'
import type { Body, PropertyValue } from '../model/message.ts'
import type { DeadLetter, Incoming, ProviderSettlement } from './provider.ts'
import type { StandardSchema } from './standard-schema.ts'
import { describeIssues } from './standard-schema.ts'

/** Who settles a message: the consumer that delivered it. */
export interface Settling {
  acknowledge(message: Message): Promise<void>
  settle(message: Message, settlement: ProviderSettlement): Promise<void>
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

  /** What was sent: text, bytes or the JSON value; after a schema, its output. */
  get body(): T {
    this.value ??= { body: plain(this.incoming.content.body) as T }
    return this.value.body
  }

  /** How the body is encoded: text, bytes, json, or another AMQP value. */
  get bodyKind(): Body['kind'] {
    return this.incoming.content.body.kind
  }

  get properties(): Readonly<Record<string, PropertyValue>> {
    return this.incoming.content.properties ?? {}
  }

  /** JMSMessageID. Begins with 'ID:' unless the sender chose otherwise. */
  get messageId(): string | undefined {
    return this.incoming.content.messageId
  }

  get correlationId(): string | undefined {
    return this.incoming.content.correlationId
  }

  get replyTo(): Destination | undefined {
    return this.incoming.content.replyTo
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

  /** Gives it back as if it had not been delivered; it is ready at once and no failure is counted. */
  release(): Promise<void> {
    return this.consumer.settle(this as Message, { outcome: 'released' })
  }

  /** Cannot be processed, by anybody: dead-lettered at once. */
  reject(description?: string): Promise<void> {
    return this.consumer.settle(this as Message, { outcome: 'rejected', reason: 'rejected', description })
  }

  /** Could not be processed this time: redelivered by the queue's backoff, in the end dead-lettered. */
  fail(description?: string): Promise<void> {
    return this.consumer.settle(this as Message, { outcome: 'modified', deliveryFailed: true, description })
  }

  /**
   * Puts the schema's output in place of the body. Answers what is wrong with the body, or undefined.
   * @internal
   */
  validate(schema: StandardSchema): string | undefined | Promise<string | undefined> {
    let input: unknown
    try {
      input = plain(this.incoming.content.body)
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

/** The body as the application sees it; a message without body (JMS Message) has undefined. */
function plain(body: Body): unknown {
  return body.kind === 'value' && body.value === null ? undefined : body.value
}
