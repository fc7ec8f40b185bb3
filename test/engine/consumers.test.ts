import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, failed, numbered, refuses, released } from './support.ts'

async function filled(count: number, prefix = ''): Promise<Bench> {
  const bench = await Bench.inMemory()
  bench.declare('q')
  const peer = bench.connect()
  for (const text of numbered(prefix, count)) peer.send('q', text)
  await bench.idle()
  return bench
}

suite('competing consumers and credit (DESIGN §3, §4.2)', () => {
  test('messages go round in turn; each message to one consumer', async () => {
    const bench = await filled(9)
    const peers = [bench.connect(), bench.connect(), bench.connect()]
    for (const peer of peers) peer.consume('q')
    await bench.idle()
    assert.deepEqual(
      peers.map((peer) => peer.takeTexts()),
      [
        ['0', '3', '6'],
        ['1', '4', '7'],
        ['2', '5', '8'],
      ],
    )
  })

  test('nothing is delivered beyond the credit; who has none is passed over', async () => {
    const bench = await filled(6)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 1)
    two.consume('q', 2)
    await bench.idle()
    assert.deepEqual([one.takeTexts(), two.takeTexts()], [['0', '2'].slice(0, 1), ['1', '2']])
    bench.broker.grant(consumer, 2)
    await bench.idle()
    assert.deepEqual([one.takeTexts(), two.takeTexts()], [['3', '4'], []])
    assert.deepEqual([bench.status('q').ready, bench.status('q').acquired], [1, 5])
  })

  test('maxBytes bounds what is unsettled, but lets one message of any size through', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    for (const size of [100, 10, 10, 10]) peer.send('q', 'x'.repeat(size))
    peer.consume('q', 100, { maxBytes: 20, create: true })
    await bench.idle()
    const big = peer.takeOne()
    peer.settle(big)
    await bench.idle()
    const small = peer.take()
    assert.equal(small.length, 2, '10 + 10 reach the bound')
    peer.settle(small[0]!)
    await bench.idle()
    assert.equal(peer.takeOne().size, 10)
  })

  test('tags rise by one; a range settles what is unsettled in it, once, and passes over the rest', async () => {
    const bench = await filled(100)
    const peer = bench.connect()
    const consumer = peer.consume('q', 100)
    await bench.idle()
    assert.deepEqual(
      peer.take().map(({ tag }) => tag),
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    const settle = (first: number, last: number): number =>
      bench.broker.settle(consumer, first, last, { outcome: 'accepted' })
    assert.deepEqual([settle(10, 19), settle(1, 20), settle(1, 20), settle(90, 10_000)], [10, 10, 0, 11])
    assert.deepEqual([settle(0, 0), settle(20, 10), settle(21, 89)], [0, 0, 69])
    assert.equal(bench.status('q').messages, 0)
  })

  test('exclusive: nobody beside it, and it beside nobody', async () => {
    const bench = await filled(1)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 1, { exclusive: true })
    refuses(() => two.consume('q'), 'destination-in-use')
    refuses(() => one.consume('q'), 'destination-in-use')
    bench.broker.cancel(consumer, { release: true })
    two.consume('q')
    refuses(() => one.consume('q', 1, { exclusive: true }), 'destination-in-use')
  })

  test('a queue that does not exist refuses, unless it may be created', async () => {
    const bench = await Bench.inMemory({ autoCreate: ['yes'] })
    const peer = bench.connect()
    refuses(() => peer.consume('yes'), 'destination-not-found')
    refuses(() => peer.consume('no', 1, { create: true }), 'destination-not-found')
    peer.consume('yes', 1, { create: true })
  })

  test('promise 2: first deliveries come in order of sending, also when earlier ones come back in between', async () => {
    const bench = await filled(50)
    const peer = bench.connect()
    const consumer = peer.consume('q', 5)
    const firsts: string[] = []
    for (let round = 0; firsts.length < 50; round++) {
      await bench.idle()
      for (const delivery of peer.take()) {
        if (delivery.deliveryCount === 1 && !firsts.includes(delivery.text)) firsts.push(delivery.text)
        peer.settle(delivery, delivery.tag % 3 === 0 ? released : { outcome: 'accepted' })
        bench.broker.grant(consumer, 1)
      }
      assert.ok(round < 500)
    }
    assert.deepEqual(firsts, numbered('', 50))
  })
})

suite('drain: what is ready goes out first, then the rest of the credit lapses', () => {
  test('with fewer messages than credit', async () => {
    const bench = await filled(3)
    const peer = bench.connect()
    const consumer = peer.consume('q', 10)
    const told: unknown[] = []
    bench.broker.drain(consumer, (lapsed) => told.push({ lapsed, received: peer.received.length }))
    assert.deepEqual(told, [], 'not in this call')
    await bench.idle()
    assert.deepEqual(told, [{ lapsed: 7, received: 3 }], 'after the deliveries')
    bench.connect().send('q', 'late')
    await bench.idle()
    assert.equal(peer.received.length, 3, 'the credit is gone')
  })

  test('with as many messages as credit, with none, and with a consumer that has ended', async () => {
    const bench = await filled(3)
    const peer = bench.connect()
    const consumer = peer.consume('q', 2)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 0)
    bench.broker.grant(consumer, 4)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 3)
    bench.broker.cancel(consumer, { release: true })
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 0)
  })

  test('waits for messages that lie in a page', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 5_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    const consumer = peer.consume('q', 6_000)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 1_000)
    assert.deepEqual(peer.takeTexts(), numbered('', 5_000))
  })
})

suite('the end of a consumer', () => {
  test('cancel with release: what it held is ready in its old place, and does not count', async () => {
    const bench = await filled(4)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 2)
    await bench.idle()
    bench.broker.cancel(consumer, { release: true })
    assert.equal(bench.status('q').consumers, 0)
    assert.equal(one.settle(one.received[0]!), 0, 'it holds nothing any more')
    two.consume('q')
    await bench.idle()
    assert.deepEqual(
      two.take().map(({ text, deliveryCount }) => [text, deliveryCount]),
      numbered('', 4).map((text) => [text, 1]),
    )
  })

  test('cancel without release: it may still settle what it holds, and gets nothing more', async () => {
    const bench = await filled(4)
    const peer = bench.connect()
    const consumer = peer.consume('q', 2)
    await bench.idle()
    bench.broker.cancel(consumer, { release: false })
    bench.broker.grant(consumer, 5)
    await bench.idle()
    const [first, second] = peer.take()
    assert.equal(bench.status('q').consumers, 1)
    assert.equal(peer.settle(first!), 1)
    assert.equal(peer.settle(second!, failed), 1)
    assert.equal(bench.status('q').consumers, 0)
    await bench.idle()
    assert.deepEqual([peer.received.length, bench.status('q').messages], [0, 3])
  })

  test('cancelled while its messages are on their way to it: they are released and not delivered', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    const trigger = peer.send('q', 'second')
    peer.onPublished = () => {
      if (peer.outcomes.has(trigger)) bench.broker.cancel(consumer, { release: true })
    }
    const consumer = peer.consume('q', 10)
    await bench.idle()
    const before = peer.takeTexts()
    assert.ok(!before.includes('second'), 'it was given back before it could be handed over')
    const other = bench.connect()
    other.consume('q')
    await bench.idle()
    assert.deepEqual(
      other.take().map(({ text, deliveryCount }) => [text, deliveryCount]),
      [
        ['0', 1],
        ['second', 1],
      ],
    )
  })

  test('a deleted queue tells its consumers', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    const consumer = peer.consume('q')
    await bench.idle()
    await bench.answer((done) => bench.broker.deleteQueue('q', {}, done))
    assert.deepEqual(peer.notices, [`cancelled ${consumer}: destination-not-found`])
    assert.equal(peer.settle(peer.takeOne()), 0)
    bench.broker.grant(consumer, 1)
    bench.broker.cancel(consumer, { release: true })
  })

  test('after its disconnection a connection is told nothing, and may do nothing', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    peer.consume('q')
    peer.send('q', 'm')
    peer.disconnect()
    await bench.idle()
    assert.deepEqual([peer.received, peer.outcomes.size, peer.notices], [[], 0, []])
    refuses(() => peer.send('q', 'm'), 'closed')
    refuses(() => peer.consume('q'), 'closed')
    peer.disconnect()
    assert.equal(bench.status('q').messages, 2, 'what it sent was sent')
  })
})
