import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { FILE_HEADER, FRAME_HEADER, FrameHeader, readFrameHeader } from '../../src/storage/format.ts'
import { ReplayableStore } from './replayable-store.ts'
import { Bench, failed, numbered, refuses, rejected, textOf } from './support.ts'

suite('promise 5: a damaged declaration takes no messages with it', () => {
  const segment = 'journal/0000000001.segment'

  function endOfFrames(content: Buffer): number {
    const header = new FrameHeader()
    let at = FILE_HEADER
    while (readFrameHeader(content, at, header)) at += header.span
    return at
  }

  /** Changes a bit of what is written next, when it is written; to be called when everything is durable. */
  function damagesNext(bench: Bench): () => void {
    const at = endOfFrames(bench.disk.content(segment))
    return () => {
      const content = bench.disk.content(segment)
      content[at + FRAME_HEADER + 4]! ^= 1
      bench.disk.place(segment, content)
    }
  }

  /** What `declare` declares is damaged, and what comes after it in `work` is not. */
  async function damaged(
    declare: (bench: Bench) => void,
    work: (bench: Bench) => Promise<void> | void,
  ): Promise<Bench> {
    const bench = await Bench.onDisk()
    bench.declare('other')
    await bench.idle()
    const damage = damagesNext(bench)
    declare(bench)
    await bench.idle()
    await work(bench)
    await bench.idle()
    damage()
    await bench.kill()
    assert.equal(bench.found.quarantined.length, 1)
    return bench
  }

  /** Two consumed, one failed once, one moved on as a dead letter. */
  async function used(bench: Bench): Promise<void> {
    const peer = bench.connect()
    for (const text of numbered('m', 8)) peer.send('q', text, { priority: text === 'm7' ? 9 : 4 })
    await bench.idle()
    const outcomes = { m0: { outcome: 'accepted' }, m3: { outcome: 'accepted' }, m2: failed } as const
    peer.onDelivery = (delivery) => {
      const settlement = outcomes[delivery.text as keyof typeof outcomes]
      if (settlement !== undefined) peer.settle(delivery, settlement)
    }
    peer.consume('q')
  }

  const left = ['m7', 'm1', 'm2', 'm4', 'm5', 'm6']
  const name = 'millrace.recovered.3'

  test('its messages are in a queue of its id, with what has become of them, after every start', async () => {
    const bench = await damaged((one) => one.declare('q'), used)
    assert.deepEqual(bench.found.recoveredQueues, [{ name, messages: 6 }])
    assert.equal(bench.broker.queue('q'), undefined)
    for (const again of ['killed', 'killed', 'checkpoint', 'killed']) {
      assert.deepEqual(await bench.texts(name), left)
      const waiting = (await bench.browse(name)).filter(({ state }) => state === 'waiting')
      assert.deepEqual(waiting.map(textOf), ['m2'])
      const { departed, published, definition } = bench.status(name)
      assert.deepEqual([published, departed.accepted, departed.quarantined], [8, 2, 0])
      assert.deepEqual(definition.lifetime, { kind: 'forever' })
      assert.equal(definition.policy.deadLetter, undefined)
      await (again === 'killed' ? bench.kill() : bench.restart())
      assert.deepEqual(bench.found.recoveredQueues, [], 'said once')
    }
  })

  test('what is declared afterwards has another id, and nothing of its messages, from the journal and from a checkpoint', async () => {
    const bench = await damaged((one) => one.declare('q'), used)
    bench.declare('q')
    bench.declare('later')
    const peer = bench.connect()
    peer.send('q', 'new')
    peer.send('later', 'newer')
    await bench.idle()
    for (const way of ['kill', 'restart', 'kill'] as const) {
      assert.deepEqual(await bench.texts('q'), ['new'])
      assert.deepEqual(await bench.texts('later'), ['newer'])
      assert.deepEqual(await bench.texts(name), left)
      await bench[way]()
    }
    refuses(() => bench.declare('millrace.recovered.9'), 'destination-invalid')
    const other = bench.connect()
    const tag = other.send('millrace.recovered.9', 'm')
    await bench.idle()
    assert.equal(other.outcomes.get(tag), 'destination-invalid')
  })

  test('they are moved and consumed, and the queue is deleted, as any other', async () => {
    const bench = await damaged((one) => one.declare('q'), used)
    bench.declare('q')
    const moved = await bench.answer<number>((done) =>
      bench.broker.moveMessages(name, 'q', { limit: 4 }, done),
    )
    assert.equal(moved, 4)
    const peer = bench.connect()
    peer.consume(name, 1)
    await bench.idle()
    peer.settleAll(peer.take())
    await bench.idle()
    await bench.kill()
    const rest = [...(await bench.texts('q')), ...(await bench.texts(name))]
    assert.equal(rest.length, 5)
    await bench.answer<number>((done) => bench.broker.deleteQueue(name, {}, done))
    for (const way of ['kill', 'restart', 'kill'] as const) {
      await bench[way]()
      assert.deepEqual(
        bench.broker.queues().map(({ definition }) => definition.name),
        ['other', 'q'],
      )
      assert.equal(bench.status('q').messages, 4)
      assert.deepEqual(bench.found.recoveredQueues, [])
    }
  })

  test('a queue of which nothing was left is not there, and one that was being deleted neither', async () => {
    const bench = await damaged(
      (one) => {
        one.declare('q')
        one.declare('deleted')
      },
      async (one) => {
        const peer = one.connect()
        for (const text of ['a', 'b']) peer.send('q', text)
        for (const text of ['c', 'd']) peer.send('deleted', text)
        await one.idle()
        peer.onDelivery = (delivery) => void peer.settle(delivery)
        peer.consume('q')
        await one.idle()
        one.broker.deleteQueue('deleted', {}, () => {})
      },
    )
    for (const way of ['kill', 'restart', 'kill'] as const) {
      assert.deepEqual(bench.found.recoveredQueues, [])
      assert.deepEqual(
        bench.broker.queues().map(({ definition }) => definition.name),
        ['other'],
      )
      await bench[way]()
    }
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('dead letters, whose queue is one like others', async () => {
    const bench = await damaged(
      (one) => one.declare('other.dlq'),
      async (one) => {
        const peer = one.connect()
        for (const text of ['y', 'z']) peer.send('other', text)
        peer.onDelivery = (delivery) => void peer.settle(delivery, rejected)
        peer.consume('other')
        await one.idle()
      },
    )
    assert.deepEqual((await bench.texts(name)).toSorted(), ['y', 'z'])
  })

  test('what transactions, half messages and the schedule hold for it comes there when it is decided, or due', async () => {
    const bench = await damaged(
      (one) => one.declare('q'),
      async (one) => {
        const peer = one.connect()
        const [committed, open] = [peer.begin(), peer.begin()]
        peer.send('q', 'committed', { transaction: committed })
        peer.send('q', 'open', { transaction: open })
        peer.send('q', 'half', { prepare: { group: 'group' } })
        peer.send('q', 'due', { due: one.clock.wall() + 10_000 })
        await one.idle()
        assert.equal(await one.commit(committed), undefined)
      },
    )
    // There is no checkpoint: what of a transaction is not rolled back for certain is kept.
    assert.deepEqual(await bench.texts(name), ['committed', 'open'])
    assert.deepEqual([bench.status(name).pending, bench.status(name).scheduled], [1, 1])
    assert.deepEqual(bench.found.recoveredQueues, [{ name, messages: 2 }])
    const [half] = bench.broker.prepared()
    assert.equal(await bench.decide(half!.id, 'commit'), undefined)
    await bench.kill()
    await bench.advance(10_000)
    for (const way of ['kill', 'restart', 'kill'] as const) {
      assert.deepEqual((await bench.texts(name)).toSorted(), ['committed', 'due', 'half', 'open'])
      assert.deepEqual([bench.status(name).pending, bench.status(name).scheduled], [0, 0])
      await bench[way]()
    }
  })

  test('one for which something is scheduled and nothing is there yet', async () => {
    const bench = await damaged(
      (one) => one.declare('q'),
      (one) => void one.connect().send('q', 'due', { due: one.clock.wall() + 10_000 }),
    )
    assert.deepEqual(bench.found.recoveredQueues, [{ name, messages: 0 }])
    for (const way of ['kill', 'restart', 'kill'] as const) {
      assert.equal(bench.status(name).scheduled, 1)
      await bench[way]()
    }
    await bench.advance(10_000)
    assert.deepEqual(await bench.texts(name), ['due'])
  })

  test('a queue that went while the checkpoint was taken does not come back', async () => {
    let store: ReplayableStore | undefined
    const bench = await Bench.on(({ clock }) => {
      store ??= new ReplayableStore(clock)
      return store
    })
    bench.declare('q')
    bench.connect().send('q', 'before')
    await bench.idle()
    store!.takeSection()
    bench.connect().send('q', 'between')
    await bench.idle()
    bench.broker.deleteQueue('q', {}, () => {})
    await bench.idle()
    store!.takeCheckpoint()
    await bench.reopen()
    assert.deepEqual(bench.broker.queues(), [])
    assert.deepEqual(bench.found.recoveredQueues, [])
  })
})
