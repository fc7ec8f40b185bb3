import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { OperationType } from '../../src/engine/ports/operations.ts'
import type { StoreClient } from '../../src/engine/ports/store.ts'
import { replaced } from '../simulation/tampering.ts'
import { HeldSyncs } from './held-syncs.ts'
import { ReplayableStore } from './replayable-store.ts'
import { cancel, later, listed, schedulesOf } from './scheduled.ts'
import { Bench, numbered, type Peer, rejected, textOf } from './support.ts'

const prepare = { group: 'g' }

/** A scheduled half message; answers its id. */
async function half(bench: Bench, peer: Peer, text: string, delay: number): Promise<string> {
  const tag = peer.send('q', text, { ...later(bench, delay), prepare })
  await bench.idle()
  return peer.prepared.get(tag)!
}

/** The same journal when it is read without decisions, and says that something is damaged. */
function withoutDecisions(store: ReplayableStore): ReplayableStore {
  const open = store.open.bind(store)
  store.open = async (client) => {
    const apply: StoreClient['apply'] = (lsn, type, ...bytes) => {
      if (type !== OperationType.decide) client.apply(lsn, type, ...bytes)
    }
    const report = await open(replaced(client, { apply }))
    return {
      ...report,
      quarantined: [{ file: 'f', offset: 0, length: 1, reason: 'no whole frame', keptAs: 'k' }],
    }
  }
  return store
}

suite('scheduled messages of a transaction are scheduled by its commit', () => {
  for (const durability of ['disk', 'os', 'memory'] as const) {
    test(`counted from the send; until then neither listed, cancelled nor delivered; level ${durability}`, async () => {
      const bench = await Bench.onDisk()
      bench.declare('q')
      const peer = bench.connect()
      const numbers = schedulesOf(peer)
      const transaction = peer.begin()
      const tag = peer.send('q', 'later', { ...later(bench, 100), transaction, durability })
      peer.send('q', 'too late', { ...later(bench, 50), transaction, durability })
      peer.send('q', 'at once', { ...later(bench, -1), transaction, durability })
      peer.consume('q')
      await bench.advance(60)
      const number = numbers.get(tag)!
      assert.deepEqual(
        [await listed(bench), await cancel(bench, number), await bench.locate(number)],
        [[], false, []],
      )
      const { messages, scheduled, pending } = bench.status('q')
      assert.deepEqual([messages, scheduled, pending, peer.takeTexts()], [0, 2, 1, []])
      assert.equal(await bench.commit(transaction), undefined)
      assert.deepEqual([await listed(bench), peer.takeTexts()], [['later'], ['at once', 'too late']])
      await bench.advance(39)
      assert.deepEqual(peer.takeTexts(), [])
      await bench.advance(1)
      assert.deepEqual(peer.takeTexts(), ['later'])
      assert.deepEqual([bench.status('q').scheduled, bench.status('q').published], [0, 3])
    })
  }

  test('a commit after its time delivers when the commit is durable, and not before', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    const peer = bench.connect()
    peer.consume('q')
    const transaction = peer.begin()
    // Of level os, it waits for nothing but the commit.
    peer.send('q', 'm', { ...later(bench, 10), transaction, durability: 'os' })
    await bench.advance(20)
    syncs.isHolding = true
    let done = false
    bench.broker.commitTransaction(transaction, () => {
      done = true
    })
    await bench.advance(50)
    assert.deepEqual([done, peer.takeTexts()], [false, []])
    syncs.release()
    await bench.idle()
    assert.deepEqual([done, peer.takeTexts()], [true, ['m']])
  })

  test('of the same time, also of several transactions, they come in the order of sending', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 8 })
    bench.declare('q')
    const peer = bench.connect()
    const due = later(bench, 1_000)
    const texts = numbered('m', 60)
    const transactions = [peer.begin(), peer.begin(), undefined]
    for (const [i, text] of texts.entries()) {
      peer.send('q', text, { ...due, transaction: transactions[i % 3] })
      if (i % 10 === 0) await bench.idle()
    }
    for (const transaction of transactions.slice(0, 2)) await bench.commit(transaction!)
    peer.consume('q')
    await bench.advance(1_000)
    assert.deepEqual(peer.takeTexts(), texts)
  })

  for (const end of ['rollback', 'disconnect', 'crash'] as const) {
    test(`rolled back by ${end}, they never were, and nothing is kept of them`, async () => {
      const bench = await Bench.onDisk({ maxRepeating: 1, memoryBytes: 200 })
      for (const queue of ['q', 'other']) {
        bench.declare(queue)
        bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
      }
      const peer = bench.connect()
      const transaction = peer.begin()
      peer.send('q', 'one', { ...later(bench, 10), transaction })
      peer.publish('amq.fanout', '', 'two', { ...later(bench, 10), transaction })
      peer.send('q', 'three', { repeat: { every: 10 }, transaction })
      peer.send('q', 'x'.repeat(100), { ...later(bench, 10), transaction, durability: 'memory' })
      await bench.idle()
      if (end === 'rollback') await bench.rollback(transaction)
      else if (end === 'disconnect') peer.disconnect()
      else await bench.crash()
      await bench.advance(1_000)
      const { departed, scheduled, published } = bench.status('q')
      const volatile = end === 'crash' ? 0 : 1
      assert.deepEqual([departed['rolled-back'], scheduled, published], [3 + volatile, 0, 3 + volatile])
      assert.deepEqual(
        [await bench.texts('q'), await bench.texts('other'), await listed(bench)],
        [[], [], []],
      )
      assert.equal(bench.status('other').departed['rolled-back'], 1)
      assert.ok(bench.store.status().liveBytes < 200)
      const next = bench.connect()
      next.send('q', 'there is room for one that repeats', { repeat: { every: 10 } })
      next.send('q', 'x'.repeat(100), { ...later(bench, 10), durability: 'memory' })
      next.send('q', 'x'.repeat(100), { ...later(bench, 10), durability: 'memory' })
      await bench.idle()
      assert.deepEqual([...next.outcomes.values()].sort(), ['accepted', 'accepted', 'memory-full'])
    })
  }

  test('they count against the limits: of the transaction, and of what repeats', async () => {
    const bench = await Bench.inMemory({ maxTransactionOperations: 3, maxRepeating: 1 })
    const peer = bench.connect()
    const transaction = peer.begin()
    peer.send('q', '1', { repeat: { every: 1_000 }, transaction })
    const second = peer.send('q', '2', { repeat: { every: 1_000 } })
    peer.send('q', '3', { ...later(bench, 10), transaction })
    await bench.idle()
    assert.equal(peer.outcomes.get(second), 'memory-full')
    for (const text of ['4', '5']) peer.send('q', text, { ...later(bench, 10), transaction })
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()].slice(-2), ['accepted', 'transaction-too-large'])
    assert.equal(await bench.commit(transaction), 'transaction-rolled-back')
    assert.equal(bench.status('q').departed['rolled-back'], 3)
  })

  test('routed at the send; a repetition, a large body and a dead letter are like any other afterwards', async () => {
    const bench = await Bench.onDisk({ chunkBytes: 64 })
    bench.declare('dead')
    bench.declare('q', { deadLetter: 'dead' })
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 't' })
    const peer = bench.connect()
    const transaction = peer.begin()
    const large = 'x'.repeat(200)
    peer.publish('amq.topic', 't', large, { ...later(bench, 100), transaction })
    peer.send('q', 'again', { repeat: { every: 70, times: 2 }, transaction })
    bench.declare('late')
    bench.broker.bind({ exchange: 'amq.topic', queue: 'late', key: 't' })
    assert.equal(await bench.commit(transaction), undefined)
    await bench.advance(80)
    assert.deepEqual(await bench.texts('q'), ['again'])
    await bench.crash()
    await bench.advance(100)
    const reader = bench.connect()
    reader.consume('q')
    await bench.advance(10)
    const deliveries = reader.take()
    assert.deepEqual(
      deliveries.map(({ size }) => size).sort((a, b) => a - b),
      [5, 5, 200],
    )
    reader.settleAll(deliveries, rejected)
    await bench.advance(10)
    await bench.crash()
    assert.deepEqual([(await bench.texts('dead')).length, await bench.texts('late')], [3, []])
    assert.deepEqual([bench.status('q').departed['rolled-back'], await listed(bench)], [0, []])
  })

  test('what said that they are committed is damaged: what has come since does not come again, however often the journal is read', async () => {
    const whole = await Bench.on(({ clock }) => new ReplayableStore(clock))
    const peer = whole.connect()
    const transaction = peer.begin()
    for (const delay of [100, 300]) peer.send('q', `in ${delay}`, { ...later(whole, delay), transaction })
    const id = await half(whole, peer, 'half', 100)
    assert.deepEqual(
      [await whole.commit(transaction), await whole.decide(id, 'commit')],
      [undefined, undefined],
    )
    await whole.advance(200)
    assert.deepEqual(await whole.texts('q'), ['in 100', 'half'])
    let bench = whole
    for (let start = 0; start < 3; start++) {
      const before = bench.store as ReplayableStore
      bench = await Bench.on(({ clock }) => withoutDecisions(before.prefix(before.types.length, clock)))
      // The clock of each bench begins anew.
      await bench.advance(200)
      const { quarantined } = bench.status('q').departed
      assert.deepEqual(
        [await bench.texts('q'), bench.broker.prepared()],
        [['in 100', 'half'], []],
        `start ${start}`,
      )
      assert.equal(quarantined, 0, 'nothing is delivered whose bytes are gone')
    }
    await bench.advance(200)
    assert.deepEqual(await bench.texts('q'), ['in 100', 'half', 'in 300'])
    assert.equal(bench.status('q').scheduled, 0)
  })

  test('a page of the schedule that is made again contains none of them', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 8 })
    bench.declare('q')
    const peer = bench.connect()
    const transaction = peer.begin()
    const texts = numbered('m', 9)
    for (const [i, text] of texts.entries()) {
      peer.send('q', text, later(bench, 1_000 + i))
      if (i === 2) peer.send('q', 'undecided', { ...later(bench, 1_002), transaction })
      await bench.idle()
    }
    const load = bench.store.loadPage.bind(bench.store)
    let damaged = 0
    bench.store.loadPage = (page, done) => {
      damaged++
      load(page, () => done(null))
    }
    peer.consume('q')
    await bench.advance(2_000)
    assert.ok(damaged > 0)
    assert.deepEqual(peer.takeTexts(), texts)
    await bench.commit(transaction)
    assert.deepEqual(peer.takeTexts(), ['undecided'])
  })

  test('pages that are made again, of runs among whose messages are some that were committed late, repeat none', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 8 })
    bench.declare('q')
    const peer = bench.connect()
    const transaction = peer.begin()
    const texts = numbered('m', 40)
    // Too large for anything to be delivered in the same turn; its body is fetched apart.
    const large = 'x'.repeat(1_100_000)
    for (const [i, text] of texts.entries()) {
      peer.send('q', i === 2 ? large : text, {
        ...later(bench, 1_000 + i),
        transaction: i < 20 && (i === 1 || i === 2) ? transaction : undefined,
      })
      await bench.idle()
      if (i === 20) await bench.commit(transaction)
    }
    const load = bench.store.loadPage.bind(bench.store)
    bench.store.loadPage = (page, done) => load(page, () => done(null))
    peer.consume('q')
    await bench.advance(2_000)
    assert.deepEqual(peer.takeTexts(), texts.with(2, ''))
    const { scheduled, departed } = bench.status('q')
    assert.deepEqual([scheduled, departed.quarantined], [0, 0])
  })
})

suite('scheduled half messages are scheduled when they are committed', () => {
  test('they stay undecided across a restart and a checkpoint; asked about, committed, rolled back', async () => {
    const bench = await Bench.onDisk({ checkBack: { first: 1_000, interval: 1_000, max: 2 } })
    bench.declare('q')
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    const commits = await half(bench, peer, 'commits', 5_000)
    assert.equal(
      String([...numbers.values()][0]),
      commits,
      'its id is the number by which it can be cancelled',
    )
    const goes = await half(bench, peer, 'goes', 5_000)
    for (const end of [() => bench.crash(), () => bench.reopen()]) {
      await end()
      await bench.advance(10)
      assert.deepEqual(
        bench.broker.prepared().map(({ id, queues }) => [id, queues]),
        [
          [commits, ['q']],
          [goes, ['q']],
        ],
      )
      assert.deepEqual([bench.status('q').scheduled, await listed(bench)], [2, []])
    }
    const checker = bench.connect()
    const checks: string[] = []
    checker.check = (prepared) => checks.push(...prepared.map(textOf))
    bench.broker.joinGroup(checker.id, 'g')
    await bench.advance(1_500)
    assert.deepEqual(checks, ['commits', 'goes'])
    assert.equal(await bench.decide(goes, 'rollback'), undefined)
    assert.equal(await bench.decide(commits, 'commit'), undefined)
    assert.deepEqual([await listed(bench), bench.broker.prepared()], [['commits'], []])
    await bench.crash()
    assert.deepEqual([await listed(bench), bench.broker.prepared()], [['commits'], []])
    await bench.advance(5_000)
    assert.deepEqual(await bench.texts('q'), ['commits'])
    await bench.crash()
    assert.deepEqual([await bench.texts('q'), bench.status('q').pending], [['commits'], 0])
    assert.equal(bench.status('q').departed['rolled-back'], 1)
  })

  test('one whose queue was deleted waits for its decision, and leaves then', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    const peer = bench.connect()
    const ids = [await half(bench, peer, 'a', 100), await half(bench, peer, 'b', 100)]
    bench.broker.deleteQueue('q', {}, () => {})
    await bench.crash()
    assert.equal(bench.broker.prepared().length, 2)
    assert.equal(await bench.decide(ids[0]!, 'commit'), undefined)
    assert.equal(await bench.decide(ids[1]!, 'rollback'), undefined)
    await bench.advance(200)
    assert.deepEqual([await listed(bench), bench.store.status().liveBytes < 200], [[], true])
  })
})

async function replayable(): Promise<{ bench: Bench; store: ReplayableStore; peer: Peer }> {
  const bench = await Bench.on(({ clock }) => new ReplayableStore(clock))
  for (const queue of ['q', 'fan']) {
    bench.declare(queue)
    bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
  }
  await bench.idle()
  return { bench, store: bench.store as ReplayableStore, peer: bench.connect() }
}

/** To one queue, to two, again and again, and at once. */
function fill(bench: Bench, peer: Peer, transaction: number): void {
  peer.send('q', 'one', { ...later(bench, 500), transaction })
  peer.publish('amq.fanout', '', 'two', { ...later(bench, 500), transaction })
  peer.send('q', 'thrice', { ...later(bench, 500), repeat: { every: 1, times: 3 }, transaction })
  peer.send('q', 'now', { transaction })
  peer.send('q', 'four', { ...later(bench, 500), transaction })
}

/** What there is of it, before and after its time; `published` and `departed` of both queues. */
async function stateOf(bench: Bench): Promise<object> {
  await bench.advance(10)
  const before = (await listed(bench)).length + (await bench.texts('q')).length
  const scheduled = [bench.status('q').scheduled, bench.status('fan').scheduled]
  await bench.advance(1_000)
  const texts = [...new Set(await bench.texts('q'))].sort()
  const left = ['q', 'fan'].map((queue) => bench.status(queue).scheduled)
  const rolledBack = ['q', 'fan'].map((queue) => bench.status(queue).departed['rolled-back'] > 0)
  return { before, scheduled, texts, fan: await bench.texts('fan'), left, rolledBack }
}

const nothing = { before: 0, scheduled: [0, 0], texts: [], fan: [], left: [0, 0] }
const everything = {
  before: 5,
  scheduled: [4, 1],
  texts: ['four', 'now', 'one', 'thrice', 'two'],
  fan: ['two'],
}
const whole = { ...everything, left: [0, 0], rolledBack: [false, false] }

async function after(store: ReplayableStore, count: number): Promise<Bench> {
  return await Bench.on(({ clock }) => store.prefix(count, clock))
}

async function checkEveryCrash(store: ReplayableStore, from: number): Promise<number> {
  const decided = store.types.indexOf(OperationType.decide)
  let found = 0
  for (let count = from; count <= store.types.length; count++) {
    const isDecided = decided >= 0 && count > decided
    const bench = await after(store, count)
    if (!isDecided) {
      // The start has said so in the log: the next one finds nothing to roll back.
      await bench.idle()
      const before = bench.status('q').departed['rolled-back']
      await bench.reopen()
      assert.equal(bench.status('q').departed['rolled-back'], before, `with ${count} operations, once`)
    }
    const { rolledBack, ...state } = (await stateOf(bench)) as { rolledBack: boolean[] }
    assert.deepEqual(state, isDecided ? { ...everything, left: [0, 0] } : nothing, `with ${count} operations`)
    if (isDecided) assert.deepEqual(rolledBack, [false, false])
    if (isDecided) found++
  }
  return found
}

suite('a crash leaves all that a transaction has scheduled, or nothing of it', () => {
  for (const checkpoint of ['none', 'while it is open', 'while it is decided', 'after it'] as const) {
    test(`at every boundary between two operations; checkpoint: ${checkpoint}`, async () => {
      const { bench, store, peer } = await replayable()
      const from = store.types.length
      const transaction = peer.begin()
      fill(bench, peer, transaction)
      if (checkpoint === 'while it is open') store.takeCheckpoint()
      await bench.idle()
      bench.broker.commitTransaction(transaction, () => {})
      if (checkpoint === 'while it is decided') store.takeCheckpoint()
      await bench.advance(10)
      if (checkpoint === 'after it') store.takeCheckpoint()
      assert.ok((await checkEveryCrash(store, from)) >= 1)
    })
  }

  test('at every boundary of a rollback, with a checkpoint before it', async () => {
    for (const isTaken of [false, true]) {
      const { bench, store, peer } = await replayable()
      const from = store.types.length
      const transaction = peer.begin()
      fill(bench, peer, transaction)
      await bench.idle()
      if (isTaken) store.takeCheckpoint()
      await bench.rollback(transaction)
      assert.equal(await checkEveryCrash(store, from), 0)
    }
  })

  test('at every boundary of being delivered', async () => {
    const { bench, store, peer } = await replayable()
    const id = await half(bench, peer, 'half', 500)
    const transaction = peer.begin()
    fill(bench, peer, transaction)
    await bench.commit(transaction)
    await bench.decide(id, 'commit')
    const from = store.types.length
    await bench.advance(1_000)
    for (let count = from; count <= store.types.length; count++) {
      const { texts, fan, left } = (await stateOf(await after(store, count))) as typeof whole
      assert.deepEqual(
        { texts, fan, left },
        { texts: ['four', 'half', 'now', 'one', 'thrice', 'two'], fan: ['two'], left: [0, 0] },
      )
    }
  })

  test('a checkpoint of which each section is taken at another moment; a half message meanwhile', async () => {
    for (let begin = 1; begin <= 12; begin++) {
      const pace = 1 + (begin & 1)
      const { bench, store, peer } = await replayable()
      let steps = 0
      const step = (): void => {
        if (++steps >= begin / 2 && steps % pace === 0) store.takeSection()
      }
      step()
      const transaction = peer.begin()
      const id = await half(bench, peer, 'half', 500)
      const lost = await half(bench, peer, 'rolled back', 500)
      step()
      fill(bench, peer, transaction)
      step()
      await bench.idle()
      step()
      bench.broker.commitTransaction(transaction, () => {})
      bench.broker.decidePrepared(id, 'commit', () => {})
      bench.broker.decidePrepared(lost, 'rollback', () => {})
      step()
      await bench.idle()
      step()
      while (store.takeSection() === 'more') await bench.idle()
      await bench.advance(10)
      const state = await stateOf(await after(store, store.types.length))
      const texts = ['four', 'half', 'now', 'one', 'thrice', 'two']
      const rolledBack = [true, false]
      assert.deepEqual(
        state,
        { ...whole, before: 6, scheduled: [5, 1], texts, rolledBack },
        `begun at step ${begin}`,
      )
    }
  })
})
