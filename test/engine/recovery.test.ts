import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Journal } from '../../src/storage/journal.ts'
import { withoutPages } from '../storage/support.ts'
import { replayable } from './replayable-store.ts'
import { Bench, failed, numbered, rejected, smallJournal, steadyBackoff } from './support.ts'

const ways = ['crash', 'restart', 'crash after a checkpoint'] as const

/** The broker is opened again: from the journal alone, from a checkpoint alone, or from both. */
async function again(bench: Bench, way: (typeof ways)[number], late: () => void): Promise<void> {
  if (way === 'crash after a checkpoint') await bench.restart()
  late()
  await bench.advance(50)
  await (way === 'restart' ? bench.restart() : bench.crash())
}

suite('what the broker knows survives, from the journal, from a checkpoint, and from both (DESIGN §6)', () => {
  for (const way of ways) {
    test(`topology: queues with their policies, exchanges, bindings; ${way}`, async () => {
      const bench = await Bench.onDisk()
      const { broker } = bench
      bench.declare('q', { maxMessages: 7, overflow: 'reject' })
      bench.declare('gone')
      broker.declareExchange({ name: 'x', kind: 'headers', alternate: 'amq.fanout' })
      broker.declareExchange({ name: 'gone', kind: 'topic' })
      const headers = { match: 'any', values: { colour: 'red' } } as const
      broker.bind({ exchange: 'x', queue: 'q', key: '', headers })
      broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'a/#', syntax: 'slashed', noLocal: 'me' })
      broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'unbound' })
      const expected = (): unknown => ({
        queues: bench.broker.queues().map(({ definition }) => definition),
        exchanges: bench.broker.exchanges(),
        bindings: bench.broker.bindings(),
      })
      let before: unknown
      await again(bench, way, () => {
        bench.broker.deleteQueue('gone', {}, () => {})
        bench.broker.deleteExchange('gone')
        bench.broker.unbind({ exchange: 'amq.topic', queue: 'q', key: 'unbound' })
        before = expected()
      })
      assert.deepEqual(JSON.parse(JSON.stringify(expected())), JSON.parse(JSON.stringify(before)))
      const peer = bench.connect()
      peer.publish('x', '', JSON.stringify({ colour: 'red' }))
      peer.publish('amq.topic', 'a/b', 'topic', { syntax: 'slashed' })
      await bench.idle()
      assert.equal(bench.status('q').messages, 2, 'and it routes')
    })

    test(`messages: order, priority, expiry, failures, due time, dead letters; ${way}`, async () => {
      const bench = await Bench.onDisk()
      bench.declare('q', { backoff: { ...steadyBackoff, delay: 1_000, maxDelay: 5_000 } })
      const peer = bench.connect()
      for (const text of ['fails', 'twice', 'rejected', 'accepted', 'stays']) peer.send('q', text)
      peer.send('q', 'urgent', { priority: 9 })
      await bench.idle()
      const wall = bench.clock.wall()
      peer.send('q', 'expires', { expiry: wall + 60_000 })
      const outcomes = { fails: failed, twice: failed, rejected, accepted: { outcome: 'accepted' } } as const
      peer.onDelivery = (delivery) => {
        const settlement = outcomes[delivery.text as keyof typeof outcomes]
        if (settlement !== undefined) peer.settle(delivery, settlement)
      }
      peer.consume('q', 5)
      await bench.advance(10)
      await again(bench, way, () => {})
      const waiting = (await bench.browse('q')).filter(({ state }) => state === 'waiting')
      for (const { lsn } of waiting) {
        const [location] = await bench.locate(lsn)
        assert.deepEqual([location!.failures, location!.due], [1, wall + 1_000])
      }
      assert.deepEqual(await bench.texts('q'), ['urgent', 'fails', 'twice', 'stays', 'expires'])
      assert.deepEqual([bench.status('q').waiting, bench.status('q').ready], [2, 3])
      assert.deepEqual(await bench.texts('q.dlq'), ['rejected'])
      const after = bench.connect()
      after.consume('q')
      await bench.advance(wall + 999 - bench.clock.wall())
      assert.deepEqual(after.takeTexts(), ['urgent', 'stays', 'expires'])
      await bench.advance(1)
      assert.deepEqual(
        after.take().map(({ text, deliveryCount }) => [text, deliveryCount]),
        [
          ['fails', 2],
          ['twice', 2],
        ],
      )
    })

    test(`settled messages do not come back, in any order of settling; ${way}`, async () => {
      const bench = await Bench.onDisk()
      const peer = bench.connect()
      for (const text of numbered('', 200)) peer.send('q', text)
      await bench.idle()
      peer.consume('q')
      await bench.idle()
      const deliveries = peer.take()
      for (let i = 0; i < 200; i += 3) peer.settle(deliveries[(i * 7) % 200]!)
      const left = numbered('', 200).filter((_, i) => !settledBefore(i))
      await bench.idle()
      await again(bench, way, () => {})
      assert.deepEqual(await bench.texts('q'), left)
    })
  }

  test('a deep queue with paged chunks comes back without its messages being read, and is drained in order', async () => {
    const bench = await Bench.onDisk(
      { residentEntries: 1 },
      { checkpointBytes: 256 * 1024, segmentBytes: 256 * 1024 },
    )
    const peer = bench.connect()
    for (let i = 0; i < 8_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.advance(5_000)
    await bench.restart()
    const after = bench.connect()
    const firsts: string[] = []
    after.onDelivery = (delivery) => {
      firsts.push(delivery.text)
      if (delivery.tag <= 4_000) after.settle(delivery)
    }
    after.consume('q', 5_000)
    await bench.advance(100)
    assert.deepEqual(firsts, numbered('', 5_000))
    await bench.crash()
    assert.equal(bench.status('q').messages, 4_000)
    const last = bench.connect()
    last.consume('q', 10_000)
    await bench.advance(100)
    assert.deepEqual(last.takeTexts(), numbered('', 8_000).slice(4_000))
  })

  test('what was drained since the checkpoint is known to be gone without its pages being read', async () => {
    const bench = await Bench.onDisk(
      { residentEntries: 1 },
      { checkpointBytes: 2 ** 24, segmentBytes: 2 ** 22, cacheBytes: 2 ** 20 },
    )
    const peer = bench.connect()
    for (let i = 0; i < 12_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.restart()
    const consumer = bench.connect()
    consumer.onDelivery = (delivery) => void consumer.settle(delivery)
    consumer.consume('q', 10_000)
    await bench.advance(100)
    let reads = 0
    bench.disk.observer = (operation, path) => {
      if (operation === 'read' && path === 'pages') reads++
    }
    await bench.crash()
    assert.equal(bench.status('q').messages, 2_000)
    assert.equal(bench.status('q').departed.accepted, 10_000)
    assert.ok(reads <= 2, `${reads} pages were read`)
    assert.deepEqual(await bench.texts('q'), numbered('', 12_000).slice(10_000))
  })

  test('a deletion that was under way is finished', async () => {
    for (const fromCheckpoint of [false, true]) {
      const { bench, store } = await replayable({ residentEntries: 1 })
      const peer = bench.connect()
      for (let i = 0; i < 5_000; i++) {
        peer.send('q', 'm')
        if (i % 500 === 0) await bench.idle()
      }
      await bench.idle()
      let isDone = false
      bench.broker.deleteQueue('q', {}, () => {
        isDone = true
      })
      while (bench.clock.step() && bench.store.status().liveBytes > 50_000);
      assert.equal(isDone, false, 'it is under way')
      if (fromCheckpoint) store.takeCheckpoint()
      await bench.reopen()
      assert.equal(bench.broker.queue('q'), undefined)
      assert.equal(bench.store.status().liveBytes, 0)
      await bench.reopen()
      assert.deepEqual(bench.broker.queues(), [])
    }
  })

  test('messages of level memory are gone, and hide nothing around them', async () => {
    const { bench, store } = await replayable({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    for (const [durability, count] of [
      ['disk', 1_024],
      ['memory', 1_024],
      ['disk', 10],
    ] as const) {
      for (let i = 0; i < count; i++) peer.send('q', `${durability} ${i}`, { durability })
      await bench.idle()
    }
    // One that is held keeps the chunk in memory, so that the checkpoint has its entries and not a page.
    peer.consume('q', 2_048)
    await bench.idle()
    store.takeCheckpoint()
    peer.settle(peer.received[5]!)
    await bench.idle()
    await bench.reopen()
    const texts = await bench.texts('q')
    assert.deepEqual([texts.length, bench.status('q').messages], [1_033, 1_033])
    assert.deepEqual(texts.slice(4, 6), ['disk 4', 'disk 6'], 'what was settled stays settled')
  })
})

suite('between the sections of a checkpoint the engine goes on', () => {
  test('a name that passed to a new queue leads to the new one, with its own bindings', async () => {
    const { bench, store } = await replayable({ residentEntries: 1 })
    bench.declare('other')
    const remake = (key: string): void => {
      if (bench.broker.queue('q') !== undefined) bench.broker.deleteQueue('q', {}, () => {})
      bench.declare('q')
      bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key })
    }
    store.takeSection()
    remake('first')
    await bench.idle()
    remake('second')
    bench.connect().send('q', 'm')
    await bench.idle()
    store.takeCheckpoint()
    await bench.reopen()
    assert.deepEqual(await bench.texts('q'), ['m'])
    assert.deepEqual(
      bench.broker.bindings().map(({ key }) => key),
      ['second'],
    )
  })

  test('an exchange that was made anew keeps the bindings made to it', async () => {
    const { bench, store } = await replayable({ residentEntries: 1 })
    bench.declare('q')
    bench.broker.declareExchange({ name: 'x', kind: 'direct' })
    await bench.idle()
    store.takeSection()
    bench.broker.deleteExchange('x')
    bench.broker.declareExchange({ name: 'x', kind: 'fanout' })
    bench.broker.bind({ exchange: 'x', queue: 'q', key: '' })
    await bench.idle()
    store.takeCheckpoint()
    await bench.reopen()
    bench.connect().publish('x', 'anything', 'm')
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['m'])
  })
})

test('a start under which the device of the page file dies is refused, and all is closed', async () => {
  let isBroken = false
  const bench = await Bench.on(
    ({ disk, clock }) => {
      const whole = disk.mount()
      const mount = isBroken ? withoutPages(whole, clock, 'open') : whole
      return new Journal({ disk: mount, clock, options: smallJournal })
    },
    { residentEntries: 1 },
  )
  bench.declare('q')
  const peer = bench.connect()
  for (let i = 0; i < 5; i++) {
    for (const text of numbered('m', 1_000)) peer.send('q', text)
    await bench.idle()
  }
  await bench.restart()
  const other = bench.connect()
  other.consume('q', 3_000)
  await bench.idle()
  other.settleAll(other.take().slice(2_500, 2_510))
  await bench.idle()
  isBroken = true
  // What was accepted lies in a page of the checkpoint.
  await assert.rejects(bench.crash(), { code: 'journal-failed' })
  const { broker } = bench
  assert.throws(() => broker.connect(peer), { code: 'journal-failed' })
  isBroken = false
  await bench.crash()
  assert.equal(bench.status('q').messages, 4_990)
})

function settledBefore(index: number): boolean {
  for (let i = 0; i < 200; i += 3) if ((i * 7) % 200 === index) return true
  return false
}
