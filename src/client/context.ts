import { EventEmitter } from 'node:events'
import type { Destination } from '../model/destination.ts'
import { milliseconds } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'
import type { BrowseOptions, QueueBrowser } from './browser.ts'
import type { Clock } from './clock.ts'
import type { Connection, ConnectionEvents } from './connection.ts'
import type { MessageConsumer } from './consumer.ts'
import type { ConsumerOptions, ReceiveOptions } from './consumer-options.ts'
import type { Queue, Receivable, Sendable, Subscription, Topic, TypedDestination } from './destinations.ts'
import type { Message } from './message.ts'
import type { SendOptions } from './outgoing.ts'
import { answering, type CheckHandler, Checks, type HalfMessage } from './prepared.ts'
import type { MessageProducer, PrepareOptions, ProducerOptions } from './producer.ts'
import type { Capabilities, ProviderManagement, ProviderPrepared, SendReceipt } from './provider.ts'
import { Requester, type RequestOptions, type RequestStatistics } from './requester.ts'
import { type Responder, replying } from './responder.ts'
import type { Session, SessionOptions } from './session.ts'
import type { SubscribeOptions } from './subscriptions.ts'
import { settlesWithin } from './waiting.ts'
import { type CloseOptions, type Handler, Worker, type WorkerOptions } from './worker.ts'

/** Something that works through a context, such as a worker, and cannot do without. */
export interface Dependant {
  close(options?: CloseOptions): Promise<void>
  /** Settles when it has been closed, by whomever. */
  readonly closed: Promise<void>
}

/**
 * A started connection with one session and one producer (JMS 2.0 JMSContext): what `connect` gives, with a session of mode
 * 'individual'. `createContext` gives others on the same connection.
 */
export class Context extends EventEmitter<ConnectionEvents> implements AsyncDisposable {
  /** The classic objects underneath: more sessions, other acknowledge modes. */
  readonly connection: Connection
  private readonly session: Session
  private readonly producer: MessageProducer
  private readonly workers: Set<Dependant> = new Set()
  /** Consumers for single receives; they hold no credit between them. */
  private readonly receivers: Map<string, Promise<MessageConsumer>> = new Map()
  /** The one that `connect` gave, whose end is that of the connection. */
  private readonly root: Context
  /** Of a root: transacted contexts that `transaction` has used, and will use again. */
  private readonly idle: Context[] = []
  private requester: Requester | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  static async open(connection: Connection, options?: SessionOptions): Promise<Context> {
    const context = await Context.over(connection, options)
    connection.start()
    return context
  }

  private static async over(
    connection: Connection,
    options?: SessionOptions,
    root?: Context,
  ): Promise<Context> {
    const session = connection.createSession(options)
    return new Context(connection, session, await session.createProducer(), root)
  }

  private constructor(connection: Connection, session: Session, producer: MessageProducer, root?: Context) {
    super()
    this.root = root ?? this
    this.connection = connection
    this.session = session
    this.producer = producer
    if (root) return
    connection.on('disconnected', (error) => this.emit('disconnected', error))
    connection.on('reconnected', () => this.emit('reconnected'))
    connection.on('blocked', (queue, reason) => this.emit('blocked', queue, reason))
    connection.on('unblocked', (queue) => this.emit('unblocked', queue))
    connection.unheard = (error) => this.listenerCount('error') > 0 && this.emit('error', error)
  }

  /**
   * Another session on this connection (JMS createContext), with consumers and a producer of its own. Events are told by the
   * context that `connect` gave, and closing that one closes all. Rejects with `closed`, `argument-invalid`, `unsupported`.
   */
  async createContext(options: SessionOptions = {}): Promise<Context> {
    this.assertOpen()
    return Context.over(this.connection, options, this.root)
  }

  /**
   * Runs `work` with a transacted context, and commits when it returns: everything that it sends and receives through that
   * context happens, or, when `work` throws or the commit fails, nothing. Messages come again after a failure. Several may
   * run at once. Rejects with what `work` throws, and as `commit`; nothing is repeated.
   */
  async transaction<R>(work: (tx: Context) => R | Promise<R>): Promise<R> {
    this.assertOpen()
    const tx = this.root.idle.pop() ?? (await this.createContext({ acknowledge: 'transacted' }))
    try {
      const result = await work(tx)
      await tx.commit()
      return result
    } catch (error) {
      // What keeps it from rolling back ends the connection, and with it the transaction.
      await tx.rollback().catch(() => {})
      throw error
    } finally {
      if (!tx.closing) this.root.idle.push(tx)
    }
  }

  /** See Session.commit. */
  commit(): Promise<void> {
    return this.session.commit()
  }

  /** See Session.rollback. */
  rollback(): Promise<void> {
    return this.session.rollback()
  }

  /** See Session.recover. */
  recover(): void {
    this.session.recover()
  }

  get capabilities(): Capabilities {
    return this.connection.capabilities
  }

  /** Time by which the connection works: the host's, or the test's. */
  get clock(): Clock {
    return this.connection.clock
  }

  /** Looking into and changing what the broker holds. Throws `unsupported`. */
  get management(): ProviderManagement {
    return this.connection.management
  }

  /**
   * Sends a message. Resolves when it has reached the durability asked for ('disk' by default), with its message id.
   * Many sends may be in flight; they are ordered by call. Rejects, with nothing sent, as MessageProducer.sendTo says.
   */
  send<T>(destination: Sendable<T>, body: NoInfer<T>, options?: SendOptions): Promise<SendReceipt> {
    return this.producer.sendTo<T>(destination, body, options)
  }

  /** Stores a half message, to be decided later; see MessageProducer.prepare. */
  prepare<T>(destination: Sendable<T>, body: NoInfer<T>, options: PrepareOptions): Promise<HalfMessage> {
    return this.producer.prepareFor<T>(destination, body, options)
  }

  /**
   * Answers for a group of producers, in turn with the others who do: of half messages that are left undecided the broker
   * asks what became of them. Resolves when it will. Rejects with `closed`, `unsupported`, `argument-invalid`.
   */
  async answerChecks<T = unknown>(producerGroup: string, handler: CheckHandler<T>): Promise<Checks> {
    const { provided } = this.connection
    this.assertOpen()
    if (!provided.prepared) throw new MillraceError('unsupported', 'this provider has no half messages')
    const answer = answering(handler, (error) => this.connection.report(error))
    return new Checks(await provided.prepared.answerChecks(producerGroup, answer))
  }

  /** Half messages that nobody has decided, for operators: list and decide them. Throws `unsupported`. */
  get prepared(): Pick<ProviderPrepared, 'list' | 'decide'> {
    const { prepared } = this.connection.provided
    if (prepared) return prepared
    throw new MillraceError('unsupported', 'this provider has no half messages')
  }

  /**
   * The next message of a queue or durable subscription, to be acknowledged by the caller; undefined when `timeout`
   * passed. Nothing is fetched ahead. Rejects with `closed`, the reason of `signal`, and what createConsumer rejects with.
   */
  async receive<Output>(
    from: Queue<never, Output> | Subscription<Output>,
    options: ReceiveOptions = {},
  ): Promise<Message<Output> | undefined> {
    this.assertOpen()
    if ((from as Receivable).kind === 'topic' || (from as Receivable).kind === 'temporary-topic') {
      throw new MillraceError(
        'destination-invalid',
        'a topic holds no messages; subscribe to it, or consume from it',
      )
    }
    options.signal?.throwIfAborted()
    const consumer = await this.receiver(from)
    return consumer.receive(options)
  }

  private async receiver<Output>(
    from: Queue<never, Output> | Subscription<Output>,
  ): Promise<MessageConsumer<Output>> {
    const key = `${from.kind} ${from.name}`
    const known = this.receivers.get(key) as Promise<MessageConsumer<Output>> | undefined
    if (known && !(await known).error) return known
    const opening = this.session.createConsumer(from, { prefetch: 0 })
    this.receivers.set(key, opening)
    opening.catch(() => this.receivers.delete(key))
    return opening
  }

  /**
   * Runs `handler` for each message, `concurrency` at once. Return = accepted; throw = redelivered by the broker's backoff,
   * in the end dead-lettered; a body that does not fit the schema is dead-lettered at once. From a topic: through a
   * subscription that ends with the worker, from the moment `ready` resolves. Throws `closed`, `argument-invalid`.
   */
  consume<Output>(from: Receivable<Output>, handler: Handler<Output>): Worker<Output>
  consume<Output>(from: Receivable<Output>, options: WorkerOptions, handler: Handler<Output>): Worker<Output>
  consume<Output>(
    from: Receivable<Output>,
    second: WorkerOptions | Handler<Output>,
    third?: Handler<Output>,
  ): Worker<Output> {
    this.assertOpen()
    if (this.session.work) {
      throw new MillraceError(
        'illegal-state',
        'in a transacted session nothing but commit settles; use createConsumer there, or transaction()',
      )
    }
    const options = typeof second === 'function' ? {} : (second ?? {})
    const handler = typeof second === 'function' ? second : third
    const { concurrency = 1 } = options
    if (typeof handler !== 'function') {
      throw new MillraceError('argument-invalid', 'consume(destination, options, handler) needs a handler')
    }
    if (!(Number.isSafeInteger(concurrency) && concurrency > 0)) {
      throw new MillraceError('argument-invalid', `concurrency is a whole number above 0, not ${concurrency}`)
    }
    const consumer = this.session.createConsumer(from, options)
    const worker = new Worker<Output>(consumer, options, handler, (error) => this.connection.report(error))
    this.adopt(worker)
    return worker
  }

  /** It is closed with this context, before its session is. */
  adopt(dependant: Dependant): void {
    this.assertOpen()
    this.workers.add(dependant)
    dependant.closed.catch(() => {}).finally(() => this.workers.delete(dependant))
  }

  /**
   * Sends a request and resolves with its reply, which needs no acknowledgement. Replies come over a temporary queue that is
   * made at the first request and ends with the connection. Many requests may be under way; they are no part of a transaction. Rejects with `timeout`, after
   * which a reply is dropped and counted; the reason of `signal`; `connection-lost` when the connection is lost meanwhile,
   * and nobody knows whether the request was done; `closed`; `message-invalid` when the reply does not fit its schema; and,
   * with nothing sent, with what `send` rejects with.
   */
  request<Input, Reply = unknown>(
    destination: TypedDestination<Input>,
    body: NoInfer<Input>,
    options: RequestOptions<Reply> = {},
  ): Promise<Message<Reply>> {
    if (this.root !== this) return this.root.request<Input, Reply>(destination, body, options)
    this.requester ??= new Requester(this.connection)
    return this.requester.request<Input, Reply>(destination, body, options)
  }

  /** Requests that wait for their replies, and replies that came too late. */
  get requests(): RequestStatistics {
    return this.root.requester?.statistics ?? { outstanding: 0, late: 0 }
  }

  /**
   * Answers requests: what `responder` returns is sent as the reply, and then the request is accepted. A request without
   * reply-to is handled and not answered; one whose sender has gone is done. When `responder` throws, or the reply cannot be
   * sent now, the request is redelivered by the queue's backoff; when it can never be sent, the request is dead-lettered.
   * Throws as `consume`.
   */
  serve<Output>(from: Receivable<Output>, responder: Responder<Output>): Worker<Output>
  serve<Output>(
    from: Receivable<Output>,
    options: WorkerOptions,
    responder: Responder<Output>,
  ): Worker<Output>
  serve<Output>(
    from: Receivable<Output>,
    second: WorkerOptions | Responder<Output>,
    third?: Responder<Output>,
  ): Worker<Output> {
    const options = typeof second === 'function' ? {} : second
    const responder = typeof second === 'function' ? second : third
    if (typeof responder !== 'function') {
      throw new MillraceError('argument-invalid', 'serve(destination, options, responder) needs a responder')
    }
    const inMemory = this.capabilities.durabilities.includes('memory')
    return this.consume(from, options, replying(responder, this.producer, inMemory))
  }

  /** Makes sure that the queue exists, with its policy if it has one. Rejects with `destination-conflict`, `unsupported`. */
  async declare(queue: Queue<never, unknown>): Promise<void> {
    this.assertOpen()
    await this.connection.provided.declare(queue.name, queue.policy ?? {})
  }

  /** A producer with defaults or an identity of its own; see ProducerOptions. */
  createProducer<Input = unknown>(
    destination?: Sendable<Input>,
    options?: ProducerOptions,
  ): Promise<MessageProducer<Input>> {
    return this.session.createProducer(destination, options)
  }

  /** A consumer to receive from or to iterate over; see MessageConsumer. */
  createConsumer<Output>(
    from: Receivable<Output>,
    options?: ConsumerOptions,
  ): Promise<MessageConsumer<Output>> {
    return this.session.createConsumer(from, options)
  }

  /** Looks at the messages of a queue without taking them. */
  browse<Output>(queue: Queue<never, Output>, options?: BrowseOptions): QueueBrowser<Output> {
    return this.session.createBrowser(queue, options)
  }

  /**
   * Makes sure that a durable subscription exists, and answers it, to be consumed from. From now on it keeps the messages
   * of its topic. Rejects with `client-id-invalid` when it is not shared and the connection has no client id.
   */
  subscribe<Output>(topic: Topic<never, Output>, options: SubscribeOptions): Promise<Subscription<Output>> {
    return this.session.subscribe(topic, options)
  }

  /** Deletes a durable subscription with its messages. Rejects with `destination-not-found`, `destination-in-use`. */
  unsubscribe(name: string, options?: { readonly shared?: boolean | undefined }): Promise<void> {
    return this.session.unsubscribe(name, options)
  }

  /** A queue that ends with this connection, which alone may consume from it; for replies. */
  createTemporaryQueue<Input = unknown, Output = Input>(): Promise<Queue<Input, Output>> {
    return this.connection.createTemporaryQueue<Input, Output>()
  }

  createTemporaryTopic<Input = unknown, Output = Input>(): Promise<Topic<Input, Output>> {
    return this.connection.createTemporaryTopic<Input, Output>()
  }

  deleteTemporary(destination: Destination): Promise<void> {
    return this.connection.deleteTemporary(destination)
  }

  /**
   * Closes the workers, which may still send what belongs to what they are doing, waits for the sends, and ends the connection, or, for a context that `createContext` gave, its
   * session. `drain` bounds the wait for both; what is not done by then goes back or is rejected with `closed`. Without, it
   * waits until they are done: a handler that waits for it waits for itself.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.closing ??= this.finish(options)
    return this.closing
  }

  private async finish(options: CloseOptions): Promise<void> {
    if (this.root !== this) {
      await Promise.all([...this.workers].map((worker) => worker.close(options)))
      return this.session.close()
    }
    const drain = options.drain === undefined ? undefined : milliseconds(options.drain)
    const begun = performance.now()
    this.requester?.close()
    // What is still being worked on may have to send before it is done.
    await Promise.all([...this.workers].map((worker) => worker.close(options)))
    const sent = this.connection.closeProducers()
    sent.catch(() => {})
    const left = drain === undefined ? undefined : Math.max(0, drain - (performance.now() - begun))
    if (!(await settlesWithin(sent, left))) await this.connection.provided.close()
    await this.connection.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the connection is closed')
  }
}
