import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, failed, numbered, refuses, textOf } from './support.ts'

suite('browse: looks without taking, in queue order (DESIGN §4.8)', () => {
  test('across pages of the answer, pages of the index and priorities; nothing is brought into memory', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 6_000; i++) {
      peer.send('q', `${i}`, { priority: i % 3 })
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    const expected = [2, 1, 0].flatMap((priority) =>
      numbered('', 6_000).filter((text) => Number(text) % 3 === priority),
    )
    for (const limit of [1_000, 700]) {
      assert.deepEqual((await bench.browse('q', limit)).map(textOf), expected, `by ${limit}`)
    }
    peer.consume('q', 10_000)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), expected, 'browsing has taken nothing')
  })

  test('shows every held state, and not what has expired or is not durable yet', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    for (const text of ['acquired', 'waiting', 'gone', 'ready']) peer.send('q', text)
    await bench.idle()
    peer.consume('q', 3)
    await bench.idle()
    const [, waiting, gone] = peer.take()
    peer.settle(waiting!, failed)
    peer.settle(gone!)
    peer.send('q', 'over', { expiry: bench.clock.wall() + 10 })
    await bench.idle()
    bench.clock.jumpWall(10)
    peer.send('q', 'not yet durable')
    const page = await new Promise<{ messages: readonly { state: string }[] }>((resolve) =>
      bench.broker.browse('q', '', 10, resolve),
    )
    assert.deepEqual(
      page.messages.map(({ state }) => state),
      ['acquired', 'waiting', 'ready'],
    )
    await bench.idle()
    assert.deepEqual(
      (await bench.browse('q')).map((message) => [textOf(message), message.state, message.deliveryCount]),
      [
        ['acquired', 'acquired', 1],
        ['waiting', 'waiting', 1],
        ['ready', 'ready', 0],
        ['not yet durable', 'ready', 0],
      ],
    )
  })

  test('goes on where it was although the messages before have left meanwhile', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    for (const text of numbered('', 10)) peer.send('q', text)
    await bench.idle()
    const first = await bench.answer<Parameters<Parameters<typeof bench.broker.browse>[3]>[0]>((done) =>
      bench.broker.browse('q', '', 4, done),
    )
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q', 6)
    await bench.idle()
    const second = await bench.answer<typeof first>((done) => bench.broker.browse('q', first.next!, 4, done))
    assert.deepEqual(second.messages.map(textOf), numbered('', 10).slice(6))
  })

  test('a position that is none begins at the head; a queue that is none refuses', async () => {
    const bench = await Bench.inMemory()
    bench.connect().send('q', 'm')
    await bench.idle()
    const page = await bench.answer<{ messages: readonly unknown[] }>((done) =>
      bench.broker.browse('q', 'not a position', 1, done),
    )
    assert.equal(page.messages.length, 1)
    refuses(() => bench.broker.browse('absent', '', 1, () => {}), 'destination-not-found')
  })
})

suite('locate: promise 3, every message is findable', () => {
  test('in each queue that holds it, with state, counts, due time and holder', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['a', 'b', 'c']) {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    peer.publish('amq.fanout', '', 'body', { priority: 7 })
    await bench.idle()
    for (const queue of ['a', 'b']) peer.consume(queue, 1)
    await bench.idle()
    const [inA, inB] = peer.take()
    peer.settle(inB!, failed)
    const due = bench.clock.wall() + 100
    const common = { lsn: inA!.lsn, size: 4, priority: 7, expiry: 0 }
    assert.deepEqual(await bench.locate(inA!.lsn), [
      { ...common, queue: 'a', state: 'acquired', deliveryCount: 1, failures: 0, due: 0, consumer: peer.id },
      { ...common, queue: 'b', state: 'waiting', deliveryCount: 1, failures: 1, due, consumer: undefined },
      { ...common, queue: 'c', state: 'ready', deliveryCount: 0, failures: 0, due: 0, consumer: undefined },
    ])
    peer.settle(inA!)
    assert.equal((await bench.locate(inA!.lsn)).length, 2)
    assert.deepEqual(await bench.locate(inA!.lsn + 1_000), [])
  })

  test('in a page, which stays there; and before it is durable', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    const peer = bench.connect()
    for (let i = 0; i < 5_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    const all = await bench.browse('q')
    for (const { lsn } of [all[0]!, all[2_600]!, all.at(-1)!]) {
      assert.deepEqual(
        (await bench.locate(lsn)).map(({ queue, state }) => [queue, state]),
        [['q', 'ready']],
      )
    }
    peer.send('q', 'new')
    const found: string[] = []
    bench.broker.locate(all.at(-1)!.lsn + 1, (locations) =>
      found.push(...locations.map(({ state }) => state)),
    )
    assert.deepEqual(found, ['not yet durable'])
  })
})
