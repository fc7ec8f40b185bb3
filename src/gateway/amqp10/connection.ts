import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'
import type { AmqpGateway } from './gateway.ts'
import type { ConnectionOptions, ConnectionReport, HostedConnection } from './host.ts'

/** One client of the gateway, between its host's transport and the engine. */
export declare class AmqpConnection implements HostedConnection {
  constructor(gateway: AmqpGateway, options: ConnectionOptions)
  receive(bytes: Uint8Array, start?: number, end?: number): void
  takeOutput(): Uint8Array | null
  readonly outputBytes: number
  readonly readable: boolean
  tick(now: number): number
  close(error?: AmqpError): void
  closed(): void
  report(): ConnectionReport
}
