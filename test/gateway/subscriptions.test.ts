/** Topics and their subscriptions by the JMS mapping: volatile and durable, alone and shared. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { type Client, GatewayBench, source, type TestReceiver } from './support.ts'

const durable = { durable: 'unsettled-state', expiryPolicy: 'never', distributionMode: 'copy' } as const

async function subscribe(
  client: Client,
  name: string,
  topic = 'news',
  capabilities: string[] = [],
): Promise<TestReceiver> {
  const wanted = source({ address: topic, ...durable, capabilities: ['topic', ...capabilities] })
  return client.receiver({ name, source: wanted, credit: 10 })
}

async function publish(bench: GatewayBench, topic: string, ...texts: string[]): Promise<void> {
  const client = await bench.client()
  const sender = await client.sender({ address: `topic://${topic}` })
  for (const text of texts) assert.equal(await sender.send(text), 'accepted')
  await client.close()
}

test('a volatile subscription gets what is published while it is there, and leaves nothing behind', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  await publish(bench, 'news', 'before')
  const wanted = source({ address: 'news', capabilities: ['topic'] })
  const receivers = [
    await client.receiver({ source: wanted, credit: 10 }),
    await client.receiver({ source: wanted, credit: 10 }),
    await client.receiver({ address: 'topic://new*', credit: 10 }),
    await client.receiver({ address: 'topic://sport', credit: 10 }),
  ]
  await publish(bench, 'news', 'during')
  const got = []
  for (const receiver of receivers) got.push(await receiver.take())
  assert.deepEqual(got, [['during'], ['during'], [], []])
  await receivers[0]!.leave(true)
  await client.close()
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('a durable subscription outlives its link and its connection, and ends when its link is closed', async () => {
  const bench = await GatewayBench.start()
  const open = { containerId: 'c' }
  const first = await bench.client(open)
  const receiver = await subscribe(first, 's')
  assert.equal(receiver.attach?.source?.durable, 'unsettled-state')
  await receiver.leave(false)
  await publish(bench, 'news', '1')
  const again = await subscribe(first, 's')
  assert.deepEqual(await again.take(), ['1'])
  first.hosted.cut()
  await publish(bench, 'news', '2')
  const second = await bench.client(open)
  const resumed = await subscribe(second, 's')
  assert.deepEqual(await resumed.take(), ['1', '2'])
  await resumed.leave(true)
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('another container has subscriptions of its own under the same names', async () => {
  const bench = await GatewayBench.start()
  const [one, two] = [await bench.client({ containerId: 'one' }), await bench.client({ containerId: 'two' })]
  const [a, b] = [await subscribe(one, 's'), await subscribe(two, 's')]
  await publish(bench, 'news', 'm')
  assert.deepEqual([await a.take(), await b.take()], [['m'], ['m']])
})

test('containers and names that look alike when put together are different subscriptions', async () => {
  const bench = await GatewayBench.start()
  const [one, two] = [await bench.client({ containerId: 'a:b' }), await bench.client({ containerId: 'a' })]
  const alone = await subscribe(one, 'c')
  const other = await subscribe(two, 'b:c')
  const shared = await subscribe(one, 'd', 'news', ['shared'])
  const alike = await subscribe(one, 'd:shared')
  await publish(bench, 'news', 'm')
  for (const subscriber of [alone, other, shared, alike]) assert.deepEqual(await subscriber.take(), ['m'])
})

test('a durable subscription is shared or not: the other kind of that name is refused (JMS 8.3.3, 8.3.4)', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  for (const [first, second] of [
    [[], ['shared']],
    [['shared'], []],
  ] as const) {
    await (await subscribe(client, 's', 'news', [...first])).leave(false)
    assert.equal((await subscribe(client, 's', 'news', [...second])).refusal, 'amqp:precondition-failed')
    await publish(bench, 'news', 'kept')
    const again = await subscribe(client, 's', 'news', [...first])
    assert.deepEqual(await again.take(), ['kept'], 'what is there stays')
    await again.leave(true)
  }
  const other = await bench.client({ containerId: 'other' })
  assert.equal((await subscribe(other, 's', 'news', ['shared'])).refusal, undefined)
})

test('an attach without source finds the subscription of its link name; closing it unsubscribes', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  const nothing = await client.receiver({ name: 's', source: null })
  assert.equal(nothing.refusal, 'amqp:not-found')
  assert.equal(nothing.attach?.source, null)
  const receiver = await subscribe(client, 's')
  await receiver.leave(false)
  const found = await client.receiver({ name: 's', source: null })
  assert.equal(found.attach?.source?.address, 'news')
  assert.equal(found.attach?.source?.expiryPolicy, 'never')
  await found.leave(false)
  assert.equal(bench.bench.broker.queues().length, 1, 'looking harms nobody')
  await (await client.receiver({ name: 's', source: null })).leave(true)
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('a subscription with consumers is not unsubscribed', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  const receiver = await subscribe(client, 's')
  const other = await bench.client({ containerId: 'c' })
  const lookup = await other.receiver({ name: 's', source: null })
  assert.equal(lookup.refusal, 'amqp:resource-locked')
  await publish(bench, 'news', 'm')
  assert.deepEqual(await receiver.take(), ['m'])
})

test('another topic replaces the subscription, unless somebody consumes from it', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  const receiver = await subscribe(client, 's')
  const other = await bench.client({ containerId: 'c' })
  assert.equal((await subscribe(other, 's', 'sport')).refusal, 'amqp:resource-locked')
  await receiver.leave(false)
  await publish(bench, 'news', 'old')
  const changed = await subscribe(client, 's', 'sport')
  await publish(bench, 'news', 'news')
  await publish(bench, 'sport', 'sport')
  assert.deepEqual(await changed.take(), ['sport'])
})

test('a second link to an unshared subscription steals it, across connections of the container', async () => {
  const bench = await GatewayBench.start()
  const [one, two] = [await bench.client({ containerId: 'c' }), await bench.client({ containerId: 'c' })]
  const first = await subscribe(one, 's')
  await publish(bench, 'news', 'm')
  assert.deepEqual(await first.take(), ['m'])
  const second = await subscribe(two, 's')
  assert.equal(first.refusal, 'amqp:link:stolen')
  assert.deepEqual(await second.take(), ['m'], 'what the first had is not lost')
  await second.leave(false)
  const third = await subscribe(one, 's')
  assert.deepEqual(await third.take(), ['m'])
  assert.deepEqual([...one.faults, ...two.faults], [])
})

test('sharers of a subscription divide its messages; its name ends at |', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  assert.ok(client.opened?.offeredCapabilities.includes('SHARED-SUBS'))
  const sharers = [
    await subscribe(client, 's', 'news', ['shared']),
    await subscribe(client, 's|2', 'news', ['shared']),
  ]
  await publish(bench, 'news', '1', '2', '3', '4')
  const counts = []
  for (const sharer of sharers) counts.push((await sharer.take()).length)
  assert.deepEqual(counts, [2, 2])
  await sharers[0]!.leave(true)
  assert.equal(bench.bench.broker.queues().length, 1, 'the other goes on')
  assert.equal(sharers[1]!.detach, undefined)
})

test('global: a shared subscription that no client id owns', async () => {
  const bench = await GatewayBench.start()
  const [one, two] = [await bench.client(), await bench.client()]
  const a = await subscribe(one, 's|global', 'news', ['shared', 'global'])
  const b = await subscribe(two, 's|global', 'news', ['shared', 'global'])
  await publish(bench, 'news', '1', '2')
  assert.equal((await a.take()).length + (await b.take()).length, 2)
  await a.leave(false)
  await b.leave(false)
  const lookup = await one.receiver({
    name: 's|global',
    source: null,
    desiredCapabilities: ['shared', 'global'],
  })
  assert.equal(lookup.attach?.source?.address, 'news')
  await lookup.leave(true)
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('a shared volatile subscription ends with the last of its sharers', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const wanted = source({ address: 'news', capabilities: ['topic', 'shared'] })
  const a = await client.receiver({ name: 's|volatile1', source: wanted, credit: 10 })
  const b = await client.receiver({ name: 's|volatile2', source: wanted, credit: 10 })
  const elsewhere = source({ address: 'sport', capabilities: ['topic', 'shared'] })
  assert.equal(
    (await client.receiver({ name: 's|volatile3', source: elsewhere })).refusal,
    'amqp:resource-locked',
  )
  await publish(bench, 'news', '1', '2', '3', '4')
  assert.deepEqual([(await a.take()).length, (await b.take()).length], [2, 2])
  await a.leave(true)
  await b.leave(true)
  assert.equal(bench.bench.broker.queues().length, 0)
})

test('a durable subscription that expires is kept for its time-out', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'c' })
  const wanted = source({
    address: 'topic://news',
    durable: 'configuration',
    expiryPolicy: 'link-detach',
    timeout: 10,
  })
  const receiver = await client.receiver({ name: 's', source: wanted })
  await receiver.leave(false)
  await bench.bench.advance(9_000)
  assert.equal(bench.bench.broker.queues().length, 1)
  await bench.bench.advance(2_000)
  assert.equal(bench.bench.broker.queues().length, 0)
})
