import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from './seed.ts'
import { Bench, failed, numbered, type Peer, type Received, refuses, released } from './support.ts'

async function filled(count: number, prefix = ''): Promise<Bench> {
  const bench = await Bench.inMemory()
  bench.declare('q')
  const peer = bench.connect()
  for (const text of numbered(prefix, count)) peer.send('q', text)
  await bench.idle()
  return bench
}

suite('competing consumers and credit (DESIGN §3, §4.2)', () => {
  test('messages go round in turn; each message to one consumer', async () => {
    const bench = await filled(9)
    const peers = [bench.connect(), bench.connect(), bench.connect()]
    for (const peer of peers) peer.consume('q')
    await bench.idle()
    assert.deepEqual(
      peers.map((peer) => peer.takeTexts()),
      [
        ['0', '3', '6'],
        ['1', '4', '7'],
        ['2', '5', '8'],
      ],
    )
  })

  test('nothing is delivered beyond the credit; who has none is passed over', async () => {
    const bench = await filled(6)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 1)
    two.consume('q', 2)
    await bench.idle()
    assert.deepEqual([one.takeTexts(), two.takeTexts()], [['0', '2'].slice(0, 1), ['1', '2']])
    bench.broker.grant(consumer, 2)
    await bench.idle()
    assert.deepEqual([one.takeTexts(), two.takeTexts()], [['3', '4'], []])
    assert.deepEqual([bench.status('q').ready, bench.status('q').acquired], [1, 5])
  })

  test('maxBytes bounds what is unsettled, but lets one message of any size through', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    for (const size of [100, 10, 10, 10]) peer.send('q', 'x'.repeat(size))
    peer.consume('q', 100, { maxBytes: 20, create: true })
    await bench.idle()
    const big = peer.takeOne()
    peer.settle(big)
    await bench.idle()
    const small = peer.take()
    assert.equal(small.length, 2, '10 + 10 reach the bound')
    peer.settle(small[0]!)
    await bench.idle()
    assert.equal(peer.takeOne().size, 10)
  })

  test('tags rise by one; a range settles what is unsettled in it, once, and passes over the rest', async () => {
    const bench = await filled(100)
    const peer = bench.connect()
    const consumer = peer.consume('q', 100)
    await bench.idle()
    assert.deepEqual(
      peer.take().map(({ tag }) => tag),
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    const settle = (first: number, last: number): number =>
      bench.broker.settle(consumer, first, last, { outcome: 'accepted' })
    assert.deepEqual([settle(10, 19), settle(1, 20), settle(1, 20), settle(90, 10_000)], [10, 10, 0, 11])
    assert.deepEqual([settle(0, 0), settle(20, 10), settle(21, 89)], [0, 0, 69])
    assert.equal(bench.status('q').messages, 0)
  })

  test('exclusive: nobody beside it, and it beside nobody', async () => {
    const bench = await filled(1)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 1, { exclusive: true })
    refuses(() => two.consume('q'), 'destination-in-use')
    refuses(() => one.consume('q'), 'destination-in-use')
    bench.broker.cancel(consumer, { release: true })
    two.consume('q')
    refuses(() => one.consume('q', 1, { exclusive: true }), 'destination-in-use')
  })

  test('a queue that does not exist refuses, unless it may be created', async () => {
    const bench = await Bench.inMemory({ autoCreate: ['yes'] })
    const peer = bench.connect()
    refuses(() => peer.consume('yes'), 'destination-not-found')
    refuses(() => peer.consume('no', 1, { create: true }), 'destination-not-found')
    peer.consume('yes', 1, { create: true })
  })

  test('promise 2: first deliveries come in order of sending, also when earlier ones come back in between', async () => {
    const bench = await filled(50)
    const peer = bench.connect()
    const consumer = peer.consume('q', 5)
    const firsts: string[] = []
    for (let round = 0; firsts.length < 50; round++) {
      await bench.idle()
      for (const delivery of peer.take()) {
        if (delivery.deliveryCount === 1 && !firsts.includes(delivery.text)) firsts.push(delivery.text)
        peer.settle(delivery, delivery.tag % 3 === 0 ? released : { outcome: 'accepted' })
        bench.broker.grant(consumer, 1)
      }
      assert.ok(round < 500)
    }
    assert.deepEqual(firsts, numbered('', 50))
  })
})

suite('drain: what is ready goes out first, then the rest of the credit lapses', () => {
  test('with fewer messages than credit', async () => {
    const bench = await filled(3)
    const peer = bench.connect()
    const consumer = peer.consume('q', 10)
    const told: unknown[] = []
    bench.broker.drain(consumer, (lapsed) => told.push({ lapsed, received: peer.received.length }))
    assert.deepEqual(told, [], 'not in this call')
    await bench.idle()
    assert.deepEqual(told, [{ lapsed: 7, received: 3 }], 'after the deliveries')
    bench.connect().send('q', 'late')
    await bench.idle()
    assert.equal(peer.received.length, 3, 'the credit is gone')
  })

  test('with as many messages as credit, with none, and with a consumer that has ended', async () => {
    const bench = await filled(3)
    const peer = bench.connect()
    const consumer = peer.consume('q', 2)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 0)
    bench.broker.grant(consumer, 4)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 3)
    bench.broker.cancel(consumer, { release: true })
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 0)
  })

  test('waits for messages that lie in a page', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    bench.declare('q')
    const peer = bench.connect()
    for (let i = 0; i < 5_000; i++) {
      peer.send('q', `${i}`)
      if (i % 500 === 0) await bench.idle()
    }
    await bench.idle()
    const consumer = peer.consume('q', 6_000)
    assert.equal(await bench.answer<number>((done) => bench.broker.drain(consumer, done)), 1_000)
    assert.deepEqual(peer.takeTexts(), numbered('', 5_000))
  })
})

suite('the end of a consumer', () => {
  test('cancel with release: what it held is ready in its old place, and does not count', async () => {
    const bench = await filled(4)
    const [one, two] = [bench.connect(), bench.connect()]
    const consumer = one.consume('q', 2)
    await bench.idle()
    bench.broker.cancel(consumer, { release: true })
    assert.equal(bench.status('q').consumers, 0)
    assert.equal(one.settle(one.received[0]!), 0, 'it holds nothing any more')
    two.consume('q')
    await bench.idle()
    assert.deepEqual(
      two.take().map(({ text, deliveryCount }) => [text, deliveryCount]),
      numbered('', 4).map((text) => [text, 1]),
    )
  })

  test('cancel without release: it may still settle what it holds, and gets nothing more', async () => {
    const bench = await filled(4)
    const peer = bench.connect()
    const consumer = peer.consume('q', 2)
    await bench.idle()
    bench.broker.cancel(consumer, { release: false })
    bench.broker.grant(consumer, 5)
    await bench.idle()
    const [first, second] = peer.take()
    assert.equal(bench.status('q').consumers, 1)
    assert.equal(peer.settle(first!), 1)
    assert.equal(peer.settle(second!, failed), 1)
    assert.equal(bench.status('q').consumers, 0)
    await bench.idle()
    assert.deepEqual([peer.received.length, bench.status('q').messages], [0, 3])
  })

  test('cancelled while its messages are on their way to it: they are released and not delivered', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    const trigger = peer.send('q', 'second')
    peer.onPublished = () => {
      if (peer.outcomes.has(trigger)) bench.broker.cancel(consumer, { release: true })
    }
    const consumer = peer.consume('q', 10)
    await bench.idle()
    const before = peer.takeTexts()
    assert.ok(!before.includes('second'), 'it was given back before it could be handed over')
    const other = bench.connect()
    other.consume('q')
    await bench.idle()
    assert.deepEqual(
      other.take().map(({ text, deliveryCount }) => [text, deliveryCount]),
      [
        ['0', 1],
        ['second', 1],
      ],
    )
  })

  test('a deleted queue tells its consumers', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    const consumer = peer.consume('q')
    await bench.idle()
    await bench.answer((done) => bench.broker.deleteQueue('q', {}, done))
    assert.deepEqual(peer.notices, [`cancelled ${consumer}: destination-not-found`])
    assert.equal(peer.settle(peer.takeOne()), 0)
    bench.broker.grant(consumer, 1)
    bench.broker.cancel(consumer, { release: true })
  })

  test('after its disconnection a connection is told nothing, and may do nothing', async () => {
    const bench = await filled(1)
    const peer = bench.connect()
    peer.consume('q')
    peer.send('q', 'm')
    peer.disconnect()
    await bench.idle()
    assert.deepEqual([peer.received, peer.outcomes.size, peer.notices], [[], 0, []])
    refuses(() => peer.send('q', 'm'), 'closed')
    refuses(() => peer.consume('q'), 'closed')
    peer.disconnect()
    assert.equal(bench.status('q').messages, 2, 'what it sent was sent')
  })
})

suite('priority of consumers', () => {
  test('the highest that has room gets the message, equals take turns, and nobody waits for one without credit', async () => {
    const bench = await filled(12)
    const [low, high, top, late] = [bench.connect(), bench.connect(), bench.connect(), bench.connect()]
    low.consume('q', 4, { priority: -1 })
    high.consume('q', 3)
    top.consume('q', 1, { priority: 5 })
    late.consume('q', 3)
    await bench.idle()
    assert.deepEqual(
      [top, high, late, low].map((peer) => peer.takeTexts()),
      [['0'], ['1', '3', '5'], ['2', '4', '6'], ['7', '8', '9', '10']],
    )
  })

  test('equals take turns however those above them come and go, and a newcomer does not get it all', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    const [one, two, three, top] = [bench.connect(), bench.connect(), bench.connect(), bench.connect()]
    const first = top.consume('q', 0, { priority: 1 })
    for (const each of [one, two]) each.consume('q')
    const counts = async (messages: number): Promise<number[]> => {
      for (let i = 0; i < messages; i++) {
        if (i % 2 === 0) bench.broker.grant(first, 1)
        peer.send('q', `${i}`)
        await bench.idle()
      }
      return [top, one, two, three].map((each) => each.take().length)
    }
    assert.deepEqual(await counts(40), [20, 10, 10, 0])
    three.consume('q')
    assert.deepEqual(await counts(30), [15, 5, 5, 5])
  })

  test('what a consumer refuses goes to the next, also below it', async () => {
    const bench = await filled(1)
    const [high, low] = [bench.connect(), bench.connect()]
    high.consume('q', 10, { priority: 1 })
    low.consume('q')
    await bench.idle()
    high.settle(high.takeOne(), { outcome: 'modified', undeliverableHere: true })
    await bench.idle()
    assert.deepEqual([high.takeTexts(), low.takeTexts()], [[], ['0']])
  })

  test('a priority that is no whole number is refused', async () => {
    const bench = await filled(0)
    const peer = bench.connect()
    for (const priority of [0.5, Number.NaN, Number.POSITIVE_INFINITY])
      refuses(() => peer.consume('q', 1, { priority }), 'argument-invalid')
  })
})

suite('single active consumer', () => {
  const policy = { singleActiveConsumer: true }

  async function withConsumers(): Promise<{ bench: Bench; peers: Peer[]; consumers: number[] }> {
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const peers = [bench.connect(), bench.connect(), bench.connect(), bench.connect()]
    const consumers = peers.map((peer, i) => peer.consume('q', 2, { priority: [0, 0, 3, 0][i]! }))
    for (const text of numbered('', 8)) peers[0]!.send('q', text)
    await bench.idle()
    return { bench, peers, consumers }
  }

  test('one gets all, also when it has no credit; then the highest priority, then who came first', async () => {
    const { bench, peers, consumers } = await withConsumers()
    const taken = (): string[][] => peers.map((peer) => peer.takeTexts())
    assert.deepEqual(taken(), [['0', '1'], [], [], []], 'the first stays, though a higher priority came')
    bench.broker.grant(consumers[0]!, 1)
    await bench.idle()
    assert.deepEqual(taken(), [['2'], [], [], []])
    peers[0]!.disconnect()
    await bench.idle()
    assert.deepEqual(taken(), [[], [], ['0', '1'], []], 'in order from where it stood')
    bench.broker.cancel(consumers[1]!, { release: true })
    peers[2]!.disconnect()
    await bench.idle()
    assert.deepEqual(taken(), [[], [], [], ['0', '1']])
  })

  test('the next one waits until everything that the one that left still holds is settled or back', async () => {
    const { bench, peers, consumers } = await withConsumers()
    const [a, b] = peers[0]!.take()
    bench.broker.cancel(consumers[0]!, { release: false })
    await bench.idle()
    peers[0]!.settle(a!)
    await bench.idle()
    assert.deepEqual(
      peers.flatMap((peer) => peer.takeTexts()),
      [],
    )
    peers[0]!.settle(b!, released)
    await bench.idle()
    assert.deepEqual(
      peers.map((peer) => peer.takeTexts()),
      [[], [], ['1', '2'], []],
    )
  })

  test('the one that left does not settle: the next one begins when the delivery timeout takes back what it held', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q', { ...policy, deliveryTimeout: 1_000 })
    const peers = [bench.connect(), bench.connect()]
    const [first] = peers.map((peer) => peer.consume('q', 2))
    for (const text of numbered('', 3)) peers[0]!.send('q', text)
    await bench.idle()
    bench.broker.cancel(first!, { release: false })
    await bench.advance(1_000)
    assert.deepEqual(peers[1]!.takeTexts(), ['2'])
    assert.equal(bench.status('q').consumers, 1)
    await bench.advance(100)
    assert.deepEqual(peers[1]!.takeTexts(), ['0'])
  })

  test('an idle one leaves, and the next one begins without another message', async () => {
    const { bench, peers, consumers } = await withConsumers()
    for (const delivery of peers[0]!.take()) peers[0]!.settle(delivery)
    bench.broker.cancel(consumers[0]!, { release: false })
    await bench.idle()
    assert.deepEqual(peers[2]!.takeTexts(), ['2', '3'])
  })

  test('random comings and goings: order is kept, and never do two hold messages', async (t) => {
    t.diagnostic(`SEED=${seed}`)
    const random = new SeededRandom(seed)
    const bench = await Bench.inMemory()
    bench.declare('q', policy)
    const producer = bench.connect()
    const held: { peer: Peer; delivery: Received }[] = []
    const accepted: number[] = []
    const peers: { peer: Peer; consumer: number }[] = []
    let sent = 0
    for (let step = 0; step < 600 || accepted.length < sent; step++) {
      if (step < 600 && random.chance(0.6)) producer.send('q', `${sent++}`)
      if (peers.length < 4 && (random.chance(0.2) || peers.length === 0)) {
        const peer = bench.connect()
        peer.onDelivery = (delivery) => held.push({ peer, delivery })
        peers.push({ peer, consumer: peer.consume('q', 3, { priority: random.between(0, 2) }) })
      }
      if (random.chance(0.15)) {
        const [gone] = peers.splice(random.between(0, peers.length - 1), 1)
        if (random.chance(0.5)) gone!.peer.disconnect()
        else bench.broker.cancel(gone!.consumer, { release: true })
        const kept = held.filter(({ peer }) => peer !== gone!.peer)
        held.splice(0, held.length, ...kept)
      }
      await bench.idle()
      assert.ok(new Set(held.map(({ peer }) => peer)).size <= 1, 'one at a time')
      if (held.length > 0 && random.chance(0.7)) {
        const { peer, delivery } = held.shift()!
        peer.settle(delivery)
        accepted.push(Number(delivery.text))
        bench.broker.grant(delivery.consumer, 1)
      }
    }
    assert.deepEqual(accepted, [...accepted.keys()], `order, with SEED=${seed}`)
  })
})
