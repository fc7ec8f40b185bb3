import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { SeenIds } from '../../src/engine/deduplication.ts'
import { HeldSyncs } from './held-syncs.ts'
import { ReplayableStore } from './replayable-store.ts'
import { Bench, numbered, type Peer, rejected } from './support.ts'

const policy = { deduplication: { window: 60_000, count: 100 } }

function send(peer: Peer, queue: string, text: string, id: string, more = {}): number {
  return peer.send(queue, text, { deduplicationId: id, ...more })
}

suite('deduplication: a message of an id is stored once, a repetition gets the same confirm', () => {
  test('whoever repeats it, with whatever content, also after the message has left', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const [one, two] = [bench.connect(), bench.connect()]
    send(one, 'q', 'a', 'x')
    send(two, 'q', 'other', 'x')
    send(two, 'q', 'b', 'y')
    one.send('q', 'without')
    one.send('q', 'without')
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['a', 'b', 'without', 'without'])
    one.onDelivery = (delivery) => one.settle(delivery)
    one.consume('q')
    await bench.idle()
    send(two, 'q', 'late', 'x')
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), [])
    assert.deepEqual([...two.outcomes.values()], ['accepted', 'accepted', 'accepted'])
  })

  test('an id in the payload counts where the sender gives none, and only in queues that ask for it', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const queue of ['q', 'plain'])
      for (let i = 0; i < 2; i++) peer.send(queue, 'id=7 text', { payload: Buffer.from(`id=7 ${i}`) })
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['id=7 0'])
    assert.deepEqual(await bench.texts('plain'), ['id=7 0', 'id=7 1'])
  })

  test('promise 1: the repetition is confirmed only when the original is durable', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const peer = bench.connect()
    bench.declare('q', policy)
    await bench.idle()
    syncs.isHolding = true
    for (let i = 0; i < 2; i++) send(peer, 'q', 'm', 'x')
    await bench.advance(100)
    send(peer, 'q', 'm', 'x')
    await bench.advance(100)
    assert.equal(peer.outcomes.size, 0)
    syncs.release()
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'accepted'])
    assert.deepEqual(await bench.texts('q'), ['m'])
  })

  test('the window and the number: what is older, or was followed by too many, is stored again', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deduplication: { window: 1_000, count: 3 } })
    const peer = bench.connect()
    send(peer, 'q', 'a', 'x')
    await bench.advance(999)
    send(peer, 'q', 'b', 'x')
    await bench.advance(1)
    send(peer, 'q', 'c', 'x')
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['a', 'c'])
    for (const id of ['1', '2', '1', 'x', '3', 'x']) send(peer, 'q', id, id)
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['a', 'c', '1', '2', '3', 'x'])
  })

  test('memory follows the ids that count, and no more of them than the policy says', () => {
    const seen = new SeenIds({ window: 1_000, count: 10 })
    for (let i = 0; i < 100; i++) seen.add(`${i}`, false, i)
    assert.equal(seen.size, 10)
    seen.add('late', false, 5_000)
    assert.equal(seen.size, 1)
  })

  for (const end of ['restart', 'crash', 'kill'] as const) {
    test(`ids survive: ${end}, from the journal and from the checkpoint`, async () => {
      const bench = await Bench.onDisk()
      bench.declare('q', policy)
      let peer = bench.connect()
      peer.onDelivery = (delivery) => peer.settle(delivery)
      peer.consume('q')
      for (const id of numbered('id', 50)) send(peer, 'q', id, id)
      await bench.idle()
      for (let round = 0; round < 3; round++) {
        await bench[end]()
        peer = bench.connect()
        for (const id of numbered('id', 50)) send(peer, 'q', 'again', id)
        send(peer, 'q', `new ${round}`, `new ${round}`)
        await bench.idle()
        assert.equal(peer.outcomes.size, 51)
      }
      assert.deepEqual(await bench.texts('q'), ['new 0', 'new 1', 'new 2'])
    })
  }

  test('of several queues those take it that do not know it; what all know is nowhere stored', async () => {
    const bench = await Bench.inMemory()
    bench.declare('knows', policy)
    bench.declare('forgets', { deduplication: { window: 100, count: 10 } })
    bench.declare('plain')
    for (const queue of ['knows', 'forgets']) bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    const peer = bench.connect()
    const fan = (text: string): number => peer.publish('amq.fanout', '', text, { deduplicationId: 'x' })
    const held = async (): Promise<string[][]> =>
      Promise.all(['knows', 'forgets', 'plain'].map((queue) => bench.texts(queue)))
    fan('a')
    fan('b')
    await bench.idle()
    assert.deepEqual(await held(), [['a'], ['a'], []])
    await bench.advance(100)
    bench.broker.bind({ exchange: 'amq.fanout', queue: 'plain', key: '' })
    fan('c')
    await bench.idle()
    assert.deepEqual(await held(), [['a'], ['a', 'c'], ['c']])
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'accepted'])
  })

  test('a full queue confirms what it has, and refuses or holds what it has not', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ...policy, maxMessages: 1, overflow: 'reject' })
    bench.declare('waits', { ...policy, maxMessages: 1, overflow: 'block' })
    const peer = bench.connect()
    for (const queue of ['q', 'waits']) send(peer, queue, 'a', 'x')
    await bench.idle()
    const again = ['q', 'waits'].map((queue) => send(peer, queue, 'a', 'x'))
    const refused = send(peer, 'q', 'b', 'y')
    const held = [send(peer, 'waits', 'b', 'y'), send(peer, 'waits', 'b', 'y')]
    await bench.idle()
    assert.deepEqual(
      [...again, refused, ...held].map((tag) => peer.outcomes.get(tag)),
      ['accepted', 'accepted', 'queue-full', undefined, undefined],
    )
    peer.onDelivery = (delivery) => peer.settle(delivery)
    for (const queue of ['q', 'waits']) peer.consume(queue)
    await bench.idle()
    send(peer, 'q', 'b', 'y')
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['a', 'a', 'b', 'b'], 'what was refused did not count as taken')
    assert.ok([...peer.outcomes.values()].every((outcome) => outcome !== undefined))
  })

  test('a message of level memory counts for others of that level, and is no excuse for one that is to last', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const text of ['a', 'b']) send(peer, 'q', text, 'x', { durability: 'memory' })
    send(peer, 'q', 'c', 'x')
    send(peer, 'q', 'd', 'x', { durability: 'memory' })
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['a', 'c'])
    await bench.crash()
    assert.deepEqual(await bench.texts('q'), ['c'])
  })

  test('dead letters and what is redriven are not looked at again, and do not count where they arrive', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    bench.declare('q.dlq', policy)
    const peer = bench.connect()
    peer.onDelivery = (delivery) => peer.settle(delivery, rejected)
    const consumer = peer.consume('q')
    send(peer, 'q', 'a', 'x')
    await bench.idle()
    bench.broker.cancel(consumer, { release: true })
    send(peer, 'q.dlq', 'own', 'x')
    await bench.idle()
    assert.deepEqual(await bench.texts('q.dlq'), ['a', 'own'])
    await bench.answer((done) => bench.broker.moveMessages('q.dlq', undefined, {}, done))
    assert.deepEqual(await bench.texts('q'), ['a'])
  })

  test('in a transaction: a repetition within it is known, others know it from the commit on', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const [peer, other] = [bench.connect(), bench.connect()]
    const [first, second] = [peer.begin(), peer.begin()]
    for (const text of ['a', 'again']) send(peer, 'q', text, 'x', { transaction: first })
    send(peer, 'q', 'b', 'y', { transaction: second })
    await bench.idle()
    assert.equal(bench.status('q').pending, 2)
    assert.equal(await bench.commit(first), undefined)
    await bench.rollback(second)
    const third = peer.begin()
    send(peer, 'q', 'late', 'x', { transaction: third })
    send(other, 'q', 'late', 'x')
    send(other, 'q', 'c', 'y')
    assert.equal(await bench.commit(third), undefined)
    assert.deepEqual(await bench.texts('q'), ['a', 'c'])
    assert.ok([...peer.outcomes.values(), ...other.outcomes.values()].every((each) => each === 'accepted'))
    assert.equal(peer.outcomes.size, 4)
  })

  test('a repetition of what a commit stores is confirmed when that is durable', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const peer = bench.connect()
    bench.declare('q', policy)
    const transaction = peer.begin()
    send(peer, 'q', 'a', 'x', { transaction })
    await bench.idle()
    syncs.isHolding = true
    bench.broker.commitTransaction(transaction, () => {})
    const again = send(peer, 'q', 'again', 'x')
    await bench.advance(100)
    assert.equal(peer.outcomes.get(again), undefined)
    syncs.release()
    await bench.idle()
    assert.equal(peer.outcomes.get(again), 'accepted')
    assert.deepEqual(await bench.texts('q'), ['a'])
  })

  for (const checkpoint of ['none', 'while it is open', 'across the commit', 'after the commit'] as const) {
    test(`ids of a transaction survive; checkpoint: ${checkpoint}`, async () => {
      const bench = await Bench.on(({ clock }) => new ReplayableStore(clock))
      const store = bench.store as ReplayableStore
      bench.declare('earlier')
      bench.declare('q', { deduplication: { window: 60_000, count: 4 } })
      const peer = bench.connect()
      const [kept, undone] = [peer.begin(), peer.begin()]
      send(peer, 'q', 'a', 'x', { transaction: kept })
      send(peer, 'q', 'b', 'y', { transaction: undone })
      await bench.idle()
      if (checkpoint === 'while it is open') store.takeCheckpoint()
      send(peer, 'q', 'c', 'z', { transaction: kept })
      await bench.idle()
      // Topology, producers, the schedule and the queue 'earlier'; then transactions are taken, and q is not.
      if (checkpoint === 'across the commit') for (let i = 0; i < 4; i++) store.takeSection()
      assert.equal(await bench.commit(kept), undefined)
      // One more than are remembered, where the checkpoint has the queue as it is after that.
      const later = checkpoint === 'across the commit' ? ['1', '2', '3'] : ['1', '2']
      for (const id of later) send(peer, 'q', id, id)
      await bench.idle()
      if (checkpoint === 'after the commit') store.takeCheckpoint()
      while (checkpoint === 'across the commit' && store.takeSection() === 'more');
      const reopened = await Bench.on(({ clock }) => store.prefix(store.types.length, clock))
      const again = reopened.connect()
      for (const id of ['x', 'z', ...later].slice(-4)) send(again, 'q', 'again', id)
      send(again, 'q', 'new', 'y')
      await reopened.idle()
      assert.deepEqual(await reopened.texts('q'), ['a', 'c', ...later, 'new'])
    })
  }

  test('an id that is too long is refused, and nothing is stored', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    send(peer, 'q', 'a', 'é'.repeat(129))
    send(peer, 'q', 'b', 'é'.repeat(128))
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()], ['message-invalid', 'accepted'])
    assert.deepEqual(await bench.texts('q'), ['b'])
  })
})
