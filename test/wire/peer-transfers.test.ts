import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { DeliveryState } from '../../src/wire/amqp10/peer/performatives.ts'
import { Pair } from './pair.ts'
import { bytesOf, frame, parse } from './raw.ts'

suite('core 2.6.12 and 2.6.14, transfers', () => {
  test('tag, format and settled arrive; a tag of none is made', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(10)
    const tag = Buffer.from('0123456789abcdef0123456789abcdef')
    sender.link.send(true, 7, tag, Buffer.from('<'), Buffer.from('-body-'), 1, 5)
    sender.send('own')
    sender.link.send(false, 0, Buffer.alloc(0), null, Buffer.alloc(0), 0, 0)
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['<body', 'own', ''])
    const [first, second, third] = receiver.parts
    assert.deepEqual(
      [first?.id, first?.format, first?.settled, first?.first, first?.more],
      [0, 7, true, true, false],
    )
    assert.deepEqual(Buffer.from(first!.tag), tag)
    assert.deepEqual([...second!.tag], [0, 0, 0, 1])
    assert.equal(third?.tag.length, 0)
    assert.throws(() => sender.link.send(false, 0, Buffer.alloc(33), null, tag, 0, 1), {
      code: 'argument-invalid',
    })
  })

  test('a delivery larger than the frames of the other end comes in parts of one id', () => {
    const pair = new Pair({}, { maxFrameSize: 1000 })
    const [sender, receiver] = pair.sending(3)
    const text = 'abcdefghij'.repeat(1000)
    sender.send(text)
    const output = bytesOf(pair.client.peer.takeOutput()!)
    for (let at = 0; at < output.length; ) {
      const size = Buffer.from(output).readUInt32BE(at)
      assert(size <= 1000)
      at += size
    }
    pair.server.peer.receive(output)
    assert.deepEqual(receiver.deliveries, [text])
    assert.equal(receiver.parts.length, 11)
    for (const [i, part] of receiver.parts.entries()) {
      assert.deepEqual([part.id, part.first, part.more, part.tag.length], [0, i === 0, i < 10, 4])
    }
    assert.equal(receiver.link.credit, 2, 'one delivery, one credit')
  })

  test('frames are exactly as large as the other end takes them', () => {
    for (const size of [512, 513, 600]) {
      const pair = new Pair({}, { maxFrameSize: size })
      const [sender] = pair.sending(3)
      sender.send('x'.repeat(5000))
      assert.equal(bytesOf(pair.client.peer.takeOutput()!).readUInt32BE(0), size)
    }
  })

  test('payloads around the border of one frame', () => {
    for (let size = 460; size < 500; size++) {
      const pair = new Pair({}, { maxFrameSize: 512 })
      const [sender, receiver] = pair.sending(3)
      sender.send('x'.repeat(size))
      sender.send('y')
      pair.pump()
      assert.deepEqual(
        receiver.deliveries.map((text) => text?.length),
        [size, 1],
      )
      assert(receiver.parts.length <= 3)
    }
  })

  test('large payloads go as they lie, whole and in order, in frames as large as the other end takes them', () => {
    for (const size of [16_384, 65_000, 65_536, 200_000]) {
      for (const maxFrameSize of [512, 4_096, 65_536]) {
        const pair = new Pair({}, { maxFrameSize, incomingWindow: 2_048 })
        const [sender, receiver] = pair.sending(3)
        // In no memory that output has, too.
        const payload = Buffer.allocUnsafeSlow(size).fill('abcdefghijk')
        const prefix = Buffer.from('prefix')
        sender.link.send(false, 0, null, prefix, payload, 0, size)
        sender.send('next')
        const output = pair.client.peer.takeOutput()!
        assert.equal(
          output.pieces.some(({ buffer }) => buffer === payload.buffer),
          maxFrameSize > 512,
          `${size} bytes in frames of ${maxFrameSize}`,
        )
        const bytes = bytesOf(output)
        for (let at = 0; at < bytes.length; at += bytes.readUInt32BE(at)) {
          assert(bytes.readUInt32BE(at) <= maxFrameSize)
        }
        pair.server.peer.receive(bytes)
        assert(receiver.deliveries[0] === `prefix${payload}`, `${size} bytes in frames of ${maxFrameSize}`)
        assert.equal(receiver.deliveries[1], 'next')
      }
    }
  })

  test('a payload that is a small part of the memory it lies in is copied: it would keep all of that', () => {
    const pair = new Pair({}, { maxFrameSize: 65_536 })
    const [sender] = pair.sending(3)
    const memory = Buffer.allocUnsafeSlow(1_000_000)
    for (const [size, referred] of [
      [100_000, false],
      [200_000, true],
    ] as const) {
      sender.link.send(false, 0, null, null, memory, 500_000, 500_000 + size)
      const { pieces } = pair.client.peer.takeOutput()!
      assert.equal(
        pieces.some(({ buffer }) => buffer === memory.buffer),
        referred,
      )
    }
  })

  test('a delivery given in parts is received in parts, others may come between', () => {
    const pair = new Pair()
    const [client, server] = pair.session()
    const one = client.sender({ name: 'one' })
    const two = client.sender({ name: 'two' })
    pair.pump()
    for (const { link } of server.receivers) link.grant(5)
    pair.pump()
    assert.equal(one.link.begin(false, 0, Buffer.from('t1')), 0)
    assert.equal(two.link.begin(false, 0, Buffer.from('t2')), 1)
    two.link.append(Buffer.from('2a'), 0, 2, false)
    one.link.append(Buffer.from('1a'), 0, 2, false)
    assert.throws(() => one.send('between'), { code: 'illegal-state' })
    one.link.append(Buffer.from('1b'), 0, 2, true)
    assert.equal(one.send('next'), 2)
    two.link.append(Buffer.alloc(0), 0, 0, true)
    pair.pump()
    const [r1, r2] = server.receivers
    assert.deepEqual([r1?.deliveries, r2?.deliveries], [['1a1b', 'next'], ['2a']])
    assert.deepEqual([r1?.ids, r2?.ids], [[0, 2], [1]])
    assert.throws(() => one.link.append(Buffer.alloc(0), 0, 0, true), { code: 'illegal-state' })
    assert.equal(pair.server.by, undefined)
  })

  test('an aborted delivery is forgotten at both ends', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    sender.link.begin(false, 0, null)
    sender.link.append(Buffer.from('half'), 0, 4, false)
    sender.link.abort()
    sender.link.begin(false, 0, null)
    sender.link.abort()
    sender.link.abort()
    sender.send('whole')
    pair.pump()
    assert.deepEqual(receiver.deliveries, [null, null, 'whole'])
    assert.deepEqual(
      receiver.parts.map(({ aborted }) => aborted),
      [false, false, true, false, true, false],
    )
    receiver.link.settle(0, 2, { kind: 'accepted' })
    pair.pump()
    assert.equal(sender.log.at(-1), 'accepted 2-2 settled')
    assert.equal(receiver.link.credit, 2)
  })

  test('what is aborted is over, whatever else the frame says, and is not settled', () => {
    const pair = new Pair()
    const [, receiver] = pair.sending(5)
    const { peer } = pair.server
    peer.receive(frame(0, 0x14, [0, 0, Buffer.from('t'), 0, false, true], 'a'))
    peer.receive(frame(0, 0x14, [0, null, null, null, null, true, null, null, null, true], 'b'))
    peer.receive(frame(0, 0x14, [0, 1, Buffer.from('t'), 0, false, true, null, null, null, true], 'c'))
    peer.receive(frame(0, 0x14, [0, 2, Buffer.from('t'), 0], 'd'))
    assert.deepEqual(receiver.deliveries, [null, null, 'd'])
    receiver.link.settle(0, 0, { kind: 'accepted' })
    receiver.link.settle(1, 1, { kind: 'accepted' })
    assert.equal(peer.takeOutput(), null)
  })

  test('a transfer may say late that it is settled', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    pair.server.peer.receive(frame(0, 0x14, [0, 0, Buffer.from('t'), 0, false, true], 'a'))
    pair.server.peer.receive(frame(0, 0x14, [0, null, null, null, true, false], 'b'))
    assert.deepEqual(receiver.deliveries, ['ab'])
    assert.equal(receiver.parts.at(-1)?.settled, true)
    receiver.link.settle(0, 0, { kind: 'accepted' })
    assert.equal(pair.server.peer.takeOutput(), null)
    assert.equal(sender.log.length, 2)
  })

  test('a state may come with the transfer', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    const state: DeliveryState = { kind: 'received', sectionNumber: 1, sectionOffset: 5_000_000_000 }
    const long: DeliveryState = {
      kind: 'rejected',
      error: { condition: 'x:y', description: 'z'.repeat(350), info: undefined },
    }
    for (const given of [state, long]) sender.link.send(false, 0, null, null, Buffer.from('abc'), 0, 3, given)
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['abc', 'abc'])
    assert.deepEqual(
      receiver.parts.map((part) => part.state),
      [state, long],
    )
  })

  test('max-message-size: the sender of more loses its link, and nothing else', () => {
    for (const sizes of [[101], [60, 41], [60, 40, 1]]) {
      const pair = new Pair()
      const [client, server] = pair.session()
      server.onAttach = (link) => link.accept({ maxMessageSize: 100 })
      const sender = client.sender()
      const other = client.sender({ name: 'other' })
      pair.pump()
      for (const { link } of server.receivers) link.grant(5)
      pair.pump()
      assert.equal(sender.remote?.maxMessageSize, 100)
      sender.send('x'.repeat(100))
      sender.link.begin(false, 0, null)
      for (const [i, size] of sizes.entries()) {
        sender.link.append(Buffer.alloc(size, 0x79), 0, size, i === sizes.length - 1)
      }
      other.send('fine')
      pair.pump()
      const [receiver, second] = server.receivers
      assert.deepEqual(receiver?.deliveries, ['x'.repeat(100)])
      assert.equal(receiver?.log[0], 'detached closed amqp:link:message-size-exceeded')
      assert.equal(sender.log.at(-1), 'detached closed amqp:link:message-size-exceeded')
      assert.deepEqual(second?.deliveries, ['fine'])
    }
  })

  test('while nobody reads, no payload is kept beyond what the window holds up', () => {
    const pair = new Pair()
    const [, receiver] = pair.sending(1)
    const peer = pair.server.peer
    const part = Buffer.concat([frame(0, 0x14, [0, 0, Buffer.from('t'), 0, false, true], 'x'.repeat(60_000))])
    const further = frame(0, 0x14, [0, null, null, null, null, true], 'x'.repeat(60_000))
    receiver.link.events = { transfer() {}, detached() {} }
    peer.receive(part)
    const before = process.memoryUsage().arrayBuffers
    for (let i = 0; i < 1000; i++) peer.receive(further)
    assert(process.memoryUsage().arrayBuffers - before < 30_000_000, '60 MB have passed through')
    assert.equal(pair.server.by, undefined)
  })

  test('a chunk may be reused after receive', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(100)
    const chunk = Buffer.alloc(50)
    pair.cut = (bytes) => {
      const chunks: Uint8Array[] = []
      for (let at = 0; at < bytes.length; at += 50) {
        chunk.fill(0xee)
        const size = Buffer.from(bytes).copy(chunk, 0, at)
        pair.server.peer.receive(chunk, 0, size)
      }
      return chunks
    }
    for (let i = 0; i < 20; i++) sender.send(`message ${i} ${'x'.repeat(i * 9)}`)
    pair.pass(pair.client.peer, pair.server.peer)
    assert.deepEqual(
      receiver.deliveries,
      Array.from({ length: 20 }, (_, i) => `message ${i} ${'x'.repeat(i * 9)}`),
    )
  })
})

suite('core 3.4, delivery states', () => {
  const states: DeliveryState[] = [
    { kind: 'accepted' },
    { kind: 'released' },
    { kind: 'rejected', error: undefined },
    { kind: 'rejected', error: { condition: 'a:b', description: 'why', info: new Map([['k', 'v']]) } },
    { kind: 'modified', deliveryFailed: true, undeliverableHere: false, messageAnnotations: undefined },
    {
      kind: 'modified',
      deliveryFailed: false,
      undeliverableHere: true,
      messageAnnotations: new Map<string, unknown>([['x-opt', [1, 'two']]]),
    },
    { kind: 'received', sectionNumber: 3, sectionOffset: 70_000 },
  ]
  for (const state of states) {
    test(`${state.kind} arrives as it was given`, () => {
      const pair = new Pair()
      const [sender, receiver] = pair.sending(1)
      sender.send('x')
      pair.pump()
      receiver.link.settle(0, 0, state)
      pair.pump()
      assert.deepEqual(sender.states, [state])
    })
  }

  test('a state of an extension is told by its descriptor', () => {
    const pair = new Pair()
    const [sender] = pair.sending(1)
    sender.send('x')
    pair.client.peer.receive(frame(0, 0x15, [true, 0, 0, false]))
    // A state that nobody has heard of, whose content is nobody's business here.
    const bytes = Buffer.from([0, 0x53, 0x15, 0xc0, 11, 5, 0x41, 0x43, 0x43, 0x42, 0, 0x53, 0x3f, 0xc0, 1, 0])
    pair.client.peer.receive(Buffer.concat([Buffer.from([0, 0, 0, 24, 2, 0, 0, 0]), bytes]))
    assert.deepEqual(sender.states.at(-1), { kind: 'unknown', descriptor: 0x3fn })
    assert.equal(pair.client.by, undefined)
  })

  test('receiver-settle-mode second: state from the receiver, settlement from the sender', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5, { rcvSettleMode: 'second' })
    sender.send('a')
    sender.send('b')
    pair.pump()
    receiver.link.settle(0, 1, { kind: 'accepted' }, false)
    pair.pump()
    assert.equal(sender.log.at(-1), 'accepted 0-1')
    sender.link.settle(0, 1, { kind: 'accepted' })
    assert.deepEqual(
      parse(pair.client.peer.takeOutput()).map(({ fields }) => fields.slice(0, 4)),
      [[false, 0, 1, true]],
    )
    pair.server.peer.receive(frame(0, 0x15, [false, 0, 1, true]))
    assert.equal(receiver.log.at(-1), 'nothing 0-1 settled')
    receiver.link.settle(0, 1, { kind: 'accepted' })
    assert.equal(pair.server.peer.takeOutput(), null, 'it was over')
  })

  test('settled by the sender before the receiver has said anything', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    sender.send('a')
    pair.pump()
    sender.link.settle(0, 0, undefined)
    pair.pump()
    assert.equal(receiver.log.at(-1), 'nothing 0-0 settled')
    receiver.link.settle(0, 0, { kind: 'accepted' })
    pair.pump()
    assert.deepEqual(sender.log, ['attached', 'credit 5'])
  })
})
