import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { OperationReader } from '../../src/engine/ports/operations.ts'
import { Bench, numbered, type Peer } from './support.ts'

/** Queues bound to every topic, each filled before the first of them is drained. */
async function subscribed(bench: Bench, count: number): Promise<{ peer: Peer; queues: string[] }> {
  const queues = numbered('s', count)
  for (const queue of queues) {
    bench.declare(queue)
    bench.broker.bind({ exchange: 'amq.topic', queue, key: '#' })
  }
  return { peer: bench.connect(), queues }
}

suite('one message in many queues', () => {
  for (const [where, open] of [
    ['in memory', Bench.inMemory],
    ['on disk', Bench.onDisk],
  ] as const) {
    test(`each queue gets every message with its own head, ${where}`, async () => {
      const bench = await open()
      const { peer, queues } = await subscribed(bench, 6)
      // More than are remembered, and more than a queue is given in one turn.
      const sent = Array.from({ length: 2_500 }, (_, i) => ({
        exchange: 'amq.topic',
        key: `news.${i}`,
        text: `message ${i} ${'x'.repeat(i % 50)}`,
        priority: i % 3 === 0 ? 4 : 0,
        durable: i % 5 !== 0,
      }))
      for (const { exchange, key, text, priority, durable } of sent) {
        peer.publish(exchange, key, text, { priority, durability: durable ? 'disk' : 'memory' })
        // It goes to one queue, between those that go to all.
        peer.send('s0', `aside ${key}`)
      }
      await bench.idle()
      const urgentFirst = sent.toSorted((a, b) => b.priority - a.priority)
      const consumers = queues.map((queue) => peer.consume(queue, 10_000))
      await bench.idle()
      for (const consumer of consumers) {
        const received = peer.received.filter((one) => one.consumer === consumer)
        assert.ok(
          received.every((one) => one.text.startsWith('aside ') === (one.exchange === '')),
          'what was sent to the queue is no topic',
        )
        const news = received
          .filter(({ exchange }) => exchange !== '')
          .map(({ exchange, key, text, priority, durable }) => ({ exchange, key, text, priority, durable }))
        assert.deepEqual(news, urgentFirst)
      }
    })
  }

  test('a delivery reads no more for other queues of the message', async (t) => {
    const { varint } = OperationReader.prototype
    t.after(() => {
      OperationReader.prototype.varint = varint
    })
    let reads = 0
    OperationReader.prototype.varint = function counted(this: OperationReader): number {
      reads++
      return varint.call(this)
    }
    const readsOf = async (count: number): Promise<number> => {
      const bench = await Bench.inMemory()
      const { peer, queues } = await subscribed(bench, count)
      for (let i = 0; i < 20; i++) peer.publish('amq.topic', 'news', `${i}`)
      await bench.idle()
      reads = 0
      for (const queue of queues) peer.consume(queue)
      await bench.idle()
      assert.equal(peer.received.length, 20 * count)
      return reads / peer.received.length
    }
    const [few, many] = [await readsOf(10), await readsOf(400)]
    assert.ok(many < few * 3, `${few} numbers were read for a delivery of 10, ${many} for one of 400`)
  })
})
