import type { ConnectionSink, Delivery, Engine, PreparedCheck, PublishOutcome } from '../../engine/api.ts'
import type { Durability } from '../../model/delivery.ts'
import { isMillraceError, MillraceError } from '../../model/errors.ts'
import { AmqpCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { ClosedBy, PeerEvents } from '../../wire/amqp10/peer/events.ts'
import { Peer, type PeerSession, type TakenOutput } from '../../wire/amqp10/peer/peer.ts'
import type { AmqpError, Open } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpSymbol } from '../../wire/amqp10/values.ts'
import type { Operation } from '../permissions.ts'
import { CheckLinks } from './check-links.ts'
import { amqpError } from './errors.ts'
import type { AmqpGateway } from './gateway.ts'
import type { ConnectionEvents, ConnectionOptions, ConnectionReport, HostedConnection } from './host.ts'
import { Intake } from './intake.ts'
import { answerOpen, clientIdOf, productOf, unsaidDurabilityOf } from './opening.ts'
import { release } from './outcomes.ts'
import { Outlet } from './outlet.ts'
import { GatewaySession } from './session.ts'
import { Transactions } from './transactions.ts'
import { UndecidedSends } from './undecided-sends.ts'

/** A link that takes from the engine. */
export interface EngineConsumer {
  deliver(deliveries: readonly Delivery[], count: number): void
  revoked?(tag: number): void
  cancelled(error: MillraceError): void
  detached(closed: boolean): void
}

/** A link that gives to the engine. */
export interface EngineProducer {
  blocked(queue: string, reason: string): void
  unblocked(queue: string): void
  detached(closed: boolean): void
}

/** One client of the gateway, between its host's transport and the engine. */
export class AmqpConnection implements HostedConnection, PeerEvents, ConnectionSink {
  readonly gateway: AmqpGateway
  readonly engine: Engine
  readonly peer: Peer
  /** The engine's number of this connection; 0 before the client has opened. */
  number = 0
  user: string
  containerId = ''
  /** Whose durable subscriptions are meant; '' for a client without identity. */
  clientId = ''
  /** The level of messages that do not say whether they are durable. */
  unsaidDurability: Durability = 'disk'
  readonly intake: Intake
  readonly outlet: Outlet
  readonly sends: UndecidedSends = new UndecidedSends()
  readonly consumers: Map<number, EngineConsumer> = new Map()
  readonly producers: Set<EngineProducer> = new Set()
  /** Links of all sessions. */
  links = 0
  // What few clients use is made when it is needed: there may be tens of thousands of them.
  private requests: Map<number, () => void> | undefined
  private ownTransactions: Transactions | undefined
  private ownChecks: CheckLinks | undefined
  private readonly events: ConnectionEvents
  private readonly remote: string
  private readonly since: number
  private nextRequest = 1
  private isOver = false

  constructor(gateway: AmqpGateway, options: ConnectionOptions) {
    this.gateway = gateway
    this.engine = gateway.engine
    this.user = options.user ?? ''
    this.events = options.events
    this.remote = options.remote
    this.since = options.now
    const { unsettledBytes, maxFrameSize, idleTimeout, handshakeTimeout, maxLinks } = gateway.limits
    this.intake = new Intake(unsettledBytes, () => this.events.resumed())
    this.outlet = new Outlet(unsettledBytes, () => this.peer.outputBytes)
    this.peer = new Peer(
      {
        role: 'server',
        maxFrameSize,
        idleTimeOut: idleTimeout,
        handshakeTimeout,
        handleMax: maxLinks - 1,
        sasl: options.sasl?.(),
        saslOptional: options.saslOptional ?? false,
        now: options.now,
      },
      this,
    )
  }

  // What the peer tells.

  writable(): void {
    this.events.writable()
  }

  authenticated(identity: string): void {
    if (identity !== '') this.user = identity
    this.events.authenticated?.(this.user)
  }

  opened(open: Open): void {
    this.guard(() => this.answer(open))
  }

  sessionBegun(session: PeerSession): void {
    session.events = new GatewaySession(this)
  }

  closed(error: AmqpError | undefined, by: ClosedBy, header?: Uint8Array): void {
    const wasOver = this.isOver
    this.leave()
    if (!wasOver) this.events.ended({ by, error, header })
  }

  // What the host does.

  receive(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    try {
      this.peer.receive(bytes, start, end)
    } catch (cause) {
      this.fault(cause)
    }
  }

  takeOutput(): TakenOutput | null {
    const output = this.peer.takeOutput()
    if (this.outlet.isWaited) this.guard(() => this.outlet.wake())
    return output
  }

  written(output: TakenOutput): void {
    this.peer.written(output)
  }

  get outputBytes(): number {
    return this.peer.outputBytes
  }

  get readable(): boolean {
    return this.intake.readable
  }

  tick(now: number): number {
    return this.peer.tick(now)
  }

  close(error?: AmqpError): void {
    if (this.isOver) return
    this.peer.close(error)
    this.events.hurried?.()
  }

  cut(): void {
    this.leave()
  }

  report(): ConnectionReport {
    const { remote, user, containerId, links } = this
    return {
      id: this.number,
      remote,
      user,
      containerId,
      product: productOf(this.peer.remoteOpen),
      links,
      unsettled: this.outlet.count,
      undecided: this.sends.count,
      age: this.gateway.options.clock.monotonic() - this.since,
    }
  }

  /** A fault of ours ends this connection and nothing else. */
  guard(work: () => void): void {
    try {
      work()
    } catch (cause) {
      this.fault(cause)
    }
  }

  fault(cause: unknown): void {
    this.events.faulted(cause)
    this.close({
      condition: AmqpCondition.internalError,
      description: 'the broker has met a fault of its own',
    })
  }

  permits(operation: Operation, kind: 'queue' | 'topic', name: string): boolean {
    return this.gateway.permissions.permits(this.user, operation, kind, name)
  }

  /** Throws `not-permitted`. */
  assertPermitted(operation: Operation, kind: 'queue' | 'topic', name: string): void {
    if (this.permits(operation, kind, name)) {
      const topic = operation === 'create' && kind === 'queue' ? this.engine.virtualTopicOf(name) : undefined
      if (topic !== undefined) this.assertPermitted('receive', 'topic', topic)
      return
    }
    const who = this.user === '' ? 'an anonymous client' : `user ${JSON.stringify(this.user)}`
    throw new MillraceError('not-permitted', `${who} may not ${operation} ${kind} ${JSON.stringify(name)}`)
  }

  /** A number for a settlement request; `durable` is called when the engine has answered it. */
  request(durable: () => void): number {
    this.requests ??= new Map()
    this.requests.set(this.nextRequest, durable)
    return this.nextRequest++
  }

  forgetRequest(number: number): void {
    this.requests?.delete(number)
  }

  get transactions(): Transactions {
    this.ownTransactions ??= new Transactions(this.engine)
    return this.ownTransactions
  }

  get checks(): CheckLinks {
    this.ownChecks ??= new CheckLinks(this)
    return this.ownChecks
  }

  private answer(open: Open): void {
    try {
      this.containerId = open.containerId
      const answer = answerOpen(this, open)
      this.clientId = clientIdOf(open)
      this.unsaidDurability = unsaidDurabilityOf(open)
      const { clientId } = this
      this.number = this.engine.connect(this, { clientId: clientId === '' ? undefined : clientId })
      this.peer.open(answer)
    } catch (cause) {
      if (!isMillraceError(cause)) throw cause
      this.peer.refuse(refusal(cause))
    }
    this.events.hurried?.()
  }

  private leave(): void {
    if (this.isOver) return
    this.isOver = true
    this.gateway.left(this)
    if (this.number === 0) return
    this.engine.disconnect(this.number)
    // Nobody else tells the links when the transport is gone.
    for (const link of [...this.consumers.values(), ...this.producers]) link.detached(false)
  }

  // What the engine tells.

  published(outcomes: readonly PublishOutcome[]): void {
    try {
      this.sends.published(outcomes)
    } catch (cause) {
      this.fault(cause)
    }
  }

  settled(requests: readonly number[]): void {
    this.guard(() => {
      for (const number of requests) {
        const durable = this.requests?.get(number)
        this.requests?.delete(number)
        durable?.()
      }
    })
  }

  deliver(consumer: number, deliveries: readonly Delivery[], count: number): void {
    const link = this.consumers.get(consumer)
    if (link) return this.guard(() => link.deliver(deliveries, count))
    // It was detached in this turn, when these were on their way to it.
    this.engine.settle(consumer, deliveries[0]!.tag, deliveries[count - 1]!.tag, release)
  }

  revoked(consumer: number, tag: number): void {
    this.guard(() => this.consumers.get(consumer)?.revoked?.(tag))
  }

  cancelled(consumer: number, error: MillraceError): void {
    this.guard(() => this.consumers.get(consumer)?.cancelled(error))
  }

  blocked(queue: string, reason: string): void {
    this.guard(() => {
      for (const link of this.producers) link.blocked(queue, reason)
    })
  }

  unblocked(queue: string): void {
    this.guard(() => {
      for (const link of this.producers) link.unblocked(queue)
    })
  }

  check(prepared: readonly PreparedCheck[]): void {
    this.guard(() => this.checks.ask(prepared))
  }

  /** Nothing will be confirmed any more. */
  failed(error: MillraceError): void {
    this.close(amqpError(error))
  }
}

/** JMS clients know a taken client id by this (Enforcing Connection Uniqueness). */
function refusal(error: MillraceError): AmqpError {
  const refused = amqpError(error)
  if (error.code !== 'client-id-invalid') return refused
  return { ...refused, info: new Map([...refused.info!, ['invalid-field', new AmqpSymbol('container-id')]]) }
}
