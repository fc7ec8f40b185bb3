import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { Broker } from '../../src/engine/broker.ts'
import { Bench, numbered, type Peer, refuses } from './support.ts'

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
