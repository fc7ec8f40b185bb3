import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { HeldSyncs } from './held-syncs.ts'
import { Bench } from './support.ts'

suite('identity: a resend of (producer, sequence) is stored once (DESIGN §3)', () => {
  test('also from another connection, and both are confirmed', async () => {
    const bench = await Bench.inMemory()
    const [one, two] = [bench.connect(), bench.connect()]
    const { handle, lastSequence } = bench.broker.openProducer(one.id, 'p')
    assert.equal(lastSequence, 0)
    const first = one.send('q', 'm', { producer: handle, sequence: 1 })
    await bench.idle()
    const again = bench.broker.openProducer(two.id, 'p')
    assert.deepEqual(again, { handle, lastSequence: 1 })
    const second = two.send('q', 'm', { producer: handle, sequence: 1 })
    const third = two.send('q', 'n', { producer: handle, sequence: 2 })
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['m', 'n'])
    assert.deepEqual(
      [one.outcomes.get(first), two.outcomes.get(second), two.outcomes.get(third)],
      ['accepted', 'accepted', 'accepted'],
    )
  })

  test('promise 1: the resend is confirmed only when the original is durable', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    const peer = bench.connect()
    const { handle } = bench.broker.openProducer(peer.id, 'p')
    bench.declare('q')
    await bench.idle()
    syncs.isHolding = true
    for (let i = 0; i < 2; i++) peer.send('q', 'm', { producer: handle, sequence: 1 })
    await bench.advance(100)
    peer.send('q', 'm', { producer: handle, sequence: 1 })
    await bench.advance(100)
    assert.equal(peer.outcomes.size, 0)
    syncs.release()
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'accepted'])
    assert.deepEqual(await bench.texts('q'), ['m'])
  })

  test('a sequence that was refused may be resent, though a later one was stored', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { overflow: 'reject', maxMessages: 1 })
    bench.declare('other')
    const peer = bench.connect()
    const { handle } = bench.broker.openProducer(peer.id, 'p')
    const send = (queue: string, sequence: number): number =>
      peer.send(queue, `${sequence}`, { producer: handle, sequence })
    send('q', 1)
    const refused = send('q', 2)
    send('other', 3)
    await bench.idle()
    assert.equal(peer.outcomes.get(refused), 'queue-full')
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q')
    await bench.idle()
    const again = send('q', 2)
    const doubled = send('other', 3)
    await bench.idle()
    assert.deepEqual([peer.outcomes.get(again), peer.outcomes.get(doubled)], ['accepted', 'accepted'])
    assert.deepEqual([peer.takeTexts(), await bench.texts('other')], [['1', '2'], ['3']])
  })

  test('the resend of a message that is held is stored once, whichever comes first', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxMessages: 1 })
    const peer = bench.connect()
    const { handle } = bench.broker.openProducer(peer.id, 'p')
    for (const sequence of [1, 2, 2]) peer.send('q', `${sequence}`, { producer: handle, sequence })
    await bench.idle()
    assert.equal(bench.status('q').held, 2)
    peer.onDelivery = (delivery) => peer.settle(delivery)
    peer.consume('q')
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['1', '2'])
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted', 'accepted'])
  })

  test('is known after a power cut, from the journal and from a checkpoint, with its holes', async () => {
    for (const fromCheckpoint of [false, true]) {
      const bench = await Bench.onDisk()
      const peer = bench.connect()
      const { handle } = bench.broker.openProducer(peer.id, 'p')
      for (const sequence of [1, 3]) peer.send('q', `${sequence}`, { producer: handle, sequence })
      await bench.idle()
      await (fromCheckpoint ? bench.restart() : bench.crash())
      const after = bench.connect()
      assert.deepEqual(bench.broker.openProducer(after.id, 'p'), { handle, lastSequence: 3 })
      for (const sequence of [1, 2, 3, 4]) after.send('q', `${sequence}`, { producer: handle, sequence })
      await bench.idle()
      assert.deepEqual(await bench.texts('q'), ['1', '3', '2', '4'])
      const other = bench.broker.openProducer(after.id, 'another')
      assert.notEqual(other.handle, handle)
    }
  })
})
