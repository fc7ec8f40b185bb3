import { MillraceError } from '../../../model/errors.ts'
import type { SenderEvents } from './events.ts'
import { ABSENT, type FlowFrame } from './hot-frames.ts'
import { Link } from './link.ts'
import type { AmqpError, DeliveryState, Fields } from './performatives.ts'
import { distance, next } from './serial.ts'
import type { PeerSession } from './session.ts'

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
  /** Of the delivery that is half way; -1 for none. */
  private unfinished = -1
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
   * bytes, null for one of the machine's making. Answers the delivery-id. `bytes` must stay as they are until they have been
   * written; everything else is copied before the return. Throws `illegal-state` without credit, detached or
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

  /**
   * Begins a delivery that goes in parts, and answers its id. Its first frame, with `prefix` as in send, goes at once: ids
   * and counts are told in the order in which they are given. Without a prefix that frame is empty, which is in order and
   * yet more than some peers can read. Throws as send.
   */
  begin(settled: boolean, format: number, tag: Uint8Array | null, prefix: Uint8Array | null = null): number {
    const { session } = this
    const id = this.claim(settled, tag)
    this.unfinished = id
    const head = session.transfers.head(id, tag, format, settled, undefined)
    session.transfer(this.outputHandle, head, prefix, empty, 0, 0, false)
    return id
  }

  /** The next part of the delivery begun; `last` ends it. The bytes must stay as in send. */
  append(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.ensureAttached()
    if (this.unfinished < 0) {
      throw new MillraceError('illegal-state', `no delivery is half way on link ${this.name}`)
    }
    if (last) this.unfinished = -1
    this.session.transfer(this.outputHandle, null, null, bytes, start, end, last)
  }

  /** Ends the delivery begun: the receiver forgets it. Does nothing when there is none. */
  abort(): void {
    if (this.unfinished < 0 || this.state === 'detached') return
    this.session.outgoing.take(this.unfinished)
    this.unfinished = -1
    this.session.abortTransfer(this.outputHandle)
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
    if (this.state !== 'attached' || this.credit === 0 || this.unfinished >= 0) this.refuseSend()
    if (tag && tag.length > MAX_TAG) {
      throw new MillraceError('argument-invalid', `a delivery tag has at most ${MAX_TAG} bytes`)
    }
    const { session } = this
    this.credit--
    this.deliveryCount = next(this.deliveryCount)
    const id = session.nextDeliveryId
    session.nextDeliveryId = next(id)
    if (!settled) session.outgoing.add(id, this.outputHandle)
    return id
  }

  private refuseSend(): never {
    this.ensureAttached()
    const why = this.unfinished >= 0 ? 'another delivery is half way' : 'there is no credit'
    throw new MillraceError('illegal-state', `nothing can be sent on link ${this.name}: ${why}`)
  }
}

const empty = new Uint8Array(0)
