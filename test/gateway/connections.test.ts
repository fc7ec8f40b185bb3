/** Connections: who may come, how often, as whom; and what their ends leave behind. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Operation } from '../../src/gateway/permissions.ts'
import { MillraceError } from '../../src/model/errors.ts'
import { Described } from '../../src/wire/amqp10/values.ts'
import { Recorder } from '../wire/pair.ts'
import { bytesOf } from '../wire/raw.ts'
import { GatewayBench, source, target } from './support.ts'

const SOLE = ['sole-connection-for-container']

test('a client that is to be the only one of its container is refused while another is there, as JMS clients expect', async () => {
  const bench = await GatewayBench.start()
  const first = await bench.client({ containerId: 'id', desiredCapabilities: SOLE })
  assert.ok(first.opened?.offeredCapabilities.includes(SOLE[0]!))
  for (const desiredCapabilities of [SOLE, []]) {
    const second = await bench.client({ containerId: 'id', desiredCapabilities })
    assert.equal(second.opened?.properties.get('amqp:connection-establishment-failed'), true)
    assert.equal(second.end?.error?.condition, 'amqp:invalid-field')
    assert.equal(String(second.end?.error?.info?.get('invalid-field')), 'container-id')
  }
  assert.equal(bench.gateway.size, 1)
  await first.close()
  const third = await bench.client({ containerId: 'id', desiredCapabilities: SOLE })
  assert.equal(third.end, undefined)
})

test('the host is to look at the time again after an open, a refusal and a close: each brings deadlines with it', async () => {
  const bench = await GatewayBench.start()
  let hurried = 0
  const events = {
    writable: () => {},
    resumed: () => {},
    ended: () => {},
    faulted: () => {},
    hurried: () => {
      hurried++
    },
  }
  const holder = await bench.client({ containerId: 'id', desiredCapabilities: SOLE })
  const opening = new Recorder({ role: 'client' })
  opening.isClient = true
  opening.peer.start()
  opening.peer.open({ containerId: 'other' })
  const hosted = bench.gateway.connect({ remote: 'test', now: 0, events })
  hosted.receive(bytesOf(opening.peer.takeOutput()!))
  assert.equal(hurried, 1, 'open')
  hosted.close()
  assert.equal(hurried, 2, 'close')
  const refused = new Recorder({ role: 'client' })
  refused.isClient = true
  refused.peer.start()
  refused.peer.open({ containerId: 'id', desiredCapabilities: SOLE })
  bench.gateway.connect({ remote: 'test', now: 0, events }).receive(bytesOf(refused.peer.takeOutput()!))
  assert.equal(hurried, 3, 'refusal')
  await holder.close()
})

test('one that is to replace the others does', async () => {
  const bench = await GatewayBench.start()
  const first = await bench.client({ containerId: 'id' })
  const properties = new Map([['sole-connection-enforcement-policy', 1]])
  const second = await bench.client({ containerId: 'id', desiredCapabilities: SOLE, properties })
  assert.equal(first.end?.error?.condition, 'amqp:resource-locked')
  assert.equal(second.end, undefined)
  assert.equal(bench.gateway.size, 1)
})

test('temporary queues: made by a link, known to others, ended with it', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const server = await bench.client()
  const lifetime = new Map([['lifetime-policy', new Described(0x2bn, [])]])
  const maker = await client.sender({
    target: target({ dynamic: true, dynamicNodeProperties: lifetime, capabilities: ['temporary-queue'] }),
  })
  const address =
    maker.attach?.target && 'address' in maker.attach.target ? maker.attach.target.address : null
  assert.match(address ?? '', /^temp-queue:[0-9a-f]{32}$/)
  const replies = await client.receiver({ address, credit: 10 })
  assert.equal(
    (await server.receiver({ address })).refusal,
    'amqp:resource-locked',
    'its connection alone receives',
  )
  const replier = await server.sender({ address })
  assert.equal(await replier.send('answer'), 'accepted')
  assert.deepEqual(await replies.take(), ['answer'])
  maker.link.detach(true)
  await bench.idle()
  assert.equal(bench.bench.broker.queue(address!), undefined)
  assert.equal(await replier.send('late'), 'amqp:not-found')
  assert.equal((await server.sender({ address })).refusal, 'amqp:not-found')
})

test('a receiver may have a node of its own made: a queue for replies, a topic', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const server = await bench.client()
  for (const capabilities of [[], ['temporary-topic']]) {
    const receiver = await client.receiver({ source: source({ dynamic: true, capabilities }), credit: 10 })
    const { address, dynamic } = receiver.attach!.source!
    assert.equal(dynamic, true)
    assert.equal(await (await server.sender({ address })).send('m'), 'accepted')
    assert.deepEqual(await receiver.take(), ['m'])
    await receiver.leave(true)
  }
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('a temporary topic made by a sending link reaches who subscribes', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const maker = await client.sender({ target: target({ dynamic: true, capabilities: ['temporary-topic'] }) })
  const { address } = maker.attach!.target as { address: string }
  const subscriber = await client.receiver({ address, credit: 5 })
  assert.equal(await maker.send('m'), 'accepted')
  assert.deepEqual(await subscriber.take(), ['m'])
})

test('what a connection made ends with it, in good order or not', async () => {
  const bench = await GatewayBench.start()
  for (const end of ['close', 'closed', 'reset'] as const) {
    const client = await bench.client()
    await client.sender({ target: target({ dynamic: true, capabilities: ['temporary-queue'] }) })
    await client.receiver({ address: 'topic://t', credit: 10 })
    await client.receiver({ source: source({ dynamic: true }) })
    assert.equal(bench.bench.broker.queues().length, 3)
    if (end === 'close') await client.close()
    else if (end === 'closed') client.hosted.cut()
    else client.hosted.receive(Uint8Array.from([0, 0, 0, 1, 2, 3, 4, 5]))
    await bench.idle()
    assert.equal(bench.bench.broker.queues().length, 0, end)
    assert.equal(bench.gateway.size, 0)
    assert.equal(bench.bench.broker.connections().length, 0)
    assert.equal(client.hostEnd?.by, end === 'close' ? 'peer' : end === 'closed' ? undefined : 'violation')
  }
})

test('every operation is asked for, and refused with amqp:unauthorized-access', async () => {
  const asked: string[] = []
  let allowed: readonly Operation[] = []
  const permits = (user: string, operation: Operation, kind: string, name: string): boolean => {
    asked.push(`${user} ${operation} ${kind} ${name}`)
    return allowed.includes(operation)
  }
  const bench = await GatewayBench.start({ permissions: { permits } })
  bench.bench.declare('q')
  const client = await bench.client({}, {}, { user: 'ann' })
  const condition = 'amqp:unauthorized-access'
  assert.equal((await client.sender({ address: 'q' })).refusal, condition)
  assert.equal((await client.receiver({ address: 'q' })).refusal, condition)
  assert.equal((await client.receiver({ address: 'topic://t' })).refusal, condition)
  assert.equal(
    (await client.receiver({ source: source({ address: 'q', distributionMode: 'copy' }) })).refusal,
    condition,
  )
  const relay = await client.sender({})
  const message = { body: { kind: 'text', value: 'm' }, to: { kind: 'queue', name: 'q' } } as const
  assert.equal(await relay.send(message), condition)
  assert.deepEqual(asked, [
    'ann send queue q',
    'ann receive queue q',
    'ann receive topic t',
    'ann browse queue q',
    'ann send queue q',
  ])
  allowed = ['send', 'receive']
  assert.equal(await relay.send(message), 'accepted')
  assert.equal((await client.sender({ address: 'new' })).refusal, condition, 'send is not create')
  assert.equal((await client.receiver({ address: 'new' })).refusal, condition)
  assert.equal(bench.bench.broker.queue('new'), undefined)
  const replies = await client.receiver({ source: source({ dynamic: true }) })
  assert.equal(replies.refusal, undefined, 'everybody has places for replies')
  const { info } = (await client.sender({ address: 'new' })).detach!.error!
  assert.equal(info?.get('millrace:code'), 'not-permitted')
})

test('links are bounded per connection', async () => {
  const bench = await GatewayBench.start({ maxLinks: 3 })
  const client = await bench.client()
  for (let i = 0; i < 3; i++) assert.equal((await client.sender({ address: 'q' })).refusal, undefined)
  const second = client.peer.begin({ attached: () => {}, ended: () => {} })
  await bench.idle()
  client.session = second
  assert.equal((await client.sender({ address: 'q' })).refusal, 'amqp:resource-limit-exceeded')
})

test('the registry shows who is there', async () => {
  const bench = await GatewayBench.start()
  const properties = new Map([
    ['product', 'tester'],
    ['version', '7'],
  ])
  const client = await bench.client(
    { containerId: 'c', properties },
    {},
    { user: 'ann', remote: '10.0.0.1:5' },
  )
  const sender = await client.sender({ address: 'q' })
  await sender.send('m')
  const receiver = await client.receiver({ address: 'q', credit: 1 })
  await receiver.takeOne()
  await bench.bench.advance(1_500)
  const [report] = bench.gateway.connections()
  const { id, ...rest } = report!
  assert.ok(id > 0)
  assert.deepEqual(rest, {
    remote: '10.0.0.1:5',
    user: 'ann',
    containerId: 'c',
    product: 'tester 7',
    links: 2,
    unsettled: 1,
    undecided: 0,
    age: 1_500,
  })
  await receiver.leave(true)
  sender.link.detach(true)
  await bench.idle()
  assert.deepEqual(
    bench.gateway.connections().map(({ links, unsettled }) => [links, unsettled]),
    [[0, 0]],
  )
})

test('a failed journal ends connections with its reason, and shutting down asks everybody to leave', async () => {
  const bench = await GatewayBench.start()
  const [one, two] = [await bench.client(), await bench.client()]
  one.hosted.failed(new MillraceError('journal-failed', 'the disk is gone'))
  await bench.idle()
  assert.equal(one.end?.error?.condition, 'amqp:internal-error')
  assert.equal(one.end?.error?.info?.get('millrace:code'), 'journal-failed')
  bench.gateway.shutDown({ condition: 'amqp:connection:forced' })
  await bench.idle()
  assert.equal(two.end?.error?.condition, 'amqp:connection:forced')
  assert.equal(two.hostEnd?.by, 'local')
  assert.equal(bench.gateway.size, 0)
})

test('who brings the queue of a virtual topic into being needs the permission to receive from the topic', async () => {
  const permits = (_user: string, _operation: Operation, kind: string): boolean => kind === 'queue'
  const bench = await GatewayBench.start({ permissions: { permits } })
  const client = await bench.client()
  const refused = await client.receiver({ address: 'Consumer.a.VirtualTopic.orders' })
  assert.equal(refused.refusal, 'amqp:unauthorized-access')
  const sender = await client.sender({ address: 'Consumer.a.VirtualTopic.orders' })
  assert.equal(sender.refusal, 'amqp:unauthorized-access')
  assert.equal((await client.receiver({ address: 'Consumer.a.Else.orders' })).refusal, undefined)
  assert.equal(bench.bench.broker.queue('Consumer.a.VirtualTopic.orders'), undefined)
})
