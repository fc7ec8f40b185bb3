/** Filters of sources: selectors and no-local, by the JMS mapping (core 3.5.8). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Source } from '../../src/wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Described } from '../../src/wire/amqp10/values.ts'
import { type Client, GatewayBench, source, type TestReceiver } from './support.ts'

const durable = { durable: 'unsettled-state', expiryPolicy: 'never', distributionMode: 'copy' } as const

function selector(text: unknown): [string, unknown] {
  return ['jms-selector', new Described(new AmqpSymbol('apache.org:selector-filter:string'), text)]
}

const noLocal: [string, unknown] = ['no-local', new Described(0x468c00000003n, [])]

function topicSource(fields: Partial<Source>, ...filters: [string, unknown][]): Source {
  return source({ address: 'news', capabilities: ['topic'], filter: new Map(filters), ...fields })
}

async function publish(client: Client, ...sizes: number[]): Promise<void> {
  const sender = await client.sender({ address: 'topic://news' })
  for (const size of sizes) {
    const content = { body: { kind: 'text', value: `${size}` }, properties: { size } } as const
    assert.equal(await sender.send(content), 'accepted')
  }
}

test('a selector and no-local of a volatile subscription are applied and echoed, other filters are not', async () => {
  const bench = await GatewayBench.start()
  const [own, other] = [await bench.client(), await bench.client()]
  const wanted = topicSource({}, selector('size > 1'), noLocal, ['other', 'thing'])
  const receiver = await own.receiver({ source: wanted, credit: 10 })
  assert.deepEqual([...(receiver.attach?.source?.filter?.keys() ?? [])], ['jms-selector', 'no-local'])
  await publish(own, 1, 2)
  await publish(other, 1, 2)
  assert.deepEqual(await receiver.take(), ['2'])
})

test('a selector is known by its descriptor, symbolic or numeric, whatever its key; an empty one selects all', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const byCode = topicSource({}, ['mine', new Described(0x468c00000004n, 'size > 1')])
  const receivers = [
    await client.receiver({ source: byCode, credit: 10 }),
    await client.receiver({ source: topicSource({}, ['jms-selector', 'size > 1']), credit: 10 }),
    await client.receiver({ source: topicSource({}, selector('')), credit: 10 }),
  ]
  assert.ok(receivers[0]!.attach?.source?.filter?.has('mine'))
  await publish(client, 1, 2)
  const got = []
  for (const receiver of receivers) got.push(await receiver.take())
  assert.deepEqual(got, [['2'], ['2'], ['1', '2']])
})

test('a selector that cannot be read is refused with amqp:invalid-field, and leaves nothing behind', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  await client.sender({ address: 'q' })
  const wrong = new Map([selector('size >')])
  const refused: Partial<Source>[] = [
    { address: 'q', filter: wrong },
    { address: 'q', filter: wrong, distributionMode: 'copy' },
    { address: 'q', filter: new Map([selector(5)]) },
    { address: 'q', filter: new Map([selector('a = 1'), ['again', selector('b = 1')[1]]]) },
    { address: 'news', filter: wrong, capabilities: ['topic'] },
    { address: 'news', filter: wrong, capabilities: ['topic'], ...durable },
  ]
  for (const fields of refused) {
    const receiver = await client.receiver({ source: source(fields) })
    assert.equal(receiver.refusal, 'amqp:invalid-field')
  }
  assert.equal(bench.bench.broker.queues().length, 1)
})

test('a browser gets what its selector takes, from the far end of a queue as well', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  for (let size = 0; size < 700; size++)
    await sender.send({ body: { kind: 'text', value: `${size}` }, properties: { size } })
  const filter = new Map([selector('size = 3 OR size > 697')])
  const browser = await client.receiver({
    source: source({ address: 'q', distributionMode: 'copy', filter }),
  })
  assert.ok(browser.attach?.source?.filter?.has('jms-selector'))
  browser.link.grant(10)
  browser.link.drain()
  assert.deepEqual(await browser.take(), ['3', '698', '699'])
  assert.equal(browser.lapsed, 7)
})

async function subscribe(client: Client, ...filters: [string, unknown][]): Promise<TestReceiver> {
  return client.receiver({ name: 's', source: topicSource(durable, ...filters), credit: 10 })
}

test('a durable subscription keeps its filters, shows them when it is looked up, and is replaced with others', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'me' })
  const first = await subscribe(client, selector('size > 1'), noLocal)
  assert.equal(first.attach?.source?.filter?.size, 2)
  await first.leave(false)
  await publish(client, 5)
  await publish(await bench.client({ containerId: 'other' }), 1, 6)
  const found = await client.receiver({ name: 's', source: null })
  const stored = found.attach?.source?.filter
  assert.ok(stored)
  assert.equal((stored.get('jms-selector') as Described).value, 'size > 1')
  assert.ok(stored.has('no-local'))
  await found.leave(false)
  const same = await subscribe(client, selector('(size>1)'), noLocal)
  assert.deepEqual(await same.take(), ['6'])
  await same.leave(false)
  const changed = await subscribe(client, selector('size > 2'), noLocal)
  assert.deepEqual(await changed.take(), [], 'what the one before had kept is gone')
  await changed.leave(false)
  const local = await subscribe(client, selector('size > 2'))
  await publish(client, 7)
  assert.deepEqual(await local.take(), ['7'], 'without no-local it is another one again')
})

test('sharers of a volatile subscription have one selector; no-local is not for them and not echoed', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client({ containerId: 'me' })
  const share = (name: string, ...filters: [string, unknown][]): Promise<TestReceiver> =>
    client.receiver({
      name,
      source: topicSource({ capabilities: ['topic', 'shared'] }, ...filters),
      credit: 10,
    })
  const first = await share('s|volatile1', selector('size > 1'), noLocal)
  assert.deepEqual([...(first.attach?.source?.filter?.keys() ?? [])], ['jms-selector'])
  assert.equal((await share('s|volatile2', selector('size > 2'))).refusal, 'amqp:resource-locked')
  assert.equal((await share('s|volatile3', selector('size  >  1'))).refusal, undefined)
  await publish(client, 1, 2)
  assert.deepEqual(await first.take(), ['2'])
})

test('a consumer of a queue gets what its selector takes, and the filter is echoed; others get the rest', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const few = await client.receiver({
    source: source({ address: 'q', filter: new Map([selector('size > 1'), noLocal]) }),
    credit: 10,
  })
  assert.deepEqual(
    [...(few.attach?.source?.filter?.keys() ?? [])],
    ['jms-selector'],
    'no-local is for topics',
  )
  for (const size of [1, 2, 3])
    await sender.send({ body: { kind: 'text', value: `${size}` }, properties: { size } })
  assert.deepEqual(await few.take(), ['2', '3'])
  const rest = await client.receiver({ address: 'q', credit: 10 })
  assert.deepEqual(await rest.take(), ['1'])
})
