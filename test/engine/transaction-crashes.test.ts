import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { OperationType } from '../../src/engine/ports/operations.ts'
import { ReplayableStore } from './replayable-store.ts'
import { Bench, failed, numbered, type Peer, type Received, rejected } from './support.ts'

const options = { chunkBytes: 64 }
const large = 'x'.repeat(200)

async function replayable(): Promise<{ bench: Bench; store: ReplayableStore }> {
  const bench = await Bench.on(({ clock }) => new ReplayableStore(clock), options)
  return { bench, store: bench.store as ReplayableStore }
}

/** A broker on what a crash has left that took all but the first `count` operations. */
function after(store: ReplayableStore, count: number): Promise<Bench> {
  return Bench.on(({ clock }) => store.prefix(count, clock), options)
}

/** Queues with six messages that are delivered, and nothing else. */
async function prepare(bench: Bench): Promise<{ peer: Peer; deliveries: Received[] }> {
  bench.declare('dead')
  bench.declare('in', { deadLetter: 'dead' })
  for (const queue of ['out', 'fan']) {
    bench.declare(queue)
    bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
  }
  const peer = bench.connect()
  for (const text of nothing.in) peer.send('in', text)
  peer.consume('in')
  await bench.idle()
  return { peer, deliveries: peer.take() }
}

/** Publications to one queue, to two, in chunks, and every kind of settlement. */
function fill(peer: Peer, deliveries: Received[], transaction: number): void {
  const [first, second, third, fourth, fifth, sixth] = deliveries
  peer.send('out', 'one', { transaction })
  peer.settle(first!, undefined, undefined, transaction)
  peer.publish('amq.fanout', '', 'two', { transaction, priority: 7 })
  peer.settle(second!, rejected, undefined, transaction)
  peer.settle(third!, failed, undefined, transaction)
  peer.send('out', large, { transaction })
  peer.settle(fourth!, undefined, undefined, transaction)
  peer.settle(fifth!, { outcome: 'modified', delay: 60_000 }, undefined, transaction)
  peer.settle(sixth!, { ...failed, delay: 60_000 }, undefined, transaction)
}

async function stateOf(bench: Bench): Promise<object> {
  await bench.advance(10)
  const waiting = (await bench.browse('in')).filter(({ state }) => state === 'waiting')
  const failures = await Promise.all(
    waiting.map(async ({ lsn }) =>
      (await bench.locate(lsn)).map((location) => [
        location.failures,
        location.due > bench.clock.wall() + 10_000 ? 'later' : 'soon',
      ]),
    ),
  )
  return {
    in: await bench.texts('in'),
    failures,
    dead: await bench.texts('dead'),
    out: (await bench.browse('out')).map(({ size }) => size),
    fan: await bench.texts('fan'),
    pending: bench.broker.queues().map(({ pending }) => pending),
    accepted: bench.status('in').departed.accepted,
  }
}

const nothing = {
  in: ['accepted', 'rejected', 'failed', 'accepted too', 'given back', 'failed, for later'],
  failures: [],
  dead: [],
  out: [],
  fan: [],
  pending: [0, 0, 0, 0],
  accepted: 0,
}
const everything = {
  in: ['failed', 'given back', 'failed, for later'],
  failures: [[[1, 'soon']], [[0, 'later']], [[1, 'later']]],
  dead: ['rejected'],
  out: [3, 3, 200],
  fan: ['two'],
  pending: [0, 0, 0, 0],
  accepted: 2,
}

/** Opens a broker on each beginning of the log from `from` on; answers how many have everything. Never a part of it. */
async function checkEveryCrash(store: ReplayableStore, from: number): Promise<number> {
  let whole = 0
  const decided = store.types.indexOf(OperationType.decide)
  for (let count = from; count <= store.types.length; count++) {
    const isDecided = decided >= 0 && count > decided
    const expected = isDecided ? everything : nothing
    const bench = await after(store, count)
    assert.deepEqual(await stateOf(bench), expected, `with ${count} of ${store.types.length} operations`)
    // What the start has done is in the log: it is the same after the next one, and nothing is damaged.
    await bench.reopen()
    assert.deepEqual(await stateOf(bench), expected, `with ${count} operations, started twice`)
    const peer = bench.connect()
    for (const queue of ['in', 'out', 'fan', 'dead']) peer.consume(queue)
    await bench.advance(1_000)
    for (const queue of ['in', 'out', 'fan', 'dead'])
      assert.equal(bench.status(queue).departed.quarantined, 0, queue)
    if (isDecided) whole++
  }
  return whole
}

suite('a crash leaves all of a transaction or nothing of it (DESIGN §5)', () => {
  for (const checkpoint of ['none', 'while it is open', 'while it is decided'] as const) {
    test(`at every boundary between two operations; checkpoint: ${checkpoint}`, async () => {
      const { bench, store } = await replayable()
      const { peer, deliveries } = await prepare(bench)
      const from = store.types.length
      const transaction = peer.begin()
      fill(peer, deliveries, transaction)
      if (checkpoint === 'while it is open') store.takeCheckpoint()
      await bench.idle()
      bench.broker.commitTransaction(transaction, () => {})
      if (checkpoint === 'while it is decided') store.takeCheckpoint()
      await bench.advance(10)
      const whole = await checkEveryCrash(store, from)
      assert.ok(whole >= 3, `${whole} crashes after the decision, before and after what follows from it`)
    })
  }

  test('at every boundary of a rollback', async () => {
    const { bench, store } = await replayable()
    const { peer, deliveries } = await prepare(bench)
    const from = store.types.length
    const transaction = peer.begin()
    fill(peer, deliveries, transaction)
    await bench.rollback(transaction)
    assert.equal(await checkEveryCrash(store, from), 0)
  })

  test('a checkpoint of which each section is taken at another moment', async () => {
    for (let pace = 1; pace < 12; pace++) {
      const { bench, store } = await replayable()
      const { peer, deliveries } = await prepare(bench)
      let steps = 0
      const step = (): void => {
        if (++steps % pace === 0) store.takeSection()
      }
      const transaction = peer.begin()
      step()
      fill(peer, deliveries, transaction)
      step()
      await bench.idle()
      step()
      bench.broker.commitTransaction(transaction, () => {})
      step()
      await bench.idle()
      step()
      while (store.takeSection() === 'more') await bench.idle()
      await bench.advance(10)
      const reopened = await after(store, store.types.length)
      assert.deepEqual(await stateOf(reopened), everything, `a section every ${pace} steps`)
    }
  })

  test('what came in a transaction, or as half, is an ordinary message when it is dead-lettered or moved', async () => {
    const bench = await Bench.onDisk()
    for (const queue of ['q', 'dead', 'there'])
      bench.declare(queue, queue === 'q' ? { deadLetter: 'dead' } : {})
    const peer = bench.connect()
    const transaction = peer.begin()
    for (const text of ['1', '2']) peer.send('q', text, { transaction })
    const half = peer.send('q', '3', { prepare: { group: 'g' } })
    assert.equal(await bench.commit(transaction), undefined)
    await bench.decide(peer.prepared.get(half)!, 'commit')
    peer.consume('q', 3)
    await bench.idle()
    peer.settleAll(peer.take(), rejected)
    await bench.advance(10)
    await bench.answer<number>((done) => bench.broker.moveMessages('dead', 'there', { limit: 1 }, done))
    await bench.crash()
    assert.deepEqual([await bench.texts('dead'), await bench.texts('there')], [['2', '3'], ['1']])
    assert.deepEqual(bench.broker.prepared(), [])
  })

  test('many open transactions and long ones fill several sections, and are rolled back by a crash', async () => {
    const { bench, store } = await replayable()
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 2_500; i++) peer.send('q', 'x', { transaction: peer.begin() })
    const long = peer.begin()
    for (const text of numbered('m', 3_000)) peer.send('q', text, { transaction: long })
    await bench.idle()
    store.takeCheckpoint()
    bench.broker.commitTransaction(long, () => {})
    await bench.idle()
    const reopened = await after(store, store.types.length)
    const { messages, pending, departed } = reopened.status('q')
    assert.deepEqual([messages, pending, departed['rolled-back']], [3_000, 0, 2_500])
  })
})
