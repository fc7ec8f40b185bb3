/** Links on which clients receive (core 2.6, 3.2.1, 3.4, 3.5.3). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { accepted, type DeliveryState, released } from '../../src/wire/amqp10/peer/performatives.ts'
import { Typed } from '../../src/wire/amqp10/values.ts'
import { steadyBackoff } from '../engine/support.ts'
import { type Client, GatewayBench, source, type TestReceiver } from './support.ts'

const failed: DeliveryState = { kind: 'modified', deliveryFailed: true, undeliverableHere: false }
const rejected: DeliveryState = {
  kind: 'rejected',
  error: { condition: 'my:reason', description: 'no good' },
}

async function stocked(
  count: number,
  options: Parameters<typeof GatewayBench.start>[0] = {},
): Promise<{ bench: GatewayBench; client: Client }> {
  const bench = await GatewayBench.start(options)
  bench.bench.declare('q', { maxDeliveries: 3 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  for (let i = 0; i < count; i++) assert.equal(await sender.send(`m${i}`), 'accepted')
  return { bench, client }
}

test('no more is delivered than there is credit for', async () => {
  const { client } = await stocked(5)
  const receiver = await client.receiver({ address: 'q' })
  assert.deepEqual(await receiver.take(), [])
  receiver.link.grant(2)
  assert.deepEqual(await receiver.take(), ['m0', 'm1'])
  receiver.link.grant(1)
  assert.deepEqual(await receiver.take(), ['m2'])
})

test('every outcome does to the message what 3.4 says', async () => {
  const { bench, client } = await stocked(4)
  const receiver = await client.receiver({ address: 'q', credit: 4 })
  await bench.idle()
  const [a, b, c, d] = receiver.received.splice(0)
  await receiver.settle(a!)
  await receiver.settle(b!, released)
  await receiver.settle(c!, failed)
  await receiver.settle(d!, rejected)
  receiver.link.grant(10)
  const again = await receiver.takeOne()
  assert.equal(again.text, 'm1')
  assert.deepEqual(again.header.slice(3), [true, 0], 'released is as if it had not been delivered')
  await bench.bench.advance(steadyBackoff.delay)
  const later = await receiver.takeOne()
  assert.equal(later.text, 'm2')
  assert.deepEqual(later.header.slice(3), [false, 1], 'failed is counted')
  const dead = await client.receiver({ address: 'q.dlq', credit: 1, desiredCapabilities: ['millrace'] })
  const letter = await dead.takeOne()
  const history = JSON.parse(letter.annotations.get('x-opt-dead-letter') as string)
  assert.equal(history.reason, 'rejected')
  assert.equal(history.description, 'my:reason: no good')
  assert.equal(history.origin.queue, 'q')
})

test('undeliverable here: others get it, this link does not', async () => {
  const { bench, client } = await stocked(1)
  const here = await client.receiver({ address: 'q', credit: 1 })
  await here.settle(await here.takeOne(), {
    kind: 'modified',
    deliveryFailed: false,
    undeliverableHere: true,
  })
  here.link.grant(1)
  assert.deepEqual(await here.take(), [])
  const there = await client.receiver({ address: 'q', credit: 1 })
  assert.deepEqual(await there.take(), ['m0'])
  await bench.idle()
})

test('a settlement that is not settled yet is answered when it is durable, with the same state', async () => {
  const { bench, client } = await stocked(3)
  const receiver = await client.receiver({ address: 'q', credit: 3, rcvSettleMode: 'second' })
  await bench.idle()
  const [a, b, c] = receiver.received
  receiver.link.settle(a!.id, b!.id, accepted, false)
  await bench.idle()
  assert.deepEqual(
    [...receiver.answers],
    [
      [a!.id, 'accepted'],
      [b!.id, 'accepted'],
    ],
  )
  assert.equal(bench.bench.status('q').messages, 1)
  await receiver.settle(c!, failed, false)
  assert.equal(receiver.answers.get(c!.id), 'modified')
})

test('a delivery that was taken back meanwhile is answered with released', async () => {
  const bench = await GatewayBench.start()
  bench.bench.declare('slow', { deliveryTimeout: 1_000 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'slow' })
  await sender.send('late')
  await sender.send('in time')
  const receiver = await client.receiver({ address: 'slow', credit: 1, rcvSettleMode: 'second' })
  const late = await receiver.takeOne()
  await bench.bench.advance(600)
  receiver.link.grant(1)
  const inTime = await receiver.takeOne()
  await bench.bench.advance(500)
  receiver.link.settle(late.id, inTime.id, accepted, false)
  await bench.idle()
  assert.deepEqual(
    [...receiver.answers].sort(([a], [b]) => a - b),
    [
      [late.id, 'released'],
      [inTime.id, 'accepted'],
    ],
  )
})

test('a receiver that knows us is told at once of a delivery that is taken back, another is not', async () => {
  const bench = await GatewayBench.start()
  bench.bench.declare('slow', { deliveryTimeout: 1_000 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'slow' })
  await sender.send('one')
  await sender.send('two')
  const attach = { address: 'slow', credit: 1, rcvSettleMode: 'second' } as const
  const ours = await client.receiver({ ...attach, desiredCapabilities: ['millrace'] })
  const other = await client.receiver(attach)
  const [{ id }] = [await ours.takeOne(), await other.takeOne()]
  await bench.bench.advance(1_000)
  await bench.idle()
  assert.deepEqual([...ours.answers], [[id, 'released']])
  assert.deepEqual([...other.answers], [])
})

test('settled without a state is the default outcome of the source, released when there is none', async () => {
  const { bench, client } = await stocked(2)
  const receiver = await client.receiver({ address: 'q', credit: 1 })
  const first = await receiver.takeOne()
  receiver.link.session.settleIncoming(first.id, first.id, undefined as never, true)
  receiver.link.grant(1)
  const again = await receiver.takeOne()
  assert.equal(again.text, 'm0')
  assert.equal(again.header[4], 0)
  await receiver.settle(again)
  const strict = await client.receiver({
    source: source({ address: 'q', defaultOutcome: rejected }),
    credit: 1,
  })
  await strict.takeOne()
  await strict.leave(true)
  assert.equal(
    bench.bench.status('q.dlq').messages,
    1,
    'a default of rejected holds at the end of the link too',
  )
})

test('what was prefetched goes back uncounted when its link ends, also where modified is the default', async () => {
  const { client } = await stocked(3)
  const first = await client.receiver({ source: source({ address: 'q', defaultOutcome: failed }), credit: 3 })
  assert.deepEqual(await first.take(), ['m0', 'm1', 'm2'])
  await first.leave(true)
  const second = await client.receiver({ address: 'q', credit: 3 })
  const headers = second.received.map(({ header }) => header.slice(3))
  assert.deepEqual(headers, [
    [true, 0],
    [true, 0],
    [true, 0],
  ])
})

test('a lost transport gives everything back, counted as interrupted', async () => {
  const { bench, client } = await stocked(2)
  const first = await client.receiver({ address: 'q', credit: 2 })
  assert.equal((await first.take()).length, 2)
  client.hosted.cut()
  const second = await (await bench.client()).receiver({ address: 'q', credit: 1 })
  const delivery = await second.takeOne()
  assert.equal(delivery.text, 'm0')
  assert.deepEqual(delivery.header.slice(3), [false, 1])
})

test('a settled link gets each message once and owes nothing', async () => {
  const { bench, client } = await stocked(3)
  const receiver = await client.receiver({ address: 'q', sndSettleMode: 'settled', credit: 2 })
  assert.equal(receiver.attach?.sndSettleMode, 'settled')
  await bench.idle()
  assert.deepEqual(
    receiver.received.map(({ settled }) => settled),
    [true, true],
  )
  assert.equal(bench.bench.status('q').messages, 1)
})

test('drain: what is there comes, the rest of the credit lapses', async () => {
  const { bench, client } = await stocked(3)
  const receiver = await client.receiver({ address: 'q' })
  receiver.link.grant(10)
  receiver.link.drain()
  assert.deepEqual(await receiver.take(), ['m0', 'm1', 'm2'])
  assert.equal(receiver.lapsed, 7)
  receiver.link.grant(5)
  receiver.link.drain()
  await bench.idle()
  assert.equal(receiver.lapsed, 5)
  const sender = await client.sender({ address: 'q' })
  await sender.send('later')
  assert.deepEqual(await receiver.take(), [], 'no credit is left')
  receiver.link.grant(1)
  assert.deepEqual(await receiver.take(), ['later'])
})

test('drain of more credit than is asked of the engine at once', async () => {
  const { bench, client } = await stocked(0)
  const sender = await client.sender({ address: 'q' })
  for (let i = 0; i < 50; i++) await sender.send('x'.repeat(40_000))
  const receiver = await client.receiver({ address: 'q' })
  receiver.link.grant(60)
  receiver.link.drain()
  assert.equal((await receiver.take()).length, 50)
  assert.equal(receiver.lapsed, 10)
  await bench.idle()
})

test('credit that is taken back is not used; what was on its way returns unharmed', async () => {
  const { bench, client } = await stocked(0)
  const receiver = await client.receiver({ address: 'q', credit: 5 })
  receiver.link.credit = 0
  receiver.link.grant(0)
  await bench.idle()
  const sender = await client.sender({ address: 'q' })
  await sender.send('m')
  assert.deepEqual(await receiver.take(), [])
  receiver.link.grant(1)
  const delivery = await receiver.takeOne()
  assert.equal(delivery.header[4], 0)
})

test('our own clients are told the message number, at first and after a reconnect the same', async () => {
  const { client } = await stocked(1)
  const receiver = await client.receiver({ address: 'q', credit: 1, desiredCapabilities: ['millrace'] })
  assert.deepEqual(receiver.attach?.offeredCapabilities, ['millrace'])
  const delivery = await receiver.takeOne()
  const lsn = delivery.annotations.get('x-opt-lsn')
  assert.equal(typeof lsn, 'bigint')
  await receiver.settle(delivery, released)
  receiver.link.grant(1)
  assert.equal((await receiver.takeOne()).annotations.get('x-opt-lsn'), lsn)
})

test('a link is not given more unsettled bytes than it says', async () => {
  const { bench, client } = await stocked(0)
  const sender = await client.sender({ address: 'q' })
  for (let i = 0; i < 5; i++) await sender.send('x'.repeat(1_000))
  const properties = new Map([['millrace:max-bytes', new Typed('ulong', 2_000)]])
  const receiver = await client.receiver({ address: 'q', properties, credit: 100 })
  await bench.idle()
  assert.equal(receiver.received.length, 2)
  await receiver.settle(receiver.received[0]!)
  await bench.idle()
  assert.equal(receiver.received.length, 3)
})

test('the priority of a receiver, also by the name of RabbitMQ', async () => {
  const { client } = await stocked(0)
  const properties = (name: string, value: unknown) => new Map([[name, value]])
  const plain = await client.receiver({ address: 'q', credit: 10 })
  const rabbit = await client.receiver({
    address: 'q',
    credit: 1,
    properties: properties('rabbitmq:priority', new Typed('int', 5)),
  })
  const ours = await client.receiver({
    address: 'q',
    credit: 1,
    properties: properties('millrace:priority', new Typed('long', 6n)),
  })
  const sender = await client.sender({ address: 'q' })
  for (const text of ['a', 'b', 'c']) await sender.send({ body: { kind: 'text', value: text } })
  assert.deepEqual([await ours.take(), await rabbit.take(), await plain.take()], [['a'], ['b'], ['c']])
  const wrong = await client.receiver({ address: 'q', properties: properties('millrace:priority', 'high') })
  assert.match(wrong.detach!.error!.description!, /millrace:priority is a whole number/)
})

test('unsettled bytes are bounded per connection; every link may have one message all the same', async () => {
  const { bench, client } = await stocked(0, { unsettledBytes: 300_000 })
  const sender = await client.sender({ address: 'q' })
  for (let i = 0; i < 20; i++) await sender.send('x'.repeat(100_000))
  const first = await client.receiver({ address: 'q', credit: 100 })
  await bench.idle()
  assert.ok(first.received.length <= 6, `${first.received.length} on the first`)
  const second = await client.receiver({ address: 'q', credit: 100 })
  await bench.idle()
  assert.equal(second.received.length, 1)
  for (let taken = 0; taken < 20; ) {
    for (const receiver of [first, second]) {
      for (const delivery of receiver.received.splice(0)) {
        taken++
        await receiver.settle(delivery)
      }
    }
    await bench.idle()
  }
  assert.equal(bench.bench.status('q').messages, 0)
})

test('a message larger than the receiver takes is left for others', async () => {
  const { bench, client } = await stocked(0)
  const sender = await client.sender({ address: 'q' })
  await sender.send('x'.repeat(1_000))
  await sender.send('small')
  const modest = await client.receiver({ address: 'q', maxMessageSize: 500, credit: 10 })
  assert.deepEqual(await modest.take(), ['small'])
  const other = await client.receiver({ address: 'q', credit: 10 })
  assert.equal((await other.take()).length, 1)
  await bench.idle()
})

test('a body larger than a buffer is streamed, and not faster than the client reads', async () => {
  const { bench, client } = await stocked(0)
  const sender = await client.sender({ address: 'q' })
  const value = Buffer.alloc(8_000_000, 'abcdefg')
  await sender.send({ body: { kind: 'bytes', value } })
  await sender.send('behind it')
  client.deaf = true
  const receiver = await client.receiver({ address: 'q' })
  client.deaf = false
  receiver.link.grant(2)
  let most = 0
  client.deaf = true
  for (let i = 0; i < 200; i++) {
    await bench.idle()
    most = Math.max(most, client.hosted.outputBytes)
    client.deaf = false
    client.toClient()
    client.deaf = true
  }
  client.deaf = false
  client.toClient()
  await bench.idle()
  assert.ok(most < 1_500_000, `${most} bytes waited`)
  const [large, small] = receiver.received
  assert.ok(Buffer.from(large!.text as Uint8Array).equals(value))
  assert.equal(small!.text, 'behind it')
  await settleAll(receiver)
  assert.equal(bench.bench.status('q').messages, 0)
})

async function settleAll(receiver: TestReceiver): Promise<void> {
  for (const delivery of receiver.received.splice(0)) await receiver.settle(delivery)
}

test('two links of one session, their deliveries interleaved, settled in ranges', async () => {
  const { bench, client } = await stocked(0)
  bench.bench.declare('other')
  const receivers = [
    await client.receiver({ address: 'q', credit: 500 }),
    await client.receiver({ address: 'other', credit: 500 }),
  ]
  const senders = [await client.sender({ address: 'q' }), await client.sender({ address: 'other' })]
  for (let i = 0; i < 300; i++) await senders[(i * 7) % 3 === 0 ? 0 : 1]!.send(`${i}`)
  await bench.idle()
  for (const receiver of receivers) {
    const ids = receiver.received.map(({ id }) => id).sort((a, b) => a - b)
    // Ranges with holes, some of them twice.
    receiver.link.settle(ids[0]!, ids[Math.floor(ids.length / 2)]!, accepted)
    receiver.link.settle(ids[10]!, ids.at(-1)!, accepted)
  }
  await bench.idle()
  assert.deepEqual([bench.bench.status('q').messages, bench.bench.status('other').messages], [0, 0])
})

test('a deleted queue ends its links with amqp:resource-deleted', async () => {
  const { bench, client } = await stocked(2)
  const receiver = await client.receiver({ address: 'q', credit: 1 })
  bench.bench.broker.deleteQueue('q', {}, () => {})
  await bench.idle()
  assert.equal(receiver.refusal, 'amqp:resource-deleted')
  assert.equal(receiver.detach?.closed, true)
  assert.deepEqual(client.faults, [])
})
