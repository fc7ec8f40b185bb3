import type { Socket } from 'node:net'
import { MillraceError } from '../../model/errors.ts'
import type { ClosedBy, PeerEvents } from '../../wire/amqp10/peer/events.ts'
import { Peer } from '../../wire/amqp10/peer/peer.ts'
import type { AmqpError, Open } from '../../wire/amqp10/peer/performatives.ts'
import type { Dialled } from './dial.ts'
import { connectionError, lost } from './errors.ts'
import { foreignProtocol } from './foreign.ts'
import { Credentials } from './sasl.ts'
import { forget, writePieces } from './transport.ts'

export interface LineOptions {
  readonly containerId: string
  /** Nobody else may be connected under the same container id. */
  readonly exclusive: boolean
  /** Milliseconds of silence after which the other end is given up. */
  readonly idleTimeout: number
  /** Milliseconds until the connection must be established. */
  readonly handshakeTimeout: number
}

/** Capabilities by which brokers and clients know each other (docs/spec/amqp.md and the JMS mapping). */
export const MILLRACE = 'millrace'
export const RELAY = 'ANONYMOUS-RELAY'
const SOLE_CONNECTION = 'sole-connection-for-container'

/**
 * One AMQP connection over one socket, from its header to its end. What peers write within a turn of the event loop goes
 * out in one piece.
 */
export class Line implements PeerEvents {
  readonly peer: Peer
  /** What the broker said of itself. */
  open!: Open
  /** The end, once; not called for `close`. */
  onLost: (error: MillraceError) => void = () => {}
  /** Everything that came in one piece has been handed over. */
  onReceived: () => void = () => {}
  private readonly sasl: Credentials
  private readonly socket: Socket
  private readonly hostname: string | undefined
  private readonly name: string
  private readonly options: LineOptions
  private readonly opening: PromiseWithResolvers<Line> = Promise.withResolvers()
  private readonly ended: PromiseWithResolvers<void> = Promise.withResolvers()
  private timer: NodeJS.Timeout | undefined
  private flushing = false
  /** The socket has taken more than it can send. */
  private full = false
  private established = false
  private over = false

  /**
   * Introduces itself over a socket. Rejects with `connection-failed`, `protocol-mismatch`, `authentication-failed`,
   * `client-id-invalid`, and what else the broker gives as reason.
   */
  static connect(dialled: Dialled, options: LineOptions, signal: AbortSignal): Promise<Line> {
    const line = new Line(dialled, options)
    const abort = () => line.fail(new MillraceError('connection-failed', 'the attempt was given up'))
    signal.addEventListener('abort', abort, { once: true })
    return line.opening.promise.finally(() => signal.removeEventListener('abort', abort))
  }

  private constructor(dialled: Dialled, options: LineOptions) {
    const { socket, name } = dialled
    this.socket = socket
    this.name = name
    this.options = options
    const { idleTimeout: idleTimeOut, handshakeTimeout } = options
    this.sasl = new Credentials(dialled)
    const { sasl } = this
    const now = performance.now()
    this.peer = new Peer({ role: 'client', sasl, idleTimeOut, handshakeTimeout, now }, this)
    socket.on('data', (bytes) => this.received(bytes))
    socket.on('drain', () => this.drained())
    socket.on('error', (error) => this.fail(error))
    socket.on('close', () => this.fail(new Error('the other end closed the connection')))
    this.hostname = dialled.hostname
    this.peer.start()
    this.tick()
  }

  private received(bytes: Buffer): void {
    this.peer.receive(bytes)
    this.onReceived()
    forget(bytes)
  }

  /** Ends it in good order; resolves when the broker has answered, or is not heard of. */
  close(): Promise<void> {
    if (!this.over) {
      this.onLost = () => {}
      this.peer.close()
      this.tick()
    }
    return this.ended.promise
  }

  writable(): void {
    if (this.flushing || this.full) return
    this.flushing = true
    setImmediate(() => {
      this.flushing = false
      this.flush()
    })
  }

  private flush(): void {
    if (this.full || this.socket.destroyed) return
    const output = this.peer.takeOutput()
    if (!output) return
    this.full = !writePieces(this.socket, output.pieces, (error) => {
      if (!error) this.peer.written(output)
    })
  }

  private drained(): void {
    this.full = false
    this.flush()
  }

  private tick(): void {
    clearTimeout(this.timer)
    if (this.over) return
    const now = performance.now()
    const next = this.peer.tick(now)
    if (this.over || !Number.isFinite(next)) return
    this.timer = setTimeout(() => this.tick(), Math.max(1, next - now)).unref()
  }

  authenticated(): void {
    const { containerId, exclusive } = this.options
    const desired = [MILLRACE, RELAY, 'SHARED-SUBS']
    this.peer.open({
      containerId,
      hostname: this.hostname,
      desiredCapabilities: exclusive ? [...desired, SOLE_CONNECTION] : desired,
      properties: new Map([
        ['product', 'millrace'],
        ['platform', `Node.js ${process.versions.node}`],
      ]),
    })
  }

  opened(open: Open): void {
    this.open = open
    this.tick()
    // A refusal comes as open and close in a row.
    if (open.properties.has('amqp:connection-establishment-failed')) return
    this.established = true
    this.opening.resolve(this)
  }

  sessionBegun(): void {
    // Brokers do not begin sessions with clients; nobody will attach to one that does.
  }

  closed(error: AmqpError | undefined, by: ClosedBy, header?: Uint8Array): void {
    this.flush()
    this.socket.end()
    // Whoever does not close its side of the socket is not waited for.
    this.socket.setTimeout(1_000, () => this.socket.destroy())
    this.finish(this.reason(error, by, header))
  }

  private reason(error: AmqpError | undefined, by: ClosedBy, header?: Uint8Array): MillraceError {
    if (header) return foreignProtocol(this.name, header)
    if (by === 'authentication') {
      const why = this.sasl.refusal ?? error?.description ?? 'user or password are wrong'
      return new MillraceError('authentication-failed', `${this.name} does not let us in: ${why}`, {
        cause: error,
      })
    }
    if (String(error?.info?.get('invalid-field')) === 'container-id') {
      return new MillraceError(
        'client-id-invalid',
        `a client with the id ${JSON.stringify(this.options.containerId)} is connected`,
        { cause: error },
      )
    }
    const failure = this.established ? 'connection-lost' : 'connection-failed'
    return connectionError(error, failure, this.name)
  }

  /** The socket has failed, or somebody has given up. */
  private fail(cause: Error): void {
    if (this.over) return
    this.socket.destroy()
    const failure = new MillraceError('connection-failed', `${this.name} did not open: ${cause.message}`, {
      cause,
    })
    this.finish(this.established ? lost(cause) : failure)
  }

  private finish(error: MillraceError): void {
    if (this.over) return
    this.over = true
    clearTimeout(this.timer)
    this.opening.reject(error)
    this.ended.resolve()
    this.onLost(error)
  }
}
