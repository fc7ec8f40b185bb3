import type { SaslClient, SaslServer } from '../sasl/sasl.ts'
import type { AmqpError, Attach, DeliveryState, Fields, Open } from './performatives.ts'
import type { ReceiverLink } from './receiver-link.ts'
import type { SenderLink } from './sender-link.ts'
import type { PeerSession } from './session.ts'

/** What a peer is told at birth, and what it tells. Errors thrown by these functions come out of `receive`. */

export interface PeerOptions {
  role: 'client' | 'server'
  /** Largest frame that we take, in bytes, at least 512; default 65536. */
  maxFrameSize?: number
  /** Highest channel that we take; default 255. */
  channelMax?: number
  /** Highest handle that we take, per session; default 1023. */
  handleMax?: number
  /** Milliseconds of silence that we bear, told to the other end; it is given twice as long. Default 60000, 0 none. */
  idleTimeOut?: number
  /**
   * Frames that a session may send us before it hears from us. Default 16384, more than the usual credit: what waits for the
   * window is copied.
   */
  incomingWindow?: number
  /** A client without it has no SASL layer; a server without it takes no connection that has one. */
  sasl?: SaslServer | SaslClient | undefined
  /** Server: takes connections without SASL layer too, with identity ''. */
  saslOptional?: boolean
  /** Milliseconds until the other end's open must have come, and its close after ours; default 10000. */
  handshakeTimeout?: number
  /** First delivery-id, transfer-id and delivery-count; default 0. They are serial numbers that wrap at 2³². */
  firstId?: number
  /** Monotonic milliseconds. */
  now: number
}

/** Who ended a connection. */
export type ClosedBy = 'peer' | 'local' | 'violation' | 'authentication' | 'protocol-header'

export interface PeerEvents {
  /** There is output: call takeOutput, at the end of this turn. Not called again before that. */
  writable(): void
  /** SASL is done, or was not used: identity ''. */
  authenticated(identity: string): void
  /** The other end's open has come; call tick. A server answers with open() or refuse(). */
  opened(open: Open): void
  /** The other end has begun a session, which is answered. Set session.events in this call. */
  sessionBegun(session: PeerSession): void
  /**
   * The end; sessions and links have been told before. Write what takeOutput still answers, then close the transport.
   * `header`: the bytes seen instead of the protocol header expected, at most eight.
   */
  closed(error: AmqpError | undefined, by: ClosedBy, header?: Uint8Array): void
}

export interface SessionEvents {
  /** The other end has answered our begin. */
  begun?(): void
  /**
   * The other end attaches. Set link.events, then call link.accept() or link.refuse(), now or later. A link of the same
   * name and role on this connection has been detached with amqp:link:stolen before.
   */
  attached(link: SenderLink | ReceiverLink, attach: Attach): void
  /** Nothing waits for the session window any more, after session.congested. */
  writable?(): void
  /** Over, once: ended by the other end, by a violation, by its answer to our end, or with the connection. */
  ended(error: AmqpError | undefined): void
}

interface LinkEvents {
  /** The other end's answer to our attach. Null source and target of a refusal come with detached after it. */
  attached?(attach: Attach): void
  /**
   * Detached by the other end (answered already), by a violation (told already), or because session or connection ended
   * (closed = false). A delivery that is half way is to be forgotten. Not called for our own detach.
   */
  detached(closed: boolean, error: AmqpError | undefined): void
  /** The other end has answered our detach: the name is free again. */
  detachConfirmed?(error: AmqpError | undefined): void
}

export interface SenderEvents extends LinkEvents {
  /** Credit or drain may have changed: look at link.credit and link.draining. `properties` when the flow had some. */
  flow(properties?: Fields): void
  /**
   * Deliveries first..last, each of this link and not settled before. `settled`: the other end has forgotten them, and
   * so has the machine.
   */
  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void
}

/** A part of a delivery. One object for many, filled anew for each call. */
export interface TransferPart {
  id: number
  /** Valid during the call. */
  tag: Uint8Array
  format: number
  settled: boolean
  /** State that the sender gave with it. */
  state: DeliveryState | undefined
  /** The first part of its delivery. */
  first: boolean
  /** More parts follow. */
  more: boolean
  /** The delivery is to be forgotten; it has no state and needs none. */
  aborted: boolean
  /** bytes[start, end) is valid during the call. */
  bytes: Uint8Array
  start: number
  end: number
}

export interface ReceiverEvents extends LinkEvents {
  transfer(part: TransferPart): void
  /** The sender has given a state or settled (receiver-settle-mode second); ids as in SenderEvents. */
  disposition?(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void
  /** Answer to drain(): so much credit lapsed. Called within drain() when there was no credit. */
  drained?(lapsed: number): void
  /** A flow with properties, or with a new number of available messages. */
  flow?(properties?: Fields): void
}

export type LocalAttach = Partial<Omit<Attach, 'role'>> & { name: string }
