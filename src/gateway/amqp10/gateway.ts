import type { Engine } from '../../engine/api.ts'
import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'
import { Operations } from '../management/operations.ts'
import { everything, type Permissions } from '../permissions.ts'
import { AmqpConnection } from './connection.ts'
import type { ConnectionOptions, ConnectionReport, GatewayOptions } from './host.ts'
import { Registry } from './registry.ts'

const MiB = 1024 * 1024

/** AMQP 1.0 in front of an engine: one per broker, with a connection for each that its host accepts. */
export class AmqpGateway {
  readonly engine: Engine
  readonly options: GatewayOptions
  readonly permissions: Permissions
  readonly limits: ReturnType<typeof limitsOf>
  readonly registry: Registry
  readonly operations: Operations
  private readonly members: Set<AmqpConnection> = new Set()

  constructor(engine: Engine, options: GatewayOptions) {
    this.engine = engine
    this.options = options
    this.registry = options.registry ?? new Registry()
    this.permissions = options.permissions ?? everything
    this.limits = limitsOf(options)
    this.operations = new Operations(engine, {
      now: () => options.clock.monotonic(),
      connections: () => this.connections(),
    })
  }

  /** A transport has been accepted. */
  connect(options: ConnectionOptions): AmqpConnection {
    const connection = new AmqpConnection(this, options)
    this.members.add(connection)
    return connection
  }

  /** Connections that have not ended. */
  get size(): number {
    return this.members.size
  }

  /** Those that have opened, by the engine's numbers. */
  connections(): readonly ConnectionReport[] {
    return [...this.members].map((connection) => connection.report()).filter(({ id }) => id !== 0)
  }

  /** Asks every client to leave; each connection tells its host when it has ended. */
  shutDown(error: AmqpError): void {
    for (const connection of [...this.members]) connection.close(error)
  }

  /** The connection has ended. */
  left(connection: AmqpConnection): void {
    this.members.delete(connection)
    this.registry.leave(connection.containerId, connection)
  }

  /** What a name without prefix or capability is. */
  kindOf(name: string): 'queue' | 'topic' {
    return this.engine.queue(name) ? 'queue' : (this.options.defaultKind ?? 'queue')
  }

  /** Wall milliseconds. */
  readonly wall = (): number => this.options.clock.wall()

  /** A name that nobody has and nobody guesses: 128 random bits. */
  uniqueName(): string {
    let name = ''
    for (let i = 0; i < 4; i++) {
      const word = Math.floor(this.options.random.next() * 0x1_0000_0000)
      name += word.toString(16).padStart(8, '0')
    }
    return name
  }
}

function limitsOf(options: GatewayOptions): {
  readonly maxMessageBytes: number
  readonly maxLinks: number
  readonly unsettledBytes: number
  readonly creditWindow: number
  readonly maxFrameSize: number
  readonly idleTimeout: number
  readonly handshakeTimeout: number
} {
  return {
    maxMessageBytes: options.maxMessageBytes ?? 128 * MiB,
    maxLinks: options.maxLinks ?? 1_000,
    unsettledBytes: options.unsettledBytes ?? 32 * MiB,
    creditWindow: options.creditWindow ?? 4_000,
    maxFrameSize: options.maxFrameSize ?? 65_536,
    idleTimeout: options.idleTimeout ?? 60_000,
    handshakeTimeout: options.handshakeTimeout ?? 10_000,
  }
}
