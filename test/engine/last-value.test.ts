import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { HeldSyncs } from './held-syncs.ts'
import { policy, received, send, values } from './last-value-support.ts'
import { later } from './scheduled.ts'
import { Bench, failed, rejected, released } from './support.ts'

suite('last values: a newer message replaces the older one of its key', () => {
  test('the newer one has its own place; texts, numbers and truth values are keys, and other messages are not touched', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    bench.declare('plain')
    const peer = bench.connect()
    for (const [v, k] of ['a', 'b', 1, '1', true, 'true', undefined, undefined, null, [1]].entries())
      send(peer, 'q', k, v)
    await bench.idle()
    assert.deepEqual(await values(bench), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const [v, k] of ['a', 1, true].entries()) send(peer, 'q', k, 10 + v)
    for (const v of [1, 2]) send(peer, 'plain', 'a', v)
    await bench.idle()
    assert.deepEqual(await values(bench), [1, 3, 5, 6, 7, 8, 9, 10, 11, 12])
    assert.deepEqual(await values(bench, 'plain'), [1, 2])
    const { departed, messages } = bench.status('q')
    assert.deepEqual([departed.replaced, messages], [3, 10])
    assert.ok([...peer.outcomes.values()].every((outcome) => outcome === 'accepted'))
  })

  test('what somebody holds is settled as ever; released, failed or lost after a newer one came it does not come back', async () => {
    for (const end of ['accepted', 'released', 'failed', 'lost', 'last failure'] as const) {
      const bench = await Bench.inMemory()
      bench.declare('q', { ...policy, maxDeliveries: end === 'last failure' ? 1 : 5 })
      const peer = bench.connect()
      const holder = bench.connect()
      send(peer, 'q', 'a', 1)
      const consumer = holder.consume('q', 1)
      await bench.idle()
      for (const v of [2, 3]) send(peer, 'q', 'a', v)
      await bench.idle()
      assert.deepEqual(await values(bench), [1, 3], 'one is held, and at most one more waits')
      const [delivery] = holder.received
      if (end === 'lost') bench.broker.disconnect(holder.id)
      else if (end === 'accepted') holder.settle(delivery!)
      else holder.settle(delivery!, end === 'released' ? released : failed)
      if (end !== 'lost') bench.broker.cancel(consumer, { release: true })
      await bench.advance(5_000)
      assert.deepEqual(await values(bench), [3], end)
      assert.equal(bench.status('q').departed.replaced, end === 'accepted' ? 1 : 2, end)
      assert.equal(bench.broker.queue('q.dlq'), undefined, 'no dead letter')
    }
  })

  test('a held one does not come back either when the newer one has been consumed meanwhile', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const [slow, quick] = [bench.connect(), bench.connect()]
    send(quick, 'q', 'a', 1)
    slow.consume('q', 1)
    await bench.idle()
    quick.onDelivery = (delivery) => quick.settle(delivery)
    quick.consume('q')
    send(quick, 'q', 'a', 2)
    await bench.idle()
    assert.deepEqual(received(quick), [2])
    slow.settle(slow.received[0]!, released)
    await bench.idle()
    assert.deepEqual([received(quick), bench.status('q').messages], [[], 0])
  })

  test('one that waits for its redelivery is replaced; one that is rejected becomes a dead letter all the same', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    peer.onDelivery = (delivery) => peer.settle(delivery, failed)
    const consumer = peer.consume('q', 1)
    send(peer, 'q', 'a', 1)
    await bench.idle()
    assert.equal(bench.status('q').waiting, 1)
    send(peer, 'q', 'a', 2)
    await bench.idle()
    assert.deepEqual([await values(bench), bench.status('q').waiting], [[2], 0])
    bench.broker.cancel(consumer, { release: true })
    const other = bench.connect()
    other.consume('q', 1)
    await bench.idle()
    send(peer, 'q', 'a', 3)
    await bench.idle()
    other.settle(other.received[0]!, rejected)
    await bench.idle()
    assert.deepEqual([await values(bench), await values(bench, 'q.dlq')], [[3], [2]])
  })

  test('the older one stays until the newer one is durable, so that no value is kept from being seen by those that follow', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q', { ...policy, maxMessages: 1, overflow: 'reject' })
    const peer = bench.connect()
    send(peer, 'q', 'a', 1)
    await bench.idle()
    syncs.isHolding = true
    for (const v of [2, 3, 4]) send(peer, 'q', 'a', v)
    await bench.idle()
    assert.deepEqual(await values(bench), [1])
    const consumer = peer.consume('q', 1)
    await bench.idle()
    assert.deepEqual(received(peer), [1])
    bench.broker.cancel(consumer, { release: true })
    syncs.release()
    await bench.idle()
    assert.deepEqual([await values(bench), bench.status('q').messages], [[4], 1])
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'accepted', 'accepted'])
  })

  test('a replacement takes no room; another key does', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ...policy, maxMessages: 2, maxBytes: 1_000, overflow: 'reject' })
    bench.declare('drops', { ...policy, maxMessages: 2, overflow: 'drop-oldest' })
    const peer = bench.connect()
    for (const [v, k] of ['a', 'b', 'a', 'a', 'c'].entries()) {
      for (const queue of ['q', 'drops']) send(peer, queue, k, v)
      await bench.idle()
    }
    assert.deepEqual(
      [await values(bench), await values(bench, 'drops')],
      [
        [1, 3],
        [3, 4],
      ],
    )
    assert.deepEqual(
      [...peer.outcomes.values()].filter((outcome) => outcome !== 'accepted'),
      ['queue-full'],
    )
    assert.equal(bench.status('drops').departed.dropped, 1)
  })

  test('each of several queues replaces by its own property, and at whatever priority', async () => {
    const bench = await Bench.onDisk()
    for (const [queue, lastValue] of [
      ['q', 'k'],
      ['other', 'w'],
      ['all', undefined],
    ] as const) {
      bench.declare(queue, { lastValue })
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    const fan = (k: string, w: string, v: number, priority = 4): number =>
      peer.publish('amq.fanout', '', JSON.stringify({ k, w, v }), { priority })
    for (const [k, w, v, priority] of [
      ['a', 'x', 1, 9],
      ['a', 'y', 2, 0],
      ['b', 'x', 3, 5],
    ] as const)
      fan(k, w, v, priority)
    for (const end of ['idle', 'crash', 'restart', 'kill'] as const) {
      await bench[end]()
      assert.deepEqual(await values(bench), [3, 2], end)
      assert.deepEqual(await values(bench, 'other'), [3, 2], end)
      assert.deepEqual(await values(bench, 'all'), [1, 3, 2], end)
    }
  })

  test('of a transaction or a half message it replaces at the commit, and nothing after a rollback', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const k of ['a', 'b']) send(peer, 'q', k, 0)
    const [kept, given] = [peer.begin(), peer.begin()]
    for (const v of [1, 2]) send(peer, 'q', 'a', v, { transaction: kept })
    send(peer, 'q', 'b', 3, { transaction: given })
    const [half, never] = [4, 5].map((v) => send(peer, 'q', 'b', v, { prepare: { group: 'g' } }))
    await bench.idle()
    assert.deepEqual(await values(bench), [0, 0])
    await bench.rollback(given)
    await bench.decide(peer.prepared.get(never!)!, 'rollback')
    assert.deepEqual(await values(bench), [0, 0])
    assert.equal(await bench.commit(kept), undefined)
    assert.deepEqual(await values(bench), [0, 2])
    send(peer, 'q', 'b', 6)
    await bench.idle()
    const id = peer.prepared.get(half!)!
    await bench.restart()
    await bench.decide(id, 'commit')
    // It was stored before the one that counts already, and the order of the queue decides.
    assert.deepEqual(await values(bench), [2, 6])
    await bench.crash()
    assert.deepEqual(await values(bench), [2, 6])
  })

  test('one that is committed after a later one has come and gone is not seen: no older value after a newer one', async () => {
    for (const between of ['nothing', 'restart', 'crash'] as const) {
      const bench = await Bench.onDisk()
      bench.declare('q', policy)
      const peer = bench.connect()
      const half = send(peer, 'q', 'a', 1, { prepare: { group: 'g' } })
      const other = send(peer, 'q', 'b', 2, { prepare: { group: 'g' } })
      const transaction = peer.begin()
      if (between === 'nothing') send(peer, 'q', 'a', 3, { transaction })
      await bench.idle()
      send(peer, 'q', 'a', 4)
      const reader = bench.connect()
      const consumer = reader.consume('q')
      await bench.idle()
      reader.settleAll(reader.take())
      bench.broker.cancel(consumer, { release: true })
      await bench.idle()
      const ids = [half, other].map((tag) => peer.prepared.get(tag)!)
      if (between !== 'nothing') await bench[between]()
      for (const id of ids) await bench.decide(id, 'commit')
      if (between === 'nothing') await bench.commit(transaction)
      await bench.idle()
      assert.deepEqual(await values(bench), [2], between)
      assert.equal(bench.status('q').departed.replaced, between === 'nothing' ? 2 : 1, between)
      await bench.crash()
      assert.deepEqual(await values(bench), [2], between)
    }
  })

  test('one that becomes durable after a later one of level memory has come and gone is not seen', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q', policy)
    await bench.idle()
    const peer = bench.connect()
    const reader = bench.connect()
    reader.consume('q')
    syncs.isHolding = true
    send(peer, 'q', 'a', 1)
    send(peer, 'q', 'a', 2, { durability: 'memory', priority: 9 })
    await bench.idle()
    assert.deepEqual(
      reader.received.map(({ text }) => JSON.parse(text).v),
      [2],
    )
    reader.settleAll(reader.take())
    await bench.idle()
    syncs.release()
    await bench.idle()
    assert.deepEqual(received(reader), [])
    assert.deepEqual([await values(bench), bench.status('q').departed.replaced], [[], 1])
  })

  test('what is scheduled, moved or dead-lettered replaces when it arrives', async () => {
    for (const isLarge of [false, true]) {
      const bench = await Bench.onDisk({ chunkBytes: 40_000 })
      bench.declare('q', { ...policy, deadLetter: 'dead' })
      bench.declare('dead', policy)
      const peer = bench.connect()
      const put = (queue: string, more = {}): void => {
        const text = JSON.stringify({ k: 'a' })
        if (!isLarge) return void peer.send(queue, text, more)
        const body = bench.broker.openBody(peer.id)
        bench.broker.appendBody(body, Buffer.from(text.padEnd(60_000)))
        peer.send(queue, '', { body, ...more })
      }
      const replaced = (): number[] =>
        ['q', 'dead'].flatMap((name) => [bench.status(name).messages, bench.status(name).departed.replaced])
      for (const queue of ['q', 'dead']) put(queue)
      put('q', later(bench, 1_000))
      await bench.idle()
      assert.deepEqual(replaced(), [1, 0, 1, 0])
      await bench.advance(1_000)
      assert.deepEqual(replaced(), [1, 1, 1, 0])
      const consumer = peer.consume('q')
      await bench.idle()
      peer.settleAll(peer.take(), rejected)
      await bench.idle()
      assert.deepEqual(replaced(), [0, 1, 1, 1])
      bench.broker.cancel(consumer, { release: true })
      put('q')
      await bench.restart()
      assert.deepEqual(replaced(), [1, 1, 1, 1])
      await bench.answer((done) => bench.broker.moveMessages('dead', 'q', {}, done))
      await bench.idle()
      assert.deepEqual(replaced(), [1, 2, 0, 1])
    }
  })

  test('one that lies in a page is replaced too, and never delivered', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q', policy)
    const peer = bench.connect()
    const count = 5_000
    for (let key = 0; key < count; key++) {
      send(peer, 'q', key, 0)
      // What is not durable does not go to a page.
      if (key % 500 === 0) await bench.idle()
    }
    await bench.idle()
    for (const key of [1_500, 1_501, 2_600, 3_700]) send(peer, 'q', key, 1)
    await bench.idle()
    assert.deepEqual([bench.status('q').messages, (await values(bench)).length], [count, count])
    peer.consume('q', count * 2)
    await bench.idle()
    const seen = received(peer)
    assert.deepEqual([seen.length, seen.filter((v) => v === 1).length], [count, 4])
    assert.equal(bench.status('q').departed.replaced, 4)
  })

  test('a rule for all queues leaves dead-letter queues alone, since one dead letter is no newer value of another', async () => {
    const bench = await Bench.inMemory({ policies: [{ match: '#', policy }] })
    for (const queue of ['q', 'later.dlq']) bench.broker.declareQueue({ name: queue })
    bench.broker.declareQueue({ name: 'own.dlq', policy })
    const peer = bench.connect()
    peer.onDelivery = (delivery) => peer.settle(delivery, rejected)
    peer.consume('q')
    for (const v of [1, 2]) {
      for (const queue of ['q', 'later.dlq', 'own.dlq']) send(peer, queue, 'a', v)
      await bench.idle()
    }
    assert.deepEqual(
      [await values(bench, 'q.dlq'), await values(bench, 'later.dlq'), await values(bench, 'own.dlq')],
      [[1, 2], [1, 2], [2]],
    )
  })

  test('selective consumers get the newest', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const [v, k] of ['a', 'b', 'a', 'b'].entries()) send(peer, 'q', k, v)
    await bench.idle()
    peer.consume('q', 10, { selector: "k = 'b'" })
    await bench.idle()
    assert.deepEqual(received(peer), [3])
    for (const [v, k] of ['a', 'b'].entries()) send(peer, 'q', k, 10 + v)
    await bench.idle()
    assert.deepEqual([received(peer), await values(bench)], [[11], [3, 10, 11]])
  })

  test('level memory replaces at once; what it has replaced while it was held lives on when only that is lost', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const v of [1, 2]) send(peer, 'q', 'a', v, { durability: 'memory' })
    assert.deepEqual(await values(bench), [2])
    send(peer, 'q', 'b', 3)
    await bench.idle()
    peer.consume('q', 2)
    await bench.idle()
    send(peer, 'q', 'b', 4, { durability: 'memory' })
    await bench.idle()
    assert.equal(bench.status('q').messages, 3)
    await bench.kill()
    assert.deepEqual(await values(bench), [3])
  })

  test('a key that is too long is refused, and nothing is stored', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    send(peer, 'q', 'é'.repeat(128), 1)
    send(peer, 'q', `${'é'.repeat(127)}e`, 2)
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()], ['message-invalid', 'accepted'])
    assert.deepEqual(await values(bench), [2])
  })

  test('expired and purged values are forgotten: what comes then replaces nothing', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peer = bench.connect()
    send(peer, 'q', 'a', 1, { expiry: bench.clock.wall() + 100 })
    send(peer, 'q', 'b', 2)
    await bench.advance(200)
    await bench.answer((done) => bench.broker.purgeQueue('q', done))
    for (const k of ['a', 'b']) send(peer, 'q', k, 3)
    await bench.idle()
    const { departed } = bench.status('q')
    assert.deepEqual([departed.expired, departed.purged, departed.replaced], [1, 1, 0])
    assert.deepEqual(await values(bench), [3, 3])
  })
})
