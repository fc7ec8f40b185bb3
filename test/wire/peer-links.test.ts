import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Attach, Source, Target } from '../../src/wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Described, Typed } from '../../src/wire/amqp10/values.ts'
import { node, Pair } from './pair.ts'
import { frame, parse } from './raw.ts'

const source: Source = {
  address: 'queue://in',
  durable: 'unsettled-state',
  expiryPolicy: 'never',
  timeout: 90,
  dynamic: false,
  distributionMode: 'copy',
  filter: new Map([['jms-selector', new Described(0x468c00000004n, 'a > 1')]]),
  defaultOutcome: {
    kind: 'modified',
    deliveryFailed: true,
    undeliverableHere: false,
    messageAnnotations: undefined,
  },
  outcomes: ['amqp:accepted:list', 'amqp:released:list'],
  capabilities: ['queue'],
  dynamicNodeProperties: undefined,
}

const target: Target = {
  address: null,
  durable: 'configuration',
  expiryPolicy: 'connection-close',
  timeout: 0,
  dynamic: true,
  dynamicNodeProperties: new Map([['lifetime-policy', new Described(0x2bn, [])]]),
  capabilities: ['temporary-queue', 'x'],
}

suite('core 2.6.3, attaching', () => {
  test('everything that an attach says arrives, and comes back mirrored', () => {
    const pair = new Pair()
    const [client, server] = pair.session()
    const attach: Attach = {
      name: 'Zoë’s link',
      role: 'sender',
      sndSettleMode: 'unsettled',
      rcvSettleMode: 'second',
      source,
      target,
      maxMessageSize: 2 ** 40,
      offeredCapabilities: ['o'],
      desiredCapabilities: ['d', 'e'],
      properties: new Map<string, unknown>([
        ['millrace:producer-id', 'p1'],
        ['n', 7n],
      ]),
    }
    const sender = client.sender(attach)
    pair.pump()
    const { remoteAttach } = server.receivers[0]!.link
    assert.deepEqual(remoteAttach, attach)
    const { name, role, sndSettleMode, rcvSettleMode, source: s, target: t, maxMessageSize } = sender.remote!
    assert.deepEqual(
      [name, role, sndSettleMode, rcvSettleMode],
      ['Zoë’s link', 'receiver', 'unsettled', 'second'],
    )
    assert.deepEqual([s, t, maxMessageSize], [source, target, 0])
    assert.equal(sender.link.state, 'attached')
  })

  test('an answer says what it wants to say itself', () => {
    const pair = new Pair()
    const [client, server] = pair.session()
    server.onAttach = (link) =>
      link.accept({
        target: { ...node('temp-queue:1') },
        maxMessageSize: 1000,
        offeredCapabilities: ['millrace'],
        properties: new Map([['millrace:last-sequence', 8n]]),
        rcvSettleMode: 'first',
      })
    const sender = client.sender({ rcvSettleMode: 'second', target })
    pair.pump()
    const { remote } = sender
    assert.equal((remote!.target as Target).address, 'temp-queue:1')
    assert.equal(remote?.maxMessageSize, 1000)
    assert.equal(remote?.rcvSettleMode, 'first')
    assert.deepEqual(remote?.offeredCapabilities, ['millrace'])
    assert.equal(remote?.properties.get('millrace:last-sequence'), 8n)
  })

  test('an answer may come later, credit that came before it is used then', () => {
    const pair = new Pair()
    const [client, server] = pair.session()
    server.onAttach = () => {}
    const receiver = client.receiver()
    receiver.link.grant(5)
    pair.pump()
    const { link } = server.senders[0]!
    assert.equal(link.state, 'attaching')
    assert.throws(() => server.senders[0]!.send('early'), { code: 'illegal-state' })
    link.accept()
    link.accept()
    pair.pump()
    assert.equal(server.senders[0]!.log.at(-1), 'credit 5')
    server.senders[0]!.send('now')
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['now'])
  })

  test('a coordinator is a target of its own', () => {
    const pair = new Pair()
    const [client, server] = pair.session()
    client.sender({ target: { coordinator: true, capabilities: ['amqp:local-transactions'] } })
    pair.pump()
    assert.deepEqual(server.receivers[0]?.link.remoteAttach?.target, {
      coordinator: true,
      capabilities: ['amqp:local-transactions'],
    })
  })

  test('refused: attach with null source and target, then a closing detach with the error', () => {
    for (const role of ['sender', 'receiver'] as const) {
      const pair = new Pair()
      const [client, server] = pair.session()
      server.onAttach = (link) => link.refuse({ condition: 'amqp:not-found', description: 'no such queue' })
      const recorded = role === 'sender' ? client.sender() : client.receiver()
      pair.pump()
      assert.deepEqual(recorded.log, ['attached', 'detached closed amqp:not-found'])
      assert.equal(recorded.remote?.source, null)
      assert.equal(recorded.remote?.target, null)
      assert.equal(recorded.error?.description, 'no such queue')
      assert.equal(recorded.link.state, 'detached')
      const again = role === 'sender' ? client.sender() : client.receiver()
      assert.equal(again.link.state, 'attaching', 'the name is free')
    }
  })

  test('a name in use is refused to ourselves until its detach is confirmed', () => {
    const pair = new Pair()
    const [client] = pair.session()
    const first = client.sender({ name: 'n' })
    client.receiver({ name: 'n' })
    assert.throws(() => client.sender({ name: 'n' }), { code: 'illegal-state' })
    pair.pump()
    first.link.detach(false)
    assert.throws(() => client.sender({ name: 'n' }), { code: 'illegal-state' })
    pair.pump()
    assert.equal(first.log.at(-1), 'confirmed')
    client.sender({ name: 'n' })
  })
})

suite('core 2.6.4 to 2.6.6, detaching', () => {
  test('is answered in kind, closed or not, before or after the attach was', () => {
    for (const closed of [true, false]) {
      for (const accepts of [true, false]) {
        const pair = new Pair()
        const [client, server] = pair.session()
        if (!accepts) server.onAttach = () => {}
        const sender = client.sender()
        if (accepts) pair.pump()
        sender.link.detach(closed, { condition: 'x:gone' })
        pair.pump()
        assert.deepEqual(server.receivers[0]?.log, [`detached${closed ? ' closed' : ''} x:gone`])
        assert.equal(sender.log.at(-1), 'confirmed')
        server.receivers[0]!.link.accept()
        server.receivers[0]!.link.grant(1)
        pair.pump()
        assert.deepEqual(client.error, undefined)
        assert.equal(pair.client.by, undefined)
      }
    }
  })

  test('both at once: each takes the other’s for the answer', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(1)
    sender.link.detach(true)
    receiver.link.detach(true, { condition: 'amqp:resource-deleted' })
    pair.pump()
    assert.equal(sender.log.at(-1), 'confirmed')
    assert.equal(receiver.log.at(-1), 'confirmed')
    assert.deepEqual([pair.client.by, pair.server.by], [undefined, undefined])
  })

  test('a link that is gone takes no calls, and does not mind', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    sender.send('x')
    pair.pump()
    receiver.link.detach(true)
    receiver.link.detach(false)
    receiver.link.settle(0, 0, { kind: 'accepted' })
    receiver.link.grant(5)
    receiver.link.drain()
    pair.pump()
    sender.link.settle(0, 0, undefined)
    sender.link.abort()
    sender.link.drained()
    assert.throws(() => sender.send('late'), { code: 'illegal-state' })
    pair.pump()
    assert.deepEqual(sender.log, ['attached', 'credit 5', 'detached closed'])
    assert.equal(pair.client.log.length + pair.server.log.length, 0)
    assert.deepEqual([pair.client.sessions[0]?.error, pair.server.sessions[0]?.error], [undefined, undefined])
  })

  test('transfers that wait for the window: the detach comes after them, as aborted ones', () => {
    const pair = new Pair({}, { incomingWindow: 2 })
    const [sender, receiver] = pair.sending(100)
    const [client] = pair.client.sessions
    const second = client!.sender({ name: 'second' })
    pair.pump()
    pair.server.sessions[0]!.receivers[1]!.link.grant(9)
    pair.pump()
    for (let i = 0; i < 6; i++) sender.send(`${i}`)
    sender.link.begin(false, 0, null)
    sender.link.append(Buffer.from('part'), 0, 4, false)
    second.send('other')
    sender.link.detach(true)
    assert.throws(() => sender.link.append(Buffer.alloc(1), 0, 1, true), { code: 'illegal-state' })
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['0', '1', null, null, null, null, null])
    assert.equal(receiver.log.at(-1), 'detached closed')
    assert.equal(sender.log.at(-1), 'confirmed')
    assert.deepEqual(pair.server.sessions[0]!.receivers[1]!.deliveries, ['other'])
    const again = client!.sender()
    pair.pump()
    assert.equal(again.link.state, 'attached')
    assert.equal(pair.server.by, undefined)
  })
})

suite('core 2.6.9, link stealing', () => {
  test('a second attach of a name and role takes over, from another session of the connection too', () => {
    for (const sameSession of [true, false]) {
      const pair = new Pair()
      const [client, server] = pair.session()
      const [other] = sameSession ? [client] : pair.session()
      const attach = (handle: number) =>
        frame(other.session.channel, 0x12, ['n', handle, false, ...nothing, 0])
      pair.server.peer.receive(frame(0, 0x12, ['n', 40, false, ...nothing, 0]))
      pair.server.peer.receive(frame(0, 0x12, ['n', 41, true, ...nothing]))
      pair.server.peer.takeOutput()
      pair.server.peer.receive(attach(42))
      const frames = parse(pair.server.peer.takeOutput())
      assert.deepEqual(
        frames.map(({ code, condition }) => [code, condition]),
        [
          [0x16, 'amqp:link:stolen'],
          [0x12, undefined],
        ],
      )
      assert.deepEqual(server.receivers[0]?.log, ['detached amqp:link:stolen'])
      assert.deepEqual(server.senders[0]?.log, [], 'the other direction is another link')
    }
  })
})

test('2.6.9: a name that is attached anew before our detach is answered is not stolen a second time', () => {
  const pair = new Pair()
  const [, receiver] = pair.sending(1, { name: 'n' })
  receiver.link.detach(true)
  pair.server.peer.takeOutput()
  pair.server.peer.receive(frame(0, 0x12, ['n', 7, false, ...nothing, 0]))
  assert.deepEqual(receiver.log, [])
  assert.deepEqual(
    parse(pair.server.peer.takeOutput()).map(({ code }) => code),
    [0x12],
  )
})

const nothing = [null, null, null, null, null, null]

suite('core 2.6.7, credit', () => {
  test('grants of a turn are one flow; the sender counts down', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(2)
    receiver.link.grant(3)
    receiver.link.grant(4)
    const frames = parse(pair.server.peer.takeOutput())
    assert.deepEqual(
      frames.map(({ code, fields }) => [code, fields[6]]),
      [[0x13, 9]],
    )
    pair.client.peer.receive(frame(0, 0x13, [0, 9, 0, 9, 0, 0, 9]))
    for (let i = 0; i < 9; i++) sender.send('x')
    assert.equal(sender.link.credit, 0)
    assert.throws(() => sender.send('x'), { code: 'illegal-state' })
    pair.pump()
    assert.equal(receiver.link.credit, 0)
  })

  test('credit is what the receiver said less what is on its way, as serial numbers', () => {
    for (const firstId of [0, 0xffff_fffe]) {
      const pair = new Pair({ firstId })
      const [sender] = pair.sending(10)
      for (let i = 0; i < 4; i++) sender.send('x')
      const seen = (firstId + 1) >>> 0
      pair.client.peer.receive(frame(0, 0x13, [0, 9, 0, 9, 0, seen, 10]))
      assert.equal(sender.link.credit, 7)
      pair.client.peer.receive(frame(0, 0x13, [0, 9, 0, 9, 0, seen, 2]))
      assert.equal(sender.link.credit, 0, 'taken back')
      pair.client.peer.receive(frame(0, 0x13, [0, 9, 0, 9, 0, seen, 0xffff_ffff]))
      assert.equal(sender.link.credit, 0xffff_ffff - 3)
    }
  })

  test('the count of a receiver wraps as the sender’s does', () => {
    const pair = new Pair({ firstId: 0xffff_fffe })
    const [sender, receiver] = pair.sending(10)
    for (let i = 0; i < 5; i++) sender.send('x')
    pair.pump()
    receiver.link.grant(1)
    const [flow] = parse(pair.server.peer.takeOutput())
    assert.deepEqual(flow?.fields.slice(4, 7), [0, 3, 6])
  })

  test('a delivery without credit: transfer-limit-exceeded', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(1)
    pair.client.peer.receive(frame(0, 0x13, [0, 9, 0, 9, 0, 0, 3]))
    for (let i = 0; i < 3; i++) sender.send(`${i}`)
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['0'])
    assert.equal(receiver.log[0], 'detached closed amqp:link:transfer-limit-exceeded')
    assert.equal(sender.log.at(-1), 'detached closed amqp:link:transfer-limit-exceeded')
    const [other] = pair.session()
    assert.equal(other.log[0], 'begun', 'the connection and its sessions live on')
  })

  test('a transfer before our answer to the attach: refused', () => {
    const pair = new Pair()
    const [, server] = pair.session()
    server.onAttach = (link) => link.role === 'receiver' && link.grant(5)
    pair.server.peer.receive(frame(0, 0x12, ['n', 0, false, ...nothing, 0]))
    pair.server.peer.receive(frame(0, 0x14, [0, 0, Buffer.from('t'), 0], 'x'))
    const codes = parse(pair.server.peer.takeOutput()).map(({ code, condition }) => [code, condition])
    assert.deepEqual(codes.slice(-2), [
      [0x12, undefined],
      [0x16, 'amqp:link:transfer-limit-exceeded'],
    ])
  })

  test('drain: what there is comes, the rest of the credit lapses, and that is told', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(10)
    receiver.link.drain()
    pair.pump()
    assert.equal(sender.log.at(-1), 'credit 10 draining')
    for (let i = 0; i < 3; i++) sender.send('x')
    assert.equal(sender.link.draining, true)
    sender.link.drained()
    sender.link.drained()
    assert.deepEqual([sender.link.credit, sender.link.draining], [0, false])
    pair.pump()
    assert.deepEqual(receiver.log, ['drained 7'])
    assert.equal(receiver.link.credit, 0)
    receiver.link.grant(2)
    pair.pump()
    assert.equal(sender.log.at(-1), 'credit 2', 'and not draining any more')
    sender.send('again')
    pair.pump()
    assert.equal(receiver.deliveries.length, 4)
  })

  test('drain ends when all credit is used, and at once when there is none', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(2)
    receiver.link.drain()
    pair.pump()
    sender.send('x')
    sender.send('y')
    pair.pump()
    assert.deepEqual(receiver.log, ['drained 0'])
    receiver.link.drain()
    assert.deepEqual(receiver.log, ['drained 0', 'drained 0'])
    pair.pump()
    assert.equal(receiver.link.credit, 0)
  })

  test('credit granted while a drain is answered is drained too', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(5)
    receiver.link.drain()
    pair.pass(pair.server.peer, pair.client.peer)
    sender.link.drained()
    receiver.link.grant(3)
    pair.pump()
    assert.deepEqual(receiver.log, [])
    assert.equal(sender.link.draining, true)
    sender.link.drained()
    pair.pump()
    assert.deepEqual(receiver.log, ['drained 8'])
  })

  test('an answer to drain does not overtake transfers that wait for the window', () => {
    const pair = new Pair({}, { incomingWindow: 2 })
    const [sender, receiver] = pair.sending(10)
    receiver.link.drain()
    pair.pump()
    for (let i = 0; i < 6; i++) sender.send(`${i}`)
    sender.link.drained()
    pair.pump()
    assert.deepEqual(receiver.deliveries, ['0', '1', '2', '3', '4', '5'])
    assert.deepEqual(receiver.log, ['drained 4'])
  })

  test('available messages and properties travel with the flow, both ways', () => {
    const pair = new Pair()
    const [sender, receiver] = pair.sending(1)
    const flows: unknown[] = []
    receiver.link.events = {
      transfer() {},
      detached() {},
      flow: (properties) => flows.push([receiver.link.available, properties?.get('a')]),
    }
    sender.link.available = 42
    sender.link.tell(new Map([['a', 'b']]))
    receiver.link.tell(new Map([['millrace:blocked', 'queue-full']]))
    pair.pump()
    assert.equal(sender.properties?.get('millrace:blocked'), 'queue-full')
    assert.deepEqual(flows, [[42, 'b']])
    receiver.link.grant(1)
    pair.pump()
    assert.equal(sender.properties, undefined, 'said once')
  })
})

test('core 2.6.2: handles and names are free again after the detach, at both ends', () => {
  const pair = new Pair({ handleMax: 3 }, { handleMax: 3 })
  const [client, server] = pair.session()
  for (let round = 0; round < 20; round++) {
    const links = [client.sender({ name: 'a' }), client.receiver({ name: 'a' })]
    pair.pump()
    if (round % 2) for (const { link } of links) link.detach(true)
    else for (const { link } of [server.senders.at(-1)!, server.receivers.at(-1)!]) link.detach(true)
    pair.pump()
  }
  assert.deepEqual([pair.client.by, client.error, server.error], [undefined, undefined, undefined])
})

test('core 2.8.14: a description that is too long for a frame is shortened, at a whole character', () => {
  const pair = new Pair({ maxFrameSize: 512 })
  const [client, server] = pair.session()
  server.onAttach = (link) =>
    link.refuse({ condition: 'amqp:not-found', description: `x${'🚀'.repeat(500)}` })
  const sender = client.sender()
  pair.pump()
  assert.equal(sender.error?.condition, 'amqp:not-found')
  assert(sender.error.description?.startsWith('x🚀🚀'))
})

test('core 2.8.14: an error keeps its description and information', () => {
  const pair = new Pair()
  const [sender, receiver] = pair.sending(1)
  const info = new Map<string, unknown>([
    ['millrace:code', 'queue-full'],
    ['millrace:retryable', true],
    ['s', new AmqpSymbol('t')],
    ['u', new Typed('uint', 7)],
  ])
  receiver.link.detach(true, { condition: 'amqp:resource-limit-exceeded', description: 'full — voll', info })
  pair.pump()
  assert.equal(sender.error?.description, 'full — voll')
  assert.deepEqual(sender.error?.info, new Map<string, unknown>([...info, ['u', 7]]))
})
