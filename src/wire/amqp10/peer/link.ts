import { MillraceError } from '../../../model/errors.ts'
import type { LocalAttach, ReceiverEvents, SenderEvents } from './events.ts'
import type { FlowFrame } from './hot-frames.ts'
import { encodeAttach } from './performative-encoder.ts'
import { type AmqpError, type Attach, noFields } from './performatives.ts'
import type { ReceiverLink } from './receiver-link.ts'
import type { SenderLink } from './sender-link.ts'
import type { PeerSession } from './session.ts'

export type LinkState = 'attaching' | 'attached' | 'detached'

type Answer = Partial<Omit<Attach, 'name' | 'role'>>

/** What both ends of a link have in common (core, 2.6). Methods marked so are for the machine itself. */
export abstract class Link<E extends SenderEvents | ReceiverEvents> {
  abstract readonly role: 'sender' | 'receiver'
  readonly session: PeerSession
  readonly name: string
  events: E
  state: LinkState = 'attaching'
  remoteAttach: Attach | undefined
  /** What we said; its settle modes hold until the answer says otherwise. */
  localAttach: Attach | undefined
  /** Machine: our handle, and the other end's; -1 for none. */
  outputHandle = -1
  inputHandle = -1
  /** Machine: a flow of this link is to be written at the end of the turn. */
  flowDue = false
  /** Machine: our detach has been written, and not only asked for. */
  detachWritten = false
  /** Machine: the other end has let go of the link. */
  released = false
  private detachSent = false

  constructor(session: PeerSession, name: string, events: E) {
    this.session = session
    this.name = name
    this.events = events
  }

  private get self(): SenderLink | ReceiverLink {
    return this as unknown as SenderLink | ReceiverLink
  }

  /**
   * Answers a remote attach with ours. What is absent in `answer` mirrors it: settle modes, source, target. Does nothing
   * when the link is gone in the meantime. A sender that has credit already has its `flow` called within.
   */
  accept(answer: Answer = {}): void {
    const remote = this.remoteAttach
    if (this.state !== 'attaching' || !remote || this.localAttach) return
    const sent = this.sendAttach({
      ...complete({ name: this.name }, this.role),
      sndSettleMode: remote.sndSettleMode,
      rcvSettleMode: remote.rcvSettleMode,
      source: remote.source,
      target: remote.target,
      ...answer,
    })
    if (sent) this.becomeAttached()
  }

  /** Answers a remote attach with null source and target (2.6.3), then detaches it for good. */
  refuse(error: AmqpError): void {
    this.detach(true, error)
  }

  /** Detaches; `closed` ends the link for good at both ends. Does nothing when it is detached. */
  detach(closed: boolean, error?: AmqpError): void {
    if (this.state === 'detached') return
    if (!this.localAttach && !this.sendAttach(complete({ name: this.name }, this.role))) return
    this.state = 'detached'
    this.detachSent = true
    this.session.detachLink(this.self, closed, error)
  }

  /** Machine: our own attach. Throws `illegal-state` when there is no handle left. */
  attach(attach: LocalAttach): void {
    if (this.sendAttach(complete(attach, this.role))) return
    throw new MillraceError('illegal-state', 'the other end takes no more links on this session')
  }

  /** False when the other end's handle-max is reached. */
  private sendAttach(attach: Attach): boolean {
    const handle = this.session.claimHandle(this.self)
    if (handle < 0) return false
    this.outputHandle = handle
    this.localAttach = attach
    this.session.write(encodeAttach(attach, handle, this.initialDeliveryCount))
    return true
  }

  protected abstract get initialDeliveryCount(): number

  private becomeAttached(): void {
    this.state = 'attached'
    this.onAttached()
  }

  /** Machine: a flow that waited for the attach may go, credit that came before it may be used. */
  protected abstract onAttached(): void

  /** Machine. */
  abstract onFlow(frame: FlowFrame): void

  /** Machine: writes the flow that is due, or leaves it due. */
  abstract writeFlow(): void

  /** Machine: the other end's attach, ours to be answered or answering ours. */
  attachReceived(attach: Attach, handle: number, initialDeliveryCount: number): void {
    this.remoteAttach = attach
    this.inputHandle = handle
    this.takeInitialCount(initialDeliveryCount)
    if (!this.localAttach || this.state === 'detached') return
    this.events.attached?.(attach)
    if (this.state === 'attaching') this.becomeAttached()
  }

  protected abstract takeInitialCount(count: number): void

  /** Machine: the other end's detach. */
  detachReceived(closed: boolean, error: AmqpError | undefined): void {
    if (this.detachSent) {
      this.session.releaseLink(this.self)
      this.events.detachConfirmed?.(error)
      return
    }
    this.detach(closed)
    this.session.releaseLink(this.self)
    this.events.detached(closed, error)
  }

  /** Machine: what the other end did ends the link. */
  fail(condition: string, description: string, closed = true): void {
    if (this.state === 'detached') return
    const error = { condition, description }
    this.detach(closed, error)
    this.events.detached(closed, error)
  }

  /** Machine: the session or connection is over. */
  drop(error: AmqpError | undefined): void {
    const { state } = this
    this.state = 'detached'
    if (state === 'detached') this.events.detachConfirmed?.(error)
    else this.events.detached(false, error)
  }

  /** Asks for a flow at the end of the turn. */
  protected dueFlow(): void {
    if (this.flowDue) return
    this.flowDue = true
    this.session.dueFlow(this.self)
  }

  protected ensureAttached(): void {
    if (this.state === 'detached') throw new MillraceError('illegal-state', `link ${this.name} is detached`)
  }
}

function complete(attach: LocalAttach, role: 'sender' | 'receiver'): Attach {
  return {
    sndSettleMode: 'mixed',
    rcvSettleMode: 'first',
    source: null,
    target: null,
    maxMessageSize: 0,
    offeredCapabilities: [],
    desiredCapabilities: [],
    properties: noFields,
    ...attach,
    role,
  }
}
