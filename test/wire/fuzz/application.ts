import assert from 'node:assert/strict'
import type {
  ReceiverEvents,
  SenderEvents,
  SessionEvents,
  TransferPart,
} from '../../../src/wire/amqp10/peer/events.ts'
import type { TakenOutput } from '../../../src/wire/amqp10/peer/output.ts'
import {
  Peer,
  type PeerEvents,
  type PeerSession,
  type ReceiverLink,
  type SenderLink,
} from '../../../src/wire/amqp10/peer/peer.ts'
import type { AmqpError, Attach, DeliveryState } from '../../../src/wire/amqp10/peer/performatives.ts'
import { type Dice, payloadOf } from './dice.ts'

/** Small limits, so that each is reached. */
export const limits = {
  maxFrameSize: 700,
  handleMax: 9,
  channelMax: 2,
  incomingWindow: 6,
  maxMessageSize: 1500,
} as const

const states: readonly DeliveryState[] = [
  { kind: 'accepted' },
  { kind: 'released' },
  { kind: 'rejected', error: { condition: 'fuzz:no', description: 'because', info: new Map([['k', 1]]) } },
  { kind: 'modified', deliveryFailed: true, undeliverableHere: false },
  { kind: 'declared', transaction: Uint8Array.of(1, 2, 3) },
  { kind: 'transactional', transaction: Uint8Array.of(1) },
  { kind: 'transactional', transaction: Uint8Array.of(2), outcome: { kind: 'rejected' } },
]

/**
 * Uses the machine as a gateway or a client does, at random, and holds it to its word: whatever comes in, events come only
 * for what is there, once, and in an order that makes sense.
 */
export class Application implements PeerEvents {
  readonly peer: Peer
  readonly dice: Dice
  readonly sessions: Set<AppSession> = new Set()
  over: { error: AmqpError | undefined; by: string } | undefined
  /** Deliveries that were sent, in order, for the other end to compare. */
  sent = 0
  /** Links attached from here, ever. */
  links = 0
  /** The other end keeps to the rules, so that payloads can be compared. */
  comparing = true
  private awake = false

  constructor(role: 'client' | 'server', dice: Dice, firstId: number) {
    this.dice = dice
    this.peer = new Peer({ role, now: 0, firstId, ...limits }, this)
  }

  writable(): void {
    assert(!this.awake, 'writable is called once per turn')
    this.awake = true
  }

  takeOutput(): TakenOutput | null {
    const output = this.peer.takeOutput()
    assert(output === null || this.awake, 'output comes with a call of writable')
    this.awake = false
    return output
  }

  authenticated(): void {
    this.alive()
  }

  opened(): void {
    this.alive()
    this.peer.open({ containerId: 'fuzzed' })
  }

  sessionBegun(session: PeerSession): void {
    this.alive()
    this.sessions.add(new AppSession(this, session))
  }

  closed(error: AmqpError | undefined, by: string): void {
    this.alive()
    for (const session of this.sessions) assert(session.over, 'sessions end before the connection')
    this.over = { error, by }
  }

  alive(): void {
    assert(!this.over, 'nothing is told after the end')
  }

  /** Something that an application may do at any time. */
  act(): void {
    if (this.over) return
    const { dice } = this
    for (const session of this.sessions) {
      if (session.over) this.sessions.delete(session)
      else if (dice.once(2)) session.act()
    }
    if (dice.once(60) && [...this.peer.sessions].length < 2 && this.peer.remoteOpen && !this.over) {
      const session = new AppSession(this)
      session.session = this.peer.begin(session)
      this.sessions.add(session)
    }
  }
}

export class AppSession implements SessionEvents {
  readonly app: Application
  session: PeerSession
  readonly links: Set<AppSender | AppReceiver> = new Set()
  over = false

  constructor(app: Application, session?: PeerSession) {
    this.app = app
    this.session = session as PeerSession
    if (session) session.events = this
  }

  attached(link: SenderLink | ReceiverLink, attach: Attach): void {
    this.alive()
    assert.notEqual(attach.role, link.role)
    const mine = link.role === 'sender' ? new AppSender(this, link) : new AppReceiver(this, link)
    this.links.add(mine)
    if (this.app.dice.once(10)) mine.link.refuse({ condition: 'fuzz:refused' })
    else if (!this.app.dice.once(10)) mine.accept()
  }

  ended(): void {
    this.alive()
    for (const link of this.links)
      assert.equal(link.link.state, 'detached', 'links are gone before their session')
    this.over = true
  }

  alive(): void {
    this.app.alive()
    assert(!this.over, 'a session ends once, and nothing is told after it')
  }

  private attach(): void {
    const name = `app ${this.app.links++}`
    const sender = this.app.dice.once(2)
    const mine = sender
      ? new AppSender(this, this.session.attachSender({ name }, silent))
      : new AppReceiver(
          this,
          this.session.attachReceiver({ name, maxMessageSize: limits.maxMessageSize }, silent),
        )
    this.links.add(mine)
  }

  act(): void {
    const { dice } = this.app
    for (const link of this.links) {
      if (link.link.state === 'detached') this.links.delete(link)
      else if (dice.once(40)) link.detach()
      else if (link.link.state === 'attached') link.act()
      else if (link.link.remoteAttach) link.accept()
    }
    if (dice.once(25) && this.links.size < 3 && !this.over && this.session.open) this.attach()
    if (dice.once(80)) this.session.end(dice.once(2) ? { condition: 'fuzz:end' } : undefined)
  }
}

const silent: SenderEvents & ReceiverEvents = { flow() {}, disposition() {}, transfer() {}, detached() {} }

abstract class AppLink {
  readonly owner: AppSession
  /** Unsettled ids of this link. */
  readonly unsettled: Set<number> = new Set()
  private gone = false

  constructor(owner: AppSession) {
    this.owner = owner
  }

  abstract readonly link: SenderLink | ReceiverLink

  /** Of the delivery that is half way on its way out. */
  get unfinished(): number | undefined {
    return undefined
  }

  get dice(): Dice {
    return this.owner.app.dice
  }

  alive(): void {
    this.owner.app.alive()
    assert(!this.gone, 'a link is detached once, and nothing is told after it')
  }

  detach(): void {
    this.gone = true
    this.link.detach(this.dice.once(2), this.dice.once(2) ? { condition: 'fuzz:detach' } : undefined)
  }

  detached(): void {
    this.alive()
    this.gone = true
    assert.equal(this.link.state, 'detached')
  }

  detachConfirmed(): void {
    this.owner.app.alive()
    assert.equal(this.link.state, 'detached')
  }

  disposition(first: number, last: number, _state: DeliveryState | undefined, settled: boolean): void {
    this.alive()
    for (let id = first, count = (last - first) >>> 0; ; id = (id + 1) >>> 0, count--) {
      assert(this.unsettled.has(id), 'dispositions tell of unsettled deliveries of their link')
      if (settled) this.unsettled.delete(id)
      if (count === 0) return
    }
  }
}

export class AppSender extends AppLink implements SenderEvents {
  readonly link: SenderLink
  private parts = 0
  private size = 0
  private at = 0
  private number = 0
  private id = 0

  constructor(owner: AppSession, link: SenderLink) {
    super(owner)
    this.link = link
    link.events = this
  }

  override get unfinished(): number | undefined {
    return this.parts > 0 ? this.id : undefined
  }

  accept(): void {
    this.link.accept()
  }

  flow(): void {
    this.alive()
    if (this.link.draining && this.parts === 0 && this.dice.once(2)) this.link.drained()
  }

  act(): void {
    const { dice, link } = this
    if (this.parts > 0) return this.continue()
    if (link.draining && dice.once(2)) return link.drained()
    if (dice.once(20)) return link.tell(new Map([['fuzz:tell', true]]))
    for (
      let i = dice.below(4);
      i > 0 && link.credit > 0 && link.state === 'attached' && this.parts === 0;
      i--
    )
      this.send()
    const [oldest] = this.unsettled
    if (oldest !== undefined && dice.once(20)) {
      this.unsettled.delete(oldest)
      link.settle(oldest, oldest, dice.pick(states))
    }
  }

  private send(): void {
    const { dice, link, owner } = this
    this.number = owner.app.sent++
    const tag = Buffer.alloc(4)
    tag.writeUInt32BE(this.number)
    this.size = dice.once(4) ? dice.below(3000) : dice.below(60)
    const settled = dice.once(3)
    if (dice.once(4)) {
      this.id = link.begin(settled, 0, tag)
      if (!settled) this.unsettled.add(this.id)
      this.parts = 1 + dice.below(4)
      this.at = 0
      return
    }
    const payload = payloadOf(this.number, this.size)
    const cut = dice.below(this.size + 1)
    const whole = Buffer.concat([Buffer.from('..'), payload.subarray(cut), Buffer.from('.')])
    const state = dice.once(20) ? dice.pick(states) : undefined
    const id = link.send(settled, 0, tag, payload.subarray(0, cut), whole, 2, whole.length - 1, state)
    if (!settled) this.unsettled.add(id)
  }

  private continue(): void {
    const { link, dice } = this
    if (dice.once(10)) {
      this.parts = 0
      this.unsettled.delete(this.id)
      link.abort()
      return
    }
    const end = this.parts === 1 ? this.size : this.at + dice.below(this.size - this.at + 1)
    link.append(payloadOf(this.number, this.size), this.at, end, --this.parts === 0)
    this.at = end
  }
}

export class AppReceiver extends AppLink implements ReceiverEvents {
  readonly link: ReceiverLink
  /** What has come of the delivery that is half way. */
  private half: { id: number; number: number; size: number } | undefined
  /** Granted and not used. */
  private credit = 0
  private draining = false

  constructor(owner: AppSession, link: ReceiverLink) {
    super(owner)
    this.link = link
    link.events = this
  }

  accept(): void {
    this.link.accept({ maxMessageSize: limits.maxMessageSize })
  }

  transfer(part: TransferPart): void {
    this.alive()
    assert.equal(this.link.state, 'attached')
    assert.equal(part.first, this.half === undefined, 'the first part is said to be first, no other is')
    if (part.first) this.begin(part)
    const half = this.half!
    assert.equal(part.id, half.id)
    assert(part.start <= part.end && part.end <= part.bytes.length)
    const size = part.end - part.start
    if (part.aborted) assert.equal(size, 0)
    this.compare(part, half)
    half.size += size
    assert(half.size <= limits.maxMessageSize, 'max-message-size holds')
    if (part.settled || part.aborted) this.unsettled.delete(part.id)
    if (part.aborted) assert.equal(part.more, false)
    if (!part.more) this.half = undefined
  }

  private begin(part: TransferPart): void {
    assert(this.credit > 0, 'deliveries come for credit')
    this.credit--
    assert(part.tag.length <= 32)
    this.half = {
      id: part.id,
      number: part.tag.length === 4 ? Buffer.from(part.tag).readUInt32BE(0) : -1,
      size: 0,
    }
    if (!part.settled && !part.aborted) this.unsettled.add(part.id)
  }

  /** What the other end sends in good order carries what its tag says. */
  private compare(part: TransferPart, half: { number: number; size: number }): void {
    if (!this.owner.app.comparing || half.number < 0) return
    const size = part.end - part.start
    const expected = payloadOf(half.number, half.size + size).subarray(half.size)
    assert.deepEqual(
      Buffer.from(part.bytes.subarray(part.start, part.end)),
      expected,
      'the payload is what was sent',
    )
  }

  drained(lapsed: number): void {
    this.alive()
    assert(this.draining, 'only a drain is answered')
    this.draining = false
    assert(lapsed >= 0 && lapsed <= this.credit)
    this.credit -= lapsed
    assert.equal(this.credit, 0, 'all credit is used or has lapsed')
  }

  act(): void {
    const { dice, link } = this
    if (dice.once(3)) {
      const credit = 1 + dice.below(5)
      this.credit += credit
      link.grant(credit)
    }
    if (dice.once(25)) {
      this.draining = true
      link.drain()
    }
    const ids = [...this.unsettled].filter((id) => id !== this.half?.id)
    if (ids.length === 0 || dice.once(2)) return
    // Ids of a range may belong to other links of the session: only runs that are ours.
    const first = dice.pick(ids)
    let last = first
    while (dice.once(2) && ids.includes((last + 1) >>> 0)) last = (last + 1) >>> 0
    const settled = !dice.once(10)
    link.settle(first, last, dice.pick(states), settled)
    if (settled)
      for (const id of ids) if (((id - first) | 0) >= 0 && ((last - id) | 0) >= 0) this.unsettled.delete(id)
  }
}
