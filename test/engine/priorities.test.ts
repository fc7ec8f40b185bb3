import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, failed, released } from './support.ts'

suite('priorities see the whole backlog (DESIGN §4.8)', () => {
  test('the most urgent first, within a priority the oldest first', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    const sent = [4, 0, 9, 4, 9, 1].map((priority, i) => ({ text: `${priority}-${i}`, priority }))
    for (const { text, priority } of sent) peer.send('q', text, { priority })
    peer.consume('q', 10, { create: true })
    await bench.idle()
    const deliveries = peer.take()
    const expected = sent.toSorted((a, b) => b.priority - a.priority).map(({ text }) => text)
    assert.deepEqual(
      deliveries.map(({ text }) => text),
      expected,
    )
    assert.deepEqual(
      deliveries.map(({ priority }) => priority),
      [9, 9, 4, 4, 1, 0],
    )
  })

  test('a message that comes back keeps its priority and its place', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    for (const [text, priority] of [
      ['low', 1],
      ['high', 8],
      ['high too', 8],
    ] as const)
      peer.send('q', text, { priority })
    const consumer = peer.consume('q', 2)
    await bench.idle()
    const [high, tooHigh] = peer.take()
    peer.settle(tooHigh!, released)
    peer.settle(high!, failed)
    await bench.advance(100)
    bench.broker.grant(consumer, 3)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['high', 'high too', 'low'])
  })

  test('an urgent message passes a backlog that is paged out', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 5_000; i++) {
      peer.send('q', 'plain')
      if (i % 500 === 0) await bench.idle()
    }
    peer.send('q', 'urgent', { priority: 5 })
    await bench.idle()
    peer.consume('q', 1)
    await bench.idle()
    assert.equal(peer.takeOne().text, 'urgent')
  })
})
