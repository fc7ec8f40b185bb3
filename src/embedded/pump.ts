import type { Socket } from 'node:net'
import { forget, writePieces } from '../client/amqp/transport.ts'
import type {
  ConnectionEnd,
  ConnectionEvents,
  HostedConnection,
  TakenOutput,
} from '../gateway/amqp10/host.ts'

/** Output that may wait in a connection before nothing more is read from a client that does not read itself. Bytes. */
const MOST_OUTPUT = 1024 * 1024
/** How long a transport may take to close after the protocol has ended. Milliseconds. */
const LINGER = 5_000
/** A connection is asked at least so often what it waits for; it says when that has come nearer. Milliseconds. */
const LONGEST_WAIT = 10_000

/** What the pumps of one server share: the turn at whose end they write, and counts. */
export class PumpStation {
  bytesIn = 0
  bytesOut = 0
  private waiting: Pump[] = []
  private readonly defer: (flush: () => void) => void

  /** `defer` calls back when what is to be answered in this turn of the event loop has been. */
  constructor(defer: (flush: () => void) => void = setImmediate) {
    this.defer = defer
  }

  /** All that has output in this turn of the event loop is written after it, each with one write. */
  schedule(pump: Pump): void {
    if (this.waiting.push(pump) === 1) this.defer(this.flush)
  }

  private readonly flush = (): void => {
    const pumps = this.waiting
    this.waiting = []
    for (const pump of pumps) pump.write()
  }
}

export interface PumpEvents {
  /** The protocol has ended; once, and only if it ended before the transport. */
  ended(end: ConnectionEnd): void
  authenticated(user: string): void
  /** It wants to be ticked sooner than `tick` has answered. */
  hurried?(): void
  faulted(cause: unknown): void
  /** The transport is gone; once. */
  closed(): void
}

export interface PumpOptions {
  /** Begins the protocol. Called with the first bytes, so that who says nothing costs next to nothing. */
  readonly connect: (events: ConnectionEvents) => HostedConnection
  readonly events: PumpEvents
  /** How long to wait for the first bytes. Milliseconds. */
  readonly patience: number
  /** Monotonic milliseconds. */
  readonly now: number
}

/** Carries bytes between a socket and the protocol: reads when there is room for the answers, writes once a turn. */
export class Pump implements ConnectionEvents {
  private readonly socket: Socket
  private readonly station: PumpStation
  private readonly options: PumpOptions
  private connection: HostedConnection | undefined
  private scheduled = false
  /** What is being written. */
  private writing: TakenOutput | undefined
  /** The last write was done when it had been asked for. */
  private atOnce = true
  /** Output was announced while a write was under way. */
  private announced = false
  private paused = false
  private held = false
  private isOver = false
  private isGone = false
  private due: number
  /** Of the wheel that it may stand in. */
  slot = -1

  constructor(socket: Socket, station: PumpStation, options: PumpOptions) {
    this.socket = socket
    this.station = station
    this.options = options
    this.due = options.now + options.patience
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.read(chunk))
    // A half-closed client cannot be answered: 'end' makes the socket end itself, and 'close' follows in every case.
    socket.on('error', ignore)
    socket.on('close', () => this.gone())
  }

  private begin(): HostedConnection {
    this.hurried()
    return this.options.connect(this)
  }

  private read(chunk: Buffer): void {
    this.station.bytesIn += chunk.length
    if (this.isOver) return
    this.connection ??= this.begin()
    this.connection.receive(chunk)
    forget(chunk)
    this.regulate()
  }

  writable(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.station.schedule(this)
  }

  resumed(): void {
    this.regulate()
  }

  authenticated(user: string): void {
    this.options.events.authenticated(user)
  }

  faulted(cause: unknown): void {
    this.options.events.faulted(cause)
  }

  /** While a write is under way, output gathers in the connection, which therefore sees how much there is. */
  write(): void {
    this.scheduled = false
    if (this.socket.destroyed) return
    if (this.writing) {
      this.announced = true
      return
    }
    const output = this.connection?.takeOutput()
    if (output) this.send(output)
    if (this.isOver) this.socket.end()
  }

  /**
   * Mostly the kernel takes it at once. With thousands of connections, a callback that says so later would find nothing of this
   * one in the caches any more, so it is asked for only when it took its time.
   */
  private send(output: TakenOutput): void {
    const { socket, atOnce } = this
    this.station.bytesOut += output.length
    writePieces(socket, output.pieces, atOnce ? undefined : this.written)
    this.atOnce = socket.writableLength === 0
    if (atOnce && this.atOnce) {
      this.connection?.written(output)
      if (this.paused) this.regulate()
      return
    }
    this.writing = output
    // It comes behind the output.
    if (atOnce) socket.write(nothing, this.written)
  }

  private readonly written = (error?: Error | null): void => {
    const output = this.writing
    this.writing = undefined
    // What could not be written may still be looked at by the transport.
    if (error) return
    if (output) this.connection?.written(output)
    // It is not announced again, and may be nothing yet but what the next turn is to gather.
    if (this.announced) {
      this.announced = false
      this.writable()
    }
    this.regulate()
  }

  private regulate(): void {
    const { connection } = this
    if (this.isOver || !connection) return
    const wanted = !this.held && connection.readable && connection.outputBytes < MOST_OUTPUT
    if (wanted !== this.paused) return
    this.paused = !wanted
    if (this.paused) this.socket.pause()
    else this.socket.resume()
  }

  /** While held, nothing is read: the client is answered, and cannot ask for more. */
  hold(held: boolean): void {
    this.held = held
    if (this.connection) this.regulate()
    else this.destroy()
  }

  /** Answers when to tick again, at most; earlier does no harm. */
  tick(now: number): number {
    if (this.isGone) return Number.POSITIVE_INFINITY
    if (now < this.due) return this.due
    if (this.connection && !this.isOver) this.due = Math.min(this.connection.tick(now), now + LONGEST_WAIT)
    else this.destroy()
    return this.due
  }

  hurried(): void {
    this.due = 0
    this.options.events.hurried?.()
  }

  ended(end: ConnectionEnd): void {
    this.isOver = true
    this.due = performance.now() + LINGER
    // What the client still sends is read and dropped: with unread bytes, closing would reset what it has not read.
    if (this.paused) this.socket.resume()
    this.writable()
    this.options.events.ended(end)
  }

  private gone(): void {
    this.isGone = true
    if (!this.isOver) this.connection?.cut()
    this.isOver = true
    this.options.events.closed()
  }

  /** Ends the transport at once. */
  destroy(): void {
    this.socket.destroy()
  }
}

const nothing = new Uint8Array(0)

function ignore(): void {}
