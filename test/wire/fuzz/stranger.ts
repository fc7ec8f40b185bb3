import assert from 'node:assert/strict'
import type { TakenOutput } from '../../../src/wire/amqp10/peer/output.ts'
import { Described, Typed } from '../../../src/wire/amqp10/values.ts'
import { amqpHeader, frame, type Parsed, parse, ubyte, ushort } from '../raw.ts'
import { limits } from './application.ts'
import { type Dice, payloadOf } from './dice.ts'

/** The conditions of the core specification, and those that the application here gives. */
const conditions =
  /^(amqp:(internal-error|decode-error|not-allowed|invalid-field|not-implemented|resource-limit-exceeded|illegal-state|frame-size-too-small|(connection|session|link):[a-z-]+)|fuzz:[a-z]+)$/

/** A link as the other end sees it; `sends` when the other end is its sender. */
export interface TheirLink {
  readonly name: string
  readonly sends: boolean
  handle: number
  /** Handle of the machine; -1 until it has attached. */
  machineHandle: number
  attached: boolean
  detached: boolean
  /** Deliveries begun, as the sender counts them. */
  count: number
  credit: number
  /** The delivery that is half way. */
  half: { id: number; number: number; size: number; at: number } | undefined
}

export class TheirSession {
  channel: number
  /** Channel of the machine; -1 until it has begun. */
  machineChannel = -1
  ended = false
  endSent = false
  readonly links: Set<TheirLink> = new Set()
  /** Transfers sent, and the machine's window for them. */
  nextOutgoingId: number
  window = 0
  nextDeliveryId: number
  /** Transfers received, and our window for them. */
  nextIncomingId = 0
  incomingWindow = 0
  /** Unsettled deliveries, sent and received. */
  readonly sent: Map<number, TheirLink> = new Map()
  readonly received: Map<number, TheirLink> = new Map()
  expectedDeliveryId: number | undefined

  constructor(channel: number, firstId: number) {
    this.channel = channel
    this.nextOutgoingId = firstId
    this.nextDeliveryId = firstId
  }
}

const next = (id: number) => (id + 1) >>> 0

/**
 * The other end of the connection: says what the rules allow, and holds the machine to them. It is written from the
 * specification, on the general codec, and shares no code with the machine's frames, windows, credit or deliveries.
 */
export class Stranger {
  readonly dice: Dice
  readonly firstId: number
  private readonly maxFrameSize: number
  readonly sessions: Set<TheirSession> = new Set()
  opened = false
  closed: Parsed | undefined
  closeSent = false
  /** Conditions of the detaches and ends that came. */
  readonly refusals: string[] = []
  /** False once something was said that breaks the rules: what the machine does then is only looked at, not predicted. */
  strict = true
  /** What is said now crosses with what the machine says. */
  crossing = false
  /** False once a rule about transfers was broken: the counts of both ends are no longer the same. */
  counting = true
  /** A flow was said: what is said next would have to know what the machine made of it. */
  hasFlowed = false
  private out: Buffer[] = []
  private names = 0
  private deliveries = 0

  constructor(dice: Dice, firstId: number) {
    this.dice = dice
    this.firstId = firstId
    const maxFrameSize = dice.pick([512, 600, 100_000])
    this.maxFrameSize = maxFrameSize
    this.out.push(amqpHeader, frame(0, 0x10, ['stranger', null, maxFrameSize, ushort(9)]))
  }

  /** What has been said since the last call. */
  take(): Buffer[] {
    return this.out.splice(0)
  }

  say(channel: number, code: number, fields: readonly unknown[], payload?: Uint8Array): void {
    this.out.push(frame(channel, code, fields, payload))
  }

  /** Bytes that are no frame, or not one that the rules allow. */
  utter(...bytes: Buffer[]): void {
    this.out.push(...bytes)
  }

  /** One thing that the rules allow. */
  act(): void {
    const { dice } = this
    if (this.closeSent || !this.opened) return
    const session = dice.pick([...this.sessions].filter(({ endSent }) => !endSent))
    if (!session || (dice.once(30) && this.sessions.size < limits.channelMax)) return this.begin()
    if (session.machineChannel < 0) return
    if (dice.once(150)) return this.end(session)
    if (dice.once(400)) {
      this.closeSent = true
      return this.say(0, 0x18, [])
    }
    const links = [...session.links].filter(({ detached }) => !detached)
    if (session.links.size < 5 && dice.once(links.length === 0 ? 1 : 12)) return this.attach(session)
    const link = dice.pick(links)
    if (!link) return
    if (dice.once(40)) this.detach(session, link)
    else if (dice.once(15)) this.dispose(session)
    else if (dice.once(8)) this.flow(session, dice.once(2) ? link : undefined)
    else if (link.sends) this.transfer(session, link)
    else this.flow(session, link)
  }

  private begin(): void {
    const used = [...this.sessions].map(({ channel }) => channel)
    const channel = [0, 1, 2].find((free) => !used.includes(free))
    if (channel === undefined) return
    const session = new TheirSession(channel, this.firstId)
    session.incomingWindow = this.dice.below(20)
    this.sessions.add(session)
    this.say(channel, 0x11, [null, this.firstId, session.incomingWindow, 9])
  }

  private end(session: TheirSession): void {
    session.endSent = true
    this.say(session.channel, 0x17, [])
    if (session.ended) this.sessions.delete(session)
  }

  private attach(session: TheirSession): void {
    this.sayAttach(session, this.newLink(session, `link ${this.names++}`, this.dice.once(2)))
  }

  private newLink(session: TheirSession, name: string, sends: boolean): TheirLink {
    const used = [...session.links].map(({ handle }) => handle)
    let handle = this.dice.below(limits.handleMax)
    while (used.includes(handle)) handle = (handle + 1) % (limits.handleMax + 1)
    const link: TheirLink = {
      name,
      sends,
      handle,
      machineHandle: -1,
      attached: false,
      detached: false,
      count: this.firstId,
      credit: 0,
      half: undefined,
    }
    session.links.add(link)
    return link
  }

  private sayAttach(session: TheirSession, link: TheirLink): void {
    const terminus = (code: number) => new Described(new Typed('ulong', code), ['q'])
    this.say(session.channel, 0x12, [
      link.name,
      link.handle,
      !link.sends,
      ubyte(2),
      ubyte(0),
      terminus(0x28),
      terminus(0x29),
      null,
      null,
      link.sends ? link.count : null,
    ])
  }

  private detach(session: TheirSession, link: TheirLink): void {
    link.detached = true
    this.say(session.channel, 0x16, [link.handle, this.dice.once(2)])
  }

  private dispose(session: TheirSession): void {
    const receiver = !this.dice.once(4)
    const ids = [...(receiver ? session.received : session.sent).keys()]
    if (ids.length === 0) return
    const first = this.dice.pick(ids)
    const end = receiver ? session.expectedDeliveryId! : session.nextDeliveryId
    const last = this.dice.once(4) ? (first + this.dice.below((end - first) >>> 0)) >>> 0 : first
    const settled = !this.dice.once(4)
    const state = new Described(new Typed('ulong', this.dice.pick([0x24, 0x26, 0x27])), [])
    this.say(session.channel, 0x15, [receiver, first, last, settled, receiver ? state : null])
    if (!settled) return
    const unsettled = receiver ? session.received : session.sent
    for (const id of unsettled.keys())
      if (((id - first) | 0) >= 0 && ((last - id) | 0) >= 0) unsettled.delete(id)
  }

  /** Tells our window, and with a link our credit or count; what the machine may be using is not taken back. */
  private flow(session: TheirSession, link?: TheirLink, sameWindow = false): void {
    const { dice } = this
    this.hasFlowed = true
    // What waits for the window, or answers what was just said, has been sent as far as anybody here can tell.
    const underWay = this.crossing || this.out.length > 0 || session.incomingWindow === 0
    const floor = (value: number, least: number) => (underWay ? Math.max(value, least) : value)
    if (!sameWindow) session.incomingWindow = floor(dice.below(20), session.incomingWindow)
    const known = session.machineChannel >= 0
    const windows = [known ? session.nextIncomingId : null, session.incomingWindow, session.nextOutgoingId, 9]
    if (!link) return this.say(session.channel, 0x13, [...windows, ...(dice.once(4) ? [...none, true] : [])])
    if (!link.sends) link.credit = floor(dice.below(6), link.credit)
    const count = link.attached || link.sends ? link.count : null
    const fields = [link.handle, count, link.credit, 0, !link.sends && dice.once(6), dice.once(4)]
    this.say(session.channel, 0x13, [...windows, ...fields])
  }

  /** The next frame of a delivery, as far as credit and window go. */
  private transfer(session: TheirSession, link: TheirLink): void {
    const { dice } = this
    if (!link.attached || session.window === 0) return
    if (!link.half) {
      if (link.credit === 0) return
      link.credit--
      link.count = next(link.count)
      const id = session.nextDeliveryId
      session.nextDeliveryId = next(id)
      const size = dice.once(3) ? dice.below(limits.maxMessageSize) : dice.below(50)
      link.half = { id, number: this.deliveries++, size, at: -1 }
    }
    this.sayPart(session, link, link.half)
  }

  private sayPart(session: TheirSession, link: TheirLink, half: NonNullable<TheirLink['half']>): void {
    const { dice } = this
    session.window--
    session.nextOutgoingId = next(session.nextOutgoingId)
    const first = half.at < 0
    const start = Math.max(0, half.at)
    const end = Math.min(half.size, start + 1 + dice.below(dice.once(2) ? 600 : 60))
    const aborted = dice.once(25)
    const more = !aborted && (end < half.size || dice.once(10))
    half.at = more ? end : half.at
    const tag = Buffer.alloc(4)
    tag.writeUInt32BE(half.number)
    const settled = dice.once(4)
    const head = first ? [half.id, tag, 0] : [dice.once(2) ? half.id : null, null, null]
    const fields = [link.handle, ...head, settled, more, null, null, null, aborted]
    this.say(session.channel, 0x14, fields, payloadOf(half.number, half.size).subarray(start, end))
    if (first && !aborted) session.sent.set(half.id, link)
    if (settled || aborted) session.sent.delete(half.id)
    if (!more) link.half = undefined
  }

  /** What the machine has written. */
  hear(output: TakenOutput | null): void {
    for (const frame of parse(output)) {
      assert(!this.closed, 'nothing is written after close')
      if (this.strict)
        assert(frame.size <= this.maxFrameSize, 'frames are no larger than the other end takes them')
      if (frame.condition !== undefined) assert.match(frame.condition, conditions)
      if (this.strict) this.judge(frame)
      else if (frame.code === 0x18) this.closed = frame
    }
  }

  private judge(frame: Parsed): void {
    const { code, fields } = frame
    if (code === 0x10) {
      assert(!this.opened, 'open is written once')
      this.opened = true
      return
    }
    assert(this.opened, 'nothing is written before open')
    if (code === 0x18) {
      this.closed = frame
      return
    }
    if (code === 0x11) return this.hearBegin(frame)
    const session = [...this.sessions].find(({ machineChannel }) => machineChannel === frame.channel)
    assert(session, 'frames come on channels of sessions')
    assert(!session.ended, 'nothing is written after end')
    if (code === 0x17) {
      session.ended = true
      if (frame.condition) this.refusals.push(frame.condition)
      if (session.endSent) this.sessions.delete(session)
      else this.end(session)
      return
    }
    if (session.endSent) return
    if (code === 0x12) return this.hearAttach(session, fields)
    if (code === 0x13) return this.hearFlow(session, fields)
    if (code === 0x15) return this.hearDisposition(session, fields)
    const link = [...session.links].find((known) => known.attached && known.machineHandle === fields[0])
    assert(link, 'frames come on handles of links')
    if (code === 0x14) return this.hearTransfer(session, link, fields, frame.payload)
    assert.equal(code, 0x16)
    if (frame.condition) this.refusals.push(frame.condition)
    if (!link.detached) this.detach(session, link)
    session.links.delete(link)
  }

  private hearBegin({ channel, fields }: Parsed): void {
    const known = [...this.sessions].find((session) => session.channel === fields[0])
    const session = known ?? this.beginAnswer(channel)
    assert(session.machineChannel < 0 || !known, 'a begin is answered once')
    session.machineChannel = channel
    session.nextIncomingId = Number(fields[1])
    assert.equal(session.nextIncomingId, this.firstId)
    session.window = Number(fields[2])
    assert.equal(session.window, limits.incomingWindow)
  }

  /** The machine has begun a session of its own. */
  private beginAnswer(machineChannel: number): TheirSession {
    const used = [...this.sessions].map(({ channel }) => channel)
    const channel = [0, 1, 2].find((free) => !used.includes(free))!
    const session = new TheirSession(channel, this.firstId)
    session.incomingWindow = this.dice.below(20)
    this.sessions.add(session)
    this.say(channel, 0x11, [ushort(machineChannel), this.firstId, session.incomingWindow, 9])
    return session
  }

  private hearAttach(session: TheirSession, fields: readonly unknown[]): void {
    const known = [...session.links].find(({ name }) => name === fields[0])
    const link = known ?? this.newLink(session, String(fields[0]), fields[2] === true)
    assert(!link.attached, 'an attach is answered once')
    assert.equal(fields[2], link.sends, 'by the other role')
    const handles = [...session.links]
      .filter(({ attached }) => attached)
      .map(({ machineHandle }) => machineHandle)
    assert(!handles.includes(Number(fields[1])), 'on a handle that is free')
    link.machineHandle = Number(fields[1])
    link.attached = true
    if (!link.sends) link.count = Number(fields[9])
    if (!known && !session.endSent) this.sayAttach(session, link)
  }

  private hearFlow(session: TheirSession, fields: readonly unknown[]): void {
    if (!this.counting) return
    const [seen, window, nextOutgoingId] = fields.map(Number)
    const unseen = (session.nextOutgoingId - seen!) | 0
    assert(
      unseen === 0 || (this.crossing && unseen > 0),
      'next-incoming-id counts the transfers that were sent',
    )
    assert.equal(window, limits.incomingWindow)
    session.window = limits.incomingWindow - unseen
    assert.equal(nextOutgoingId, session.nextIncomingId, 'next-outgoing-id counts the transfers that came')
    if (fields.length <= 4) return
    const link = [...session.links].find((known) => known.attached && known.machineHandle === fields[4])
    assert(link, 'flows come on handles of links')
    const count = Number(fields[5])
    if (link.sends) {
      const onTheWay = (link.count - count) | 0
      const expected = onTheWay === 0 || (onTheWay > 0 && (this.crossing || link.half?.at === -1))
      assert(expected, 'delivery-count counts the deliveries that were sent')
      link.credit = Number(fields[6]) - onTheWay
      // A drain is answered at once.
      if (fields[8] === true && link.credit > 0 && !link.detached) {
        link.count = (link.count + link.credit) >>> 0
        link.credit = 0
        this.flow(session, link, true)
      }
      return
    }
    const lapsed = (count - link.count) | 0
    assert(lapsed >= 0, 'a sender’s count does not run back')
    assert(lapsed <= link.credit, 'no more lapses than there was')
    link.count = count
    link.credit -= lapsed
  }

  private hearDisposition(session: TheirSession, fields: readonly unknown[]): void {
    const [first, last] = [Number(fields[1]), Number(fields[2])]
    const unsettled = fields[0] ? session.sent : session.received
    for (let id = first, count = (last - first) >>> 0; count < 10_000; id = next(id), count--) {
      if (fields[3]) unsettled.delete(id)
      if (count === 0) return
    }
    assert.fail('a disposition goes over more than there ever was')
  }

  private hearTransfer(
    session: TheirSession,
    link: TheirLink,
    fields: readonly unknown[],
    payload: Buffer,
  ): void {
    assert(!link.sends, 'transfers come on links that we receive on')
    assert(session.incomingWindow > 0, 'transfers come for the window')
    session.incomingWindow--
    session.nextIncomingId = next(session.nextIncomingId)
    if (!link.half) this.hearDelivery(session, link, fields)
    const half = link.half!
    if (fields[9] !== true) {
      const expected = payloadOf(half.number, half.at + payload.length).subarray(half.at)
      assert.deepEqual(payload, expected, 'the payload is what was sent')
    }
    half.at += payload.length
    if (fields[9] === true) session.received.delete(half.id)
    if (fields[5] !== true) link.half = undefined
  }

  private hearDelivery(session: TheirSession, link: TheirLink, fields: readonly unknown[]): void {
    assert(link.credit > 0 || link.detached, 'deliveries come for credit')
    link.credit--
    link.count = next(link.count)
    const id = Number(fields[1])
    assert.equal(id, session.expectedDeliveryId ?? this.firstId, 'delivery-ids follow each other')
    session.expectedDeliveryId = next(id)
    link.half = {
      id,
      number: (fields[2] as Buffer).length === 4 ? Buffer.from(fields[2] as Buffer).readUInt32BE() : -1,
      size: 0,
      at: 0,
    }
    if (!fields[4] && fields[9] !== true) session.received.set(id, link)
  }
}

const none = [null, null, null, null, null]
