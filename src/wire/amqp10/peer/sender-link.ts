import { MillraceError } from '../../../model/errors.ts'
import type { SenderEvents } from './events.ts'
import { ABSENT, type FlowFrame } from './hot-frames.ts'
import { Link } from './link.ts'
import type { AmqpError, DeliveryState, Fields } from './performatives.ts'
import { distance, next } from './serial.ts'
import type { PeerSession } from './session.ts'

interface Unfinished {
  readonly id: number
  readonly tag: Uint8Array | null
  readonly format: number
  readonly settled: boolean
  started: boolean
}

const MAX_TAG = 32

/** The end of a link from which messages go. */
export class SenderLink extends Link<SenderEvents> {
  readonly role = 'sender'
  /** Deliveries that the receiver takes at present. */
  credit = 0
  /** The receiver asks for the credit back: send what there is, then call drained(). */
  draining = false
  /** Told to the receiver with each flow: messages that could be sent. */
  available = 0
  private deliveryCount: number
  private drainAsked = false
  private unfinished: Unfinished | undefined
  private told: Fields | undefined

  constructor(session: PeerSession, name: string, events: SenderEvents) {
    super(session, name, events)
    this.deliveryCount = session.firstId
  }

  protected get initialDeliveryCount(): number {
    return this.session.firstId
  }

  /**
   * Sends one delivery, whole: `prefix` (header and delivery annotations), then bytes[start, end). `tag` of at most 32
   * bytes, null for one of the machine's making. Answers the delivery-id. Everything is copied before the return unless
   * session.congested, when `bytes` must stay as they are until sent. Throws `illegal-state` without credit, detached or
   * with another delivery half way.
   */
  send(
    settled: boolean,
    format: number,
    tag: Uint8Array | null,
    prefix: Uint8Array | null,
    bytes: Uint8Array,
    start: number,
    end: number,
    state?: DeliveryState,
  ): number {
    const { session } = this
    const id = this.claim(settled, tag)
    const head = session.transfers.head(id, tag, format, settled, state)
    session.transfer(this.outputHandle, head, prefix, bytes, start, end, true)
    return id
  }

  /** Begins a delivery that goes in parts, and answers its id. Throws as send. */
  begin(settled: boolean, format: number, tag: Uint8Array | null): number {
    const id = this.claim(settled, tag)
    this.unfinished = { id, tag: tag && Uint8Array.from(tag), format, settled, started: false }
    this.session.unstarted = this
    return id
  }

  /** The next part of the delivery begun; `last` ends it. */
  append(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    const head = this.continue()
    if (last) this.unfinished = undefined
    this.session.transfer(this.outputHandle, head, null, bytes, start, end, last)
  }

  /** Ends the delivery begun: the receiver forgets it. Does nothing when there is none. */
  abort(): void {
    if (!this.unfinished || this.state === 'detached') return
    const { id } = this.unfinished
    const head = this.continue()
    this.unfinished = undefined
    this.session.outgoing.take(id)
    this.session.abortTransfer(this.outputHandle, head)
  }

  /** Gives back the credit that is left, because the receiver drains. */
  drained(): void {
    if (!this.draining) return
    this.deliveryCount = (this.deliveryCount + this.credit) >>> 0
    this.credit = 0
    this.draining = false
    this.dueFlow()
  }

  override detach(closed: boolean, error?: AmqpError): void {
    if (this.state === 'attached') this.abort()
    super.detach(closed, error)
  }

  /** Settles deliveries, or changes their state, after the receiver has given them one without settling. */
  settle(first: number, last: number, state: DeliveryState | undefined): void {
    if (this.state !== 'detached') this.session.settleOutgoing(first, last, state)
  }

  /** Sends properties with the next flow. */
  tell(properties: Fields): void {
    this.told = properties
    this.dueFlow()
  }

  /** Machine: the delivery begun goes first, with nothing in it yet, since another id is about to be given. */
  start(): void {
    const head = this.continue()
    this.session.transfer(this.outputHandle, head, null, empty, 0, 0, false)
  }

  onFlow(frame: FlowFrame): void {
    if (frame.linkCredit !== ABSENT) {
      const seen = frame.deliveryCount === ABSENT ? this.session.firstId : frame.deliveryCount
      const onTheWay = Math.max(0, distance(seen, this.deliveryCount))
      this.credit = Math.max(0, frame.linkCredit - onTheWay)
      this.drainAsked = this.draining = frame.drain
    }
    if (frame.echo) this.dueFlow()
    if (this.state === 'attached') this.events.flow(frame.properties)
  }

  writeFlow(): void {
    // The count includes what waits for the window: told before it comes, it would look like credit given back.
    if (this.state !== 'attached' || this.session.transfers.holds(this.outputHandle)) return
    this.flowDue = false
    const link = {
      handle: this.outputHandle,
      deliveryCount: this.deliveryCount,
      credit: this.credit,
      available: this.available,
      drain: this.drainAsked,
    }
    this.session.sendFlow(link, this.told)
    this.told = undefined
  }

  protected onAttached(): void {
    if (this.flowDue) this.session.peer.wake()
    if (this.credit > 0 || this.draining) this.events.flow()
  }

  protected takeInitialCount(): void {
    // It is the sender, which we are, that says where the count begins.
  }

  private claim(settled: boolean, tag: Uint8Array | null): number {
    if (this.state !== 'attached' || this.credit === 0 || this.unfinished) this.refuseSend()
    if (tag && tag.length > MAX_TAG) {
      throw new MillraceError('argument-invalid', `a delivery tag has at most ${MAX_TAG} bytes`)
    }
    const { session } = this
    session.unstarted?.start()
    this.credit--
    this.deliveryCount = next(this.deliveryCount)
    const id = session.nextDeliveryId
    session.nextDeliveryId = next(id)
    if (!settled) session.outgoing.add(id, this.outputHandle)
    return id
  }

  private refuseSend(): never {
    this.ensureAttached()
    const why = this.unfinished ? 'another delivery is half way' : 'there is no credit'
    throw new MillraceError('illegal-state', `nothing can be sent on link ${this.name}: ${why}`)
  }

  /** The head of the delivery begun, null when it has been sent. */
  private continue(): ReturnType<PeerSession['transfers']['head']> | null {
    this.ensureAttached()
    const { unfinished, session } = this
    if (!unfinished) throw new MillraceError('illegal-state', `no delivery is half way on link ${this.name}`)
    if (unfinished.started) return null
    unfinished.started = true
    session.unstarted = undefined
    return session.transfers.head(
      unfinished.id,
      unfinished.tag,
      unfinished.format,
      unfinished.settled,
      undefined,
    )
  }
}

const empty = new Uint8Array(0)
