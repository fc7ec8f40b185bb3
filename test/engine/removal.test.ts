import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, numbered, refuses, released } from './support.ts'

async function deep(count: number): Promise<Bench> {
  const bench = await Bench.inMemory({ residentEntries: 1 })
  bench.declare('q')
  const peer = bench.connect()
  for (let i = 0; i < count; i++) {
    peer.send('q', `${i}`, { priority: i % 2 })
    if (i % 500 === 0) await bench.idle()
  }
  await bench.idle()
  return bench
}

suite('purge and delete', () => {
  test('purge empties a queue whose chunks are paged; what is held by a consumer stays', async () => {
    const bench = await deep(10_000)
    const peer = bench.connect()
    peer.consume('q', 10)
    await bench.idle()
    const purged = await bench.answer<number>((done) => bench.broker.purgeQueue('q', done))
    assert.equal(purged, 9_990)
    const { messages, acquired, departed } = bench.status('q')
    assert.deepEqual([messages, acquired, departed.purged], [10, 10, 9_990])
    peer.settleAll(peer.take(), released)
    assert.equal(bench.status('q').ready, 10)
  })

  test('purge takes what was there when it was asked for, and what waits for its backoff', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    for (const text of ['a', 'b']) peer.send('q', text)
    peer.onDelivery = (delivery) => peer.settle(delivery, { outcome: 'modified', deliveryFailed: true })
    const consumer = peer.consume('q', 1)
    await bench.idle()
    bench.broker.cancel(consumer, { release: true })
    let purged = -1
    bench.broker.purgeQueue('q', (messages) => {
      purged = messages
    })
    peer.send('q', 'later')
    await bench.advance(100_000)
    assert.equal(purged, 2)
    assert.deepEqual(await bench.texts('q'), ['later'])
  })

  test('delete takes everything, also what is held and paged, and the name is free at once', async () => {
    const bench = await deep(10_000)
    const peer = bench.connect()
    peer.consume('q', 10)
    await bench.idle()
    let deleted = -1
    bench.broker.deleteQueue('q', {}, (messages) => {
      deleted = messages
    })
    assert.equal(bench.broker.queue('q'), undefined)
    bench.declare('q')
    peer.send('q', 'for the new one')
    await bench.idle()
    assert.equal(deleted, 10_000)
    assert.equal(peer.settle(peer.received[0]!), 0)
    assert.deepEqual(await bench.texts('q'), ['for the new one'])
    assert.ok(bench.store.status().liveBytes < 200)
  })

  test('delete if unused refuses a queue with consumers; a queue that is not there is named', async () => {
    const bench = await deep(1)
    const peer = bench.connect()
    const consumer = peer.consume('q')
    const remove = (): void => bench.broker.deleteQueue('q', { ifUnused: true }, () => {})
    refuses(remove, 'destination-in-use')
    bench.broker.cancel(consumer, { release: true })
    remove()
    for (const call of [remove, () => bench.broker.purgeQueue('q', () => {})])
      refuses(call, 'destination-not-found')
  })

  test('messages on their way to the dead-letter queue are in exactly one place when their queue is deleted', async () => {
    const bench = await Bench.onDisk({}, { cacheBytes: 4_096 })
    bench.declare('q')
    const peer = bench.connect()
    for (const text of numbered('x'.repeat(500), 100)) peer.send('q', text)
    await bench.advance(100)
    peer.consume('q', 100)
    await bench.advance(100)
    const deliveries = peer.take()
    assert.equal(deliveries.length, 100)
    peer.settleAll(deliveries, { outcome: 'rejected' })
    const deleted = await bench.answer<number>((done) => bench.broker.deleteQueue('q', {}, done))
    await bench.advance(100)
    const moved = bench.broker.queue('q.dlq')?.messages ?? 0
    assert.equal(deleted + moved, 100)
  })
})
