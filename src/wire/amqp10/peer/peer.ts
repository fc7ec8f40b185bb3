import { MillraceError } from '../../../model/errors.ts'
import type { SaslClient, SaslServer } from '../sasl/sasl.ts'
import { AmqpCondition, ConnectionCondition } from './conditions.ts'
import { Deadlines } from './deadlines.ts'
import { Descriptor } from './descriptors.ts'
import type { ClosedBy, PeerEvents, PeerOptions, SessionEvents } from './events.ts'
import { FrameDecoder, type Seldom } from './frame-decoder.ts'
import { Framer, type FrameSink } from './framer.ts'
import { Output, recycle, type TakenOutput } from './output.ts'
import type { BeginFrame } from './performative-decoder.ts'
import { encodeClose, encodeOpen } from './performative-encoder.ts'
import { type AmqpError, noFields, type Open } from './performatives.ts'
import type { ReceiverLink } from './receiver-link.ts'
import { SaslClientLayer, type SaslHost, SaslServerLayer } from './sasl-layer.ts'
import type { SenderLink } from './sender-link.ts'
import { PeerSession } from './session.ts'
import { errorOf } from './violation.ts'

export type * from './events.ts'
export type { TakenOutput } from './output.ts'
export type { ReceiverLink } from './receiver-link.ts'
export type { SenderLink } from './sender-link.ts'
export type { PeerSession } from './session.ts'

/** 2.3: what every peer takes, and all that a SASL frame may have. */
const MIN_MAX_FRAME_SIZE = 512
/** Shorter idle time-outs than this, in milliseconds, are refused: they cost more than they tell. */
const MIN_IDLE_TIME_OUT = 100

/** Of all connections: a frame is done with before the next is decoded. */
const decoder = new FrameDecoder()

const AMQP = 0
const SASL = 3
const empty = new Uint8Array(0)
/** 2.4.5: its bytes. */
const EMPTY_FRAME = 8

export type OpenFields = Pick<Open, 'containerId'> &
  Partial<Pick<Open, 'hostname' | 'offeredCapabilities' | 'desiredCapabilities' | 'properties'>>

/**
 * One end of an AMQP 1.0 connection (ISO/IEC 19464, core 2): bytes in, events out; calls in, bytes out. It has no timer, no
 * socket and no clock. Bad input never throws: it ends the link, session or connection with the condition that the
 * specification gives it. What is not read yet is at most one frame.
 *
 *   const peer = new Peer(options, events)
 *   peer.start()                                  client: writes the header
 *   socket: data → peer.receive(chunk)            writable() → at the end of the turn: write its pieces to the socket
 *   peer.tick(now) → when to tick again           also after opened and after close()
 */
export class Peer implements FrameSink {
  /** Machine. */
  readonly output: Output = new Output()
  readonly handleMax: number
  readonly incomingWindow: number
  readonly firstId: number
  remoteMaxFrameSize: number = MIN_MAX_FRAME_SIZE
  remoteOpen: Open | undefined
  private readonly options: PeerOptions
  private readonly events: PeerEvents
  private readonly maxFrameSize: number
  private readonly channelMax: number
  private readonly idleTimeOut: number
  private readonly deadlines: Deadlines
  private readonly framer: Framer
  private phase: 'header' | 'sasl' | 'opening' | 'opened' | 'closing' | 'closed' = 'header'
  private layer: SaslServerLayer | SaslClientLayer | undefined
  private isAuthenticated = false
  private isPaused = false
  private isAwake = false
  private headerSent = false
  private openSent = false
  private wantedOpen: OpenFields | undefined
  private readonly byChannel: (PeerSession | undefined)[] = []
  private readonly byRemoteChannel: (PeerSession | undefined)[] = []
  private readonly names = new Map<string, SenderLink | ReceiverLink>()

  constructor(options: PeerOptions, events: PeerEvents) {
    this.options = options
    this.events = events
    this.maxFrameSize = Math.max(MIN_MAX_FRAME_SIZE, options.maxFrameSize ?? 65_536)
    this.channelMax = Math.min(0xffff, options.channelMax ?? 255)
    this.handleMax = options.handleMax ?? 1023
    this.idleTimeOut = options.idleTimeOut ?? 60_000
    this.incomingWindow = options.incomingWindow ?? 16_384
    this.firstId = options.firstId ?? 0
    this.deadlines = new Deadlines(options.now, options.handshakeTimeout ?? 10_000, this.idleTimeOut)
    this.framer = new Framer(this)
  }

  /** Client: writes the first header. */
  start(): void {
    this.writeHeader(this.options.sasl ? SASL : AMQP)
  }

  /** Bytes from the transport: bytes[start, end), which may be reused after the return. */
  receive(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (this.phase === 'closed') return
    this.deadlines.heard = true
    const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.framer.feed(buffer, start, end)
  }

  /** What is to be written; null when there is nothing. The bytes are the caller's, to be read. */
  takeOutput(): TakenOutput | null {
    this.isAwake = true
    if (this.live) this.flush()
    this.isAwake = false
    const taken = this.output.take()
    // Otherwise a sign of life would put off the next.
    if (taken && taken.length > EMPTY_FRAME) this.deadlines.wrote = true
    return taken
  }

  /** What was taken has been written: its memory may be used again. */
  written(output: TakenOutput): void {
    recycle(output)
  }

  /** Bytes that wait to be taken, without what a turn still gathers. */
  get outputBytes(): number {
    return this.output.length
  }

  get sessions(): Iterable<PeerSession> {
    return this.byChannel.filter((session) => session !== undefined)
  }

  /** Looks at the deadlines at `now`, monotonic milliseconds; answers when to be called again, Infinity for never. */
  tick(now: number): number {
    const { deadlines } = this
    if (this.phase === 'closed') return Number.POSITIVE_INFINITY
    const handshaking = this.phase !== 'opened'
    if (handshaking && deadlines.handshakeOver(now)) {
      this.expire(this.phase === 'closing' ? 'no answer to close came in time' : 'no open came in time')
    } else if (deadlines.isSilent(now)) {
      this.expire(`nothing has come for more than ${2 * this.idleTimeOut} ms`)
    } else if (deadlines.isKeepAliveDue(now, this.live ? (this.remoteOpen?.idleTimeOut ?? 0) : 0)) {
      this.output.frame(0, 0, empty)
      this.wake()
    }
    if (this.over) return Number.POSITIVE_INFINITY
    const handshake = handshaking ? deadlines.handshakeDeadline : Number.POSITIVE_INFINITY
    return Math.min(handshake, deadlines.silenceDeadline, deadlines.keepAliveDeadline)
  }

  private expire(description: string): void {
    this.violate({ condition: AmqpCondition.resourceLimitExceeded, description })
  }

  /** Opens our end, as soon as the handshake allows. */
  open(fields: OpenFields): void {
    if (this.openSent || this.over) return
    if (this.headerSent && (this.isAuthenticated || !this.options.sasl)) this.sendOpen(fields)
    else this.wantedOpen = fields
  }

  private sendOpen(fields: OpenFields): void {
    this.openSent = true
    this.wantedOpen = undefined
    const open: Open = {
      maxFrameSize: this.maxFrameSize,
      channelMax: this.channelMax,
      idleTimeOut: this.idleTimeOut,
      offeredCapabilities: [],
      desiredCapabilities: [],
      properties: noFields,
      ...fields,
    }
    this.write(0, encodeOpen(open))
  }

  /** Server: opens and closes at once, so that the client knows that its connection failed and is not lost. */
  refuse(error: AmqpError, fields: Partial<OpenFields> = {}): void {
    const properties = new Map([...(fields.properties ?? []), ['amqp:connection-establishment-failed', true]])
    this.open({ containerId: '', ...fields, properties })
    this.close(error)
  }

  /** Begins a session. Throws `illegal-state` before open() has been written, after close, or above channel-max. */
  begin(events: SessionEvents): PeerSession {
    if (!this.live) throw new MillraceError('illegal-state', 'the connection is not open')
    const session = this.addSession(events)
    if (!session) throw new MillraceError('illegal-state', 'the other end takes no more sessions')
    session.begin()
    return session
  }

  private addSession(events?: SessionEvents): PeerSession | undefined {
    let channel = 0
    while (this.byChannel[channel]) channel++
    if (channel > Math.min(this.channelMax, this.remoteOpen?.channelMax ?? 0xffff)) return undefined
    const session = new PeerSession(this, channel, events)
    this.byChannel[channel] = session
    return session
  }

  /** Closes; `closed` comes with the other end's answer, or when tick says that it did not come. */
  close(error?: AmqpError): void {
    if (this.phase === 'closing' || this.phase === 'closed') return
    if (!this.sendClose(error)) return this.finish(undefined, 'local')
    this.phase = 'closing'
    this.deadlines.restartHandshake()
  }

  /** False when the handshake has not come so far that the other end would understand. */
  private sendClose(error: AmqpError | undefined): boolean {
    if (this.phase !== 'opening' && this.phase !== 'opened') return false
    if (!this.openSent) this.sendOpen(this.wantedOpen ?? { containerId: '' })
    this.flush()
    this.output.frame(0, 0, encodeClose(error))
    this.wake()
    return true
  }

  /** Machine: the other end has broken a rule of the connection. */
  violate(error: AmqpError): void {
    if (this.over) return
    this.sendClose(error)
    this.finish(error, 'violation')
  }

  private finish(error: AmqpError | undefined, by: ClosedBy, header?: Uint8Array): void {
    this.phase = 'closed'
    this.layer?.stop()
    for (const session of this.sessions) session.drop(error)
    this.byChannel.length = this.byRemoteChannel.length = 0
    this.events.closed(error, by, header)
  }

  /** Machine: frames of sessions can be written. */
  get live(): boolean {
    return this.openSent && (this.phase === 'opened' || this.phase === 'opening' || this.phase === 'header')
  }

  /** Machine: there is something to be written in this turn. */
  wake(): void {
    if (this.isAwake) return
    this.isAwake = true
    this.events.writable()
  }

  /** Machine: a frame, which the other end must have room for. */
  write(channel: number, body: Uint8Array): void {
    const limit = this.remoteOpen ? this.remoteMaxFrameSize : Number.POSITIVE_INFINITY
    if (body.length + 8 > limit) {
      const description = `a performative of ${body.length} bytes does not fit a frame of ${limit} bytes`
      return this.violate({ condition: AmqpCondition.frameSizeTooSmall, description })
    }
    this.output.frame(0, channel, body)
    this.wake()
  }

  private flush(): void {
    for (const session of this.byChannel) session?.flush()
  }

  /** Writes what has been settled in this turn, so that what is sent next does not overtake it. */
  writeDispositions(): void {
    if (this.live) for (const session of this.byChannel) session?.flushDispositions()
  }

  linkNamed(role: string, name: string): SenderLink | ReceiverLink | undefined {
    return this.names.get(role + name)
  }

  rememberName(link: SenderLink | ReceiverLink): void {
    this.names.set(link.role + link.name, link)
  }

  forgetName(link: SenderLink | ReceiverLink): void {
    const key = link.role + link.name
    if (this.names.get(key) === link) this.names.delete(key)
  }

  forgetSession(session: PeerSession): void {
    this.byChannel[session.channel] = undefined
    this.byRemoteChannel[session.remoteChannel] = undefined
  }

  // What the framer asks, with each frame.

  get expectsHeader(): boolean {
    return this.phase === 'header'
  }

  get paused(): boolean {
    return this.isPaused
  }

  get over(): boolean {
    return this.phase === 'closed'
  }

  get largestFrame(): number {
    return this.phase === 'sasl' ? MIN_MAX_FRAME_SIZE : this.maxFrameSize
  }

  get largestPause(): number {
    return this.maxFrameSize
  }

  malformed(description: string): void {
    this.violate({ condition: ConnectionCondition.framingError, description })
  }

  private writeHeader(protocol: number): void {
    this.headerSent = true
    this.output.raw(Uint8Array.of(0x41, 0x4d, 0x51, 0x50, protocol, 1, 0, 0), 0, 8)
    this.wake()
  }

  /** 2.2: version negotiation. */
  header(bytes: Buffer, start: number, end: number): void {
    const { sasl, role, saslOptional } = this.options
    const isAmqp = end - start === 8 && bytes.readUInt32BE(start) === 0x414d_5150
    const is100 = isAmqp && bytes.readUIntBE(start + 5, 3) === 0x01_00_00
    const protocol = is100 ? bytes[start + 4] : -1
    if (protocol === SASL && sasl && !this.isAuthenticated) return this.beginSasl(sasl)
    const mayOpen = this.isAuthenticated || !sasl || (role === 'server' && saslOptional)
    if (protocol === AMQP && mayOpen) return this.beginOpening()
    if (role === 'server') this.writeHeader(mayOpen && !saslOptional ? AMQP : SASL)
    const seen = Uint8Array.from(bytes.subarray(start, end))
    const description = `the protocol header is ${JSON.stringify(bytes.toString('latin1', start, end))}`
    this.finish({ condition: ConnectionCondition.framingError, description }, 'protocol-header', seen)
  }

  private beginSasl(sasl: SaslServer | SaslClient): void {
    this.phase = 'sasl'
    const host = this.saslHost()
    if (this.options.role === 'client') {
      this.layer = new SaslClientLayer(host, sasl as SaslClient, this.wantedOpen?.hostname)
      return
    }
    this.writeHeader(SASL)
    const layer = new SaslServerLayer(host, sasl as SaslServer)
    this.layer = layer
    layer.begin()
  }

  private saslHost(): SaslHost {
    return {
      writeSasl: (body) => {
        this.output.frame(1, 0, body)
        this.wake()
      },
      pause: () => {
        this.isPaused = true
      },
      resume: () => {
        this.isPaused = false
        this.framer.resume()
      },
      authenticated: (identity) => this.onAuthenticated(identity),
      refused: (error, by) => this.finish(error, by),
    }
  }

  private onAuthenticated(identity: string): void {
    this.isAuthenticated = true
    this.phase = 'header'
    if (this.options.role === 'client') {
      this.writeHeader(AMQP)
      if (this.wantedOpen) this.sendOpen(this.wantedOpen)
    }
    this.events.authenticated(identity)
  }

  private beginOpening(): void {
    this.phase = 'opening'
    if (this.options.role === 'server') this.writeHeader(AMQP)
    if (this.wantedOpen) this.sendOpen(this.wantedOpen)
    if (this.isAuthenticated) return
    // Nobody had to say who they are.
    this.isAuthenticated = true
    this.events.authenticated('')
  }

  /** 2.3.1: size (4), data offset in words (1), type (1), channel (2), extended header, body. */
  frame(bytes: Buffer, start: number, end: number): void {
    const at = start + bytes[start + 4]! * 4
    const type = bytes[start + 5]!
    if (at < start + 8 || at > end) return this.malformed('the data offset of a frame lies outside of it')
    if (type !== (this.phase === 'sasl' ? 1 : 0)) return this.malformed(`a frame of type ${type} came`)
    if (this.phase === 'sasl') this.layer?.receive(bytes, at, end)
    else if (at < end) this.onPerformative(bytes, at, end, (bytes[start + 6]! << 8) | bytes[start + 7]!)
  }

  private onPerformative(bytes: Buffer, at: number, end: number, channel: number): void {
    try {
      decoder.decode(bytes, at, end)
    } catch (thrown) {
      return this.violate(errorOf(thrown))
    }
    if (decoder.seldom) return this.onSeldom(decoder.seldom, channel)
    const session = this.sessionOn(channel)
    if (!session) return
    if (decoder.code === Descriptor.transfer) session.onTransfer(decoder.transfer, bytes, end)
    else if (decoder.code === Descriptor.disposition) session.onDisposition(decoder.disposition)
    else session.onFlow(decoder.flow)
  }

  private onSeldom(frame: Seldom, channel: number): void {
    switch (frame.kind) {
      case 'open':
        return this.onOpen(frame.value)
      case 'begin':
        return this.onBegin(frame.value, channel)
      case 'attach':
        return this.sessionOn(channel)?.onAttach(frame.value)
      case 'detach':
        return this.sessionOn(channel)?.onDetach(frame.value)
      case 'end':
        return this.sessionOn(channel)?.onEnd(frame.value)
      case 'close':
        return this.onClose(frame.value)
    }
  }

  /** The session of a frame; undefined when the frame is to be passed over, or has ended the connection. */
  private sessionOn(channel: number): PeerSession | undefined {
    if (this.phase === 'closing') return undefined
    const session = this.phase === 'opened' ? this.byRemoteChannel[channel] : undefined
    if (!session) this.illegalState(`a frame came on channel ${channel}, where no session has begun`)
    return session
  }

  private illegalState(description: string): void {
    this.violate({ condition: AmqpCondition.illegalState, description })
  }

  private onOpen(open: Open): void {
    if (this.remoteOpen) return this.illegalState('a second open came')
    this.remoteOpen = open
    if (open.maxFrameSize < MIN_MAX_FRAME_SIZE) {
      const description = `max-frame-size ${open.maxFrameSize} is below ${MIN_MAX_FRAME_SIZE}`
      return this.violate({ condition: AmqpCondition.invalidField, description })
    }
    this.remoteMaxFrameSize = open.maxFrameSize
    if (open.idleTimeOut > 0 && open.idleTimeOut < MIN_IDLE_TIME_OUT) {
      const description = `an idle-time-out of ${open.idleTimeOut} ms cannot be kept`
      return this.violate({ condition: AmqpCondition.notAllowed, description })
    }
    if (this.phase !== 'opening') return
    this.phase = 'opened'
    this.events.opened(open)
  }

  private onBegin(frame: BeginFrame, channel: number): void {
    if (this.phase === 'closing') return
    if (this.phase !== 'opened') return this.illegalState('begin came before open')
    if (channel > this.channelMax) return this.malformed(`channel ${channel} is above ${this.channelMax}`)
    if (this.byRemoteChannel[channel]) return this.illegalState(`channel ${channel} is in use`)
    const answered = frame.remoteChannel >= 0 ? this.byChannel[frame.remoteChannel] : undefined
    if (answered && answered.remoteChannel < 0) {
      this.byRemoteChannel[channel] = answered
      answered.onBegin(frame, channel)
      answered.events.begun?.()
    } else if (frame.remoteChannel >= 0) {
      this.illegalState(`nobody has begun a session on channel ${frame.remoteChannel}`)
    } else {
      this.takeSession(frame, channel)
    }
  }

  private takeSession(frame: BeginFrame, channel: number): void {
    const session = this.addSession()
    if (!session) {
      const description = 'there is no channel left to answer on'
      return this.violate({ condition: AmqpCondition.resourceLimitExceeded, description })
    }
    this.byRemoteChannel[channel] = session
    session.onBegin(frame, channel)
    session.begin()
    this.events.sessionBegun(session)
  }

  private onClose(error: AmqpError | undefined): void {
    if (this.phase === 'closing') return this.finish(error, 'local')
    if (this.phase === 'opening') return this.illegalState('close came before open')
    this.sendClose(undefined)
    this.finish(error, 'peer')
  }
}
