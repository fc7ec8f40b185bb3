import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, failed, type Received, rejected, released, steadyBackoff, textOf } from './support.ts'

interface History {
  readonly origin: unknown
  readonly reason: string
  readonly description: string
  readonly history: readonly Record<string, unknown>[]
}

function historyOf({ annotations }: Pick<Received, 'annotations'>): History {
  return JSON.parse(annotations) as History
}

/** When the only message of 'q' comes back. */
async function due(bench: Bench): Promise<number> {
  const [message] = await bench.browse('q')
  const [location] = await bench.locate(message!.lsn)
  return location!.due
}

suite('promise 9: backoff, count and dead-lettering are per message, kept by the broker', () => {
  test('the delay grows with each failure of the message, up to its maximum', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxDeliveries: undefined })
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    for (const [failures, delay] of [100, 200, 400, 800, 1_000, 1_000].entries()) {
      const delivery = peer.takeOne()
      assert.equal(delivery.deliveryCount, failures + 1)
      peer.settle(delivery, failed)
      await bench.advance(delay - 1)
      assert.equal(peer.received.length, 0, `not before ${delay} ms`)
      assert.equal(bench.status('q').waiting, 1)
      await bench.advance(1)
    }
    assert.equal(bench.status('q').waiting, 0)
  })

  test('listed delays are used one after the other, and the last one from then on, also after a restart', async () => {
    const bench = await Bench.onDisk()
    const backoff = { ...steadyBackoff, delays: [50, 5_000, 10] }
    bench.declare('q', { maxDeliveries: undefined, backoff })
    let peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    for (const [failures, delay] of [50, 5_000, 10, 10].entries()) {
      peer.settle(peer.takeOne(), failed)
      await bench.idle()
      if (failures === 1) {
        await bench.restart()
        peer = bench.connect()
        peer.consume('q')
      }
      const rest = peer.received.length === 0 ? (await due(bench)) - bench.clock.wall() : 0
      assert.ok(rest > delay * 0.9 && rest <= delay, `${rest} ms are left of ${delay}`)
      await bench.advance(rest - 1)
      assert.equal(peer.received.length, 0, `not before ${delay} ms`)
      await bench.advance(1)
    }
    assert.equal(peer.takeOne().text, 'm')
  })

  test('jitter shortens the delay by at most its share', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { backoff: { delay: 1_000, multiplier: 1, maxDelay: 1_000, jitter: 0.5 } })
    const peer = bench.connect()
    for (let i = 0; i < 20; i++) peer.send('q', `${i}`)
    peer.consume('q')
    await bench.idle()
    peer.settleAll(peer.take(), failed)
    await bench.advance(499)
    assert.equal(peer.received.length, 0)
    await bench.advance(250)
    assert.ok(peer.received.length > 0 && peer.received.length < 20, 'spread over the share')
    await bench.advance(251)
    assert.equal(peer.received.length, 20)
  })

  test('a poison message delays no neighbour, and ends in the dead-letter queue with its history', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxDeliveries: 3 })
    const peer = bench.connect()
    for (const text of ['a', 'poison', 'b', 'c']) peer.send('q', text)
    const got: string[] = []
    peer.onDelivery = (delivery) => {
      got.push(delivery.text)
      if (delivery.text === 'poison') peer.settle(delivery, { ...failed, description: 'cannot parse' })
      else peer.settle(delivery)
    }
    peer.consume('q')
    await bench.idle()
    assert.deepEqual(got, ['a', 'poison', 'b', 'c'], 'nobody waited')
    await bench.advance(10_000)
    assert.deepEqual(got.slice(4), ['poison', 'poison'])
    const { departed, messages } = bench.status('q')
    assert.deepEqual([messages, departed.accepted, departed['dead-lettered']], [0, 3, 1])
    const [letter] = await bench.browse('q.dlq')
    const { origin, reason, description, history } = historyOf(letter!)
    assert.deepEqual(origin, { queue: 'q', exchange: '', key: 'q', lsn: (origin as { lsn: number }).lsn })
    assert.deepEqual([reason, description, letter!.key], ['max-deliveries', 'cannot parse', 'q'])
    assert.equal(history.length, 1)
    assert.deepEqual([history[0]!['deliveries'], history[0]!['failures']], [3, 3])
  })

  test('a dead letter that is dead-lettered again keeps its origin and both steps', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q.dlq', { deadLetter: 'graveyard' })
    bench.declare('q')
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'a.*' })
    const peer = bench.connect()
    peer.publish('amq.topic', 'a.b', 'm')
    peer.onDelivery = (delivery) => peer.settle(delivery, { ...rejected, description: delivery.queue })
    peer.consume('q')
    await bench.idle()
    peer.consume('q.dlq')
    await bench.idle()
    const [letter] = await bench.browse('graveyard')
    const { origin, history } = historyOf(letter!)
    assert.deepEqual(
      [(origin as Record<string, unknown>)['queue'], letter!.exchange, letter!.key],
      ['q', 'amq.topic', 'a.b'],
    )
    assert.deepEqual(
      history.map(({ queue, description }) => [queue, description]),
      [
        ['q.dlq', 'q.dlq'],
        ['q', 'q'],
      ],
    )
  })

  test('rejected with a reason goes to the dead-letter queue at once', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne(), { ...rejected, reason: 'invalid-body', description: 'no such field' })
    await bench.idle()
    const [letter] = await bench.browse('q.dlq')
    const { reason, description } = historyOf(letter!)
    assert.deepEqual([reason, description], ['invalid-body', 'no such field'])
  })

  test('promise 3: without a dead-letter queue a rejected or exhausted message stays, with backoff', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deadLetter: undefined, maxDeliveries: 1 })
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne(), rejected)
    await bench.advance(100)
    peer.settle(peer.takeOne(), failed)
    assert.equal(bench.status('q').waiting, 1)
    await bench.advance(1_000)
    assert.equal(peer.takeOne().text, 'm')
    assert.deepEqual(
      bench.broker.queues().map(({ definition }) => definition.name),
      ['q'],
    )
  })

  test('a queue that is its own dead-letter queue keeps what fails', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deadLetter: 'q', maxDeliveries: 1 })
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne(), failed)
    await bench.advance(100)
    assert.equal(peer.takeOne().deliveryCount, 2)
  })
})

suite('which deliveries count', () => {
  test('released does not: the message is ready at once, in its old place, as if never delivered', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxDeliveries: 2 })
    const peer = bench.connect()
    for (const text of ['a', 'b']) peer.send('q', text)
    const consumer = peer.consume('q', 1)
    await bench.idle()
    for (let i = 0; i < 5; i++) {
      const delivery = peer.takeOne()
      assert.deepEqual([delivery.text, delivery.deliveryCount], ['a', 1])
      peer.settle(delivery, released)
      bench.broker.grant(consumer, 1)
      await bench.idle()
    }
    assert.equal(bench.broker.queue('q.dlq'), undefined)
  })

  test('a lost connection raises the count that is shown; as a failure it counts only for a message delivered alone', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { maxDeliveries: 2 })
    const sender = bench.connect()
    for (const text of ['a', 'b']) sender.send('q', text)
    const die = async (credit: number): Promise<Received[]> => {
      const peer = bench.connect()
      peer.consume('q', credit)
      await bench.idle()
      const received = peer.take()
      peer.disconnect()
      await bench.idle()
      return received
    }
    for (let count = 1; count <= 4; count++) {
      const together = await die(2)
      assert.deepEqual(
        together.map(({ text, deliveryCount }) => [text, deliveryCount]),
        [
          ['a', count],
          ['b', count],
        ],
      )
    }
    assert.equal((await die(1))[0]!.deliveryCount, 5)
    assert.equal((await bench.locate((await bench.browse('q'))[0]!.lsn))[0]!.failures, 1)
    await die(1)
    assert.deepEqual(await bench.texts('q'), ['b'])
    const [letter] = await bench.browse('q.dlq')
    assert.equal(textOf(letter!), 'a')
    assert.equal(historyOf(letter!).reason, 'max-deliveries')
  })

  test('a delivery held too long is taken back, counts as a failure, and its late answer settles nothing', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { deliveryTimeout: 5_000, maxDeliveries: 2 })
    const peer = bench.connect()
    peer.send('q', 'slow')
    peer.consume('q')
    await bench.advance(2_000)
    peer.send('q', 'later')
    await bench.advance(2_999)
    const [slow, later] = peer.take()
    assert.equal(bench.status('q').acquired, 2)
    await bench.advance(1)
    assert.deepEqual([bench.status('q').acquired, bench.status('q').waiting], [1, 1])
    assert.equal(peer.settle(slow!), 0, 'it is too late')
    assert.equal(peer.settle(later!), 1, 'this one was in time')
    await bench.advance(100)
    assert.equal(peer.takeOne().deliveryCount, 2)
    await bench.advance(5_000)
    assert.deepEqual(await bench.texts('q.dlq'), ['slow'])
    const [letter] = await bench.browse('q.dlq')
    assert.equal(historyOf(letter!).description, 'delivery timeout')
  })

  test('a message that is given back for later waits longer than any backoff, uncounted, also after a restart', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', { maxDeliveries: 2 })
    let peer = bench.connect()
    peer.send('q', 'm')
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne(), { outcome: 'modified', delay: 3_600_000 })
    await bench.advance(1_000_000)
    assert.equal(peer.received.length, 0)
    await bench.restart()
    peer = bench.connect()
    peer.consume('q')
    const rest = (await due(bench)) - bench.clock.wall()
    assert.ok(rest > 2_500_000 && rest <= 2_600_000, `${rest} ms are left of an hour less 1,000 s`)
    await bench.advance(rest - 1)
    assert.equal(peer.received.length, 0)
    await bench.advance(1)
    const again = peer.takeOne()
    assert.equal(again.deliveryCount, 1)
    peer.settle(again, { ...failed, delay: 50 })
    await bench.advance(49)
    assert.equal(peer.received.length, 0, 'a failure says when it comes again, too')
    await bench.advance(1)
    peer.settle(peer.takeOne(), { ...failed, delay: 50 })
    await bench.idle()
    assert.deepEqual(await bench.texts('q.dlq'), ['m'], 'and counts as ever')
  })

  test('a group waits behind a member that was given back for later, and nobody else does', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    for (const [text, group] of [
      ['a1', 'a'],
      ['a2', 'a'],
      ['b1', 'b'],
    ] as const)
      peer.publish('', 'q', text, { group })
    const got: string[] = []
    peer.onDelivery = (delivery) => {
      got.push(delivery.text)
      const isEarly = got.length === 1
      peer.settle(delivery, isEarly ? { outcome: 'modified', delay: 500 } : undefined)
    }
    const consumer = peer.consume('q', 1)
    for (let i = 0; i < 4; i++) {
      await bench.idle()
      bench.broker.grant(consumer, 1)
    }
    assert.deepEqual(got, ['a1', 'b1'])
    await bench.advance(500)
    assert.deepEqual(got, ['a1', 'b1', 'a1', 'a2'])
  })

  test('modified with undeliverable-here: this consumer never gets it again, another does', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const [one, other] = [bench.connect(), bench.connect()]
    for (const text of ['a', 'b', 'c']) one.send('q', text)
    const consumer = one.consume('q', 1)
    await bench.idle()
    one.settle(one.takeOne(), { outcome: 'modified', undeliverableHere: true })
    bench.broker.grant(consumer, 10)
    await bench.idle()
    assert.deepEqual(one.takeTexts(), ['b', 'c'])
    other.consume('q')
    await bench.idle()
    const delivery = other.takeOne()
    assert.deepEqual([delivery.text, delivery.deliveryCount], ['a', 1])
  })
})
