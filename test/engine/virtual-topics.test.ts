import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, rejected } from './support.ts'

const queues = ['Consumer.a.VirtualTopic.orders', 'Consumer.b.VirtualTopic.orders']

suite('virtual topics: groups that compete for the messages of a topic', () => {
  test('each group gets all, one consumer of it each message, also after a crash', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    const members = [bench.connect(), bench.connect()]
    for (const member of members) member.consume(queues[0]!, 10, { create: true })
    bench.declare(queues[1]!)
    for (const text of ['1', '2']) peer.publish('amq.topic', 'VirtualTopic.orders', text)
    peer.publish('amq.topic', 'VirtualTopic.other', '3')
    await bench.idle()
    assert.deepEqual(
      members.map((member) => member.takeTexts()),
      [['1'], ['2']],
    )
    assert.deepEqual(await bench.texts(queues[1]!), ['1', '2'])
    await bench.crash()
    bench.connect().publish('amq.topic', 'VirtualTopic.orders', '4')
    await bench.idle()
    assert.deepEqual(await bench.texts(queues[0]!), ['1', '2', '4'])
    assert.deepEqual(await bench.texts(queues[1]!), ['1', '2', '4'])
  })

  test('names that are not of the convention, dead letters, and brokers without it: queues like any other', async () => {
    const bench = await Bench.inMemory()
    const other = await Bench.inMemory({ virtualTopics: false })
    const ours = await Bench.inMemory({ virtualTopics: 'orders.*' })
    const peer = bench.connect()
    for (const name of ['Consumer.VirtualTopic.x', 'Consumer.a.Else.x', 'Consumers.a.VirtualTopic.x'])
      bench.declare(name)
    bench.declare(queues[0]!)
    peer.onDelivery = (delivery) => peer.settle(delivery, rejected)
    peer.consume(queues[0]!)
    peer.publish('amq.topic', 'VirtualTopic.orders', 'bad')
    other.declare(queues[0]!)
    ours.declare('Consumer.a.orders.new')
    await bench.idle()
    assert.deepEqual(await bench.texts(`${queues[0]}.dlq`), ['bad'])
    assert.deepEqual(
      [bench, other, ours].map(({ broker }) => broker.bindings().map(({ queue, key }) => [queue, key])),
      [[[queues[0], 'VirtualTopic.orders']], [], [['Consumer.a.orders.new', 'orders.new']]],
    )
  })

  test('a message has one topic: a wildcard is for receivers', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: '#' })
    const peer = bench.connect()
    for (const key of ['*', 'a.*', '#.a', 'a.#.b', 'a*', 'a.b#']) peer.publish('amq.topic', key, key)
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['a*', 'a.b#'])
    assert.deepEqual([...new Set(peer.outcomes.values())], ['destination-invalid', 'accepted'])
  })
})
