import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, refuses, rejected, textOf } from './support.ts'

async function move(bench: Bench, from: string, to: string | undefined, limit = Infinity): Promise<number> {
  return bench.answer<number>((done) => bench.broker.moveMessages(from, to, { limit }, done))
}

suite('moving messages to other queues', () => {
  test('a paged queue is moved whole, in order, with its priorities; what a consumer holds stays', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    bench.declare('other')
    const peer = bench.connect()
    for (let i = 0; i < 6_000; i++) {
      peer.send('q', `${i}`, { priority: i % 2 })
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    peer.consume('q', 3)
    await bench.idle()
    assert.equal(await move(bench, 'q', 'other'), 5_997)
    assert.deepEqual([bench.status('q').messages, bench.status('q').departed.moved], [3, 5_997])
    const texts = (await bench.texts('other')).map(Number)
    assert.equal(texts.length, 5_997)
    assert.deepEqual(
      texts,
      texts.toSorted((a, b) => (b % 2) - (a % 2) || a - b),
    )
  })

  test('a limit moves the head of the queue; messages that arrive meanwhile stay', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    bench.declare('other')
    const peer = bench.connect()
    for (const text of ['a', 'b', 'c']) peer.send('q', text)
    await bench.idle()
    assert.equal(await move(bench, 'q', 'other', 2), 2)
    assert.deepEqual([await bench.texts('q'), await bench.texts('other')], [['c'], ['a', 'b']])
  })

  for (const store of ['inMemory', 'onDisk'] as const)
    test(`an expired message lives for the ttl of its queue anew when it goes back: ${store}`, async () => {
      const bench = await Bench[store]()
      bench.declare('q', { ttl: 1_000, expired: 'late' })
      const peer = bench.connect()
      peer.send('q', 'by policy')
      peer.send('q', 'of its own', { expiry: bench.clock.wall() + 500 })
      await bench.advance(2_000)
      assert.deepEqual((await bench.texts('late')).toSorted(), ['by policy', 'of its own'])
      assert.equal(await move(bench, 'late', undefined), 2)
      await bench.advance(400)
      assert.equal(bench.status('q').ready, 2)
      if (store === 'onDisk') await bench.restart()
      await bench.advance(500)
      assert.equal(bench.status('q').ready, 2)
      await bench.advance(200)
      assert.deepEqual([bench.status('q').messages, bench.status('late').messages], [0, 2])
    })

  test('dead letters go back to where they failed, as if never delivered; others stay', async () => {
    const bench = await Bench.inMemory()
    for (const name of ['a', 'b']) bench.declare(name, { deadLetter: 'letters' })
    const peer = bench.connect()
    peer.onDelivery = (delivery) => peer.settle(delivery, rejected)
    const consumers = ['a', 'b'].map((name) => peer.consume(name, 10))
    peer.send('a', 'from a')
    peer.send('b', 'from b')
    peer.send('letters', 'sent here')
    await bench.idle()
    for (const consumer of consumers) bench.broker.cancel(consumer, { release: true })
    await bench.answer((done) => bench.broker.deleteQueue('b', {}, done))
    assert.equal(await move(bench, 'letters', undefined), 1)
    assert.deepEqual(await bench.texts('letters'), ['sent here', 'from b'])
    assert.equal(bench.status('letters').ready, 2)
    const again = bench.connect()
    again.consume('a', 1)
    await bench.idle()
    const [delivery] = again.take()
    assert.deepEqual([delivery!.text, delivery!.deliveryCount, delivery!.annotations], ['from a', 1, ''])
  })

  test('to itself or to nowhere is refused', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    assert.throws(() => bench.broker.moveMessages('q', 'q', {}, () => {}), { code: 'argument-invalid' })
    assert.throws(() => bench.broker.moveMessages('q', 'r', {}, () => {}), { code: 'destination-not-found' })
    assert.throws(() => bench.broker.moveMessages('r', 'q', {}, () => {}), { code: 'destination-not-found' })
  })

  test('one message, by its LSN, and no other, also from a page', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    for (const name of ['q', 'other']) bench.declare(name)
    const peer = bench.connect()
    for (let i = 0; i < 4_000; i++) {
      peer.send('q', `${i}`, { priority: i % 2 })
      if (i % 500 === 0) await bench.idle()
    }
    const chosen = (await bench.browse('q')).find((message) => textOf(message) === '1717')!
    for (const moved of [1, 0]) {
      const options = { lsn: chosen.lsn }
      assert.equal(
        await bench.answer((done) => bench.broker.moveMessages('q', 'other', options, done)),
        moved,
      )
    }
    assert.deepEqual(await bench.texts('other'), ['1717'])
    assert.equal(bench.status('q').messages, 3_999)
  })

  test('a rate is kept to: so many a second, to the end; what a selector leaves costs no time', async () => {
    const bench = await Bench.inMemory()
    for (const name of ['q', 'other']) bench.declare(name)
    const peer = bench.connect()
    for (let i = 0; i < 100; i++) peer.send('q', `{"n":${i}}`)
    await bench.idle()
    let moved: number | undefined
    const selector = 'n >= 50'
    bench.broker.moveMessages('q', 'other', { rate: 20, selector }, (count) => {
      moved = count
    })
    await bench.advance(1_000)
    const first = bench.status('other').messages
    assert.ok(first > 15 && first <= 22, `${first} in the first second`)
    await bench.advance(1_000)
    const second = bench.status('other').messages - first
    assert.ok(second >= 18 && second <= 20, `${second} in the next`)
    await bench.advance(1_000)
    assert.deepEqual([moved, bench.status('other').messages, bench.status('q').messages], [50, 50, 50])
    for (const rate of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
      refuses(() => bench.broker.moveMessages('q', 'other', { rate }, () => {}), 'argument-invalid')
  })
})
