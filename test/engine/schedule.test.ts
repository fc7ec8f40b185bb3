import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { ScheduledPage } from '../../src/engine/api.ts'
import { HeldSyncs } from './held-syncs.ts'
import { cancel, ForgetfulStore, later, listAll, listed, schedulesOf } from './scheduled.ts'
import { Bench, numbered, textOf } from './support.ts'

const MINUTE = 60_000

suite('scheduled messages come when they are due (JMS 3.4.13, 7.9)', () => {
  test('never early, in the order of their times, and to browsers not before (JMS 4.1.6)', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'third', later(bench, 300))
    peer.send('q', 'first', later(bench, 100))
    peer.send('q', 'second', later(bench, 200))
    peer.send('q', 'at once')
    peer.consume('q')
    await bench.advance(99)
    assert.deepEqual(peer.takeTexts(), ['at once'])
    assert.deepEqual(await bench.texts('q'), ['at once'])
    const { messages, scheduled } = bench.status('q')
    assert.deepEqual([messages, scheduled], [1, 3])
    await bench.advance(1)
    assert.deepEqual(peer.takeTexts(), ['first'])
    await bench.advance(200)
    assert.deepEqual(peer.takeTexts(), ['second', 'third'])
    assert.equal(bench.status('q').scheduled, 0)
    assert.equal(bench.status('q').published, 4)
  })

  test('of the same time they come in the order of sending', async () => {
    const bench = await Bench.inMemory({ scheduledEntries: 8 })
    const peer = bench.connect()
    const texts = numbered('m', 50)
    for (const text of texts) peer.send('q', text, later(bench, 1_000))
    peer.consume('q')
    await bench.advance(1_000)
    assert.deepEqual(peer.takeTexts(), texts)
  })

  test('the wall clock jumps back: they wait until it says so', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    peer.send('q', 'm', later(bench, 1_000))
    peer.consume('q')
    await bench.idle()
    bench.clock.jumpWall(-500)
    await bench.advance(1_499)
    assert.deepEqual(peer.take(), [])
    await bench.advance(1)
    assert.deepEqual(peer.takeTexts(), ['m'])
  })

  test('the wall clock jumps ahead: what is due is found within a minute', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    peer.send('q', 'm', later(bench, 60 * MINUTE))
    peer.consume('q')
    await bench.idle()
    bench.clock.jumpWall(60 * MINUTE)
    await bench.advance(MINUTE)
    assert.deepEqual(peer.takeTexts(), ['m'])
  })

  test('what a store has in memory now it may not have when the next one has been read: all come, and all are listed', async () => {
    const bench = await Bench.on(({ clock }) => new ForgetfulStore(clock))
    const store = bench.store as ForgetfulStore
    bench.declare('q')
    const peer = bench.connect()
    const texts = numbered('m', 5)
    for (const text of texts) peer.send('q', text, later(bench, 1_000))
    await bench.idle()
    store.latest = 0
    assert.deepEqual(await listed(bench), texts)
    store.latest = 0
    await bench.advance(1_000)
    const { messages, departed, scheduled } = bench.status('q')
    assert.deepEqual([messages, departed.quarantined, scheduled], [5, 0, 0])
  })

  test('a time that has passed is now', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    peer.send('q', 'm', later(bench, -1))
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['m'])
  })

  test('a delayed message to a topic reaches the subscriptions that were there when it was sent, and still are', async () => {
    const bench = await Bench.onDisk()
    const bind = (queue: string): void => {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.topic', queue, key: 't' })
    }
    bind('stays')
    bind('goes')
    const peer = bench.connect()
    peer.publish('amq.topic', 't', 'm', later(bench, 1_000))
    await bench.idle()
    bind('comes')
    bench.broker.deleteQueue('goes', {}, () => {})
    await bench.advance(1_000)
    assert.deepEqual([await bench.texts('stays'), await bench.texts('comes')], [['m'], []])
    assert.equal(bench.store.status().liveBytes < 200, true, 'one message is left')
  })

  test('a time to live counts from the send: what would come too late expires', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    bench.declare('kept', { expired: 'late' })
    const peer = bench.connect()
    const expiry = bench.clock.wall() + 500
    for (const queue of ['q', 'kept']) {
      peer.send(queue, 'late', { ...later(bench, 1_000), expiry })
      peer.send(queue, 'in time', { ...later(bench, 400), expiry })
    }
    await bench.advance(450)
    assert.deepEqual(await bench.texts('q'), ['in time'])
    bench.clock.jumpWall(-100)
    await bench.advance(1_000)
    assert.deepEqual(await bench.texts('q'), [])
    assert.deepEqual([bench.status('q').departed.expired, bench.status('q').scheduled], [2, 0])
    assert.deepEqual((await bench.texts('late')).sort(), ['in time', 'late'])
  })

  test('what expires before it is due does not come early when the clock is set back while it is read', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    const expiry = bench.clock.wall() + 500
    bench.connect().send('q', 'm', { ...later(bench, 1_000), expiry })
    await bench.idle()
    await bench.restart()
    bench.disk.faults.delay = { min: 5, max: 5 }
    await bench.advance(501)
    bench.clock.jumpWall(-100)
    await bench.advance(50)
    const { departed, messages, scheduled } = bench.status('q')
    assert.deepEqual([departed.expired, messages, scheduled], [1, 0, 0])
  })

  test('what expires before it is due does not keep a queue busy in which somebody chooses', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    peer.consume('q', 10, { selector: 'a = 1' })
    const expiry = bench.clock.wall() + 50
    peer.send('q', '{}', { ...later(bench, 100), expiry, durability: 'memory' })
    await bench.advance(200)
    assert.equal(bench.status('q').departed.expired, 1)
  })

  test('what expires before it is due replaces no last value', async () => {
    for (const durability of ['disk', 'os', 'memory'] as const) {
      const bench = await Bench.onDisk()
      bench.declare('q', { lastValue: 'k' })
      const peer = bench.connect()
      const [older, newer] = [1, 2].map((v) => JSON.stringify({ k: 'a', v }))
      peer.send('q', older!)
      const expiry = bench.clock.wall() + 50
      peer.send('q', newer!, { ...later(bench, 100), expiry, durability })
      await bench.advance(200)
      const { departed, scheduled } = bench.status('q')
      assert.deepEqual([await bench.texts('q'), departed.expired, scheduled], [[older], 1, 0], durability)
    }
  })

  test('the time to live of a queue counts from the arrival', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ttl: 100 })
    const peer = bench.connect()
    peer.send('q', 'm', later(bench, 1_000))
    await bench.advance(1_050)
    assert.deepEqual(await bench.texts('q'), ['m'])
    await bench.advance(50)
    assert.deepEqual(await bench.texts('q'), [])
  })

  test('they are not stopped by the capacity of a queue; one that drops its oldest is trimmed', async () => {
    const bench = await Bench.inMemory()
    bench.declare('full', { maxMessages: 1 })
    bench.declare('newest', { maxMessages: 1, overflow: 'drop-oldest' })
    const peer = bench.connect()
    for (const queue of ['full', 'newest']) {
      peer.send(queue, 'now')
      peer.send(queue, 'later', later(bench, 100))
    }
    await bench.advance(100)
    assert.deepEqual(await bench.texts('full'), ['now', 'later'])
    assert.deepEqual(await bench.texts('newest'), ['later'])
    assert.deepEqual([...peer.outcomes.values()], Array(4).fill('accepted'))
  })

  test('a large body, priority, group and producer travel along; a resend is stored once', async () => {
    const bench = await Bench.onDisk({ chunkBytes: 1_000 })
    bench.declare('q')
    const peer = bench.connect()
    const { handle } = bench.broker.openProducer(peer.id, 'p')
    const more = { priority: 7, producer: handle, sequence: 1, group: 'g', ...later(bench, 100) }
    peer.send('q', 'x'.repeat(5_000), more)
    peer.send('q', 'x'.repeat(5_000), more)
    await bench.idle()
    await bench.crash()
    await bench.advance(100)
    const [message, ...rest] = await bench.browse('q')
    assert.deepEqual(
      [message?.priority, message?.size, message?.chunks.length, rest.length],
      [7, 5_000, 5, 0],
    )
    const bytes = await bench.answer<Uint8Array | null>((done) =>
      bench.broker.readChunk(message!.chunks[4]!, done),
    )
    assert.equal(Buffer.from(bytes!).toString(), 'x'.repeat(1_000))
  })

  test('what a sender of another program may ask for wrongly is refused, and nothing is stored', async () => {
    const bench = await Bench.inMemory({ maxRepeating: 1 })
    const peer = bench.connect()
    const wrong = [
      { due: Number.NaN },
      { due: -1 },
      { due: 8.64e15 + 1 },
      { repeat: { every: 0 } },
      { repeat: { every: 1.5 } },
      { repeat: { every: 100, times: 0 } },
      { repeat: { every: 100, until: 1 } },
      { repeat: { cron: '99 * * * *' } },
      { repeat: { cron: '* * * *' } },
      { repeat: { cron: '2020-01-01T00:00:00' } },
      { repeat: { cron: '0 0 30 2 *' } },
      { repeat: { cron: '* * * * *', timezone: 'Mars/Olympus' } },
    ]
    for (const more of wrong) peer.send('q', 'm', more)
    await bench.idle()
    assert.deepEqual(
      [...peer.outcomes.values()],
      wrong.map(() => 'schedule-invalid'),
    )
    const first = peer.send('q', 'm', { repeat: { every: MINUTE } })
    const second = peer.send('q', 'm', { repeat: { every: MINUTE } })
    await bench.idle()
    assert.deepEqual([peer.outcomes.get(first), peer.outcomes.get(second)], ['accepted', 'memory-full'])
  })
})

suite('scheduled messages can be listed and cancelled', () => {
  test('by queue, in the order in which they are due, in pages, from memory and from pages of the store', async () => {
    const bench = await Bench.inMemory({ scheduledEntries: 16 })
    const peer = bench.connect()
    const dues = numbered('', 100).map((_, i) => 1_000 + ((i * 37) % 100))
    for (const [i, due] of dues.entries())
      peer.send(i % 2 === 0 ? 'even' : 'odd', `${due}`, later(bench, due))
    await bench.idle()
    const sorted = dues.toSorted((a, b) => a - b).map(String)
    assert.deepEqual((await listAll(bench, undefined, 7)).map(textOf), sorted)
    const even = dues
      .filter((_, i) => i % 2 === 0)
      .toSorted((a, b) => a - b)
      .map(String)
    const list = await listAll(bench, 'even', 7)
    assert.deepEqual(list.map(textOf), even)
    assert.deepEqual(list[0]!.targets, ['even'])
    assert.equal(bench.status('even').scheduled, 50)
  })

  test('what is due is listed, and can be cancelled with all others, until it is in its queue', async () => {
    const bench = await Bench.onDisk()
    bench.connect().send('q', 'on disk', later(bench, 1_001))
    await bench.idle()
    await bench.restart()
    const peer = bench.connect()
    for (const text of ['in memory', 'in memory too']) peer.send('q', text, later(bench, 1_000))
    await bench.idle()
    bench.disk.faults.delay = { min: 5, max: 5 }
    bench.clock.jumpWall(10)
    await bench.advance(1_000)
    const page = await bench.answer<ScheduledPage>((done) => bench.broker.scheduled('q', '', 2, done))
    assert.deepEqual(page.messages.map(textOf), ['in memory', 'in memory too'])
    let count = 0
    bench.broker.cancelAllScheduled('q', (cancelled) => {
      count = cancelled
    })
    await bench.advance(50)
    assert.deepEqual([count, await bench.texts('q'), bench.status('q').scheduled], [3, [], 0])
  })

  test('a cancelled message never comes, wherever it was; a second time there is nothing to cancel', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 16 })
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    for (let i = 0; i < 100; i++) peer.send('q', `${i}`, later(bench, 1_000 + i))
    await bench.idle()
    const tags = [...numbers.keys()]
    const gone = tags.filter((_, i) => i % 3 === 0)
    for (const tag of gone) assert.equal(await cancel(bench, numbers.get(tag)!), true, `tag ${tag}`)
    for (const tag of gone) assert.equal(await cancel(bench, numbers.get(tag)!), false)
    assert.equal(await cancel(bench, 123_456), false)
    const left = numbered('', 100).filter((_, i) => i % 3 !== 0)
    assert.deepEqual(await listed(bench), left)
    assert.deepEqual([bench.status('q').scheduled, bench.status('q').departed.cancelled], [66, 34])
    await bench.crash()
    assert.deepEqual([bench.status('q').scheduled, bench.status('q').departed.cancelled], [66, 34])
    await bench.advance(2_000)
    assert.deepEqual(await bench.texts('q'), left)
    assert.equal(await cancel(bench, numbers.get(2)!), false, 'it was delivered')
    const { messages, published, departed } = bench.status('q')
    assert.equal(published, messages + departed.cancelled)
  })

  test('they are cancelled for good or not at all by one who asks while the broker closes', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 16 })
    bench.declare('q')
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    for (let i = 0; i < 100; i++) peer.send('q', `${i}`, later(bench, 1_000 + i))
    await bench.idle()
    await bench.restart()
    bench.disk.faults.delay = { min: 1, max: 1 }
    // What the last checkpoint waits for takes longer than reading what is to be cancelled.
    bench.connect().send('other', 'x')
    const cancelled: number[] = []
    for (const number of numbers.values())
      bench.broker.cancelScheduled(number, (was) => was && cancelled.push(number))
    await bench.restart()
    await bench.advance(2_000)
    assert.deepEqual([cancelled, bench.status('q').scheduled], [[], 0])
    assert.deepEqual(await bench.texts('q'), numbered('', 100))
  })

  for (const what of ['one', 'all of a queue'] as const) {
    test(`cancelled is said of ${what} when it is durable`, async () => {
      const syncs = new HeldSyncs()
      const bench = await syncs.bench()
      bench.declare('q')
      const peer = bench.connect()
      const numbers = schedulesOf(peer)
      const tag = peer.send('q', 'm', later(bench, 1_000))
      await bench.idle()
      syncs.isHolding = true
      const answers: (number | boolean)[] = []
      if (what === 'one') bench.broker.cancelScheduled(numbers.get(tag)!, (was) => answers.push(was))
      else bench.broker.cancelAllScheduled('q', (count) => answers.push(count))
      await bench.advance(100)
      assert.deepEqual(answers, [])
      syncs.release()
      await bench.idle()
      assert.deepEqual(answers.map(Number), [1])
    })
  }

  test('all of a queue are cancelled together; what others get too stays', async () => {
    const bench = await Bench.inMemory({ scheduledEntries: 16 })
    for (const queue of ['a', 'b']) {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    for (let i = 0; i < 50; i++) peer.send('a', `${i}`, later(bench, 1_000 + i))
    peer.publish('amq.fanout', '', 'both', later(bench, 1_000))
    peer.send('b', 'other', later(bench, 1_000))
    const count = await bench.answer<number>((done) => bench.broker.cancelAllScheduled('a', done))
    assert.equal(count, 50)
    await bench.advance(2_000)
    assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['both'], ['both', 'other']])
  })

  test('deleting a queue cancels what is scheduled for it alone, so that nothing keeps its room; purging does not', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 16 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 50; i++) peer.send('q', `${i}`, later(bench, 1_000 + i))
    await bench.idle()
    await bench.answer<number>((done) => bench.broker.purgeQueue('q', done))
    assert.equal(bench.status('q').scheduled, 50)
    assert.equal(await bench.answer<number>((done) => bench.broker.deleteQueue('q', {}, done)), 50)
    assert.deepEqual(await listed(bench), [])
    assert.equal(bench.store.status().liveBytes, 0)
    bench.declare('q')
    await bench.advance(2_000)
    assert.equal(bench.status('q').messages, 0)
  })

  test('a message that is due and one that is cancelled in the same moment is one or the other', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    for (let i = 0; i < 40; i++) peer.send('q', `${i}`, later(bench, 30 + i))
    await bench.idle()
    const cancelled: string[] = []
    for (const [tag, number] of numbers) {
      bench.broker.cancelScheduled(number, (was) => was && cancelled.push(`${tag - 1}`))
      await bench.advance(3)
    }
    await bench.advance(1_000)
    const delivered = await bench.texts('q')
    assert.ok(cancelled.length > 0 && delivered.length > 0)
    assert.deepEqual(
      [...cancelled, ...delivered].map(Number).sort((a, b) => a - b),
      numbered('', 40).map(Number),
    )
  })

  test('why: a scheduled message is found with its queues and its time', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    const { due } = later(bench, 1_000)
    peer.send('q', 'm', { due })
    await bench.idle()
    const [location, ...rest] = await bench.locate(numbers.get(1)!)
    assert.deepEqual(
      [location?.queue, location?.state, location?.due, rest.length],
      ['q', 'scheduled', due, 0],
    )
    await cancel(bench, numbers.get(1)!)
    assert.deepEqual(await bench.locate(numbers.get(1)!), [])
  })
})

suite('scheduled messages survive what other messages survive', () => {
  for (const [name, level] of [
    ['disk', 'disk'],
    ['os', 'os'],
  ] as const) {
    test(`level ${name}: a killed broker delivers them afterwards, also from a checkpoint, and none twice`, async () => {
      const bench = await Bench.onDisk({ scheduledEntries: 16 })
      bench.declare('q')
      const peer = bench.connect()
      const texts = numbered('m', 100)
      for (const [i, text] of texts.entries())
        peer.send('q', text, { ...later(bench, 1_000 + i), durability: level })
      await bench.idle()
      await bench.kill()
      await bench.advance(1_020)
      const before = await bench.texts('q')
      assert.ok(before.length > 0 && before.length < 100)
      // In good order: everything comes from the checkpoint.
      await bench.restart()
      await bench.advance(20)
      await bench.kill()
      assert.equal(bench.status('q').messages + bench.status('q').scheduled, 100)
      await bench.advance(1_000)
      assert.deepEqual(await bench.texts('q'), texts)
      assert.equal(bench.status('q').scheduled, 0)
    })
  }

  test('level memory: they come when due, count against their bound, and end with the process', async () => {
    const bench = await Bench.onDisk({ memoryBytes: 1_000 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 3; i++) {
      peer.send('q', 'x'.repeat(400), { ...later(bench, 100 + i * 1_000), durability: 'memory' })
    }
    await bench.advance(100)
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'memory-full'])
    assert.deepEqual([bench.status('q').messages, bench.status('q').scheduled], [1, 1])
    await bench.restart()
    assert.deepEqual([bench.status('q').messages, bench.status('q').scheduled], [0, 0])
    await bench.advance(5_000)
    assert.equal(bench.status('q').messages, 0)
  })

  test('what came due while the broker was down comes when it is up', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    peer.send('q', 'm', later(bench, 100))
    await bench.idle()
    bench.clock.jumpWall(MINUTE)
    await bench.crash()
    assert.deepEqual(await bench.texts('q'), ['m'])
  })

  test('a deduplication id counts from the send', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', { deduplication: { window: MINUTE, count: 100 } })
    const peer = bench.connect()
    peer.send('q', 'later', { ...later(bench, 1_000), deduplicationId: 'x' })
    await bench.idle()
    await bench.crash()
    bench.connect().send('q', 'again', { deduplicationId: 'x' })
    await bench.advance(1_000)
    assert.deepEqual(await bench.texts('q'), ['later'])
  })
})
