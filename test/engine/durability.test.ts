import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import { HeldSyncs } from './held-syncs.ts'
import { Bench, refuses } from './support.ts'

suite('durability is asked for per send; accepted means at least that was reached (DESIGN §4)', () => {
  test('promise 1: disk is confirmed and visible only after the sync, os after the write, memory at once', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    for (const queue of ['disk', 'os', 'memory']) bench.declare(queue)
    await bench.idle()
    syncs.isHolding = true
    const peer = bench.connect()
    for (const durability of ['disk', 'os', 'memory'] as const) {
      peer.send(durability, durability, { durability })
      peer.consume(durability)
    }
    await bench.advance(100)
    assert.deepEqual(peer.takeTexts().sort(), ['memory', 'os'])
    assert.deepEqual(
      [...peer.outcomes.keys()].sort((a, b) => a - b),
      [2, 3],
    )
    syncs.release()
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['disk'])
    assert.equal(peer.outcomes.get(1), 'accepted')
  })

  test('level memory: who sends as fast as confirms come does not outrun who receives, and all are answered', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const consumer = peer.consume('q', 100_000)
    peer.onDelivery = ({ tag }) => peer.settle({ consumer, tag })
    const [all, inFlight] = [20_000, 2_000]
    let sent = 0
    let deepest = 0
    peer.onPublished = () => {
      deepest = Math.max(deepest, bench.status('q').messages)
      while (sent < all && sent - peer.outcomes.size < inFlight) {
        peer.send('q', 'm', { durability: 'memory' })
        sent++
      }
    }
    peer.onPublished()
    await bench.idle()
    assert.deepEqual([peer.outcomes.size, bench.status('q').delivered], [all, all])
    assert.ok(deepest <= 2 * inFlight, `${deepest} messages waited`)
  })

  test('level memory: the journal fails, and what is kept is confirmed all the same', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 20_000; i++) peer.send('q', 'm', { durability: 'memory' })
    peer.send('q', 'm')
    bench.disk.faults.syncError = 1
    const told: number[] = []
    peer.failed = () => told.push(peer.outcomes.size)
    await bench.idle()
    assert.deepEqual(told, [20_000])
    assert.deepEqual(new Set(peer.outcomes.values()), new Set(['accepted']))
  })

  test('the journal fails: what is durable by then is confirmed before anybody hears of it, however much that is', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    await bench.idle()
    const peer = bench.connect()
    const told: number[] = []
    peer.failed = () => told.push(peer.outcomes.size)
    syncs.isHolding = true
    const durable = 5_000
    for (let i = 0; i < durable; i++) peer.send('q', 'm')
    await bench.idle()
    for (let i = 0; i < 10; i++) peer.send('q', 'too late')
    await bench.idle()
    assert.equal(peer.outcomes.size, 0)
    // The sync that comes next, while the confirms are still being given.
    peer.onPublished = () => {
      bench.disk.faults.syncError = 1
    }
    syncs.release()
    await bench.idle()
    assert.deepEqual([told, peer.outcomes.size], [[durable], durable])
    assert.deepEqual(new Set(peer.outcomes.values()), new Set(['accepted']))
    refuses(() => bench.connect(), 'journal-failed')
    bench.disk.faults.syncError = 0
    await bench.kill()
    assert.ok(bench.status('q').messages >= durable)
  })

  test('topology is durable when whoever asks is told so: after the sync, with the failure of the journal, or at the close', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const told: (string | undefined)[] = []
    const ask = (): void => bench.broker.whenDurable((error) => told.push(error?.code))
    bench.declare('first')
    await bench.idle()
    ask()
    assert.deepEqual(told, [], 'never in the call that asks')
    await bench.idle()
    assert.deepEqual(told.splice(0), [undefined])
    syncs.isHolding = true
    bench.declare('second')
    ask()
    await bench.advance(100)
    assert.deepEqual(told, [])
    syncs.release()
    await bench.idle()
    assert.deepEqual(told.splice(0), [undefined])
    bench.declare('third')
    ask()
    await bench.restart()
    assert.deepEqual(told.splice(0), [undefined])
    bench.disk.faults.syncError = 1
    bench.declare('fourth')
    ask()
    await bench.idle()
    assert.deepEqual(told, ['journal-failed'])
  })

  test('a settlement request is answered when the settlement is on disk', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const peer = bench.connect()
    peer.send('q', 'm')
    await bench.idle()
    peer.consume('q')
    await bench.idle()
    syncs.isHolding = true
    peer.settle(peer.takeOne(), { outcome: 'accepted' }, 77)
    await bench.advance(100)
    assert.deepEqual(peer.requests, [])
    syncs.release()
    await bench.idle()
    assert.deepEqual(peer.requests, [77])
  })

  test('a rejection is answered when the dead letter is on disk, also when its message has to be read first', async () => {
    let isCold = false
    const bench = await Bench.on(({ clock }) => {
      const store = new MemoryStore(clock)
      const read = store.read.bind(store)
      store.read = (queue, lsn, into) => !isCold && read(queue, lsn, into)
      store.load = (_queue, _lsns, done) => {
        clock.after(5, () => {
          isCold = false
          done([])
        })
      }
      return store
    })
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    const delivery = peer.takeOne()
    isCold = true
    let deadLetters: number | undefined
    const told = peer.settled.bind(peer)
    peer.settled = (requests) => {
      deadLetters = bench.status('q').departed['dead-lettered']
      told(requests)
    }
    peer.settle(delivery, { outcome: 'rejected' }, 78)
    await bench.advance(100)
    assert.deepEqual([peer.requests, deadLetters], [[78], 1])
  })

  test('a settlement of nothing is answered all the same', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const consumer = peer.consume('q')
    await bench.idle()
    assert.equal(bench.broker.settle(consumer, 1, 9, { outcome: 'accepted' }, 5), 0)
    await bench.idle()
    assert.deepEqual(peer.requests, [5])
  })

  test('disk survives a power cut, os a kill, memory neither', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const levels = ['disk', 'os', 'memory'] as const
    const peer = bench.connect()
    for (const durability of levels) peer.send('q', durability, { durability })
    await bench.idle()
    syncs.isHolding = true
    peer.send('q', 'late os', { durability: 'os' })
    await bench.advance(10)
    assert.equal(peer.outcomes.get(4), 'accepted')
    syncs.isHolding = false
    await bench.kill()
    assert.deepEqual(await bench.texts('q'), ['disk', 'os', 'late os'])
    await bench.crash()
    assert.ok((await bench.texts('q')).includes('disk'))
  })

  test('memory is bounded, never reaches the store, and gives its room back', async () => {
    const bench = await Bench.inMemory({ memoryBytes: 1_000 })
    const peer = bench.connect()
    for (let i = 0; i < 10; i++) peer.send('q', 'x'.repeat(200), { durability: 'memory' })
    await bench.idle()
    const accepted = [...peer.outcomes.values()].filter((outcome) => outcome === 'accepted').length
    assert.deepEqual([accepted, peer.outcomes.get(10)], [4, 'memory-full'])
    assert.equal(bench.store.status().liveBytes, 0)
    peer.onDelivery = (delivery) => {
      assert.equal(delivery.durable, false)
      peer.settle(delivery)
    }
    peer.consume('q')
    await bench.idle()
    const again = peer.send('q', 'x'.repeat(200), { durability: 'memory' })
    await bench.idle()
    assert.equal(peer.outcomes.get(again), 'accepted')
  })

  test('under fan-out a memory message lives until the last of its queues has let it go; rejected it stays in memory', async () => {
    const bench = await Bench.inMemory({ memoryBytes: 300 })
    for (const queue of ['a', 'b']) {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    const publish = (): number => peer.publish('amq.fanout', '', 'x'.repeat(200), { durability: 'memory' })
    publish()
    peer.consume('a', 1)
    await bench.idle()
    peer.settle(peer.takeOne())
    const refused = publish()
    await bench.idle()
    assert.equal(peer.outcomes.get(refused), 'memory-full')
    const inB = peer.consume('b', 1)
    await bench.idle()
    peer.settle(peer.takeOne())
    bench.broker.cancel(inB, { release: true })
    const accepted = publish()
    await bench.idle()
    assert.equal(peer.outcomes.get(accepted), 'accepted')
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('a queue’s durability is a ceiling: a message for volatile queues only is kept in memory', async () => {
    const bench = await Bench.onDisk()
    bench.broker.declareQueue({ name: 'volatile', durability: 'memory' })
    bench.declare('durable')
    for (const queue of ['volatile', 'durable']) {
      bench.broker.bind({ exchange: 'amq.topic', queue, key: `${queue}.#` })
      bench.broker.bind({ exchange: 'amq.topic', queue, key: 'both' })
    }
    const peer = bench.connect()
    peer.publish('amq.topic', 'volatile.a', 'only volatile')
    peer.publish('amq.topic', 'both', 'both')
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted'])
    await bench.crash()
    assert.deepEqual([await bench.texts('volatile'), await bench.texts('durable')], [['both'], ['both']])
  })

  test('promise 6: a full disk refuses publishes and says so; consuming goes on and makes room', async () => {
    const bench = await Bench.onDisk(
      {},
      { segmentBytes: 64 * 1024, reserveBytes: 64 * 1024, cacheBytes: 16 * 1024 },
    )
    const peer = bench.connect()
    const size = 8 * 1024
    for (let i = 0; i < 40; i++) peer.send('q', 'x'.repeat(size))
    await bench.advance(100)
    bench.disk.faults.capacity = bench.disk.used() + 20 * 1024
    let refused = 0
    for (let i = 0; i < 40 && refused === 0; i++) {
      const tag = peer.send('q', 'x'.repeat(size))
      await bench.advance(2_000)
      if (peer.outcomes.get(tag) === 'disk-full') refused = tag
    }
    assert.ok(refused > 0)
    assert.ok(peer.notices.includes('blocked by : disk-full'))
    const inMemory = peer.send('q', 'small', { durability: 'memory' })
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q')
    await bench.advance(60_000)
    assert.equal(peer.outcomes.get(inMemory), 'accepted')
    assert.equal(bench.status('q').messages, 0)
    assert.ok(peer.notices.includes('unblocked by '))
    const again = peer.send('q', 'm')
    await bench.advance(100)
    assert.equal(peer.outcomes.get(again), 'accepted')
  })

  test('promise 5: after a failed sync nothing more is confirmed, and everybody is told once', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    peer.send('q', 'before')
    await bench.idle()
    bench.disk.faults.syncError = 1
    const lost = peer.send('q', 'lost')
    await bench.advance(1_000)
    assert.equal(peer.outcomes.get(lost), undefined)
    assert.deepEqual(peer.notices, ['failed: journal-failed'])
    const after = peer.send.bind(peer, 'q', 'after')
    assert.throws(after, { code: 'journal-failed' })
    bench.disk.faults.syncError = 0
    await bench.crash()
    assert.equal((await bench.texts('q'))[0], 'before')
  })
})
