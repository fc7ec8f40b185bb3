import { MillraceError } from '../../../model/errors.ts'
import { AmqpCondition, ConnectionCondition, LinkCondition, SessionCondition } from './conditions.ts'
import { DeliveryMap } from './delivery-map.ts'
import { DispositionBatch } from './disposition-batch.ts'
import type { LocalAttach, ReceiverEvents, SenderEvents, SessionEvents } from './events.ts'
import { type DeliveryHead, type LinkFlow, writeFlow } from './frame-writer.ts'
import { ABSENT, type DispositionFrame, type FlowFrame, type TransferFrame } from './hot-frames.ts'
import type { Output } from './output.ts'
import type { Peer } from './peer.ts'
import type { AttachFrame, BeginFrame, DetachFrame } from './performative-decoder.ts'
import { encodeBegin, encodeDetach, encodeEnd } from './performative-encoder.ts'
import type { AmqpError, DeliveryState, Fields } from './performatives.ts'
import { ReceiverLink } from './receiver-link.ts'
import { SenderLink } from './sender-link.ts'
import { distance, next } from './serial.ts'
import { TransferQueue } from './transfer-queue.ts'

/** Transfers that we may send before the window of the other end is looked at: it is that one which counts. */
const OUTGOING_WINDOW = 0x7fff_ffff

/** Stands for the handle of what is about a session. */
const NO_LINK = -1

type AnyLink = SenderLink | ReceiverLink

const unheard: SessionEvents = { attached: (link) => link.refuse(notListening), ended() {} }
const notListening: AmqpError = { condition: AmqpCondition.notAllowed, description: 'no links here' }

/** One session (core, 2.5). Methods marked so are for the machine itself. */
export class PeerSession {
  readonly peer: Peer
  readonly channel: number
  events: SessionEvents
  /** Machine. */
  readonly firstId: number
  readonly output: Output
  readonly transfers: TransferQueue
  readonly outgoing: DeliveryMap = new DeliveryMap()
  readonly incoming: DeliveryMap = new DeliveryMap()
  nextDeliveryId: number
  remoteChannel = -1
  private state: 'beginning' | 'active' | 'ending' | 'ended' = 'beginning'
  private told = false
  private incomingWindow: number
  private nextIncomingId = 0
  private expectedDeliveryId = ABSENT
  private remoteHandleMax = 0xffff_ffff
  private readonly outputs: (AnyLink | undefined)[] = []
  private readonly inputs: (AnyLink | undefined)[] = []
  /** Handles of links that we detached with an error (2.8.17, errant-link). */
  private errant: Set<number> | undefined
  private readonly links = new Set<AnyLink>()
  private readonly settlements = new DispositionBatch(true)
  private readonly answers = new DispositionBatch(false)
  /** Undefined as long as there is none, as is asked with each output. */
  private flowsDue: AnyLink[] | undefined
  private windowDue = false

  constructor(peer: Peer, channel: number, events: SessionEvents = unheard) {
    this.peer = peer
    this.channel = channel
    this.events = events
    this.firstId = peer.firstId
    this.nextDeliveryId = peer.firstId
    this.incomingWindow = peer.incomingWindow
    this.output = peer.output
    this.transfers = new TransferQueue(peer.output, channel, peer.firstId)
  }

  /** Transfers wait in the peer because the other end's window is used up. */
  get congested(): boolean {
    return this.transfers.congested
  }

  /** Attaches a link from which we send. Throws `illegal-state` when its name is in use or the session is over. */
  attachSender(attach: LocalAttach, events: SenderEvents): SenderLink {
    this.ensureFree('sender', attach.name)
    const link = new SenderLink(this, attach.name, events)
    this.register(link)
    link.attach(attach)
    return link
  }

  /** Attaches a link on which we receive. Throws as attachSender. */
  attachReceiver(attach: LocalAttach, events: ReceiverEvents): ReceiverLink {
    this.ensureFree('receiver', attach.name)
    const link = new ReceiverLink(this, attach.name, events)
    this.register(link)
    link.attach(attach)
    return link
  }

  private ensureFree(role: 'sender' | 'receiver', name: string): void {
    if (!this.open) throw new MillraceError('illegal-state', 'the session has ended')
    if (!this.peer.linkNamed(role, name)) return
    throw new MillraceError('illegal-state', `a link ${name} is attached or being detached`)
  }

  /** Ends the session: its links are told within, `ended` comes with the answer. */
  end(error?: AmqpError): void {
    if (!this.open) return
    this.flush()
    this.write(encodeEnd(error))
    this.state = 'ending'
    this.dropLinks(error)
  }

  /** Machine: frames can be written. */
  get open(): boolean {
    return (this.state === 'beginning' || this.state === 'active') && this.peer.live
  }

  /** Machine: the other end has broken a rule of the session. */
  fail(condition: string, description: string): void {
    if (!this.open) return
    const error = { condition, description }
    this.end(error)
    this.tellEnd(error)
  }

  /** Machine: the connection is over. */
  drop(error: AmqpError | undefined): void {
    this.state = 'ended'
    this.dropLinks(error)
    this.tellEnd(error)
  }

  private dropLinks(error: AmqpError | undefined): void {
    this.transfers.clear()
    for (const link of this.links) {
      this.links.delete(link)
      this.peer.forgetName(link)
      link.drop(error)
    }
  }

  private tellEnd(error: AmqpError | undefined): void {
    if (this.told) return
    this.told = true
    this.events.ended(error)
  }

  /** Machine. */
  begin(): void {
    const { remoteChannel, peer, transfers } = this
    const body = encodeBegin(
      remoteChannel,
      transfers.nextId,
      this.incomingWindow,
      OUTGOING_WINDOW,
      peer.handleMax,
    )
    this.write(body)
  }

  /** Machine: the other end's begin, which ours answers or which answers ours. */
  onBegin(frame: BeginFrame, remoteChannel: number): void {
    this.remoteChannel = remoteChannel
    this.nextIncomingId = frame.nextOutgoingId
    this.remoteHandleMax = frame.handleMax
    this.transfers.window = frame.incomingWindow
    if (this.state === 'beginning') this.state = 'active'
  }

  onAttach({ attach, handle, initialDeliveryCount }: AttachFrame): void {
    if (!this.open) return
    if (handle > this.peer.handleMax) {
      const description = `handle ${handle} is above handle-max ${this.peer.handleMax}`
      return this.peer.violate({ condition: ConnectionCondition.framingError, description })
    }
    if (this.inputs[handle]) return this.fail(SessionCondition.handleInUse, `handle ${handle} is in use`)
    const link = this.linkFor(attach.name, attach.role === 'sender' ? 'receiver' : 'sender')
    this.inputs[handle] = link
    this.errant?.delete(handle)
    const answers = link.localAttach !== undefined
    link.attachReceived(attach, handle, initialDeliveryCount)
    if (!answers) this.events.attached(link, attach)
  }

  /** The link of ours that waits for this attach, or a new one, for which one of the same name has to give way. */
  private linkFor(name: string, role: 'sender' | 'receiver'): AnyLink {
    const known = this.peer.linkNamed(role, name)
    if (known && !known.remoteAttach && known.session === this) return known
    known?.fail(LinkCondition.stolen, 'another link of this name was attached', false)
    const link = role === 'sender' ? new SenderLink(this, name, silent) : new ReceiverLink(this, name, silent)
    this.register(link)
    return link
  }

  private register(link: AnyLink): void {
    this.links.add(link)
    this.peer.rememberName(link)
  }

  onFlow(frame: FlowFrame): void {
    if (!this.open) return
    const { transfers, peer } = this
    this.nextIncomingId = frame.nextOutgoingId
    const seen = frame.nextIncomingId === ABSENT ? this.firstId : frame.nextIncomingId
    const onTheWay = Math.max(0, distance(seen, transfers.nextId))
    transfers.window = Math.max(0, frame.incomingWindow - onTheWay)
    if (transfers.congested) this.resume()
    if (frame.handle !== ABSENT) this.link(frame.handle)?.onFlow(frame)
    else if (frame.echo) this.dueWindow()
    if (this.flowsDue) peer.wake()
  }

  private resume(): void {
    const { transfers, peer } = this
    transfers.resume(peer.remoteMaxFrameSize)
    peer.wake()
    if (!transfers.congested) this.events.writable?.()
  }

  /** The link with that handle of the other end's; without one the session ends. */
  private link(handle: number): AnyLink | undefined {
    const link = this.inputs[handle]
    if (link) return link
    const condition = this.errant?.has(handle)
      ? SessionCondition.errantLink
      : SessionCondition.unattachedHandle
    this.fail(condition, `no link is attached to handle ${handle}`)
    return undefined
  }

  onTransfer(frame: TransferFrame, bytes: Buffer, end: number): void {
    if (!this.open) return
    if (this.incomingWindow === 0) {
      return this.fail(SessionCondition.windowViolation, 'a transfer came although the window is used up')
    }
    this.nextIncomingId = next(this.nextIncomingId)
    if (--this.incomingWindow < this.peer.incomingWindow / 2) this.dueWindow()
    const link = this.link(frame.handle)
    if (link?.role === 'receiver') link.onTransfer(frame, bytes, end)
    else if (link) this.fail(AmqpCondition.notAllowed, 'a transfer came on a link that we send on')
  }

  /** Machine: ids of deliveries follow each other without a gap. */
  takeDeliveryId(id: number): boolean {
    if (this.expectedDeliveryId !== ABSENT && id !== this.expectedDeliveryId) {
      this.fail(AmqpCondition.invalidField, `delivery-id ${id} came instead of ${this.expectedDeliveryId}`)
      return false
    }
    this.expectedDeliveryId = next(id)
    return true
  }

  onDisposition({ receiver, first, last, settled, state }: DispositionFrame): void {
    if (!this.open) return
    const deliveries = receiver ? this.outgoing : this.incoming
    const tell = (handle: number, from: number, to: number) =>
      this.outputs[handle]?.events.disposition?.(from, to, state, settled)
    if (first === last) {
      const handle = settled ? deliveries.take(first) : deliveries.get(first)
      if (handle >= 0) tell(handle, first, last)
    } else if (distance(first, last) < 0) {
      this.fail(AmqpCondition.invalidField, `a disposition goes from ${first} back to ${last}`)
    } else {
      deliveries.visit(first, last, settled, tell)
    }
  }

  onDetach({ handle, closed, error }: DetachFrame): void {
    if (this.open) this.link(handle)?.detachReceived(closed, error)
  }

  onEnd(error: AmqpError | undefined): void {
    if (this.open) {
      this.flush()
      this.write(encodeEnd(undefined))
      this.state = 'ended'
      this.dropLinks(error)
    }
    this.state = 'ended'
    this.peer.forgetSession(this)
    this.tellEnd(error)
  }

  /** Machine: a handle for our attach; -1 when the other end takes no more. */
  claimHandle(link: AnyLink): number {
    let handle = 0
    while (this.outputs[handle]) handle++
    if (handle > this.remoteHandleMax) {
      if (link.remoteAttach) this.fail(AmqpCondition.resourceLimitExceeded, 'there is no handle left')
      return -1
    }
    this.outputs[handle] = link
    return handle
  }

  /** Machine: writes a detach, behind the transfers of the link. */
  detachLink(link: AnyLink, closed: boolean, error: AmqpError | undefined): void {
    const { outputHandle: handle, role } = link
    if (role === 'sender') this.outgoing.forget(handle)
    else this.incoming.forget(handle)
    this.flushDispositions()
    if (error && link.inputHandle >= 0) {
      this.errant ??= new Set()
      this.errant.add(link.inputHandle)
    }
    const finish = () => {
      this.write(encodeDetach(handle, closed, error))
      link.detachWritten = true
      if (link.released) this.outputs[handle] = undefined
    }
    if (!this.transfers.holds(handle)) return finish()
    this.transfers.cutOff(handle)
    this.transfers.after(handle, finish)
  }

  /** Machine: the other end has detached; its handle is free, ours as soon as our detach is written. */
  releaseLink(link: AnyLink): void {
    link.released = true
    this.inputs[link.inputHandle] = undefined
    if (link.detachWritten) this.outputs[link.outputHandle] = undefined
    this.links.delete(link)
    this.peer.forgetName(link)
  }

  /** Machine. */
  transfer(
    handle: number,
    head: DeliveryHead | null,
    prefix: Uint8Array | null,
    bytes: Uint8Array,
    start: number,
    end: number,
    last: boolean,
  ): void {
    this.transfers.send(this.peer.remoteMaxFrameSize, handle, head, prefix, bytes, start, end, last)
    this.peer.wake()
  }

  abortTransfer(handle: number): void {
    this.transfers.abort(this.peer.remoteMaxFrameSize, handle)
    this.peer.wake()
  }

  settleOutgoing(first: number, last: number, state: DeliveryState | undefined): void {
    if (!this.outgoing.takeRange(first, last)) return
    const add = () => this.answers.add(this, first, last, true, state)
    // What is settled may wait for the window still, and must not be settled before it has gone.
    if (this.transfers.congested) return this.transfers.after(NO_LINK, add)
    add()
    this.peer.wake()
  }

  settleIncoming(first: number, last: number, state: DeliveryState, settled: boolean): boolean {
    const any = settled
      ? this.incoming.takeRange(first, last)
      : first !== last || this.incoming.get(first) >= 0
    if (!any) return false
    this.settlements.add(this, first, last, settled, state)
    this.peer.wake()
    return true
  }

  /** Machine: a flow of that link is to be written at the end of the turn. */
  dueFlow(link: AnyLink): void {
    this.flowsDue ??= []
    this.flowsDue.push(link)
    this.peer.wake()
  }

  private dueWindow(): void {
    this.windowDue = true
    this.peer.wake()
  }

  /** Machine: writes what has gathered in this turn. */
  flush(): void {
    if (!this.open) return
    this.flushDispositions()
    if (this.flowsDue) this.flushFlows(this.flowsDue)
    if (this.windowDue) this.sendFlow(undefined, undefined)
  }

  private flushFlows(due: readonly AnyLink[]): void {
    for (const link of due) if (link.state !== 'detached') link.writeFlow()
    const left = due.filter((link) => link.flowDue && link.state !== 'detached')
    this.flowsDue = left.length > 0 ? left : undefined
  }

  /** Machine. */
  flushDispositions(): void {
    if (!this.open) return
    this.settlements.flush(this)
    this.answers.flush(this)
  }

  /** Machine. Each flow tells the window anew, so it is topped up with each. */
  sendFlow(link: LinkFlow | undefined, properties: Fields | undefined): void {
    this.windowDue = false
    this.incomingWindow = this.peer.incomingWindow
    const windows = {
      nextIncomingId: this.state === 'beginning' ? undefined : this.nextIncomingId,
      incomingWindow: this.incomingWindow,
      nextOutgoingId: this.transfers.nextId,
      outgoingWindow: OUTGOING_WINDOW,
    }
    writeFlow(this, windows, link, properties)
  }

  /** Machine: a frame of this session. */
  write(body: Uint8Array): void {
    if (this.open) this.peer.write(this.channel, body)
  }
}

const silent: SenderEvents & ReceiverEvents = {
  flow() {},
  disposition() {},
  transfer() {},
  detached() {},
}
