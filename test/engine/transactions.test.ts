import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { HeldSyncs } from './held-syncs.ts'
import { Bench, failed, numbered, rejected, released } from './support.ts'

suite('a transaction: publications and settlements, all together or not at all (DESIGN §3, JMS 6.2.7)', () => {
  test('what is sent is invisible until the commit, then all of it is there, in order, in every queue', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['a', 'b']) bench.declare(queue)
    bench.broker.bind({ exchange: 'amq.fanout', queue: 'a', key: '' })
    bench.broker.bind({ exchange: 'amq.fanout', queue: 'b', key: '' })
    const peer = bench.connect()
    const other = bench.connect()
    other.consume('a')
    const transaction = peer.begin()
    const tags = [peer.send('a', '1', { transaction }), peer.publish('amq.fanout', '', '2', { transaction })]
    other.send('b', 'in between')
    await bench.idle()
    assert.deepEqual(
      tags.map((tag) => peer.outcomes.get(tag)),
      ['accepted', 'accepted'],
      'the sender learns that they were taken',
    )
    assert.deepEqual(other.takeTexts(), [])
    assert.deepEqual(await bench.texts('b'), ['in between'])
    const { messages, pending, ready } = bench.status('a')
    assert.deepEqual({ messages, pending, ready }, { messages: 0, pending: 2, ready: 0 })
    assert.equal(await bench.commit(transaction), undefined)
    assert.deepEqual(other.takeTexts(), ['1', '2'])
    assert.deepEqual(await bench.texts('b'), ['2', 'in between'], 'it is in the place where it was sent')
  })

  test('promise 1: a commit takes effect, and is answered, when it is durable and not before', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    for (const queue of ['in', 'out']) bench.declare(queue)
    const peer = bench.connect()
    peer.send('in', 'work')
    peer.consume('in')
    peer.consume('out')
    await bench.idle()
    const work = peer.takeOne()
    const transaction = peer.begin()
    peer.send('out', 'result', { transaction })
    peer.settle(work, { outcome: 'accepted' }, undefined, transaction)
    await bench.idle()
    syncs.isHolding = true
    let answered = false
    bench.broker.commitTransaction(transaction, () => {
      answered = true
    })
    await bench.advance(100)
    assert.deepEqual([answered, peer.takeTexts()], [false, []])
    assert.equal(bench.status('in').acquired, 1)
    syncs.release()
    await bench.idle()
    assert.deepEqual([answered, peer.takeTexts()], [true, ['result']])
    assert.equal(bench.status('in').departed.accepted, 1)
  })

  test('rollback: what was sent is gone, what was settled is still with its consumer (AMQP 1.0 4.4.4)', async () => {
    const bench = await Bench.onDisk()
    for (const queue of ['in', 'out']) bench.declare(queue)
    const peer = bench.connect()
    peer.send('in', 'work')
    peer.consume('in')
    await bench.idle()
    const work = peer.takeOne()
    const transaction = peer.begin()
    peer.send('out', 'disk', { transaction })
    peer.send('out', 'memory', { transaction, durability: 'memory' })
    assert.equal(peer.settle(work, undefined, 7, transaction), 1)
    await bench.idle()
    assert.deepEqual(peer.requests, [7], 'enlisting is answered at once')
    assert.equal(peer.settle(work), 0, 'nobody else settles it meanwhile')
    await bench.rollback(transaction)
    const { messages, pending, departed } = bench.status('out')
    assert.deepEqual([messages, pending, departed['rolled-back']], [0, 0, 2])
    assert.equal(bench.status('in').acquired, 1)
    assert.equal(peer.settle(work), 1, 'and now it is settled for itself')
    await bench.restart()
    assert.deepEqual([bench.status('in').messages, bench.status('out').messages], [0, 0])
  })

  test('every outcome can be part of a transaction', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deadLetter: 'dead' })
    const peer = bench.connect()
    for (const text of ['accepted', 'rejected', 'failed', 'released']) peer.send('q', text)
    const consumer = peer.consume('q', 4)
    await bench.idle()
    const [first, second, third, fourth] = peer.take()
    const transaction = peer.begin()
    peer.settle(first!, undefined, undefined, transaction)
    peer.settle(second!, { ...rejected, description: 'bad' }, undefined, transaction)
    peer.settle(third!, failed, undefined, transaction)
    peer.settle(fourth!, released, undefined, transaction)
    await bench.idle()
    assert.equal(bench.status('q').acquired, 4)
    assert.equal(await bench.commit(transaction), undefined)
    const { ready, waiting, acquired, departed } = bench.status('q')
    assert.deepEqual(
      { ready, waiting, acquired, accepted: departed.accepted, dead: departed['dead-lettered'] },
      { ready: 1, waiting: 1, acquired: 0, accepted: 1, dead: 1 },
    )
    assert.deepEqual(await bench.texts('dead'), ['rejected'])
    bench.broker.grant(consumer, 1)
    await bench.idle()
    assert.equal(peer.takeOne().deliveryCount, 1, 'released, it was never delivered')
  })

  test('a connection that is lost rolls back what it has open; what it held goes to others', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['in', 'out']) bench.declare(queue)
    const peer = bench.connect()
    peer.send('in', 'work')
    peer.consume('in')
    await bench.idle()
    const transaction = peer.begin()
    peer.send('out', 'never', { transaction })
    peer.settle(peer.takeOne(), undefined, undefined, transaction)
    const decided = peer.begin()
    peer.send('out', 'decided', { transaction: decided })
    bench.broker.commitTransaction(decided, () => {})
    peer.disconnect()
    await bench.idle()
    assert.deepEqual(await bench.texts('out'), ['decided'], 'a commit that was asked for is not taken back')
    const other = bench.connect()
    other.consume('in')
    await bench.idle()
    assert.equal(other.takeOne().deliveryCount, 2)
    assert.equal(await bench.commit(transaction), 'transaction-not-found')
  })

  test('a transaction ends once, and belongs to its connection', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const other = bench.connect()
    const transaction = peer.begin()
    const stranger = other.send('q', 'x', { transaction })
    assert.equal(await bench.commit(transaction), undefined, 'an empty one too')
    assert.equal(other.outcomes.get(stranger), 'transaction-not-found')
    assert.equal(await bench.commit(transaction), 'transaction-not-found')
    await bench.rollback(transaction)
    const late = peer.send('q', 'x', { transaction })
    await bench.idle()
    assert.equal(peer.outcomes.get(late), 'transaction-not-found')
    assert.throws(() => bench.broker.settle(peer.consume('q'), 1, 1, released, 1, transaction), {
      code: 'transaction-not-found',
    })
  })

  test('a cancelled consumer keeps what a transaction has settled until that has ended', async () => {
    for (const end of ['commit', 'rollback'] as const) {
      const bench = await Bench.inMemory()
      bench.declare('q')
      const peer = bench.connect()
      for (const text of ['1', '2']) peer.send('q', text)
      const consumer = peer.consume('q')
      await bench.idle()
      const transaction = peer.begin()
      peer.settle(peer.take()[0]!, undefined, undefined, transaction)
      bench.broker.cancel(consumer, { release: true })
      await bench.idle()
      const { ready, acquired, consumers } = bench.status('q')
      assert.deepEqual({ ready, acquired, consumers }, { ready: 1, acquired: 1, consumers: 1 })
      await bench[end](transaction)
      const after = bench.status('q')
      assert.deepEqual([after.ready, after.acquired, after.consumers], [end === 'commit' ? 1 : 2, 0, 0], end)
    }
  })
})

suite('the bounds of a transaction (DESIGN §4.7)', () => {
  test('too many operations: it is rolled back at once, and its commit says so', async () => {
    const bench = await Bench.inMemory({ maxTransactionOperations: 5 })
    bench.declare('q')
    const peer = bench.connect()
    const transaction = peer.begin()
    const tags = numbered('m', 7).map((text) => peer.send('q', text, { transaction }))
    await bench.idle()
    assert.deepEqual(
      tags.map((tag) => peer.outcomes.get(tag)),
      [...Array<string>(5).fill('accepted'), 'transaction-too-large', 'transaction-rolled-back'],
    )
    const { pending, departed } = bench.status('q')
    assert.deepEqual([pending, departed['rolled-back']], [0, 5])
    assert.equal(await bench.commit(transaction), 'transaction-rolled-back')
    assert.equal(await bench.commit(transaction), 'transaction-not-found')
  })

  test('all that are open have a bound together, which refuses and spoils nothing', async () => {
    const bench = await Bench.inMemory({ openOperations: 3, maxTransactions: 2 })
    bench.declare('q')
    const peer = bench.connect()
    const [first, second] = [peer.begin(), peer.begin()]
    assert.throws(() => peer.begin(), { code: 'memory-full' })
    for (const text of ['1', '2']) peer.send('q', text, { transaction: first })
    const tags = ['3', '4'].map((text) => peer.send('q', text, { transaction: second }))
    await bench.idle()
    assert.deepEqual(
      tags.map((tag) => peer.outcomes.get(tag)),
      ['accepted', 'memory-full'],
    )
    await bench.rollback(first)
    peer.send('q', '5', { transaction: second })
    assert.equal(await bench.commit(second), undefined)
    assert.deepEqual(await bench.texts('q'), ['3', '5'])
  })

  test('a sender whom the disk is too slow for is answered no sooner than the disk, and not refused', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench({ unsyncedBytes: 4_000 })
    bench.declare('q')
    const peer = bench.connect()
    await bench.idle()
    const transaction = peer.begin()
    syncs.isHolding = true
    const body = 'x'.repeat(500)
    let sent = 0
    for (let tag = peer.send('q', body, { transaction }); ; tag = peer.send('q', body, { transaction })) {
      await bench.advance(1)
      if (!peer.outcomes.has(tag)) break
      assert.equal(peer.outcomes.get(tag), 'accepted')
      assert.ok(++sent < 8, 'as much as that waits for the disk')
    }
    assert.ok(sent > 1, 'it need not wait for each')
    syncs.release()
    await bench.idle()
    assert.equal(await bench.commit(transaction), undefined)
    assert.equal(bench.status('q').messages, sent + 1)
  })

  test('idle too long: it is rolled back, and its later use says so; one that is used is not', async () => {
    const bench = await Bench.inMemory({ transactionTimeout: 1_000 })
    bench.declare('q')
    const peer = bench.connect()
    const [idle, used] = [peer.begin(), peer.begin()]
    for (const transaction of [idle, used]) peer.send('q', 'x', { transaction })
    await bench.advance(600)
    peer.send('q', 'y', { transaction: used })
    await bench.advance(600)
    assert.equal(bench.status('q').pending, 2)
    const late = peer.send('q', 'z', { transaction: idle })
    assert.equal(await bench.commit(idle), 'transaction-rolled-back')
    assert.equal(peer.outcomes.get(late), 'transaction-rolled-back')
    assert.equal(await bench.commit(used), undefined)
    assert.deepEqual(await bench.texts('q'), ['x', 'y'])
  })

  test('a delivery timeout takes a delivery back, and with it the transaction that has settled it', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deliveryTimeout: 1_000 })
    const peer = bench.connect()
    peer.send('q', 'slow')
    peer.consume('q')
    await bench.idle()
    const transaction = peer.begin()
    peer.settle(peer.takeOne(), undefined, undefined, transaction)
    await bench.advance(1_000)
    assert.equal(bench.status('q').waiting, 1)
    assert.equal(await bench.commit(transaction), 'transaction-rolled-back')
  })

  test('a full queue that blocks: the commit waits for the sends that are held, and fails with the first refusal', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxMessages: 1, blockTimeout: 1_000 })
    const peer = bench.connect()
    const outcomes: (string | undefined)[] = []
    const commit = (transaction: number): void =>
      bench.broker.commitTransaction(transaction, (error) => outcomes.push(error?.code))
    peer.send('q', 'first')
    const [good, bad] = [peer.begin(), peer.begin()]
    peer.send('q', 'good', { transaction: good })
    commit(good)
    await bench.advance(10)
    assert.deepEqual(outcomes, [])
    const consumer = peer.consume('q', 1)
    await bench.idle()
    peer.settle(peer.takeOne())
    await bench.advance(10)
    assert.deepEqual(outcomes, [undefined])
    const tag = peer.send('q', 'bad', { transaction: bad })
    peer.send('q', 'bad too', { transaction: bad })
    commit(bad)
    await bench.advance(1_000)
    assert.deepEqual(outcomes, [undefined, 'transaction-rolled-back'])
    assert.equal(peer.outcomes.get(tag), 'queue-full')
    bench.broker.grant(consumer, 10)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['good'])
  })

  test('a queue that drops its oldest drops nothing for a message that may be rolled back', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxMessages: 2, overflow: 'drop-oldest' })
    const peer = bench.connect()
    for (const text of ['1', '2']) peer.send('q', text)
    const transaction = peer.begin()
    peer.send('q', '3', { transaction })
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['1', '2'])
    assert.equal(await bench.commit(transaction), undefined)
    assert.deepEqual(await bench.texts('q'), ['2', '3'])
  })

  test('a purge leaves what is pending, deletion of the queue does not; the rest of the transaction commits', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['purged', 'deleted', 'in']) bench.declare(queue)
    const peer = bench.connect()
    peer.send('in', 'work')
    peer.consume('in')
    await bench.idle()
    const transaction = peer.begin()
    for (const queue of ['purged', 'deleted']) peer.send(queue, 'x', { transaction })
    peer.settle(peer.takeOne(), undefined, undefined, transaction)
    await bench.idle()
    assert.equal(await bench.answer<number>((done) => bench.broker.purgeQueue('purged', done)), 0)
    await bench.answer<number>((done) => bench.broker.deleteQueue('deleted', {}, done))
    await bench.answer<number>((done) => bench.broker.deleteQueue('in', {}, done))
    assert.equal(await bench.commit(transaction), undefined)
    assert.deepEqual(await bench.texts('purged'), ['x'])
  })

  test('pending messages expire after the commit, not before; operators see where they are', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const transaction = peer.begin()
    peer.send('q', 'short', { transaction, expiry: bench.clock.wall() + 1_000 })
    await bench.advance(5_000)
    const { pending, oldest } = bench.status('q')
    assert.equal(pending, 1)
    const [location] = await bench.locate(oldest!.lsn)
    assert.equal(location?.state, 'pending')
    assert.equal(await bench.commit(transaction), undefined)
    await bench.advance(10)
    assert.equal(bench.status('q').departed.expired, 1)
  })

  test('chunks with pending messages stay in memory, and go to pages once they are committed', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    const transaction = peer.begin()
    const texts = numbered('m', 6_000)
    for (const [i, text] of texts.entries()) {
      peer.send('q', text, i % 1_000 === 0 ? { transaction } : {})
      if (i % 1_000 === 0) await bench.idle()
    }
    await bench.idle()
    let pages = 0
    const writePage = bench.store.writePage.bind(bench.store)
    bench.store.writePage = (bytes) => {
      pages++
      return writePage(bytes)
    }
    assert.equal((await bench.texts('q')).length, texts.length - 6)
    assert.equal(await bench.commit(transaction), undefined)
    for (let i = 0; i < 2_000; i++) peer.send('q', 'more')
    await bench.idle()
    assert.ok(pages >= 3, `${pages} chunks, of those in the middle, are in pages`)
    assert.deepEqual((await bench.texts('q')).slice(0, texts.length), texts)
  })
})
