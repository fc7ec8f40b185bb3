import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { QueuePolicy } from '../../src/model/policy.ts'
import { Bench, numbered, type Peer } from './support.ts'

async function full(
  policy: Partial<QueuePolicy>,
  texts: readonly string[],
): Promise<{ bench: Bench; peer: Peer }> {
  const bench = await Bench.inMemory({ heldMessages: 3, heldBytes: 1_000 })
  bench.declare('q', policy)
  const peer = bench.connect()
  for (const text of texts) peer.send('q', text)
  await bench.idle()
  return { bench, peer }
}

function outcomesOf(peer: Peer): string[] {
  return [...peer.outcomes].sort(([a], [b]) => a - b).map(([, outcome]) => outcome)
}

suite('promise 7: everything is bounded, and what happens at the bound is named', () => {
  test('reject: refused by count, retryable, and nothing stored', async () => {
    const { bench, peer } = await full({ overflow: 'reject', maxMessages: 2 }, ['a', 'b', 'c'])
    assert.deepEqual(outcomesOf(peer), ['accepted', 'accepted', 'queue-full'].sort())
    assert.equal(peer.outcomes.get(3), 'queue-full')
    assert.deepEqual(await bench.texts('q'), ['a', 'b'])
  })

  test('reject: refused by bytes; an empty queue takes one message of any size', async () => {
    const { bench, peer } = await full({ overflow: 'reject', maxBytes: 10 }, ['larger than that', 'x'])
    assert.deepEqual(outcomesOf(peer), ['accepted', 'queue-full'])
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne())
    for (const text of ['12345', '67890', 'x']) peer.send('q', text)
    await bench.idle()
    assert.deepEqual(outcomesOf(peer).slice(2), ['accepted', 'accepted', 'queue-full'])
  })

  test('drop-oldest: the oldest of the least urgent leave as dropped; what is delivered stays', async () => {
    const { bench, peer } = await full({ overflow: 'drop-oldest', maxMessages: 3 }, ['a', 'b'])
    peer.send('q', 'urgent', { priority: 9 })
    await bench.idle()
    peer.consume('q', 2)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['urgent', 'a'])
    for (const text of ['c', 'd']) peer.send('q', text)
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['urgent', 'a', 'd'])
    assert.equal(bench.status('q').departed.dropped, 2)
    assert.deepEqual(outcomesOf(peer), new Array(5).fill('accepted'))
  })

  test('drop-oldest by bytes keeps at least the newest', async () => {
    const { bench } = await full({ overflow: 'drop-oldest', maxBytes: 10 }, [
      '1234',
      '5678',
      'larger than that',
    ])
    assert.deepEqual(await bench.texts('q'), ['larger than that'])
  })

  test('dead-letter: the oldest moves to the dead-letter queue with the reason', async () => {
    const { bench, peer } = await full({ overflow: 'dead-letter', maxMessages: 2 }, ['a', 'b', 'c', 'd'])
    assert.deepEqual(await bench.texts('q'), ['c', 'd'])
    assert.deepEqual(await bench.texts('q.dlq'), ['a', 'b'])
    const [letter] = await bench.browse('q.dlq')
    assert.equal((JSON.parse(letter!.annotations) as { reason: string }).reason, 'overflow')
    assert.deepEqual(outcomesOf(peer), new Array(4).fill('accepted'))
  })

  test('dead-letter with no dead-letter queue refuses rather than drops', async () => {
    const { bench, peer } = await full({ overflow: 'dead-letter', maxMessages: 1, deadLetter: undefined }, [
      'a',
      'b',
    ])
    assert.deepEqual(outcomesOf(peer), ['accepted', 'queue-full'])
    assert.deepEqual(await bench.texts('q'), ['a'])
  })

  test('drop-oldest reaches messages that are paged out', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q', { overflow: 'drop-oldest', maxMessages: 5_000 })
    const peer = bench.connect()
    for (let i = 0; i < 9_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    const texts = await bench.texts('q')
    assert.equal(texts.length, 5_000)
    assert.deepEqual([texts[0], texts.at(-1)], ['4000', '8999'])
  })
})

suite('overflow block: a bounded hold, in order, with a deadline', () => {
  test('what is held is stored in order as room comes; the sender hears that it is blocked, and unblocked', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxMessages: 2 }, ['a', 'b', 'c', 'd'])
    assert.deepEqual(outcomesOf(peer), ['accepted', 'accepted'])
    assert.deepEqual(peer.notices, ['blocked by q: queue-full'])
    assert.equal(bench.status('q').held, 2)
    const consumer = bench.connect()
    const id = consumer.consume('q', 1)
    await bench.idle()
    consumer.settle(consumer.takeOne())
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['b', 'c'])
    assert.deepEqual(peer.notices.length, 1, 'one is still held')
    bench.broker.grant(id, 10)
    consumer.onDelivery = (delivery) => consumer.settle(delivery)
    await bench.idle()
    assert.deepEqual(consumer.takeTexts(), ['b', 'c', 'd'])
    assert.deepEqual(outcomesOf(peer), new Array(4).fill('accepted'))
    assert.deepEqual(peer.notices, ['blocked by q: queue-full', 'unblocked by q'])
  })

  test('nobody overtakes: a later publication is held behind the earlier ones even if it would fit', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxBytes: 10 }, ['12345678', 'too large now'])
    const other = bench.connect()
    other.send('q', '9')
    await bench.idle()
    assert.deepEqual([bench.status('q').held, other.outcomes.size], [2, 0])
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q')
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['12345678', 'too large now', '9'])
  })

  test('at its deadline a held publication is refused, by monotonic time, and not before', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxMessages: 1, blockTimeout: 1_000 }, ['a', 'b'])
    bench.clock.jumpWall(10_000_000)
    await bench.advance(999)
    assert.equal(peer.outcomes.get(2), undefined)
    await bench.advance(1)
    assert.equal(peer.outcomes.get(2), 'queue-full')
    assert.deepEqual(peer.notices, ['blocked by q: queue-full', 'unblocked by q'])
    assert.equal(bench.status('q').held, 0)
  })

  test('more than the hold takes, in messages or bytes, is refused at once', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxMessages: 1 }, [
      'a',
      ...numbered('held ', 3),
      'one more',
    ])
    assert.equal(peer.outcomes.get(5), 'queue-full')
    assert.equal(bench.status('q').held, 3)
    const { bench: other, peer: sender } = await full({ overflow: 'block', maxMessages: 1 }, [
      'a',
      'x'.repeat(1_001),
    ])
    assert.equal(sender.outcomes.get(2), 'queue-full')
    assert.equal(other.status('q').held, 0)
  })

  test('what a connection has held goes with it', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxMessages: 1 }, ['a', 'b'])
    peer.disconnect()
    assert.equal(bench.status('q').held, 0)
    const consumer = bench.connect()
    consumer.onDelivery = (delivery) => consumer.settle(delivery)
    consumer.consume('q')
    await bench.advance(60_000)
    assert.deepEqual(consumer.takeTexts(), ['a'])
  })

  test('the sender may reuse its buffer while its message is held', async () => {
    const { bench, peer } = await full({ overflow: 'block', maxMessages: 1 }, ['a'])
    const payload = Buffer.from('before')
    peer.send('q', '', { payload })
    payload.fill('x')
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q')
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['a', 'before'])
  })

  test('room comes also by expiry, purge and deletion', async () => {
    for (const way of ['expiry', 'purge', 'delete'] as const) {
      const { bench, peer } = await full({ overflow: 'block', maxMessages: 1, ttl: 1_000 }, ['a', 'b'])
      if (way === 'purge') await bench.answer((done) => bench.broker.purgeQueue('q', done))
      else if (way === 'delete') await bench.answer((done) => bench.broker.deleteQueue('q', {}, done))
      else await bench.advance(1_000)
      await bench.idle()
      assert.equal(peer.outcomes.get(2), 'accepted', way)
    }
  })
})

suite('refusal is all or nothing across the queues a message routes to', () => {
  test('one full queue that rejects keeps the message out of all', async () => {
    const bench = await Bench.inMemory()
    bench.declare('small', { overflow: 'reject', maxMessages: 1 })
    bench.declare('large')
    for (const queue of ['large', 'small']) bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    const peer = bench.connect()
    for (const text of ['a', 'b']) peer.publish('amq.fanout', '', text)
    await bench.idle()
    assert.equal(peer.outcomes.get(2), 'queue-full')
    assert.deepEqual([await bench.texts('small'), await bench.texts('large')], [['a'], ['a']])
  })

  test('one full queue that blocks holds it for all; then each gets it once', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['one', 'two', 'free']) {
      bench.declare(queue, queue === 'free' ? {} : { maxMessages: 1 })
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    for (const text of ['a', 'b']) peer.publish('amq.fanout', '', text)
    await bench.idle()
    assert.deepEqual(await bench.texts('free'), ['a'])
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('one')
    await bench.idle()
    assert.deepEqual(
      [await bench.texts('free'), peer.outcomes.get(2)],
      [['a'], undefined],
      'two is full still',
    )
    peer.consume('two')
    await bench.idle()
    assert.deepEqual(peer.takeTexts().sort(), ['a', 'a', 'b', 'b'])
    assert.deepEqual([await bench.texts('free'), peer.outcomes.get(2)], [['a', 'b'], 'accepted'])
  })

  test('a message over maxMessageBytes is refused with its own code', async () => {
    const bench = await Bench.inMemory({ maxMessageBytes: 10 })
    const peer = bench.connect()
    peer.send('q', 'x'.repeat(11))
    peer.send('q', 'x'.repeat(10))
    await bench.idle()
    assert.deepEqual(outcomesOf(peer), ['message-too-large', 'accepted'])
  })
})
