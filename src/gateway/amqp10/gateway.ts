import type { Engine } from '../../engine/api.ts'
import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpConnection } from './connection.ts'
import type { ConnectionOptions, ConnectionReport, GatewayOptions } from './host.ts'

/** AMQP 1.0 in front of an engine: one per broker, with a connection for each that its host accepts. */
export class AmqpGateway {
  readonly engine: Engine
  readonly options: GatewayOptions
  private readonly members: Set<AmqpConnection> = new Set()

  constructor(engine: Engine, options: GatewayOptions) {
    this.engine = engine
    this.options = options
  }

  /** A transport has been accepted. */
  connect(options: ConnectionOptions): AmqpConnection {
    const connection = new AmqpConnection(this, options)
    this.members.add(connection)
    return connection
  }

  get size(): number {
    return this.members.size
  }

  connections(): readonly ConnectionReport[] {
    return [...this.members].map((connection) => connection.report())
  }

  /** Asks every client to leave; each connection tells its host when it has ended. */
  shutDown(error: AmqpError): void {
    for (const connection of [...this.members]) connection.close(error)
  }
}
