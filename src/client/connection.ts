import { EventEmitter } from 'node:events'
import type { Destination } from '../model/destination.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import { type Clock, hostClock } from './clock.ts'
import type { Queue, Topic, TypedDestination } from './destinations.ts'
import type {
  Capabilities,
  NetworkOptions,
  Provider,
  ProviderConnection,
  ProviderEvents,
  ProviderManagement,
  Thread,
} from './provider.ts'
import { Session, type SessionOptions } from './session.ts'
import { abortable } from './waiting.ts'

/** What a connection tells. 'error' is for failures that no promise reports; without listener it becomes a warning. */
export interface ConnectionEvents {
  disconnected: [error: MillraceError]
  reconnected: []
  /** Sends to this queue are being held; the reason is queue-full, memory-full or disk-full. */
  blocked: [queue: string, reason: string]
  unblocked: [queue: string]
  error: [error: MillraceError]
}

export interface ConnectionOptions extends NetworkOptions {
  /** Identity of this client, at most one connection at a time; durable subscriptions that are not shared need it. */
  readonly clientId?: string | undefined
  readonly signal?: AbortSignal | undefined
  /**
   * 'worker': the engine of an embedded broker runs in a thread of its own, so that its work and that of this thread do not
   * hold up each other. Default 'main'.
   */
  readonly thread?: Thread | undefined
}

/**
 * A connection to a broker (JMS Connection). It is created stopped: messages can be sent, and are delivered after `start`.
 * While it is open the process stays alive.
 */
export class Connection extends EventEmitter<ConnectionEvents> implements AsyncDisposable {
  readonly clientId: string | undefined
  /** @internal */
  readonly provided: ProviderConnection
  private readonly sessions: Set<Session> = new Set()
  /** Destinations with a policy that have been declared, or are being. */
  private readonly declarations: Map<object, Promise<void> | undefined> = new Map()
  private readonly temporaries: Set<string> = new Set()
  private running = false
  /** Told of errors that have no listener here; answers whether it has one. @internal */
  unheard: ((error: MillraceError) => boolean) | undefined
  private closing: Promise<void> | undefined

  /** @internal */
  static async open(provider: Provider, url: string, options: ConnectionOptions): Promise<Connection> {
    const { clientId, signal, thread, tls, reconnect, connectTimeout, idleTimeout } = options
    if (clientId === '') throw new MillraceError('client-id-invalid', 'a client id is not empty')
    checkThread(thread, provider)
    signal?.throwIfAborted()
    let opened: Connection | undefined
    const events = forward(() => opened)
    const network = { tls, reconnect, connectTimeout, idleTimeout }
    const connecting = provider.connect(url, { ...network, clientId, signal, thread, events })
    try {
      opened = new Connection(await abortable(connecting, signal), clientId)
      return opened
    } catch (error) {
      // Given up by its signal, it may still succeed.
      connecting.then((late) => late.close()).catch(() => undefined)
      throw error
    }
  }

  private constructor(provided: ProviderConnection, clientId: string | undefined) {
    super()
    // Whatever is built on a connection listens to it.
    this.setMaxListeners(0)
    this.provided = provided
    this.clientId = clientId
  }

  get capabilities(): Capabilities {
    return this.provided.capabilities
  }

  /** Time by which the connection works: the host's, or the test's. */
  get clock(): Clock {
    return this.provided.clock ?? hostClock
  }

  /** Looking into and changing what the broker holds. Throws `unsupported`. */
  get management(): ProviderManagement {
    this.assertOpen()
    const { management } = this.provided
    if (!management) throw new MillraceError('unsupported', 'this provider has no management')
    return management
  }

  /** Whether messages are delivered. */
  get started(): boolean {
    return this.running && this.closing === undefined
  }

  /** Starts or resumes deliveries. Throws `closed`. */
  start(): void {
    this.assertOpen()
    this.running = true
    for (const session of this.sessions) session.wake()
  }

  /** Pauses deliveries; resolves when the listeners that are running have returned. Sends go on. */
  async stop(): Promise<void> {
    this.assertOpen()
    this.running = false
    for (const session of this.sessions) await session.listenersDone()
  }

  /** Throws `closed`, `argument-invalid`. */
  createSession(options: SessionOptions = {}): Session {
    this.assertOpen()
    const session = new Session(this, options)
    this.sessions.add(session)
    return session
  }

  /** A queue that ends with this connection, which alone may consume from it; for replies. */
  async createTemporaryQueue<Input = unknown, Output = Input>(): Promise<Queue<Input, Output>> {
    return (await this.createTemporary('temporary-queue')) as Queue<Input, Output>
  }

  async createTemporaryTopic<Input = unknown, Output = Input>(): Promise<Topic<Input, Output>> {
    return (await this.createTemporary('temporary-topic')) as Topic<Input, Output>
  }

  /** Deletes a temporary destination before its time. Rejects with `destination-in-use` while it has consumers. */
  async deleteTemporary(destination: Destination): Promise<void> {
    this.assertOpen()
    if (!this.ownsTemporary(destination.name)) {
      throw new MillraceError(
        'destination-invalid',
        `${destination.name} is not a temporary destination of this connection`,
      )
    }
    await this.provided.deleteTemporary(destination)
    this.temporaries.delete(destination.name)
  }

  private async createTemporary(kind: 'temporary-queue' | 'temporary-topic'): Promise<Destination> {
    this.assertOpen()
    const { name } = await this.provided.createTemporary(kind)
    this.temporaries.add(name)
    return Object.freeze({ kind, name })
  }

  /** No more sends in any session; resolves when those under way are decided. @internal */
  async closeProducers(): Promise<void> {
    await Promise.all([...this.sessions].map((session) => session.closeProducers()))
  }

  /**
   * Stops, closes the sessions, and ends the connection. What is unsettled goes back to its queue. May be repeated.
   * Rejects with `illegal-state` in a listener.
   */
  async close(): Promise<void> {
    for (const session of this.sessions) session.assertOutside()
    this.closing ??= this.finish()
    await this.closing
  }

  private async finish(): Promise<void> {
    for (const session of [...this.sessions]) await session.close()
    await this.provided.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  assertOpen(): void {
    if (this.closing) throw new MillraceError('closed', 'the connection is closed')
  }

  /** @internal */
  ownsTemporary(name: string): boolean {
    return this.temporaries.has(name)
  }

  /** Declares a destination that has a policy, once. Undefined when nothing is to be waited for. @internal */
  declared(destination: TypedDestination<never>): Promise<void> | undefined {
    const { policy, name } = destination
    if (!policy || this.declarations.has(destination)) return this.declarations.get(destination)
    const declaring = this.provided.declare(name, policy).then(
      () => void this.declarations.set(destination, undefined),
      (error) => {
        this.declarations.delete(destination)
        throw error
      },
    )
    this.declarations.set(destination, declaring)
    return declaring
  }

  /** A problem that no promise reports. @internal */
  report(error: unknown): void {
    const told = isMillraceError(error)
      ? error
      : new MillraceError('illegal-state', `a callback of the application failed: ${String(error)}`, {
          cause: error,
        })
    if (this.listenerCount('error') > 0) this.emit('error', told)
    else if (!this.unheard?.(told)) process.emitWarning(told)
  }

  /** @internal */
  forget(session: Session): void {
    this.sessions.delete(session)
  }
}

/** The provider's events, given out by the connection once there is one. */
function forward(connection: () => Connection | undefined): ProviderEvents {
  return {
    disconnected: (error) => connection()?.emit('disconnected', error),
    reconnected: () => connection()?.emit('reconnected'),
    blocked: (queue, reason) => connection()?.emit('blocked', queue, reason),
    unblocked: (queue) => connection()?.emit('unblocked', queue),
    failed: (error) => connection()?.report(error),
  }
}

/** Throws `argument-invalid`, `unsupported`. */
function checkThread(thread: Thread | undefined, provider: Provider): void {
  if (thread === undefined || thread === 'main') return
  if (thread !== 'worker') {
    throw new MillraceError('argument-invalid', `thread is 'main' or 'worker', not ${JSON.stringify(thread)}`)
  }
  if (provider.threads) return
  const schemes = provider.schemes.map((scheme) => `${scheme}:`).join(', ')
  throw new MillraceError(
    'unsupported',
    `the broker behind ${schemes} does not run here; thread: 'worker' is for embedded ones`,
  )
}
