import type {
  LocalAttach,
  ReceiverEvents,
  SenderEvents,
  SessionEvents,
  TransferPart,
} from '../../src/wire/amqp10/peer/events.ts'
import {
  Peer,
  type PeerEvents,
  type PeerOptions,
  type PeerSession,
  type ReceiverLink,
  type SenderLink,
} from '../../src/wire/amqp10/peer/peer.ts'
import type { AmqpError, Attach, DeliveryState, Open } from '../../src/wire/amqp10/peer/performatives.ts'
import { bytesOf } from './raw.ts'

/** A peer that notes everything it is told, as text and as things to look at. */
export class Recorder implements PeerEvents {
  readonly log: string[] = []
  readonly peer: Peer
  identity: string | undefined
  remote: Open | undefined
  error: AmqpError | undefined
  by: string | undefined
  header: Uint8Array | undefined
  readonly sessions: RecordedSession[] = []
  wakes = 0
  /** What a server answers the open with; undefined leaves it open. */
  answer: (peer: Peer) => void

  constructor(options: Partial<PeerOptions> & { role: 'client' | 'server' }, answer?: (peer: Peer) => void) {
    this.peer = new Peer({ now: 0, ...options }, this)
    this.answer = answer ?? ((peer) => peer.open({ containerId: 'server' }))
  }

  writable(): void {
    this.wakes++
  }

  authenticated(identity: string): void {
    this.identity = identity
  }

  opened(open: Open): void {
    this.remote = open
    if (!this.isClient) this.answer(this.peer)
  }

  isClient = false

  sessionBegun(session: PeerSession): void {
    this.sessions.push(new RecordedSession(session))
  }

  closed(error: AmqpError | undefined, by: string, header?: Uint8Array): void {
    this.log.push(`closed ${by} ${error?.condition ?? ''}`.trim())
    this.error = error
    this.by = by
    this.header = header
  }

  begin(): RecordedSession {
    const recorded = new RecordedSession()
    recorded.session = this.peer.begin(recorded)
    this.sessions.push(recorded)
    return recorded
  }
}

export class RecordedSession implements SessionEvents {
  readonly log: string[] = []
  session: PeerSession
  readonly senders: RecordedSender[] = []
  readonly receivers: RecordedReceiver[] = []
  error: AmqpError | undefined
  /** What is done with an attach; by default it is accepted. */
  onAttach: (link: SenderLink | ReceiverLink, attach: Attach) => void = (link) => link.accept()

  constructor(session?: PeerSession) {
    this.session = session as PeerSession
    if (session) session.events = this
  }

  begun(): void {
    this.log.push('begun')
  }

  attached(link: SenderLink | ReceiverLink, attach: Attach): void {
    if (link.role === 'sender') {
      const sender = new RecordedSender()
      sender.link = link
      link.events = sender
      this.senders.push(sender)
    } else {
      const receiver = new RecordedReceiver()
      receiver.link = link
      link.events = receiver
      this.receivers.push(receiver)
    }
    this.onAttach(link, attach)
  }

  writable(): void {
    this.log.push('writable')
  }

  ended(error: AmqpError | undefined): void {
    this.log.push(`ended ${error?.condition ?? ''}`.trim())
    this.error = error
  }

  sender(attach: Partial<LocalAttach> = {}): RecordedSender {
    const sender = new RecordedSender()
    this.senders.push(sender)
    sender.link = this.session.attachSender(
      { name: 'link', target: node('q'), source: node('c'), ...attach },
      sender,
    )
    return sender
  }

  receiver(attach: Partial<LocalAttach> = {}): RecordedReceiver {
    const receiver = new RecordedReceiver()
    this.receivers.push(receiver)
    receiver.link = this.session.attachReceiver(
      { name: 'link', target: node('c'), source: node('q'), ...attach },
      receiver,
    )
    return receiver
  }
}

class RecordedLink<L> {
  readonly log: string[] = []
  link!: L
  error: AmqpError | undefined
  remote: Attach | undefined

  attached(attach: Attach): void {
    this.log.push('attached')
    this.remote = attach
  }

  detached(closed: boolean, error: AmqpError | undefined): void {
    this.log.push(`detached${closed ? ' closed' : ''}${error ? ` ${error.condition}` : ''}`)
    this.error = error
  }

  detachConfirmed(): void {
    this.log.push('confirmed')
  }

  disposition(first: number, last: number, state: DeliveryState | undefined, settled: boolean): void {
    this.log.push(`${state?.kind ?? 'nothing'} ${first}-${last}${settled ? ' settled' : ''}`)
    this.states.push(state)
  }

  readonly states: (DeliveryState | undefined)[] = []
}

export class RecordedSender extends RecordedLink<SenderLink> implements SenderEvents {
  properties: ReadonlyMap<string, unknown> | undefined

  flow(properties?: ReadonlyMap<string, unknown>): void {
    this.log.push(`credit ${this.link.credit}${this.link.draining ? ' draining' : ''}`)
    this.properties = properties
  }

  /** One delivery of that text. */
  send(text: string, settled = false): number {
    const bytes = Buffer.from(text)
    return this.link.send(settled, 0, null, null, bytes, 0, bytes.length)
  }
}

export class RecordedReceiver extends RecordedLink<ReceiverLink> implements ReceiverEvents {
  /** Whole deliveries as text, aborted ones as null. */
  readonly deliveries: (string | null)[] = []
  readonly ids: number[] = []
  readonly parts: Omit<TransferPart, 'bytes' | 'start' | 'end'>[] = []
  private text = ''

  transfer(part: TransferPart): void {
    const { bytes, start, end, ...rest } = part
    this.parts.push({ ...rest, tag: Uint8Array.from(part.tag) })
    this.text = (part.first ? '' : this.text) + Buffer.from(bytes.subarray(start, end)).toString('latin1')
    if (part.more) return
    this.ids.push(part.id)
    this.deliveries.push(part.aborted ? null : this.text)
  }

  drained(lapsed: number): void {
    this.log.push(`drained ${lapsed}`)
  }
}

export function node(address: string): NonNullable<LocalAttach['source']> {
  return {
    address,
    durable: 'none',
    expiryPolicy: 'session-end',
    timeout: 0,
    dynamic: false,
    capabilities: [],
    outcomes: [],
  }
}

/** A client and a server that talk through memory. */
export class Pair {
  readonly client: Recorder
  readonly server: Recorder
  /** Cuts what is sent into chunks; by default it is passed on whole. */
  cut: (bytes: Uint8Array) => Uint8Array[] = (bytes) => [bytes]

  constructor(client: Partial<PeerOptions> = {}, server: Partial<PeerOptions> = {}) {
    this.client = new Recorder({ role: 'client', ...client })
    this.client.isClient = true
    this.server = new Recorder({ role: 'server', ...server })
  }

  /** Exchanges output until both are silent. */
  pump(): this {
    for (let moved = true; moved; ) {
      moved = this.pass(this.client.peer, this.server.peer)
      moved = this.pass(this.server.peer, this.client.peer) || moved
    }
    return this
  }

  /** One turn of output in one direction. */
  pass(from: Peer, to: Peer): boolean {
    const output = from.takeOutput()
    if (!output) return false
    for (const chunk of this.cut(bytesOf(output))) to.receive(chunk)
    return true
  }

  open(): this {
    this.client.peer.open({ containerId: 'client', hostname: 'host' })
    this.client.peer.start()
    return this.pump()
  }

  /** Opened, with a session at both ends. */
  session(): [client: RecordedSession, server: RecordedSession] {
    if (!this.client.remote) this.open()
    const begun = this.client.begin()
    this.pump()
    return [begun, this.server.sessions.at(-1)!]
  }

  /** The client sends, the server receives and has granted `credit`. */
  sending(credit: number, attach: Partial<LocalAttach> = {}): [RecordedSender, RecordedReceiver] {
    const [client, server] = this.session()
    const sender = client.sender(attach)
    this.pump()
    const receiver = server.receivers.at(-1)!
    receiver.link.grant(credit)
    this.pump()
    return [sender, receiver]
  }

  /** The server sends, the client receives and has granted `credit`. */
  receiving(credit: number, attach: Partial<LocalAttach> = {}): [RecordedSender, RecordedReceiver] {
    const [client, server] = this.session()
    const receiver = client.receiver(attach)
    receiver.link.grant(credit)
    this.pump()
    return [server.senders.at(-1)!, receiver]
  }
}
