import { AmqpSymbol } from '../../../src/wire/amqp10/values.ts'
import { begin, frame, frameOf, open, performative, uint } from '../raw.ts'
import { limits } from './application.ts'
import type { Stranger, TheirLink, TheirSession } from './stranger.ts'

/** One way to break the rules, and what the specification answers it with. */
export interface Violation {
  readonly name: string
  readonly scope: 'connection' | 'session' | 'link'
  readonly condition: string
  /** Says it; false when there is nothing at hand to say it of. */
  say(stranger: Stranger, session: TheirSession, link: TheirLink): boolean
}

type Say = Violation['say']

const tag = Buffer.from('tag')

function connection(name: string, condition: string, bytes: (session: TheirSession) => Buffer): Violation {
  const say: Say = (stranger, session) => {
    stranger.utter(bytes(session))
    return true
  }
  return { name, scope: 'connection', condition, say }
}

/** Of a link on which the other end sends, between two deliveries, with credit, in a window that is open. */
function onSender(name: string, scope: 'session' | 'link', condition: string, say: Say): Violation {
  return {
    name,
    scope,
    condition,
    say: (stranger, session, link) =>
      link.sends && !link.half && link.credit > 0 && session.window > 3 && say(stranger, session, link),
  }
}

function onSession(name: string, condition: string, say: Say): Violation {
  return {
    name,
    scope: 'session',
    condition,
    say: (stranger, session, link) => session.window > 3 && say(stranger, session, link),
  }
}

function raw(...bytes: number[]): Buffer {
  return frameOf(Buffer.from(bytes))
}

export const violations: readonly Violation[] = [
  connection('a size below 8', 'amqp:connection:framing-error', () => uint(4)),
  connection('a size above the limit', 'amqp:connection:framing-error', () => uint(limits.maxFrameSize + 1)),
  connection('a data offset of one word', 'amqp:connection:framing-error', () =>
    Buffer.from([0, 0, 0, 9, 1, 0, 0, 0, 0]),
  ),
  connection('a data offset behind the end', 'amqp:connection:framing-error', () =>
    Buffer.from([0, 0, 0, 9, 3, 0, 0, 0, 0]),
  ),
  connection('a frame type', 'amqp:connection:framing-error', () =>
    frameOf(Buffer.from([0, 0x53, 0x10, 0x45]), 0, 2),
  ),
  connection('no described value', 'amqp:decode-error', () => raw(0x43)),
  connection('half a value', 'amqp:decode-error', () => raw(0, 0x53, 0x12, 0xd0, 0, 0, 0, 99)),
  connection('invalid UTF-8', 'amqp:decode-error', ({ channel }) =>
    frameOf(Buffer.from([0, 0x53, 0x12, 0xc0, 6, 3, 0xa1, 1, 0xff, 0x43, 0x41]), channel),
  ),
  connection('nesting without end', 'amqp:decode-error', () =>
    frameOf(Buffer.concat([Buffer.from([0, 0x53, 0x18]), Buffer.alloc(500)])),
  ),
  connection('four billion elements', 'amqp:decode-error', () =>
    raw(0, 0x53, 0x18, 0xd0, 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
  ),
  connection('an array of four billion nulls', 'amqp:decode-error', () =>
    raw(0, 0x53, 0x18, 0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40),
  ),
  connection('an unknown performative', 'amqp:not-implemented', () => frame(0, 0x1f, [])),
  connection('a second open', 'amqp:illegal-state', () => open),
  connection('a channel in use', 'amqp:illegal-state', ({ channel }) =>
    frame(channel, 0x11, [null, 0, 1, 1]),
  ),
  connection('a channel that is too high', 'amqp:connection:framing-error', () =>
    frame(7, 0x11, [null, 0, 1, 1]),
  ),
  connection('no session', 'amqp:illegal-state', () => frame(99, 0x13, [0, 1, 0, 1])),
  connection('an attach without name', 'amqp:invalid-field', ({ channel }) =>
    frame(channel, 0x12, [null, 0, true]),
  ),
  connection('a handle that is too high', 'amqp:connection:framing-error', ({ channel }) =>
    frame(channel, 0x12, ['high', limits.handleMax + 1, true]),
  ),
  connection('a flow with symbols', 'amqp:invalid-field', ({ channel }) =>
    frame(channel, 0x13, [0, new AmqpSymbol('x'), 0, 1]),
  ),
  connection('a transfer of half a list', 'amqp:decode-error', ({ channel }) =>
    frameOf(Buffer.from([0, 0x53, 0x14, 0xc0, 3, 5, 0x43]), channel),
  ),
  connection('a transfer whose field is longer than the list', 'amqp:decode-error', ({ channel }) =>
    frameOf(Buffer.from([0, 0x53, 0x14, 0xc0, 5, 3, 0x43, 0x43, 0xa0, 9]), channel),
  ),
  connection('a role that is no boolean', 'amqp:invalid-field', ({ channel }) =>
    frame(channel, 0x15, [1, 1]),
  ),
  connection('an answer to no begin', 'amqp:illegal-state', ({ channel }) =>
    frame(channel === 2 ? 1 : 2, 0x11, [500, 0, 1, 1]),
  ),
  onSession('a handle in use', 'amqp:session:handle-in-use', (stranger, session, link) => {
    stranger.say(session.channel, 0x12, ['another', link.handle, true])
    return link.handle <= limits.handleMax
  }),
  onSession('a transfer on no link', 'amqp:session:unattached-handle', (stranger, session) => {
    stranger.say(session.channel, 0x14, [1000, session.nextDeliveryId, tag, 0])
    return true
  }),
  onSession('a flow on no link', 'amqp:session:unattached-handle', (stranger, session) => {
    session.incomingWindow = Math.max(9, session.incomingWindow)
    const windows = [session.nextIncomingId, session.incomingWindow, session.nextOutgoingId, 9]
    stranger.say(session.channel, 0x13, [...windows, 1000])
    return true
  }),
  onSession('a detach of no link', 'amqp:session:unattached-handle', (stranger, session) => {
    stranger.say(session.channel, 0x16, [1000, true])
    return true
  }),
  onSession('a transfer against the direction', 'amqp:not-allowed', (stranger, session, link) => {
    stranger.say(session.channel, 0x14, [link.handle, session.nextDeliveryId, tag, 0])
    return !link.sends
  }),
  onSession('a disposition backwards', 'amqp:invalid-field', (stranger, session) => {
    stranger.say(session.channel, 0x15, [true, 10, 9, true])
    return true
  }),
  onSender('no delivery-id', 'session', 'amqp:not-allowed', (stranger, session, link) => {
    stranger.say(session.channel, 0x14, [link.handle, null, tag, 0])
    return true
  }),
  onSender('no tag', 'session', 'amqp:not-allowed', (stranger, session, link) => {
    stranger.say(session.channel, 0x14, [link.handle, session.nextDeliveryId, null, 0])
    return true
  }),
  onSender('a tag too long', 'session', 'amqp:invalid-field', (stranger, session, link) => {
    stranger.say(session.channel, 0x14, [link.handle, session.nextDeliveryId, Buffer.alloc(33), 0])
    return true
  }),
  onSender('a gap between delivery-ids', 'session', 'amqp:invalid-field', (stranger, session, link) => {
    if (session.nextDeliveryId === stranger.firstId) return false
    stranger.say(session.channel, 0x14, [link.handle, (session.nextDeliveryId + 1) >>> 0, tag, 0])
    return true
  }),
  onSender('too large a message', 'link', 'amqp:link:message-size-exceeded', (stranger, session, link) => {
    const half = Buffer.alloc(limits.maxFrameSize - 60)
    const id = session.nextDeliveryId
    session.nextDeliveryId = (id + 1) >>> 0
    const head = [link.handle, id, tag, 0, false]
    stranger.say(session.channel, 0x14, [...head, true], half)
    stranger.say(session.channel, 0x14, [link.handle, null, null, null, null, true], half)
    stranger.say(session.channel, 0x14, [link.handle, null, null, null, null, true], half)
    session.nextOutgoingId = (session.nextOutgoingId + 3) >>> 0
    session.window -= 3
    return true
  }),
  {
    name: 'more transfers than the window',
    scope: 'session',
    condition: 'amqp:session:window-violation',
    say: (stranger, session, link) => {
      if (!link.sends || !link.half || link.half.at < 0) return false
      for (let i = 0; i <= session.window; i++) {
        stranger.say(session.channel, 0x14, [link.handle, null, null, null, null, true])
      }
      return true
    },
  },
  {
    name: 'another delivery-id half way',
    scope: 'session',
    condition: 'amqp:not-allowed',
    say: (stranger, session, link) => {
      if (!link.sends || !link.half || link.half.at < 0 || session.window === 0) return false
      stranger.say(session.channel, 0x14, [link.handle, (link.half.id + 1) >>> 0, tag, 0])
      return true
    },
  },
  {
    name: 'no credit',
    scope: 'link',
    condition: 'amqp:link:transfer-limit-exceeded',
    say: (stranger, session, link) => {
      if (!link.sends || link.half || link.credit > 0 || session.window === 0) return false
      const id = session.nextDeliveryId
      session.nextDeliveryId = (id + 1) >>> 0
      session.nextOutgoingId = (session.nextOutgoingId + 1) >>> 0
      session.window--
      stranger.say(session.channel, 0x14, [link.handle, id, tag, 0])
      return true
    },
  },
]

/** Bodies that have to be looked at before they can be refused, or taken. */
export const oddities: readonly Buffer[] = [
  performative(0x15, [true, 0, 0x7fff_ffff, true]),
  performative(0x15, [false, 0, 0xffff_ffff, true]),
  performative(0x13, [0, 0xffff_ffff, 0, 0xffff_ffff, 0, 0xffff_ffff, 0xffff_ffff, 0, true, true]),
  performative(0x13, [0xffff_ffff, 0, 0xffff_ffff, 0]),
  performative(0x14, [0, 0xffff_ffff, Buffer.alloc(32), 0, true, true, null, null, true, true]),
  performative(0x16, [0]),
  performative(0x17, []),
  performative(0x18, []),
  begin.subarray(8),
]
