import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { QueuePolicy } from '../../src/model/policy.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from './seed.ts'
import { Bench, type Peer } from './support.ts'

/** Queues with these policies, each bound to `amq.topic` under its own name, and a sender. */
async function blocking(
  policies: Readonly<Record<string, Partial<QueuePolicy>>>,
): Promise<{ bench: Bench; sender: Peer }> {
  const bench = await Bench.inMemory()
  for (const [name, policy] of Object.entries(policies)) bench.declare(name, policy)
  return { bench, sender: bench.connect() }
}

function sendTo(peer: Peer, queues: readonly string[], text: string, transaction?: number): number {
  const [first, ...others] = queues
  const also = others.map((key) => ({ exchange: '', key }))
  return peer.publish('', first!, text, { also, transaction })
}

/** Empties the queue, in a way that makes room for others. */
function drain(bench: Bench, queue: string): Peer {
  const peer = bench.connect()
  peer.onDelivery = (delivery) => peer.settle(delivery)
  peer.consume(queue)
  return peer
}

suite('what a full queue keeps waiting keeps its place in all of its queues (JMS 6.2.9.1)', () => {
  test('what the selectors of subscriptions send to fewer queues does not overtake what a full one holds', async () => {
    const { bench, sender } = await blocking({ full: { maxMessages: 1 }, free: {} })
    bench.broker.bind({ exchange: 'amq.topic', queue: 'full', key: 'news', selector: 'rare IS NOT NULL' })
    bench.broker.bind({ exchange: 'amq.topic', queue: 'free', key: 'news' })
    sender.send('full', 'x')
    sender.publish('amq.topic', 'news', '{"rare":1}')
    sender.publish('amq.topic', 'news', '{"n":2}')
    await bench.idle()
    assert.deepEqual([await bench.texts('free'), bench.status('full').held], [[], 2])
    assert.deepEqual(sender.notices, ['blocked by full: queue-full'])
    drain(bench, 'full')
    await bench.idle()
    assert.deepEqual(await bench.texts('free'), ['{"rare":1}', '{"n":2}'])
    assert.deepEqual([...sender.outcomes.values()], ['accepted', 'accepted', 'accepted'])
    assert.deepEqual(sender.notices, ['blocked by full: queue-full', 'unblocked by full'])
  })

  test('nobody else waits, and nothing for other queues', async () => {
    const { bench, sender } = await blocking({ full: { maxMessages: 1 }, free: {}, apart: {} })
    sender.send('full', 'x')
    sendTo(sender, ['full', 'free'], '1')
    sender.send('free', '2')
    sender.send('apart', '3')
    const other = bench.connect()
    other.send('free', 'of another')
    await bench.idle()
    assert.deepEqual([await bench.texts('free'), await bench.texts('apart')], [['of another'], ['3']])
    drain(bench, 'full')
    await bench.idle()
    assert.deepEqual(await bench.texts('free'), ['of another', '1', '2'])
  })

  test('a small one does not go past a large one, held with it, that has found its other queue full', async () => {
    const { bench, sender } = await blocking({ one: { maxMessages: 1 }, two: { maxBytes: 10 } })
    for (const queue of ['one', 'two']) sender.send(queue, '12345')
    sendTo(sender, ['one', 'two'], 'very large')
    sendTo(sender, ['one', 'two'], 'tiny')
    await bench.idle()
    drain(bench, 'one')
    await bench.idle()
    assert.deepEqual([bench.status('one').held, bench.status('two').held], [0, 2])
    assert.deepEqual(await bench.texts('two'), ['12345'])
    const receiver = drain(bench, 'two')
    await bench.idle()
    assert.deepEqual(receiver.takeTexts(), ['12345', 'very large', 'tiny'])
  })

  test('one that goes on to wait for another queue stands before what came later', async () => {
    const { bench, sender } = await blocking({ one: { maxMessages: 1 }, two: { maxMessages: 1 } })
    sender.send('one', 'x')
    sendTo(sender, ['one', 'two'], 'first')
    const other = bench.connect()
    other.send('two', 'y')
    other.send('two', 'second')
    await bench.idle()
    drain(bench, 'one')
    await bench.idle()
    assert.deepEqual([bench.status('one').held, bench.status('two').held], [0, 2])
    const receiver = drain(bench, 'two')
    await bench.idle()
    assert.deepEqual(receiver.takeTexts(), ['y', 'first', 'second'])
  })

  test('the order within a transaction is that of its sends', async () => {
    const { bench, sender } = await blocking({ full: { maxMessages: 1 }, free: {} })
    sender.send('full', 'x')
    const transaction = sender.begin()
    sendTo(sender, ['full', 'free'], '1', transaction)
    sendTo(sender, ['free'], '2', transaction)
    const committed = bench.commit(transaction)
    drain(bench, 'full')
    await committed
    assert.deepEqual(await bench.texts('free'), ['1', '2'])
  })

  test('when it is refused, or its sender goes, those behind it go on at once', async () => {
    const { bench, sender } = await blocking({
      full: { maxMessages: 1, maxBytes: 20, blockTimeout: 1_000 },
      free: {},
    })
    sender.send('full', 'x')
    sendTo(sender, ['full', 'free'], 'late')
    await bench.advance(999)
    sender.send('free', 'next')
    await bench.advance(0)
    assert.deepEqual(await bench.texts('free'), [])
    await bench.advance(1)
    assert.deepEqual([sender.outcomes.get(2), sender.outcomes.get(3)], ['queue-full', 'accepted'])
    assert.deepEqual(await bench.texts('free'), ['next'])
    assert.deepEqual(bench.status('full').held, 0)
  })

  test('what was too large for the room there is keeps nobody waiting when its sender has gone', async () => {
    const { bench, sender } = await blocking({ full: { maxBytes: 10 } })
    sender.send('full', '123')
    const gone = bench.connect()
    gone.send('full', 'too large for it')
    sender.send('full', '456')
    await bench.idle()
    assert.equal(bench.status('full').held, 2)
    gone.disconnect()
    await bench.idle()
    assert.deepEqual(await bench.texts('full'), ['123', '456'])
  })
})

const RUNS = 60
const STEPS = 80

interface Sent {
  readonly peer: Peer
  readonly tag: number
  readonly queues: readonly string[]
  readonly text: string
}

/** Senders to several queues, some of which are small; beside it, what each has sent to which. */
class Crowd {
  readonly bench: Bench
  private readonly random: SeededRandom
  private readonly sent: Sent[] = []
  private readonly gone = new Set<Peer>()
  private readonly receivers = new Map<string, Peer>()
  private readonly consumers = new Map<string, number>()
  private peers: Peer[] = []

  constructor(bench: Bench, random: SeededRandom) {
    this.bench = bench
    this.random = random
    const capacities = [
      { maxMessages: 2 },
      { maxBytes: 24 },
      { maxMessages: 3, blockTimeout: 50 },
      {},
      {},
    ] as const
    for (const [i, policy] of capacities.entries()) {
      bench.declare(`q${i}`, policy)
      const receiver = bench.connect()
      receiver.onDelivery = (delivery) => receiver.settle(delivery)
      this.receivers.set(`q${i}`, receiver)
      this.consumers.set(`q${i}`, receiver.consume(`q${i}`, 0))
    }
    this.peers = [bench.connect(), bench.connect(), bench.connect()]
  }

  async run(): Promise<void> {
    const { random, bench } = this
    for (let i = 0; i < STEPS; i++) {
      const what = random.weighted({ send: 60, receive: 30, leave: 1, wait: 5 })
      if (what === 'send') this.send(random.pick(this.peers))
      else if (what === 'receive') this.receive(random.pick([...this.receivers.keys()]), random.between(1, 2))
      else if (what === 'leave') this.leave(random.between(0, this.peers.length - 1))
      else await bench.advance(random.between(1, 30))
      if (random.chance(0.7)) await bench.idle()
    }
    for (let i = 0; i < STEPS * 2; i++) {
      for (const queue of this.receivers.keys()) this.receive(queue, 10)
      await bench.idle()
    }
    this.check()
  }

  private send(peer: Peer): void {
    const { random } = this
    const queues = [...this.receivers.keys()].filter(() => random.chance(0.4))
    if (queues.length === 0) return
    const text = `${this.sent.length}`.padEnd(random.between(4, 20), '.')
    this.sent.push({ peer, tag: sendTo(peer, queues, text), queues, text })
  }

  private receive(queue: string, count: number): void {
    this.bench.broker.grant(this.consumers.get(queue)!, count)
  }

  private leave(index: number): void {
    this.gone.add(this.peers[index]!)
    this.peers[index]!.disconnect()
    this.peers[index] = this.bench.connect()
  }

  private check(): void {
    for (const [queue, receiver] of this.receivers) {
      const texts = receiver.received.map(({ text }) => text)
      for (const peer of new Set(this.sent.map((sent) => sent.peer))) {
        const due = this.sent.filter((sent) => sent.peer === peer && sent.queues.includes(queue))
        const got = texts.filter((text) => due.some((sent) => sent.text === text))
        const stored = due.filter(({ tag, text }) =>
          this.gone.has(peer) ? got.includes(text) : peer.outcomes.get(tag) === 'accepted',
        )
        assert.deepEqual(
          got,
          stored.map(({ text }) => text),
          `${queue} has what a sender sent to it, once and in order`,
        )
      }
      assert.equal(this.bench.status(queue).held, 0, 'nobody waits')
    }
    const answered = this.sent.filter(({ peer, tag }) => this.gone.has(peer) || peer.outcomes.has(tag))
    assert.equal(answered.length, this.sent.length, 'everything is answered')
  }
}

test(`${RUNS} crowds of senders: each queue gets what a sender sent to it in order (seed ${seed})`, async () => {
  for (let run = 0; run < RUNS; run++) {
    const random = new SeededRandom(seed + run)
    const bench = await Bench.inMemory({ heldMessages: random.pick([3, 100]) })
    await new Crowd(bench, random).run()
  }
})
