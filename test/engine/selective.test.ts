import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { VolatileMessages } from '../../src/engine/bodies.ts'
import type { Broker } from '../../src/engine/broker.ts'
import { Chunk } from '../../src/engine/index/chunk.ts'
import { Bench, failed, numbered, type Peer, refuses } from './support.ts'

/** A message that selectors can look into. */
function colored(color: string, number: number): string {
  return JSON.stringify({ color, number })
}

function numbersOf(peer: Peer): number[] {
  return peer.take().map(({ text }) => (JSON.parse(text) as { number: number }).number)
}

async function drained(bench: Bench, consumer: number): Promise<number> {
  return bench.answer<number>((done) => (bench.broker as Broker).drain(consumer, done))
}

suite('consumers with selectors take what they want, in order, from the whole backlog (DESIGN §4.8)', () => {
  for (const durability of ['disk', 'os', 'memory'] as const) {
    test(`each gets what its selector chooses, of messages of level ${durability}`, async () => {
      const bench = await Bench.onDisk()
      const sender = bench.connect()
      const red = bench.connect()
      const big = bench.connect()
      bench.declare('q')
      for (let i = 0; i < 10; i++) sender.send('q', colored(i % 2 ? 'red' : 'blue', i), { durability })
      await bench.idle()
      red.consume('q', 100, { selector: "color = 'red'" })
      await bench.idle()
      big.consume('q', 100, { selector: 'number > 5' })
      await bench.idle()
      for (let i = 10; i < 14; i++) sender.send('q', colored(i % 2 ? 'red' : 'blue', i), { durability })
      await bench.idle()
      assert.deepEqual(
        numbersOf(red).filter((number) => number < 10),
        [1, 3, 5, 7, 9],
      )
      const large = numbersOf(big)
      assert.ok([6, 8, 10, 12].every((number) => large.includes(number)))
      assert.deepEqual(
        large,
        [...large].sort((a, b) => a - b),
        'in order',
      )
    })
  }

  test('the one message at the end of a deep backlog is found, and a drain waits until it is', async () => {
    const bench = await Bench.onDisk({ residentEntries: 1 })
    const sender = bench.connect()
    const peer = bench.connect()
    bench.declare('q')
    for (let i = 0; i < 6_000; i++) sender.send('q', colored('blue', i))
    sender.send('q', colored('red', 6_000))
    await bench.idle()
    await bench.restart()
    const after = bench.connect()
    const consumer = after.consume('q', 5, { selector: "color = 'red'" })
    assert.equal(await drained(bench, consumer), 4)
    assert.deepEqual(numbersOf(after), [6_000])
    assert.equal(bench.status('q').ready, 6_000)
    assert.equal(await drained(bench, consumer), 0, 'there is no credit left to lapse')
    void peer
  })

  test('a selector that cannot be read is refused with its position', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    refuses(() => bench.connect().consume('q', 1, { selector: 'color =' }), 'selector-invalid')
  })

  test('a consumer of a higher priority has what it wants before others, whose selector differs', async () => {
    const bench = await Bench.inMemory()
    const sender = bench.connect()
    const low = bench.connect()
    const high = bench.connect()
    bench.declare('q')
    low.consume('q', 100)
    high.consume('q', 3, { selector: "color = 'red'", priority: 5 })
    await bench.idle()
    for (let i = 0; i < 8; i++) sender.send('q', colored(i % 2 ? 'red' : 'blue', i))
    await bench.idle()
    assert.deepEqual(numbersOf(high), [1, 3, 5])
    assert.deepEqual(numbersOf(low), [0, 2, 4, 6, 7])
  })

  test('whoever takes everything gets what the selective left, when it comes and when it has credit again', async () => {
    const bench = await Bench.inMemory()
    const sender = bench.connect()
    const red = bench.connect()
    const all = bench.connect()
    bench.declare('q')
    red.consume('q', 2, { selector: "color = 'red'" })
    for (const [i] of numbered('m', 6).entries()) sender.send('q', colored(i % 2 ? 'red' : 'blue', i))
    await bench.idle()
    assert.deepEqual(numbersOf(red), [1, 3])
    const consumer = all.consume('q', 1)
    await bench.idle()
    assert.deepEqual(numbersOf(all), [0])
    bench.broker.grant(consumer, 10)
    await bench.idle()
    assert.deepEqual(numbersOf(all), [2, 4, 5])
  })
})

suite('message groups (JMS 3.5.9)', () => {
  test('a group goes to one consumer, groups are balanced, and what has none goes anywhere', async () => {
    const bench = await Bench.inMemory()
    const sender = bench.connect()
    const peers = [bench.connect(), bench.connect()]
    bench.declare('q')
    for (const peer of peers) peer.consume('q', 100)
    for (let i = 0; i < 40; i++) sender.send('q', `${i % 4}:${i}`, { group: `g${i % 4}` })
    await bench.idle()
    const taken = peers.map((peer) => peer.takeTexts())
    for (const texts of taken) {
      assert.equal(texts.length, 20)
      assert.equal(new Set(texts.map((text) => text[0])).size, 2)
    }
  })
})

suite('a group waits for its own, and nobody else does (DESIGN §4.9)', () => {
  test('a member that fails parks its group, in order, until it is dead-lettered; the others flow', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    bench.declare('dead')
    bench.declare('q', { maxDeliveries: 2, deadLetter: 'dead' })
    const consumer = peer.consume('q', 1)
    for (const text of ['a1', 'a2', 'b1', 'a3', 'b2']) peer.send('q', text, { group: text[0]! })
    await bench.idle()
    const poison = peer.takeOne()
    bench.broker.grant(consumer, 10)
    peer.settle(poison, failed)
    await bench.idle()
    assert.deepEqual(peer.takeTexts(), ['b1', 'b2'], 'group a waits with its member')
    await bench.advance(100)
    const again = peer.take()
    assert.deepEqual(
      again.map(({ text }) => text),
      ['a1', 'a2', 'a3'],
    )
    peer.settle(again[0]!, failed)
    await bench.idle()
    assert.deepEqual(await bench.texts('dead'), ['a1'])
  })

  test('a group changes hands when nothing of it is unsettled, and what went back comes first', async () => {
    const bench = await Bench.inMemory()
    const [first, second] = [bench.connect(), bench.connect()]
    bench.declare('q')
    const leaving = first.consume('q', 2)
    for (const text of ['1', '2', '3', '4']) first.send('q', text, { group: 'g' })
    await bench.idle()
    const [one] = first.take()
    second.consume('q', 10)
    bench.broker.cancel(leaving, { release: false })
    await bench.idle()
    first.settle(one!)
    await bench.idle()
    assert.deepEqual(second.takeTexts(), [], 'the second member is still with the first consumer')
    first.disconnect()
    await bench.idle()
    assert.deepEqual(second.takeTexts(), ['2', '3', '4'])
  })

  test('a start keeps groups and what waits of them, without looking into messages', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    bench.declare('q')
    peer.consume('q', 1)
    for (const text of ['1', '2', '3']) peer.send('q', text, { group: 'g' })
    await bench.idle()
    peer.settle(peer.takeOne(), failed)
    await bench.idle()
    await bench.restart()
    const after = bench.connect()
    after.consume('q', 10)
    await bench.idle()
    assert.deepEqual(after.takeTexts(), [], 'the first member waits out its backoff, and the others with it')
    await bench.advance(100)
    assert.deepEqual(after.takeTexts(), ['1', '2', '3'])
  })

  const messages = Number(process.env['GROUPED'] ?? 5_000)
  test(`${messages} messages in ${messages / 10} groups behind a parked one cost what they are`, async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    bench.declare('q', { backoff: { delay: 60_000, multiplier: 1, maxDelay: 60_000, jitter: 0 } })
    const consumer = peer.consume('q', 1)
    for (let i = 0; i < messages; i++) {
      const isParked = i === 0 || i % 5 === 1
      peer.send('q', isParked ? 'parked' : 'm', {
        group: isParked ? 'parked' : `g${i % (messages / 10)}`,
        durability: 'memory',
      })
    }
    await bench.idle()
    peer.settle(peer.takeOne(), failed)
    let visits = 0
    const { find } = Chunk.prototype
    Chunk.prototype.find = function (lsn) {
      visits++
      return find.call(this, lsn)
    }
    try {
      peer.onDelivery = (delivery) => {
        assert.equal(delivery.text, 'm')
        peer.settle(delivery)
        bench.broker.grant(consumer, 1)
      }
      bench.broker.grant(consumer, 50)
      await bench.idle()
    } finally {
      Chunk.prototype.find = find
    }
    const parked = bench.status('q').messages
    assert.equal(parked, messages / 5 + 1)
    assert.equal(peer.take().length, messages - parked)
    assert.ok(visits < messages * 20, `${visits} look-ups`)
  })
})

test('consumers that come to a backlog share one pass over it (DESIGN §4.8)', async () => {
  const bench = await Bench.inMemory()
  const peer = bench.connect()
  bench.declare('q')
  for (let i = 0; i < 2_000; i++) peer.send('q', colored(`c${i % 50}`, i), { durability: 'memory' })
  await bench.idle()
  let reads = 0
  const { read } = VolatileMessages.prototype
  VolatileMessages.prototype.read = function (lsn, into) {
    reads++
    return read.call(this, lsn, into)
  }
  try {
    for (let i = 0; i < 50; i++) peer.consume('q', 1, { selector: `color = 'c${i}'` })
    await bench.idle()
  } finally {
    VolatileMessages.prototype.read = read
  }
  assert.equal(peer.take().length, 50)
  assert.ok(reads < 3 * 2_000, `2,000 messages were read ${reads} times for 50 consumers`)
})

test('of a large body in chunks the first is looked into, also when it has to be loaded', async () => {
  const bench = await Bench.onDisk({ chunkBytes: 1_024 })
  bench.declare('q')
  const sender = bench.connect()
  for (const color of ['blue', 'red']) {
    const body = bench.broker.openBody(sender.id)
    bench.broker.appendBody(body, Buffer.from(colored(color, 1)))
    bench.broker.appendBody(body, Buffer.alloc(3_000, ' '))
    sender.send('q', '', { body })
  }
  await bench.idle()
  await bench.restart()
  const peer = bench.connect()
  peer.consume('q', 10, { selector: "color = 'red'" })
  await bench.idle()
  assert.equal(peer.takeOne().size, colored('red', 1).length + 3_000)
})
