import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { DeadLetterHistory } from '../../src/engine/dead-letters.ts'
import { Bench, failed, released } from './support.ts'

suite('expiry: never delivered late, and counted or dead-lettered (DESIGN §4.3)', () => {
  test('a message expires at its own time, also when nobody asks for it', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const now = bench.clock.wall()
    peer.send('q', 'short', { expiry: now + 1_000 })
    peer.send('q', 'for ever')
    peer.send('q', 'shorter', { expiry: now + 500 })
    await bench.advance(499)
    assert.equal(bench.status('q').messages, 3)
    await bench.advance(1)
    assert.deepEqual(await bench.texts('q'), ['short', 'for ever'])
    await bench.advance(500)
    assert.deepEqual(await bench.texts('q'), ['for ever'])
    assert.equal(bench.status('q').departed.expired, 2)
    assert.equal(bench.store.status().liveBytes < 100, true, 'the store has let them go')
  })

  test('under fan-out each queue counts its own time to live; the shorter of it and the message’s wins', async () => {
    const bench = await Bench.inMemory()
    for (const [name, ttl] of [
      ['short', 100],
      ['long', 10_000],
      ['none', undefined],
    ] as const) {
      bench.declare(name, { ttl })
      bench.broker.bind({ exchange: 'amq.fanout', queue: name, key: '' })
    }
    const peer = bench.connect()
    peer.publish('amq.fanout', '', 'plain')
    peer.publish('amq.fanout', '', 'hasty', { expiry: bench.clock.wall() + 1_000 })
    const left = async (): Promise<string[][]> => [
      await bench.texts('short'),
      await bench.texts('long'),
      await bench.texts('none'),
    ]
    await bench.advance(100)
    assert.deepEqual(await left(), [[], ['plain', 'hasty'], ['plain', 'hasty']])
    await bench.advance(900)
    assert.deepEqual(await left(), [[], ['plain'], ['plain']])
    await bench.advance(9_000)
    assert.deepEqual(await left(), [[], [], ['plain']])
  })

  test('expired messages go to the dead-letter queue when the policy says so, and stay there', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ttl: 100, expired: '{queue}.dlq' })
    const peer = bench.connect()
    peer.send('q', 'm', { expiry: bench.clock.wall() + 50 })
    await bench.advance(60_000)
    const [letter] = await bench.browse('q.dlq')
    const { reason, origin } = JSON.parse(letter!.annotations) as {
      reason: string
      origin: { queue: string }
    }
    assert.deepEqual([reason, origin.queue, letter!.expiry], ['expired', 'q', 0])
    assert.equal(bench.status('q').departed['dead-lettered'], 1)
  })

  test('expired and rejected messages part: an expiry queue of its own, with how they came there', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', { ttl: 100, expired: '{queue}.late' })
    const peer = bench.connect()
    peer.send('q', 'bad')
    peer.send('q', 'late')
    peer.onDelivery = (delivery) => peer.settle(delivery, { outcome: 'rejected' })
    peer.consume('q', 1)
    await bench.advance(150)
    assert.deepEqual([await bench.texts('q.dlq'), await bench.texts('q.late')], [['bad'], ['late']])
    const check = async (): Promise<void> => {
      const [late] = await bench.browse('q.late')
      const { reason, origin, history } = JSON.parse(late!.annotations) as DeadLetterHistory
      assert.deepEqual([reason, origin.queue, history.length], ['expired', 'q', 1])
      assert.deepEqual([bench.status('q').departed['dead-lettered'], late!.expiry], [2, 0])
    }
    await check()
    await bench.crash()
    await bench.advance(60_000)
    await check()
  })

  test('a rule for all queues makes no expiry queue of an expiry queue', async () => {
    const policies = [{ match: '#', policy: { ttl: 100, expired: '{queue}.late' } }]
    const bench = await Bench.inMemory({ policies })
    bench.connect().send('q', 'm')
    await bench.advance(150)
    assert.deepEqual(await bench.texts('q.late'), ['m'])
    await bench.advance(10_000)
    assert.deepEqual(
      bench.broker
        .queues()
        .map(({ definition }) => definition.name)
        .sort(),
      ['q', 'q.late'],
    )
    assert.equal(bench.status('q.late').departed.expired, 1)
  })

  test('the time to live of a dead-letter queue begins when the message arrives there, also after a restart', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    bench.declare('q.dlq', { ttl: 1_000 })
    const peer = bench.connect()
    peer.send('q', 'm')
    await bench.advance(5_000)
    peer.onDelivery = (delivery) => peer.settle(delivery, { outcome: 'rejected' })
    peer.consume('q')
    await bench.advance(900)
    assert.deepEqual(await bench.texts('q.dlq'), ['m'])
    await bench.crash()
    await bench.advance(50)
    assert.deepEqual(await bench.texts('q.dlq'), ['m'])
    await bench.advance(100)
    assert.equal(bench.status('q.dlq').messages, 0)
  })

  test('a held delivery is in time: it is settled after its expiry, but does not come back after it', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ttl: 100 })
    const peer = bench.connect()
    for (const text of ['accept', 'release', 'fail']) peer.send('q', text)
    peer.consume('q')
    await bench.idle()
    const [accept, release, fail] = peer.take()
    await bench.advance(200)
    peer.settle(accept!)
    peer.settle(release!, released)
    peer.settle(fail!, failed)
    await bench.advance(10_000)
    assert.deepEqual(peer.take(), [])
    const { messages, departed } = bench.status('q')
    assert.deepEqual([messages, departed.accepted, departed.expired], [0, 1, 2])
  })

  test('the wall clock jumps ahead: nothing that is over is delivered, and the sweep follows within a minute', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm', { expiry: bench.clock.wall() + 3_600_000 })
    peer.send('q', 'n', { expiry: bench.clock.wall() + 3_600_000 })
    await bench.idle()
    bench.clock.jumpWall(3_600_000)
    peer.consume('q', 1)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), [])
    await bench.advance(60_000)
    assert.equal(bench.status('q').departed.expired, 2)
  })

  test('the wall clock jumps back: a message lives until the clock on the wall says so', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm', { expiry: bench.clock.wall() + 1_000 })
    await bench.idle()
    bench.clock.jumpWall(-500)
    await bench.advance(1_000)
    assert.equal(bench.status('q').messages, 1)
    await bench.advance(500)
    assert.equal(bench.status('q').messages, 0)
  })

  test('promise 11: journalled times never run back', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    peer.send('q', 'a')
    await bench.idle()
    bench.clock.jumpWall(-10_000)
    peer.send('q', 'b')
    await bench.idle()
    const [a, b] = await bench.browse('q')
    assert.equal(b!.publishedAt, a!.publishedAt)
  })

  test('messages that are paged out expire too', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    const expiry = bench.clock.wall() + 1_000
    for (let i = 0; i < 6_000; i++) {
      peer.send('q', `${i}`, i % 2 === 0 ? { expiry } : {})
      if (i % 500 === 0) await bench.idle()
    }
    await bench.advance(999)
    assert.equal(bench.status('q').messages, 6_000)
    await bench.advance(2)
    assert.deepEqual([bench.status('q').messages, bench.status('q').departed.expired], [3_000, 3_000])
  })

  test('what expires at the same time leaves a few at a time, and others have their turn between', async () => {
    for (const policy of [{}, { expired: '{queue}.dlq' }]) {
      const bench = await Bench.inMemory({ residentEntries: 1 })
      bench.declare('q', policy)
      const peer = bench.connect()
      const expiry = bench.clock.wall() + 1_000
      for (let i = 0; i < 5_000; i++) peer.send('q', `${i}`, { expiry: expiry + (i % 3) })
      await bench.advance(900)
      const counts: number[] = []
      for (let before = bench.status('q').messages; before > 0; ) {
        assert.ok(bench.clock.step(), `${before} messages stay for ever`)
        const { messages } = bench.status('q')
        if (messages < before) counts.push(before - messages)
        before = messages
      }
      assert.ok(Math.max(...counts) <= 512, `${Math.max(...counts)} left in one step`)
      assert.equal(bench.clock.wall(), expiry + 2, 'nobody waits longer for it')
    }
  })
})
