import { AmqpCondition, LinkCondition } from './conditions.ts'
import type { ReceiverEvents, TransferPart } from './events.ts'
import { ABSENT, type FlowFrame, type TransferFrame } from './hot-frames.ts'
import { Link } from './link.ts'
import type { DeliveryState, Fields } from './performatives.ts'
import { distance, next } from './serial.ts'

const MAX_TAG = 32
const none: Buffer = Buffer.alloc(0)

/** A part of a delivery as its link's events are shown it. */
class Part implements TransferPart {
  id = 0
  tag: Uint8Array = none
  format = 0
  settled = false
  state: DeliveryState | undefined
  first = true
  more = false
  aborted = false
  bytes: Uint8Array = none
  start = 0
  end = 0
  private readonly tagMemory = new Uint8Array(MAX_TAG)
  private readonly tags: Uint8Array[] = []

  /** A view of our own memory, one per length, so that a tag makes no garbage and outlives the frame. */
  copyTag(bytes: Buffer, start: number, end: number): void {
    const size = end - start
    for (let i = 0; i < size; i++) this.tagMemory[i] = bytes[start + i]!
    this.tags[size] ??= this.tagMemory.subarray(0, size)
    this.tag = this.tags[size]
  }
}

/** For the deliveries of any link that come in one frame: with thousands of links, an object of each would be out of the caches. */
const whole = new Part()

/** The end of a link to which messages come. */
export class ReceiverLink extends Link<ReceiverEvents> {
  readonly role = 'receiver'
  /** Deliveries that we still take. */
  credit = 0
  /** What the sender said last: messages that it could send. */
  available = 0
  private deliveryCount = 0
  private draining = false
  private lapsed = 0
  private told: Fields | undefined
  /** Bytes of the delivery that is half way; -1 between deliveries. */
  private received = -1
  /** Of the delivery that is half way, even when nobody listens any more. */
  private id = 0
  /** For deliveries that come in several frames; undefined as long as there was none. */
  private part: Part | undefined

  protected get initialDeliveryCount(): number {
    return 0
  }

  /** Takes `credit` more deliveries; the sender is told at the end of the turn. */
  grant(credit: number): void {
    this.credit += credit
    this.dueFlow()
  }

  /** Asks for the credit back: the sender sends what it has, and `drained` says how much lapsed. */
  drain(): void {
    if (this.state === 'detached') return
    this.draining = true
    if (this.credit === 0) this.endDrain()
    else this.dueFlow()
  }

  /** Sends properties with the next flow. */
  tell(properties: Fields): void {
    this.told = properties
    this.dueFlow()
  }

  /** Sends a flow with properties now, in front of settlements that come after this call. */
  tellFirst(properties: Fields): void {
    if (this.state !== 'attached') return
    this.told = this.told === undefined ? properties : new Map([...this.told, ...properties])
    this.writeFlow()
  }

  /**
   * Gives deliveries first..last of this link a state and, when `settled`, forgets them. Those that are settled already
   * are passed over; answers false when it was the only one. Calls in a row that say the same of ids that adjoin become
   * one frame.
   */
  settle(first: number, last: number, state: DeliveryState, settled = true): boolean {
    return this.state !== 'detached' && this.session.settleIncoming(first, last, state, settled)
  }

  onFlow(frame: FlowFrame): void {
    const changed = frame.available !== ABSENT && frame.available !== this.available
    if (changed) this.available = frame.available
    if (frame.deliveryCount !== ABSENT) this.catchUp(frame.deliveryCount)
    if (frame.echo) this.dueFlow()
    if (this.state === 'attached' && (changed || frame.properties)) this.events.flow?.(frame.properties)
  }

  /** The sender's count runs ahead of what has come when it gives credit back. */
  private catchUp(deliveryCount: number): void {
    const lapsed = distance(this.deliveryCount, deliveryCount)
    if (lapsed > 0) {
      this.deliveryCount = deliveryCount
      this.lapsed += Math.min(lapsed, this.credit)
      this.credit = Math.max(0, this.credit - lapsed)
    }
    if (this.draining && this.credit === 0 && this.state === 'attached') this.endDrain()
  }

  private endDrain(): void {
    const { lapsed } = this
    this.draining = false
    this.lapsed = 0
    this.events.drained?.(lapsed)
  }

  writeFlow(): void {
    if (this.state !== 'attached') return
    this.flowDue = false
    const { outputHandle: handle, deliveryCount, credit, draining: drain } = this
    this.session.sendFlow({ handle, deliveryCount, credit, available: this.available, drain }, this.told)
    this.told = undefined
  }

  protected onAttached(): void {
    if (this.flowDue) this.session.peer.wake()
  }

  protected takeInitialCount(count: number): void {
    this.deliveryCount = count
  }

  /** Machine. What comes after our detach is passed over. */
  onTransfer(frame: TransferFrame, bytes: Buffer, end: number): void {
    const first = this.received < 0
    if (!(first ? this.startsWell(frame) : this.continuesWell(frame))) return
    const more = frame.more && !frame.aborted
    const received = Math.max(0, this.received) + end - frame.payload
    this.received = more ? received : -1
    if (this.state === 'detached' || (first && !this.takeCredit())) return
    if (this.isTooLarge(received)) return
    const part = this.partFor(first && !more)
    if (first) this.begin(part, frame, bytes)
    else this.advance(part, frame)
    this.deliver(part, frame, first, more, bytes, end)
  }

  private partFor(isWhole: boolean): Part {
    if (isWhole) return whole
    this.part ??= new Part()
    return this.part
  }

  private startsWell(frame: TransferFrame): boolean {
    const { session } = this
    if (frame.deliveryId === ABSENT || frame.tagStart === ABSENT) {
      session.fail(AmqpCondition.notAllowed, 'the first transfer of a delivery has no delivery-id or no tag')
      return false
    }
    if (frame.tagEnd - frame.tagStart > MAX_TAG) {
      session.fail(AmqpCondition.invalidField, `a delivery-tag has more than ${MAX_TAG} bytes`)
      return false
    }
    this.id = frame.deliveryId
    return session.takeDeliveryId(frame.deliveryId)
  }

  private continuesWell(frame: TransferFrame): boolean {
    if (frame.deliveryId === ABSENT || frame.deliveryId === this.id) return true
    this.session.fail(
      AmqpCondition.notAllowed,
      `delivery ${this.id} is half way, and ${frame.deliveryId} came on its link`,
    )
    return false
  }

  private takeCredit(): boolean {
    if (this.state !== 'attached' || this.credit === 0) {
      this.fail(LinkCondition.transferLimitExceeded, 'there is no credit for this delivery')
      return false
    }
    this.credit--
    this.deliveryCount = next(this.deliveryCount)
    return true
  }

  private isTooLarge(received: number): boolean {
    const limit = this.localAttach!.maxMessageSize
    if (limit === 0 || received <= limit) return false
    this.fail(LinkCondition.messageSizeExceeded, `a message has more than ${limit} bytes`)
    return true
  }

  private begin(part: Part, frame: TransferFrame, bytes: Buffer): void {
    part.id = frame.deliveryId
    part.copyTag(bytes, frame.tagStart, frame.tagEnd)
    part.format = Math.max(0, frame.format)
    part.settled = frame.settled
    if (!frame.settled && !frame.aborted) this.session.incoming.add(part.id, this.outputHandle)
  }

  /** 2.7.5: a later transfer may say that the delivery is settled, or that it is to be forgotten. */
  private advance(part: Part, frame: TransferFrame): void {
    if (frame.settled) part.settled = true
    if (frame.settled || frame.aborted) this.session.incoming.take(part.id)
  }

  private deliver(
    part: Part,
    frame: TransferFrame,
    first: boolean,
    more: boolean,
    bytes: Buffer,
    end: number,
  ): void {
    part.state = frame.state
    part.first = first
    part.more = more
    part.aborted = frame.aborted
    part.bytes = bytes
    part.start = frame.aborted ? end : frame.payload
    part.end = end
    this.events.transfer(part)
    part.bytes = none
    if (!more && this.draining && this.credit === 0) this.endDrain()
  }
}
