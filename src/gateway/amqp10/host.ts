import type { Clock } from '../../engine/ports/clock.ts'
import type { Random } from '../../engine/ports/random.ts'
import type { ConnectionReport } from '../../model/reports.ts'
import type { TakenOutput } from '../../wire/amqp10/peer/peer.ts'
import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'
import type { SaslServer } from '../../wire/amqp10/sasl/sasl.ts'
import type { Permissions } from '../permissions.ts'
import type { Registry } from './registry.ts'

export type { ConnectionReport, TakenOutput }

/** What a gateway is told about the broker that it stands before. */
export interface GatewayOptions {
  /** Name of this broker in its open. */
  readonly containerId: string
  /** Version of the product, told to whoever connects. */
  readonly version: string
  readonly clock: Clock
  /** For the names of temporary destinations, which nobody shall guess. */
  readonly random: Random
  /** Default: one of its own. Gateways and hosts of one broker share one, so that a client id has one user in all. */
  readonly registry?: Registry | undefined
  /** Default: everybody may do everything. */
  readonly permissions?: Permissions | undefined
  /** What an address without prefix or capability names when no queue of that name exists. Default 'queue'. */
  readonly defaultKind?: 'queue' | 'topic' | undefined
  /** Bytes. Default 128 MiB; to be the engine's own limit. */
  readonly maxMessageBytes?: number | undefined
  /** Links of one connection. Default 1000. */
  readonly maxLinks?: number | undefined
  /** Per connection: bytes delivered and not settled, and again bytes sent and not decided. Default 32 MiB. */
  readonly unsettledBytes?: number | undefined
  /** Messages that a sender may have undecided on one link. Default 4000, below what an engine holds for a full queue. */
  readonly creditWindow?: number | undefined
  /** Bytes. Default 65536. */
  readonly maxFrameSize?: number | undefined
  /** Milliseconds without a frame after which a client is given up. Default 60000; 0: never. */
  readonly idleTimeout?: number | undefined
  /** Milliseconds until a client must have said who it is. Default 10000. */
  readonly handshakeTimeout?: number | undefined
}

/** What a gateway is told about one connection of its host. */
export interface ConnectionOptions {
  /** Where the other end is, as people shall read it. */
  readonly remote: string
  /** The SASL exchange of one connection; its identity is the user. Absent: the client is `user` and no SASL is offered. */
  readonly sasl?: (() => SaslServer) | undefined
  /** With `sasl`: takes also clients that begin without it, as `user`. */
  readonly saslOptional?: boolean | undefined
  /** Who the client is when SASL does not say it. Default ''. */
  readonly user?: string | undefined
  /** Monotonic milliseconds, as in `tick`. */
  readonly now: number
  readonly events: ConnectionEvents
}

/** Calls to the host. They come within its own calls and out of the engine's turns, and must not throw. */
export interface ConnectionEvents {
  /** There is output: take it soon. Called again only after `takeOutput`. */
  writable(): void
  /** `readable` has become true again. */
  resumed(): void
  /** What `tick` has answered is too late: an open or our close has brought deadlines with it. */
  hurried?(): void
  /** The client is who it says. */
  authenticated?(user: string): void
  /**
   * The protocol has ended. Write what `takeOutput` answers, then close the transport. Called once, not after `cut`.
   * by 'peer' or 'local': in good order; otherwise `error` says what was wrong. `header`: the other protocol that was begun.
   */
  ended(end: ConnectionEnd): void
  /** A fault of ours, to be logged: the connection ends with amqp:internal-error, nothing else is touched. */
  faulted(cause: unknown): void
}

export interface ConnectionEnd {
  readonly by: 'peer' | 'local' | 'violation' | 'authentication' | 'protocol-header'
  readonly error: AmqpError | undefined
  readonly header: Uint8Array | undefined
}

/** What a host does with a connection: it carries bytes and tells the time. */
export interface HostedConnection {
  /** Bytes that came; the buffer may be used again after the call. Never throws for what they are. */
  receive(bytes: Uint8Array, start?: number, end?: number): void
  /** What is to be written, null when nothing is; it is the host's to read. */
  takeOutput(): TakenOutput | null
  /** The host has written that output and gives its memory back; once, and only if it likes. */
  written(output: TakenOutput): void
  /** Bytes that wait to be taken. */
  readonly outputBytes: number
  /** False while so much is undecided that nothing more should be read; `events.resumed` says when it may be. */
  readonly readable: boolean
  /** Keeps the time-outs; answers at which time to call again. Monotonic milliseconds. */
  tick(now: number): number
  /** Ends the connection in good order, or with an error such as amqp:connection:forced; `events.ended` follows. */
  close(error?: AmqpError): void
  /** The transport is gone. What was unsettled goes back to the queues. May be repeated. */
  cut(): void
}
