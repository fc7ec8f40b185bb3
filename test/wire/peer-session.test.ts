import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { PeerOptions } from '../../src/wire/amqp10/peer/peer.ts'
import { Pair, Recorder } from './pair.ts'
import { amqpHeader, attach, begin, frame, open, type Parsed, parse, transfer } from './raw.ts'

/** A server with one session, talked to in bytes. */
class Server {
  readonly recorder: Recorder

  constructor(options: Partial<PeerOptions> = {}) {
    this.recorder = new Recorder({ role: 'server', ...options })
    this.say(amqpHeader, open, begin)
  }

  get session() {
    return this.recorder.sessions[0]!
  }

  get receiver() {
    return this.session.receivers.at(-1)!
  }

  get sender() {
    return this.session.senders.at(-1)!
  }

  /** Takes what the other end says and answers with what the server writes at the end of the turn. */
  say(...bytes: Uint8Array[]): Parsed[] {
    this.recorder.peer.receive(Buffer.concat(bytes))
    return this.listen()
  }

  listen(): Parsed[] {
    return parse(this.recorder.peer.takeOutput())
  }

  /** The condition of the end with which the server answers. */
  endedBy(...bytes: Uint8Array[]): string | undefined {
    const end = this.say(...bytes).find(({ code }) => code === 0x17)
    assert.equal(end?.condition, this.session.error?.condition, 'the other end is told what we are told')
    return end?.condition
  }
}

function codes(frames: Parsed[]): number[] {
  return frames.map(({ code }) => code)
}

const granted = () => {
  const server = new Server()
  server.say(attach(0))
  server.receiver.link.grant(100)
  server.listen()
  return server
}

suite('core 2.5, sessions', () => {
  test('begin is answered on a channel of ours, and both ends may begin several', () => {
    const pair = new Pair().open()
    const [one] = pair.session()
    const two = pair.server.begin()
    pair.pump()
    assert.equal(pair.client.sessions.length, 2)
    assert.deepEqual([one.log, two.log], [['begun'], ['begun']])
    assert.deepEqual(
      [...pair.client.peer.sessions].map(({ channel }) => channel),
      [0, 1],
    )
  })

  test('channels are told apart when the two ends number them differently', () => {
    const server = new Server()
    const other = frame(7, 0x11, [null, 0, 10, 10])
    const [answer] = server.say(other)
    assert.equal(answer?.channel, 1)
    assert.equal(answer?.fields[0], 7)
    const [ended] = server.say(frame(7, 0x17, []))
    assert.deepEqual([ended?.code, ended?.channel], [0x17, 1])
    assert.equal(server.session.log.length, 0)
  })

  test('end is answered, tells the links, and frees the channel', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(1)
    pair.client.sessions[0]!.session.end({ condition: 'amqp:resource-deleted' })
    assert.deepEqual(sender.log.at(-1), 'detached amqp:resource-deleted')
    pair.pump()
    assert.deepEqual(receiver.log.at(-1), 'detached amqp:resource-deleted')
    assert.deepEqual(pair.client.sessions[0]!.log, ['begun', 'ended'])
    assert.deepEqual(pair.server.sessions[0]!.log, ['ended amqp:resource-deleted'])
    assert.deepEqual([...pair.client.peer.sessions, ...pair.server.peer.sessions], [])
    pair.session()
    assert.equal([...pair.client.peer.sessions][0]?.channel, 0)
  })

  test('between our end and the answer everything is passed over', () => {
    const server = granted()
    server.session.session.end()
    assert.deepEqual(codes(server.listen()), [0x17])
    assert.deepEqual(
      server.say(transfer(0, 0, 'late'), frame(0, 0x13, [0, 1, 0, 1, 77]), frame(0, 0x17, [])),
      [],
    )
    assert.deepEqual(server.receiver.deliveries, [])
    assert.deepEqual(server.session.log, ['ended'])
    assert.deepEqual(codes(server.say(begin)), [0x11], 'the channel is free again')
  })

  test('channel-max is kept both ways', () => {
    const pair = new Pair({ channelMax: 0 }, { channelMax: 9 })
    pair.session()
    assert.throws(() => pair.client.begin(), { code: 'illegal-state' })
    assert.throws(() => pair.server.begin(), { code: 'illegal-state' })
    const server = new Server({ channelMax: 3 })
    server.say(frame(4, 0x11, [null, 0, 1, 1]))
    assert.equal(server.recorder.error?.condition, 'amqp:connection:framing-error')
  })

  test('a session ended by a violation is told once, and the answer to its end changes nothing', () => {
    const server = new Server()
    assert.equal(server.endedBy(transfer(3, 0)), 'amqp:session:unattached-handle')
    server.say(frame(0, 0x17, []))
    assert.deepEqual(server.session.log, ['ended amqp:session:unattached-handle'])
  })
})

suite('core 2.5.6, session windows', () => {
  test('more transfers than the window allows: window-violation', () => {
    const server = new Server({ incomingWindow: 4 })
    server.say(attach(0))
    server.receiver.link.grant(10)
    server.listen()
    const four = [0, 1, 2, 3].map((id) => transfer(0, id))
    assert.equal(server.endedBy(...four, transfer(0, 4)), 'amqp:session:window-violation')
  })

  test('the window is topped up in batches, when half of it is used', () => {
    const server = new Server({ incomingWindow: 8 })
    server.say(attach(0))
    server.receiver.link.grant(100)
    server.listen()
    const flows: (readonly unknown[])[] = []
    for (let id = 0; id < 16; id++) {
      for (const { code, fields } of server.say(transfer(0, id))) {
        assert.equal(code, 0x13)
        flows.push([id, ...fields.slice(0, 2), fields.length])
      }
    }
    assert.deepEqual(flows, [
      [4, 5, 8, 4],
      [9, 10, 8, 4],
      [14, 15, 8, 4],
    ])
  })

  test('transfers wait for the window of the other end, in order, and say so', () => {
    const pair = new Pair({}, { incomingWindow: 4 })
    const [sender, receiver] = pair.sending(100)
    const session = pair.client.sessions[0]!
    const sent = Array.from({ length: 30 }, (_, i) => `message ${i}`)
    for (const text of sent.slice(0, 4)) sender.send(text)
    assert.equal(session.session.congested, false)
    for (const text of sent.slice(4)) sender.send(text)
    assert.equal(session.session.congested, true)
    pair.pump()
    assert.deepEqual(receiver.deliveries, sent)
    assert.deepEqual(receiver.ids, [...sent.keys()])
    assert.equal(session.session.congested, false)
    assert.deepEqual(
      session.log.filter((line) => line === 'writable'),
      ['writable'],
    )
  })

  test('a payload that waits is cut where it was left', () => {
    const pair = new Pair({}, { incomingWindow: 2, maxFrameSize: 512 })
    const [sender, receiver] = pair.sending(10)
    const text = Array.from({ length: 5000 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('')
    const prefix = Buffer.from('p'.repeat(1500))
    const payload = Buffer.from(`__${text}__`)
    sender.link.send(false, 0, null, prefix, payload, 2, payload.length - 2)
    prefix.fill(0)
    sender.send('next')
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['p'.repeat(1500) + text, 'next'])
  })

  test('the window counts frames on their way: next-incoming-id says what has been seen', () => {
    const server = new Server()
    const source = attach(0, 'out', true)
    server.say(frame(0, 0x13, [0, 2, 0, 100]), source, frame(0, 0x13, [0, 2, 0, 100, 0, 0, 10]))
    for (let i = 0; i < 5; i++) server.sender.send(`${i}`)
    assert.equal(server.listen().length, 2)
    assert.equal(server.say(frame(0, 0x13, [1, 2, 0, 100])).length, 1, 'one was seen, one is on its way')
    assert.equal(server.say(frame(0, 0x13, [3, 2, 0, 100])).length, 2)
  })

  test('a flow without next-incoming-id is of somebody who has seen nothing', () => {
    const server = new Server()
    server.say(attach(0, 'out', true), frame(0, 0x13, [null, 3, 0, 100, 0, 0, 10]))
    for (let i = 0; i < 5; i++) server.sender.send(`${i}`)
    assert.equal(server.listen().length, 3)
  })

  test('echo is answered, for a session and for a link', () => {
    const server = granted()
    const [flow] = server.say(frame(0, 0x13, [0, 9, 0, 9, null, null, null, null, null, true]))
    assert.deepEqual([flow?.code, flow?.fields.length], [0x13, 4])
    const [link] = server.say(frame(0, 0x13, [0, 9, 0, 9, 0, 0, 0, 0, false, true]))
    assert.deepEqual(link?.fields.slice(4), [0, 0, 100, 0, false])
  })
})

suite('core 2.8.17, session errors', () => {
  const wrong: [what: string, frames: Buffer[], condition: string][] = [
    ['a handle in use', [attach(0, 'other')], 'amqp:session:handle-in-use'],
    ['a transfer on no link', [transfer(9, 0)], 'amqp:session:unattached-handle'],
    ['a flow on no link', [frame(0, 0x13, [0, 9, 0, 9, 9])], 'amqp:session:unattached-handle'],
    ['a detach of no link', [frame(0, 0x16, [9])], 'amqp:session:unattached-handle'],
    [
      'a transfer after the detach',
      [frame(0, 0x16, [0, true]), transfer(0, 0)],
      'amqp:session:unattached-handle',
    ],
    ['a transfer on a link that we send on', [attach(1, 'out', true), transfer(1, 0)], 'amqp:not-allowed'],
    ['a delivery without id', [transfer(0, null)], 'amqp:not-allowed'],
    ['a delivery without tag', [frame(0, 0x14, [0, 0, null, 0])], 'amqp:not-allowed'],
    ['a tag of 33 bytes', [frame(0, 0x14, [0, 0, Buffer.alloc(33), 0])], 'amqp:invalid-field'],
    ['a gap between delivery-ids', [transfer(0, 0), transfer(0, 2)], 'amqp:invalid-field'],
    ['a delivery-id twice', [transfer(0, 5), transfer(0, 5)], 'amqp:invalid-field'],
    [
      'another delivery before the end of one',
      [transfer(0, 0, 'a', true), transfer(0, 1, 'b')],
      'amqp:not-allowed',
    ],
    ['a disposition that goes backwards', [frame(0, 0x15, [true, 5, 4])], 'amqp:invalid-field'],
  ]
  for (const [what, frames, condition] of wrong) {
    test(`${what}: ${condition}`, () => assert.equal(granted().endedBy(...frames), condition))
  }

  test('after a detach of ours with an error, input for the link is passed over until the answer, then errant', () => {
    const server = granted()
    server.receiver.link.detach(true, { condition: 'amqp:resource-deleted' })
    assert.deepEqual(codes(server.listen()), [0x16])
    assert.deepEqual(server.say(transfer(0, 0, 'late'), frame(0, 0x13, [0, 9, 0, 9, 0])), [])
    server.say(frame(0, 0x16, [0, true]))
    assert.equal(server.endedBy(transfer(0, 1)), 'amqp:session:errant-link')
  })

  test('a delivery that is passed over still counts: its id, and its end', () => {
    const server = granted()
    server.say(attach(1, 'second'))
    server.receiver.link.grant(10)
    server.session.receivers[0]!.link.detach(true)
    server.listen()
    assert.deepEqual(server.say(transfer(0, 0, 'a', true), transfer(1, 1, 'x'), transfer(0, null, 'b')), [])
    server.say(transfer(1, 2, 'y'))
    assert.deepEqual(server.receiver.deliveries, ['x', 'y'])
  })

  test('a handle above handle-max is a framing error of the connection', () => {
    const server = new Server({ handleMax: 2 })
    assert.deepEqual(codes(server.say(attach(2))), [0x12])
    server.say(attach(3, 'more'))
    assert.equal(server.recorder.error?.condition, 'amqp:connection:framing-error')
  })

  test('the other end’s handle-max is kept', () => {
    const pair = new Pair({}, { handleMax: 1 })
    const [client] = pair.session()
    client.sender({ name: 'a' })
    client.sender({ name: 'b' })
    assert.throws(() => client.sender({ name: 'c' }), { code: 'illegal-state' })
    pair.pump()
    assert.equal(pair.server.sessions[0]?.receivers.length, 2)
    const tight = new Pair({ handleMax: 0 })
    const [left, right] = tight.session()
    left.sender({ name: 'a' })
    left.sender({ name: 'b' })
    tight.pump()
    assert.equal(right.error?.condition, 'amqp:resource-limit-exceeded')
    assert.equal(left.error?.condition, 'amqp:resource-limit-exceeded')
  })
})

suite('dispositions', () => {
  test('those that adjoin and say the same go as one frame, the others do not', () => {
    const server = granted()
    server.say(...Array.from({ length: 12 }, (_, id) => transfer(0, id)))
    const { link } = server.receiver
    for (const id of [0, 1, 2]) link.settle(id, id, { kind: 'accepted' })
    link.settle(5, 6, { kind: 'accepted' })
    link.settle(4, 4, { kind: 'accepted' })
    link.settle(3, 3, { kind: 'released' })
    link.settle(8, 8, { kind: 'rejected', error: { condition: 'x:y', description: 'no' } })
    link.settle(9, 9, { kind: 'modified', deliveryFailed: true, undeliverableHere: false })
    link.settle(10, 10, { kind: 'accepted' })
    link.settle(11, 11, { kind: 'accepted' }, false)
    const frames = server.listen()
    assert.deepEqual(
      frames.map(({ code, fields }) => [code, ...fields.slice(0, 4)]),
      [
        [0x15, true, 0, 2, true],
        [0x15, true, 4, 6, true],
        [0x15, true, 3, 3, true],
        [0x15, true, 8, 8, true],
        [0x15, true, 9, 9, true],
        [0x15, true, 10, 10, true],
        [0x15, true, 11, 11, false],
      ],
    )
    assert.deepEqual(
      frames.map(({ fields }) => Number((fields[4] as { descriptor: unknown }).descriptor)),
      [0x24, 0x24, 0x26, 0x25, 0x27, 0x24, 0x24],
    )
  })

  test('they go before the end of what they are about', () => {
    for (const over of ['detach', 'end', 'close'] as const) {
      const server = granted()
      server.say(transfer(0, 0))
      server.receiver.link.settle(0, 0, { kind: 'accepted' })
      if (over === 'detach') server.receiver.link.detach(true)
      else if (over === 'end') server.session.session.end()
      else server.recorder.peer.close()
      assert.equal(server.listen()[0]?.code, 0x15, over)
    }
  })

  test('what is settled already is not settled again', () => {
    const server = granted()
    server.say(transfer(0, 0), frame(0, 0x14, [0, 1, Buffer.from('t'), 0, true]))
    const { link } = server.receiver
    link.settle(0, 0, { kind: 'accepted' })
    link.settle(0, 0, { kind: 'released' })
    link.settle(1, 1, { kind: 'accepted' })
    link.settle(7, 9, { kind: 'accepted' })
    assert.deepEqual(
      server.listen().map(({ fields }) => fields.slice(0, 4)),
      [[true, 0, 0, true]],
    )
  })

  test('a range is told to each link in runs of its own deliveries that were not settled', () => {
    const pair = new Pair()
    const [client, atServer] = pair.session()
    const one = client.receiver({ name: 'one' })
    const two = client.receiver({ name: 'two' })
    one.link.grant(20)
    two.link.grant(20)
    pair.pump()
    const [s1, s2] = atServer.senders as [(typeof atServer.senders)[0], (typeof atServer.senders)[0]]
    s1.send('0')
    s1.send('1', true)
    s1.send('2')
    s1.send('3')
    s2.send('4')
    s2.send('5')
    s1.send('6')
    pair.pump()
    s1.log.length = s2.log.length = 0
    one.link.settle(3, 3, { kind: 'released' })
    pair.pump()
    // A peer may say it for all of a session at once, and of more than there is.
    pair.server.peer.receive(frame(0, 0x15, [true, 0, 0x7fff_0000, true]))
    assert.deepEqual(s1.log, [
      'released 3-3 settled',
      'nothing 0-0 settled',
      'nothing 2-2 settled',
      'nothing 6-6 settled',
    ])
    assert.deepEqual(s2.log, ['nothing 4-5 settled'])
    pair.server.peer.receive(frame(0, 0x15, [true, 0, 100, true]))
    assert.equal(s1.log.length + s2.log.length, 5, 'nobody is told twice')
  })

  test('ranges hold across pages, with holes, near the wrap of the serial numbers', () => {
    for (const firstId of [0, 200, 0xffff_ff00, 0xffff_ffff - 700]) {
      const pair = new Pair({ firstId }, { firstId })
      const [sender, receiver] = pair.sending(2000)
      for (let i = 0; i < 1500; i++) sender.send('x', i % 100 === 99)
      pair.pump()
      sender.log.length = 0
      const id = (i: number) => (firstId + i) >>> 0
      assert.equal(receiver.ids[1499], id(1499))
      receiver.link.settle(id(10), id(1400), { kind: 'accepted' })
      pair.pump()
      const settled = sender.log.map((line) => /(\d+)-(\d+)/.exec(line)!.slice(1).map(Number))
      const count = settled.reduce((sum, [first, last]) => sum + ((last! - first! + 1) >>> 0), 0)
      assert.equal(count, 1391 - 14)
      assert.deepEqual(settled[0], [id(10), id(98)])
      assert.equal(settled.length, 15)
    }
  })

  test('what a range costs follows what is unsettled, not how far it goes', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(1000)
    sender.send('oldest')
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 900; i++) sender.send('x')
      pair.pump()
      const last = receiver.ids.at(-1)!
      receiver.link.settle(last - 899, last, { kind: 'accepted' })
      receiver.link.grant(900)
      pair.pump()
    }
    const { outgoing } = pair.client.sessions[0]!.session
    const pages = (outgoing as unknown as { pages: Map<number, unknown> }).pages
    assert(pages.size <= 2, `${pages.size} pages for one unsettled delivery`)
    pair.client.peer.receive(frame(0, 0x15, [true, 0, 0x7fff_0000, true]))
    assert.equal(sender.log.at(-1), 'nothing 0-0 settled')
  })

  test('of a link that is gone nothing is told any more, and its handle may serve another', () => {
    const server = new Server()
    server.say(attach(0, 'out', true), frame(0, 0x13, [0, 100, 0, 100, 0, 0, 10]))
    const first = server.sender
    first.send('a')
    server.say(frame(0, 0x16, [0, true]))
    server.say(attach(0, 'again', true), frame(0, 0x13, [0, 100, 0, 100, 0, 0, 10]))
    server.sender.send('b')
    server.say(frame(0, 0x15, [true, 0, 1, true]))
    assert.deepEqual(first.log, ['credit 10', 'detached closed'])
    assert.deepEqual(server.sender.log, ['credit 10', 'nothing 1-1 settled'])
  })
})
