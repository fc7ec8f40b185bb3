import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { Pump, PumpStation } from '../embedded/pump.ts'
import type { AmqpGateway } from '../gateway/amqp10/gateway.ts'
import type { ConnectionEnd } from '../gateway/amqp10/host.ts'
import type { AmqpError } from '../wire/amqp10/peer/performatives.ts'
import type { Authenticator } from './auth/authenticator.ts'
import { RateLimit } from './limits.ts'
import type { Logger } from './log.ts'
import type { ServerLoop } from './loop.ts'
import { isLoopback } from './loopback.ts'
import type { TrafficCounts } from './metrics.ts'
import { TickWheel } from './tick-wheel.ts'

/** How often time-outs are looked after. Milliseconds. */
const TICK = 50
/** Lines a second about clients that were turned away or made mistakes; they are counted in any case. */
const COMPLAINTS_PER_SECOND = 5

export interface ClientLimits {
  readonly maxConnections: number
  readonly connectionsPerSecond: number
  /** Until the first bytes, and from the beginning until the client has said who it is. Milliseconds. */
  readonly handshakeTimeout: number
}

interface ClientsParts {
  readonly gateway: AmqpGateway
  readonly authenticator: Authenticator
  readonly loop: ServerLoop
}

/** The AMQP clients of a server, whichever listener they came through. */
export class Clients {
  private readonly gateway: AmqpGateway
  private readonly authenticator: Authenticator
  private readonly logger: Logger
  private readonly limits: ClientLimits
  private readonly pumps = new Set<Pump>()
  private readonly station: PumpStation
  private readonly rate: RateLimit
  private readonly complaints: RateLimit
  private readonly wheel: TickWheel
  private readonly ticker: NodeJS.Timeout
  private accepted = 0
  private readonly refused: Record<string, number> = { 'too-many': 0, 'too-fast': 0, tls: 0, violation: 0 }
  private emptied: PromiseWithResolvers<void> | undefined
  /** Sockets that were let in, also those in their TLS handshake. */
  private open = 0

  constructor(parts: ClientsParts, limits: ClientLimits, logger: Logger) {
    const { gateway, authenticator, loop } = parts
    this.gateway = gateway
    this.authenticator = authenticator
    this.station = new PumpStation((flush) => loop.output.defer(flush))
    this.limits = limits
    this.logger = logger
    const now = performance.now()
    this.rate = new RateLimit(limits.connectionsPerSecond, now)
    this.complaints = new RateLimit(COMPLAINTS_PER_SECOND, now)
    this.wheel = new TickWheel(TICK, now)
    this.ticker = setInterval(() => this.wheel.turn(performance.now()), TICK)
  }

  /** Whether a new transport may stay; if not, it is ended. */
  admit(socket: Socket): boolean {
    const reason = this.reasonToRefuse()
    if (reason === undefined) {
      this.accepted++
      this.open++
      socket.once('close', () => this.open--)
      return true
    }
    this.refused[reason]!++
    this.complain(
      { event: 'connection-refused', reason, remote: remoteOf(socket), connections: this.open },
      `connection refused: ${reason === 'too-many' ? 'limits.maxConnections' : 'limits.connectionsPerSecond'}`,
    )
    socket.destroy()
    return false
  }

  private reasonToRefuse(): 'too-many' | 'too-fast' | undefined {
    if (this.open >= this.limits.maxConnections) return 'too-many'
    return this.rate.allows(performance.now()) ? undefined : 'too-fast'
  }

  /** A TLS handshake failed. */
  unsafe(error: Error, socket: TLSSocket): void {
    this.refused['tls']!++
    // Of a certificate that was refused, the error only says that the socket was closed.
    const reason = socket.authorizationError ?? error.message
    this.complain(
      { event: 'tls-failed', remote: remoteOf(socket), reason: String(reason) },
      'TLS handshake failed',
    )
  }

  /** Speaks AMQP on a socket. `secure`: what passes cannot be read by others. */
  serve(socket: Socket, secure: boolean): void {
    const remote = remoteOf(socket)
    const local = isLoopback(socket.remoteAddress ?? '')
    const entry = this.authenticator.entryFor(remote, local, secure)
    let user = ''
    const now = performance.now()
    const pump: Pump = new Pump(socket, this.station, {
      now,
      patience: this.limits.handshakeTimeout,
      connect: (events) => this.gateway.connect({ remote, now, events, ...entry }),
      events: {
        authenticated: (identity) => {
          user = identity
          this.logger.debug({ event: 'connected', remote, user }, 'client connected')
        },
        hurried: () => this.wheel.hurry(pump),
        ended: (end) => this.ended(end, remote, user),
        faulted: (cause) => this.faulted(cause, remote),
        closed: () => {
          this.logger.debug({ event: 'disconnected', remote, user }, 'client disconnected')
          this.remove(pump)
        },
      },
    })
    this.pumps.add(pump)
    this.wheel.add(pump, now + this.limits.handshakeTimeout)
  }

  private remove(pump: Pump): void {
    this.pumps.delete(pump)
    if (this.pumps.size === 0) this.emptied?.resolve()
  }

  private ended({ by, error, header }: ConnectionEnd, remote: string, user: string): void {
    // Who could not log in has been logged by the authenticator, who knows the name.
    if (by === 'peer' || by === 'local' || by === 'authentication') return
    this.refused['violation']!++
    const began = header ? { began: printable(header) } : {}
    const text = header ? 'a client speaks another protocol' : 'a client broke the protocol'
    const { condition, description } = error ?? {}
    this.complain({ event: 'violation', remote, user, condition, reason: description, ...began }, text)
  }

  private faulted(cause: unknown, remote: string): void {
    const { message, stack } = cause as Error
    this.logger.error({ event: 'internal-error', remote, reason: message, stack }, 'please report this')
  }

  private complain(facts: object, text: string): void {
    if (this.complaints.allows(performance.now())) this.logger.warn(facts, text)
    else this.logger.debug(facts, text)
  }

  counts(): TrafficCounts {
    const { bytesIn, bytesOut } = this.station
    const { accepted, refused } = this
    const { failedLogins } = this.authenticator
    return { open: this.open, accepted, refused, failedLogins, bytesIn, bytesOut }
  }

  /** Reads nothing more from anybody: without that, there would be no end to what is to be answered. */
  hold(): void {
    for (const pump of this.pumps) pump.hold(true)
  }

  /** Sends that have not been answered. */
  get undecided(): number {
    return this.gateway.connections().reduce((sum, { undecided }) => sum + undecided, 0)
  }

  /** Tells everybody to leave; resolves when the last has left. */
  async dismiss(error: AmqpError): Promise<void> {
    this.gateway.shutDown(error)
    for (const pump of this.pumps) pump.hold(false)
    if (this.pumps.size === 0) return
    this.emptied = Promise.withResolvers<void>()
    await this.emptied.promise
  }

  /** Ends all transports at once. */
  destroy(): void {
    clearInterval(this.ticker)
    for (const pump of [...this.pumps]) pump.destroy()
  }
}

function remoteOf(socket: Socket): string {
  const { remoteAddress = 'gone', remotePort } = socket
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
}

/** The first bytes of whatever it was, for the log. */
function printable(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, '.')
}
