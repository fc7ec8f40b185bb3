/** Addresses of several destinations (docs/spec/amqp.md, Addresses). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Operation } from '../../src/gateway/permissions.ts'
import type { MessageContent } from '../../src/model/message.ts'
import { GatewayBench } from './support.ts'

function to(name: string, text = 'm'): MessageContent {
  return { body: { kind: 'text', value: text }, to: { kind: 'queue', name } }
}

/** Those of the queues that exist, with the messages that they have. */
function held(bench: GatewayBench): Record<string, number> {
  return Object.fromEntries(
    bench.bench.broker.queues().map(({ definition, messages }) => [definition.name, messages]),
  )
}

test('a fixed target and the relay name several, each with its kind; anything else is one name, commas and all', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const subscriber = await client.receiver({ address: 'topic://news', credit: 10 })
  const sender = await client.sender({ address: 'queue://a,topic://news,queue://b' })
  assert.equal(await sender.send('1'), 'accepted')
  const relay = await client.sender({})
  assert.equal(await relay.send(to('queue://a,topic://news', '2')), 'accepted')
  for (const one of ['queue://c,d', 'e,queue://f']) assert.equal(await relay.send(to(one)), 'accepted')
  assert.deepEqual(await subscriber.take(), ['1', '2'])
  const { a, b, 'c,d': first, 'e,queue://f': second } = held(bench)
  assert.deepEqual([a, b, first, second], [2, 1, 1, 1])
  assert.equal(bench.bench.broker.queue('f'), undefined)
})

test('members without name, temporary ones and too many are refused', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const many = Array.from({ length: 65 }, (_, i) => `queue://q${i}`).join(',')
  const relay = await client.sender({})
  for (const address of ['queue://a,topic://', 'queue://a,queue://temp-queue:x', many]) {
    assert.equal((await client.sender({ address })).refusal, 'amqp:not-found')
    assert.equal(await relay.send(to(address)), 'amqp:not-found')
  }
  assert.deepEqual(held(bench), {})
})

test('every member has to be permitted, to send to and to be created; otherwise none gets it', async () => {
  const permits = (_user: string, operation: Operation, _kind: string, name: string): boolean =>
    operation === 'send' ? name !== 'secret' : operation === 'create' && name !== 'new'
  const bench = await GatewayBench.start({ permissions: { permits } })
  for (const queue of ['open', 'secret']) bench.bench.declare(queue)
  const client = await bench.client()
  const relay = await client.sender({})
  for (const member of ['queue://secret', 'topic://secret', 'queue://new']) {
    const address = `queue://open,${member}`
    assert.equal((await client.sender({ address })).refusal, 'amqp:unauthorized-access')
    assert.equal(await relay.send(to(address)), 'amqp:unauthorized-access')
  }
  assert.deepEqual(held(bench), { open: 0, secret: 0 })
  assert.equal(await relay.send(to('queue://open,topic://any')), 'accepted')
})

test('a member that blocks holds its messages and no link; our own clients are told which queue it is', async () => {
  const bench = await GatewayBench.start()
  bench.bench.declare('full', { maxMessages: 1, overflow: 'block' })
  bench.bench.declare('free')
  const client = await bench.client({ desiredCapabilities: ['millrace'] })
  const address = 'queue://free,queue://full'
  const sender = await client.sender({ address, properties: new Map([['millrace:producer-id', 'p']]) })
  const tag = (sequence: number): Uint8Array => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, sequence)
  assert.equal(await sender.send('1', { tag: tag(1) }), 'accepted')
  assert.equal(await sender.send('2', { tag: tag(2) }), undefined)
  assert.deepEqual(sender.told.at(-1)?.get('millrace:blocked'), new Map([['full', 'queue-full']]))
  assert.ok(sender.link.credit > 0)
  assert.deepEqual(held(bench), { full: 1, free: 1 })
  const receiver = await client.receiver({ address: 'full', credit: 1 })
  await receiver.settle(await receiver.takeOne())
  await bench.idle()
  assert.deepEqual([...sender.outcomes.values()], ['accepted', 'accepted'])
  assert.deepEqual(sender.told.at(-1)?.get('millrace:blocked'), new Map())
  assert.deepEqual(held(bench), { full: 1, free: 2 })
})
