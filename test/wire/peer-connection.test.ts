import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { PeerOptions } from '../../src/wire/amqp10/peer/peer.ts'
import { Typed } from '../../src/wire/amqp10/values.ts'
import { Pair, Recorder } from './pair.ts'
import { amqpHeader, begin, bytesOf, frame, frameOf, open, parse, saslHeader, symbol, uint } from './raw.ts'

/** A server that has seen these bytes. */
function server(bytes: Uint8Array[], options: Partial<PeerOptions> = {}): Recorder {
  const recorder = new Recorder({ role: 'server', ...options })
  for (const chunk of bytes) recorder.peer.receive(chunk)
  return recorder
}

/** The condition with which a server closes that was opened and then got `bytes`. */
function closedWith(bytes: Uint8Array, options: Partial<PeerOptions> = {}): string | undefined {
  const recorder = server([amqpHeader, open, begin, bytes], options)
  const close = parse(recorder.peer.takeOutput()).find(({ code }) => code === 0x18)
  assert.equal(close?.condition, recorder.error?.condition, 'the other end is told what we are told')
  if (close) assert.equal(recorder.by, 'violation')
  return close?.condition
}

suite('core 2.2, version negotiation', () => {
  test('the client sends its header first, the server answers with its own', () => {
    const pair = new Pair().open()
    assert.equal(pair.server.remote?.containerId, 'client')
    assert.equal(pair.server.remote?.hostname, 'host')
    assert.equal(pair.client.remote?.containerId, 'server')
    assert.equal(pair.server.identity, '')
    assert.equal(pair.client.identity, '')
  })

  const foreign: [what: string, bytes: string | Buffer, seen: string][] = [
    ['another version', 'AMQP\0\x01\x01\0', 'AMQP\0\x01\x01\0'],
    ['AMQP 0-9-1', 'AMQP\0\0\x09\x01', 'AMQP\0\0\x09\x01'],
    ['TLS as protocol id 2', 'AMQP\x02\x01\0\0', 'AMQP\x02\x01\0\0'],
    ['HTTP', 'GET / HTTP/1.1\r\n', 'GET / HT'],
    ['a TLS client hello', Buffer.from([0x16, 3, 1, 0, 5]), '\x16\x03\x01\0\x05'],
    ['one byte that cannot be a header', '{', '{'],
    ['MQTT after a plausible start', 'AX', 'AX'],
  ]
  for (const [what, bytes, seen] of foreign) {
    test(`${what}: answered with our header, then closed`, () => {
      const recorder = server([Buffer.from(bytes as string, 'latin1')])
      assert.deepEqual(bytesOf(recorder.peer.takeOutput()!), amqpHeader)
      assert.equal(recorder.by, 'protocol-header')
      assert.equal(recorder.error?.condition, 'amqp:connection:framing-error')
      assert.equal(Buffer.from(recorder.header!).toString('latin1'), seen)
    })
  }

  test('a client names what another protocol answered', () => {
    const recorder = new Recorder({ role: 'client' })
    recorder.peer.start()
    recorder.peer.takeOutput()
    recorder.peer.receive(Buffer.from('AMQP\0\0\x09\x01', 'latin1'))
    assert.deepEqual([...recorder.header!], [...Buffer.from('AMQP\0\0\x09\x01', 'latin1')])
    assert.equal(recorder.by, 'protocol-header')
    assert.equal(recorder.peer.takeOutput(), null, 'nothing is said to it')
  })

  test('a header may come byte by byte', () => {
    const recorder = server([...Buffer.concat([amqpHeader, open])].map((byte) => Uint8Array.of(byte)))
    assert.equal(recorder.remote?.containerId, 'raw')
  })

  test('a server without SASL answers the SASL header with the AMQP one', () => {
    const recorder = server([saslHeader])
    assert.deepEqual(bytesOf(recorder.peer.takeOutput()!), amqpHeader)
    assert.equal(recorder.by, 'protocol-header')
  })
})

suite('core 2.3, framing', () => {
  const wrong: [what: string, bytes: Buffer][] = [
    ['a size below eight', uint(7)],
    ['a size above max-frame-size', uint(70_000)],
    ['a data offset into the header', Buffer.from([0, 0, 0, 12, 1, 0, 0, 0, 0, 0x53, 0x10, 0x45])],
    ['a data offset behind the frame', Buffer.from([0, 0, 0, 12, 4, 0, 0, 0, 0, 0x53, 0x10, 0x45])],
    ['an unknown type', frameOf(Buffer.alloc(0), 0, 7)],
    ['a SASL frame after the SASL layer', frameOf(Buffer.from([0x00, 0x53, 0x44, 0x45]), 0, 1)],
  ]
  for (const [what, bytes] of wrong) {
    test(`${what} is a framing error`, () => {
      assert.equal(closedWith(bytes), 'amqp:connection:framing-error')
    })
  }

  test('empty frames are passed over on any channel, extended headers too', () => {
    assert.equal(closedWith(frameOf(Buffer.alloc(0), 999)), undefined)
    const recorder = server([amqpHeader, frameOf(open.subarray(8), 0, 0, 5)])
    assert.equal(recorder.remote?.containerId, 'raw')
  })

  test('a frame of exactly max-frame-size is taken, one more byte is not', () => {
    const body = (size: number) => frame(0, 0x10, ['x'.repeat(size - 32)])
    assert.equal(body(600).length, 600)
    assert.equal(server([amqpHeader, body(600)], { maxFrameSize: 600 }).remote?.containerId.length, 568)
    const recorder = server([amqpHeader, body(601)], { maxFrameSize: 600 })
    assert.equal(recorder.error?.condition, 'amqp:connection:framing-error')
  })
})

const misunderstood: [what: string, bytes: Buffer, condition: string][] = [
  ['a body that is no described value', frameOf(Buffer.from([0x40])), 'amqp:decode-error'],
  [
    'a body that ends in the middle',
    frameOf(Buffer.from([0x00, 0x53, 0x12, 0xc0, 0x20])),
    'amqp:decode-error',
  ],
  ['a transfer that is no list', frameOf(Buffer.from([0x00, 0x53, 0x14, 0xa1, 0])), 'amqp:decode-error'],
  [
    'a transfer list longer than its frame',
    frameOf(Buffer.from([0, 0x53, 0x14, 0xc0, 9, 1, 0x43])),
    'amqp:decode-error',
  ],
  [
    'a transfer list with less in it than it says',
    frameOf(Buffer.from([0, 0x53, 0x14, 0xc0, 4, 1, 0x43, 0x40, 0x40])),
    'amqp:decode-error',
  ],
  [
    'a field longer than its list',
    frameOf(Buffer.from([0, 0x53, 0x15, 0xc0, 3, 2, 0x41, 0x70, 0, 0, 0, 1])),
    'amqp:decode-error',
  ],
  [
    'invalid UTF-8 in a name',
    frameOf(Buffer.from([0, 0x53, 0x10, 0xc0, 4, 1, 0xa1, 1, 0xff])),
    'amqp:decode-error',
  ],
  ['an unknown performative', frame(0, 0x19, []), 'amqp:not-implemented'],
  ['a message section as performative', frame(0, 0x75, []), 'amqp:not-implemented'],
  ['a SASL performative in an AMQP frame', frame(0, 0x40, []), 'amqp:not-implemented'],
  ['a second open', open, 'amqp:illegal-state'],
  ['a frame on a channel without session', frame(5, 0x17, []), 'amqp:illegal-state'],
  ['begin on a channel in use', begin, 'amqp:illegal-state'],
  ['begin that answers nobody', frame(1, 0x11, [5, 0, 1, 1]), 'amqp:illegal-state'],
  ['begin without its windows', frame(1, 0x11, [null, 0]), 'amqp:invalid-field'],
  ['attach without a name', frame(0, 0x12, [null, 0, true]), 'amqp:invalid-field'],
  ['attach with an unknown settle mode', frame(0, 0x12, ['n', 0, true, 9]), 'amqp:invalid-field'],
  [
    'attach of a sender without initial-delivery-count',
    frame(0, 0x12, ['n', 0, false]),
    'amqp:invalid-field',
  ],
  ['attach whose source is none', frame(0, 0x12, ['n', 0, true, null, null, 'q']), 'amqp:invalid-field'],
  ['flow without its windows', frame(0, 0x13, [0]), 'amqp:invalid-field'],
  ['transfer without a handle', frame(0, 0x14, []), 'amqp:invalid-field'],
  ['disposition without a role', frame(0, 0x15, [null, 1]), 'amqp:invalid-field'],
  [
    'disposition with a state of the wrong type',
    frame(0, 0x15, [true, 1, 1, true, 'accepted']),
    'amqp:invalid-field',
  ],
  [
    'a handle that is negative',
    frame(
      0,
      0x16,
      [-1].map(() => symbol('x')),
    ),
    'amqp:invalid-field',
  ],
  ['close with an error that is none', frame(0, 0x18, ['why']), 'amqp:invalid-field'],
]
suite('core 2.8.15, amqp errors of the connection', () => {
  for (const [what, bytes, condition] of misunderstood) {
    test(`${what}: ${condition}`, () => assert.equal(closedWith(bytes), condition))
  }

  test('a list does not reach into the frame behind its own', () => {
    const short = Buffer.from([0, 0, 0, 15, 2, 0, 0, 0, 0, 0x53, 0x13, 0xc0, 9, 8, 0x43])
    const behind = Buffer.alloc(7, 0x43)
    assert.equal(closedWith(Buffer.concat([short, behind])), 'amqp:decode-error')
  })

  test('numbers are of the size and sign that the specification gives them', () => {
    for (const value of [
      new Typed('int', -1),
      new Typed('double', 0.5),
      new Typed('uint', 0x10000),
      true,
      'x',
    ]) {
      const recorder = server([amqpHeader, frame(0, 0x10, ['r', null, null, value])])
      assert.equal(recorder.error?.condition, 'amqp:invalid-field')
    }
  })

  test('a list of more fields than bytes is a decode error', () => {
    assert.equal(
      closedWith(frameOf(Buffer.from([0, 0x53, 0x14, 0xc0, 3, 200, 0x43, 0x43]))),
      'amqp:decode-error',
    )
  })

  test('a composite nested too deep is a decode error', () => {
    const deep = Buffer.concat([Buffer.from([0x00, 0x53, 0x18]), Buffer.alloc(200, 0x00)])
    assert.equal(closedWith(frameOf(deep)), 'amqp:decode-error')
  })

  test('before the open, only an open is understood', () => {
    for (const bytes of [begin, frame(0, 0x18, []), frame(0, 0x14, [0])]) {
      const recorder = server([amqpHeader, bytes])
      assert.equal(recorder.error?.condition, 'amqp:illegal-state')
      const answer = parse(recorder.peer.takeOutput())
      assert.deepEqual(
        answer.map(({ code }) => code),
        [0x10, 0x18],
        'even a close comes after an open',
      )
    }
  })

  test('what the specification numbers it also names', () => {
    const named = Buffer.from('\x00\xa3\x0eamqp:open:list\xc0\x06\x01\xa1\x03raw', 'latin1')
    assert.equal(server([amqpHeader, frameOf(named)]).remote?.containerId, 'raw')
    const wide = Buffer.from('\x00\x80\0\0\0\0\0\0\0\x10\xd0\0\0\0\x09\0\0\0\x01\xa1\x03raw', 'latin1')
    assert.equal(server([amqpHeader, frameOf(wide)]).remote?.containerId, 'raw')
  })
})

suite('core 2.4 and 2.7.1, open and close', () => {
  test('limits go both ways', () => {
    const pair = new Pair(
      { maxFrameSize: 1000, channelMax: 3, idleTimeOut: 0 },
      { maxFrameSize: 2000 },
    ).open()
    assert.equal(pair.server.remote?.maxFrameSize, 1000)
    assert.equal(pair.server.remote?.channelMax, 3)
    assert.equal(pair.server.remote?.idleTimeOut, 0)
    assert.equal(pair.client.remote?.maxFrameSize, 2000)
    assert.equal(pair.client.remote?.idleTimeOut, 60_000)
    pair.sending(1)
    assert.equal(pair.client.log.length, 0)
  })

  test('what is absent has the default of the specification', () => {
    const { remote } = server([amqpHeader, open])
    const { maxFrameSize, channelMax, idleTimeOut, offeredCapabilities } = remote!
    assert.deepEqual([maxFrameSize, channelMax, idleTimeOut], [0xffff_ffff, 0xffff, 0])
    assert.deepEqual(offeredCapabilities, [])
  })

  test('capabilities and properties arrive; one symbol is as good as an array of one', () => {
    const pair = new Pair()
    pair.client.peer.open({
      containerId: 'c',
      desiredCapabilities: ['a', 'b'],
      offeredCapabilities: ['c'],
      properties: new Map<string, unknown>([['product', 'x']]),
    })
    pair.client.peer.start()
    pair.pump()
    assert.deepEqual(pair.server.remote?.desiredCapabilities, ['a', 'b'])
    assert.deepEqual(pair.server.remote?.offeredCapabilities, ['c'])
    assert.equal(pair.server.remote?.properties.get('product'), 'x')
    const one = server([amqpHeader, frame(0, 0x10, ['r', null, null, null, null, null, null, symbol('s')])])
    assert.deepEqual(one.remote?.offeredCapabilities, ['s'])
  })

  test('max-frame-size below 512 and an idle time-out nobody can keep are refused', () => {
    const small = server([amqpHeader, frame(0, 0x10, ['r', null, 511])])
    assert.equal(small.error?.condition, 'amqp:invalid-field')
    const hasty = server([amqpHeader, frame(0, 0x10, ['r', null, null, null, 99])])
    assert.equal(hasty.error?.condition, 'amqp:not-allowed')
  })

  test('close is answered, with its error told', () => {
    const pair = new Pair().open()
    const [client, atServer] = pair.session()
    pair.client.peer.close({
      condition: 'amqp:connection:forced',
      description: 'going',
      info: new Map([['k', 1]]),
    })
    pair.pump()
    assert.deepEqual(pair.server.error, {
      condition: 'amqp:connection:forced',
      description: 'going',
      info: new Map([['k', 1]]),
    })
    assert.deepEqual(
      [pair.client.log, pair.server.log],
      [['closed local'], ['closed peer amqp:connection:forced']],
    )
    assert.deepEqual([client.log, atServer.log], [['begun', 'ended'], ['ended amqp:connection:forced']])
  })

  test('after our close everything but their close is passed over', () => {
    const recorder = server([amqpHeader, open, begin])
    recorder.peer.close()
    recorder.peer.receive(Buffer.concat([attach0, frame(9, 0x17, []), begin, frame(0, 0x18, [])]))
    assert.deepEqual(recorder.log, ['closed local'])
  })

  test('close before the handshake ends at once; before open it opens first', () => {
    const early = new Recorder({ role: 'server' })
    early.peer.close()
    assert.deepEqual(early.log, ['closed local'])
    const recorder = new Recorder({ role: 'server' }, () => {})
    recorder.peer.receive(Buffer.concat([amqpHeader, open]))
    recorder.peer.close()
    assert.deepEqual(
      parse(recorder.peer.takeOutput()).map(({ code }) => code),
      [0x10, 0x18],
    )
  })

  test('JMS mapping: refuse opens with amqp:connection-establishment-failed, then closes', () => {
    const pair = new Pair()
    const invalid = {
      condition: 'amqp:invalid-field',
      info: new Map([['invalid-field', symbol('container-id')]]),
    }
    pair.server.answer = (peer) => peer.refuse(invalid, { containerId: 'broker' })
    pair.open()
    assert.equal(pair.client.remote?.containerId, 'broker')
    assert.equal(pair.client.remote?.properties.get('amqp:connection-establishment-failed'), true)
    assert.equal(pair.client.error?.condition, 'amqp:invalid-field')
    assert.equal(String(pair.client.error?.info?.get('invalid-field')), 'container-id')
    assert.deepEqual(pair.server.log, ['closed local'])
  })

  test('a performative that does not fit a frame of the other end: amqp:frame-size-too-small', () => {
    const pair = new Pair({ maxFrameSize: 512 }).open()
    const [, atServer] = pair.session()
    atServer.session.attachSender({ name: 'n'.repeat(600) }, { flow() {}, disposition() {}, detached() {} })
    pair.pump()
    assert.equal(pair.server.error?.condition, 'amqp:frame-size-too-small')
    assert.equal(pair.client.error?.condition, 'amqp:frame-size-too-small')
  })

  test('nothing is taken after the end', () => {
    const recorder = server([amqpHeader, open, uint(3), begin, begin])
    assert.equal(recorder.log.length, 1)
    assert.equal(recorder.peer.tick(1e9), Number.POSITIVE_INFINITY)
    assert.throws(() => recorder.peer.begin(recorder.begin.prototype), { code: 'illegal-state' })
  })

  test('writable is called once per turn', () => {
    const pair = new Pair().open()
    const [client] = pair.session()
    const before = pair.client.wakes
    client.sender({ name: 'a' })
    client.sender({ name: 'b' })
    assert.equal(pair.client.wakes, before + 1)
    assert(pair.client.peer.outputBytes > 0)
    pair.pump()
    assert.equal(pair.client.peer.outputBytes, 0)
  })
})

const attach0 = frame(0, 0x12, ['n', 0, true])

suite('core 2.4.5, time', () => {
  test('no open in time: closed', () => {
    const recorder = new Recorder({ role: 'server', now: 1000, handshakeTimeout: 5000 })
    assert.equal(recorder.peer.tick(1000), 6000)
    recorder.peer.receive(amqpHeader)
    recorder.peer.tick(5999)
    assert.equal(recorder.by, undefined)
    assert.equal(recorder.peer.tick(6000), Number.POSITIVE_INFINITY)
    assert.equal(recorder.error?.condition, 'amqp:resource-limit-exceeded')
    assert.deepEqual(
      parse(recorder.peer.takeOutput()).map(({ code }) => code),
      [0x10, 0x18],
    )
  })

  test('no answer to our close in time: over', () => {
    const recorder = server([amqpHeader, open], { handshakeTimeout: 5000 })
    recorder.peer.tick(100_000)
    recorder.peer.close()
    assert.equal(recorder.peer.tick(101_000), 106_000)
    assert.deepEqual(recorder.log, [])
    recorder.peer.tick(106_000)
    assert.deepEqual(recorder.log, ['closed violation amqp:resource-limit-exceeded'])
  })

  test('silence is borne for twice the idle time-out and a moment more, each frame begins it anew', () => {
    const recorder = server([amqpHeader, open], { idleTimeOut: 10_000 })
    recorder.peer.tick(1000)
    assert.equal(recorder.peer.tick(15_000), 21_000)
    recorder.peer.receive(frameOf(Buffer.alloc(0)))
    assert.equal(recorder.peer.tick(21_000), 41_000)
    assert.equal(recorder.peer.tick(41_000), 42_000, 'a process that slept looks once more')
    assert.deepEqual(recorder.log, [])
    recorder.peer.tick(42_000)
    assert.deepEqual(recorder.log, ['closed violation amqp:resource-limit-exceeded'])
    assert.equal(parse(recorder.peer.takeOutput()).at(-1)?.condition, 'amqp:resource-limit-exceeded')
  })

  test('what comes in the moment of grace counts', () => {
    const recorder = server([amqpHeader, open], { idleTimeOut: 10_000 })
    recorder.peer.tick(0)
    recorder.peer.tick(20_000)
    recorder.peer.receive(frameOf(Buffer.alloc(0)))
    assert.equal(recorder.peer.tick(21_000), 41_000)
    assert.deepEqual(recorder.log, [])
  })

  test('the other end hears from us within its idle time-out, whatever we have to say', () => {
    const recorder = server([amqpHeader, frame(0, 0x10, ['r', null, null, null, 900])], { idleTimeOut: 0 })
    recorder.peer.takeOutput()
    let now = recorder.peer.tick(0)
    let lastWrite = 0
    for (let i = 0; i < 50; i++) {
      // Something of our own now and then, in the worst moment: right after a look.
      if (i % 7 === 0) recorder.peer.begin({ attached() {}, ended() {} })
      if (recorder.peer.takeOutput()) lastWrite = now
      now = recorder.peer.tick(now)
      assert(now - lastWrite < 900, `silent from ${lastWrite} to ${now}`)
      const output = recorder.peer.takeOutput()
      if (output) lastWrite = now
    }
    assert.equal(recorder.log.length, 0)
  })

  test('a sign of life does not stand for the next: who has nothing to say gives one at every look', () => {
    const recorder = server([amqpHeader, frame(0, 0x10, ['r', null, null, null, 900])], { idleTimeOut: 0 })
    recorder.peer.takeOutput()
    let now = recorder.peer.tick(0)
    now = recorder.peer.tick(now)
    for (let i = 0; i < 5; i++) {
      recorder.peer.takeOutput()
      now = recorder.peer.tick(now)
      assert.equal(recorder.peer.outputBytes, 8)
    }
  })

  test('without idle time-outs nobody needs to look', () => {
    const recorder = server([amqpHeader, open], { idleTimeOut: 0 })
    assert.equal(recorder.peer.tick(5), Number.POSITIVE_INFINITY)
  })
})
