import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { Address, Publication } from '../../src/engine/api.ts'
import { HeldSyncs } from './held-syncs.ts'
import { Bench, type Peer, rejected } from './support.ts'

const toTopic = (key: string): Address => ({ exchange: 'amq.topic', key })
const toQueue = (key: string): Address => ({ exchange: '', key })

function send(peer: Peer, text: string, to: readonly Address[], more: Partial<Publication> = {}): number {
  const [first, ...also] = to
  return peer.publish(first!.exchange, first!.key, text, { also, mandatory: true, ...more })
}

/** Two queues, and one that is bound to two topics. */
async function arrange(onDisk = false): Promise<{ bench: Bench; peer: Peer }> {
  const bench = await (onDisk ? Bench.onDisk() : Bench.inMemory())
  for (const queue of ['a', 'b', 'bound']) bench.declare(queue)
  for (const key of ['t.*', 'u']) bench.broker.bind({ exchange: 'amq.topic', queue: 'bound', key })
  return { bench, peer: bench.connect() }
}

async function held(bench: Bench): Promise<string[][]> {
  return Promise.all(['a', 'b', 'bound'].map((queue) => bench.texts(queue)))
}

const everywhere = [toQueue('a'), toTopic('t.1'), toQueue('b'), toTopic('u'), toQueue('a')]

suite('one message to several destinations: to all of them or to none (JMS leaves it open)', () => {
  for (const durability of ['disk', 'os', 'memory'] as const) {
    test(`each queue has it once, whichever ways lead there, also after a restart: ${durability}`, async () => {
      const { bench, peer } = await arrange(true)
      const tag = send(peer, 'm', everywhere, { durability })
      await bench.idle()
      assert.equal(peer.outcomes.get(tag), 'accepted')
      assert.deepEqual(await held(bench), [['m'], ['m'], ['m']])
      const [lsn] = new Set(
        (await Promise.all(['a', 'b', 'bound'].map((q) => bench.browse(q)))).flat().map((m) => m.lsn),
      )
      assert.equal((await bench.locate(lsn!)).length, 3, 'it is stored once, and held three times')
      await bench.restart()
      assert.deepEqual(await held(bench), durability === 'memory' ? [[], [], []] : [['m'], ['m'], ['m']])
    })
  }

  test('a queue that it was sent to sees its own name, who has it through a topic the first topic', async () => {
    const { bench, peer } = await arrange()
    send(peer, 'm', everywhere)
    send(peer, 'n', [toQueue('a'), toQueue('b')])
    send(peer, 'o', [toQueue('a'), toQueue('b')], { durability: 'memory' })
    send(peer, 'p', everywhere, { durability: 'memory' })
    await bench.idle()
    const ways = async (queue: string): Promise<string[]> =>
      (await bench.browse(queue)).map(({ exchange, key }) => `${exchange}/${key}`)
    assert.deepEqual(await ways('a'), ['/a', '/a', '/a', '/a'])
    assert.deepEqual(await ways('b'), ['/b', '/b', '/b', '/b'])
    assert.deepEqual(await ways('bound'), ['amq.topic/t.1', 'amq.topic/t.1'])
  })

  test('a dead letter of one says where it was sent to, and goes back there; the others keep theirs', async () => {
    const { bench, peer } = await arrange()
    send(peer, 'm', everywhere)
    peer.onDelivery = (delivery) => peer.settle(delivery, rejected)
    const consumer = peer.consume('b')
    await bench.idle()
    bench.broker.cancel(consumer, { release: true })
    const [letter] = await bench.browse('b.dlq')
    const { queue, exchange, key } = JSON.parse(letter!.annotations).origin
    assert.deepEqual([queue, exchange, key], ['b', '', 'b'])
    await bench.answer((done) => bench.broker.moveMessages('b.dlq', undefined, {}, done))
    assert.deepEqual(await held(bench), [['m'], ['m'], ['m']])
    assert.deepEqual(
      (await bench.browse('b')).map(({ exchange, key }) => [exchange, key]),
      [['', 'b']],
    )
  })

  test('one that refuses refuses for all: full, missing, or a wildcard', async () => {
    const { bench, peer } = await arrange()
    bench.declare('full', { maxMessages: 1, overflow: 'reject' })
    peer.send('full', 'x')
    const strict = await Bench.inMemory({ autoCreate: [] })
    strict.declare('a')
    const other = strict.connect()
    const tags = [
      send(peer, 'm', [toQueue('a'), toTopic('u'), toQueue('full')]),
      send(peer, 'm', [toQueue('a'), toTopic('t.*')]),
    ]
    const missing = send(other, 'm', [toQueue('a'), toQueue('none')])
    await bench.idle()
    await strict.idle()
    assert.deepEqual(
      [...tags.map((tag) => peer.outcomes.get(tag)), other.outcomes.get(missing)],
      ['queue-full', 'destination-invalid', 'destination-not-found'],
    )
    assert.deepEqual([await held(bench), await strict.texts('a')], [[[], [], []], []])
  })

  test('topics without subscribers are no mistake beside a queue; nobody at all is, where it must arrive', async () => {
    const { bench, peer } = await arrange()
    const tags = [
      send(peer, 'm', [toTopic('nobody'), toQueue('a')]),
      send(peer, 'm', [toTopic('nobody'), toTopic('none')]),
      send(peer, 'm', [toTopic('nobody'), toTopic('none')], { mandatory: false }),
    ]
    await bench.idle()
    assert.deepEqual(
      tags.map((tag) => peer.outcomes.get(tag)),
      ['accepted', 'message-unroutable', 'accepted'],
    )
    assert.deepEqual(await held(bench), [['m'], [], []])
  })

  test('a full one that blocks holds it for all; with room it is in all of them', async () => {
    const { bench, peer } = await arrange()
    bench.declare('narrow', { maxMessages: 1, overflow: 'block' })
    peer.send('narrow', 'x')
    const tag = send(peer, 'm', [toQueue('a'), toQueue('narrow'), toTopic('u')])
    await bench.idle()
    assert.deepEqual([peer.outcomes.get(tag), await held(bench)], [undefined, [[], [], []]])
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('narrow', 1)
    await bench.idle()
    assert.equal(peer.outcomes.get(tag), 'accepted')
    assert.deepEqual([await held(bench), await bench.texts('narrow')], [[['m'], [], ['m']], ['m']])
  })

  test('promise 1: it is confirmed, and seen, when it is durable', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    for (const queue of ['a', 'b']) bench.declare(queue)
    const peer = bench.connect()
    for (const queue of ['a', 'b']) peer.consume(queue)
    await bench.idle()
    syncs.isHolding = true
    const tag = send(peer, 'm', [toQueue('a'), toQueue('b')])
    await bench.advance(100)
    assert.deepEqual([peer.outcomes.size, peer.takeTexts()], [0, []])
    syncs.release()
    await bench.idle()
    assert.deepEqual([peer.outcomes.get(tag), peer.takeTexts()], ['accepted', ['m', 'm']])
  })

  test('in a transaction, prepared, scheduled, with an id, under an identity, and large: as with one destination', async () => {
    const { bench, peer } = await arrange(true)
    bench.declare('once', { deduplication: { window: 60_000, count: 10 } })
    const [kept, undone] = [peer.begin(), peer.begin()]
    send(peer, 'kept', everywhere, { transaction: kept })
    send(peer, 'undone', everywhere, { transaction: undone })
    assert.equal(await bench.commit(kept), undefined)
    await bench.rollback(undone)
    const half = send(peer, 'half', everywhere, { prepare: { group: 'g' } })
    await bench.idle()
    assert.equal(await bench.decide(peer.prepared.get(half)!, 'commit'), undefined)
    for (let i = 0; i < 2; i++)
      send(peer, `id ${i}`, [toQueue('once'), toTopic('u')], { deduplicationId: 'x' })
    const { handle: producer } = bench.broker.openProducer(peer.id, 'p')
    for (let i = 0; i < 2; i++) send(peer, 'identity', everywhere, { producer, sequence: 1 })
    send(peer, 'later', everywhere, { due: bench.clock.wall() + 1_000 })
    const body = bench.broker.openBody(peer.id)
    const large = Buffer.alloc(3_000_000, 1)
    bench.broker.appendBody(body, large)
    send(peer, '', everywhere, { body })
    await bench.idle()
    const before = ['kept', 'half', 'identity', '']
    const bound = ['kept', 'half', 'id 0', 'id 1', 'identity', '']
    assert.deepEqual(await held(bench), [before, before, bound])
    assert.deepEqual(await bench.texts('once'), ['id 0'])
    assert.equal((await bench.browse('b')).at(-1)!.size, large.length)
    await bench.crash()
    await bench.advance(1_000)
    assert.deepEqual(await held(bench), [
      [...before, 'later'],
      [...before, 'later'],
      [...bound, 'later'],
    ])
    assert.deepEqual(
      (await bench.browse('a')).map(({ exchange, key }) => exchange + key),
      Array(5).fill('a'),
    )
    assert.equal((await bench.browse('bound')).at(-1)!.key, 't.1')
  })
})
