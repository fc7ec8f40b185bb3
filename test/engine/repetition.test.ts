import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { cancel, later, listAll, schedulesOf } from './scheduled.ts'
import { Bench } from './support.ts'

const MINUTE = 60_000

type Ask = (bench: Bench, number: number, done: (found: boolean) => void) => void

/** What can be asked of a repeating message, the only one in its queue. */
const whileDue: Readonly<Record<string, Ask>> = {
  cancelled: (bench, number, done) => bench.broker.cancelScheduled(number, done),
  'cancelled with all of its queue': (bench, _, done) =>
    bench.broker.cancelAllScheduled('q', (count) => done(count === 1)),
  found: (bench, number, done) =>
    bench.broker.locate(number, ([found]) => done(found?.state === 'scheduled')),
}

/** Of what is due in a second one message has to be read, and a page that holds later ones too. */
async function beforeDue(): Promise<Bench> {
  const bench = await Bench.onDisk({ scheduledEntries: 8 }, { cacheBytes: 0 })
  for (const queue of ['q', 'others']) bench.declare(queue)
  const peer = bench.connect()
  for (let i = 0; i < 8; i++) {
    peer.send('others', `${i}`, later(bench, 1_000 + 3_000 * i))
    await bench.idle()
  }
  await bench.restart()
  return bench
}

async function answered<T>(bench: Bench, ask: (done: (answer: T) => void) => void): Promise<T> {
  let answer: { readonly value: T } | undefined
  ask((value) => {
    answer = { value }
  })
  for (let left = 100; answer === undefined && left > 0; left--) await bench.advance(1)
  assert.ok(answer, 'the broker has answered')
  return answer.value
}

suite('scheduled messages that repeat', () => {
  test('by interval: after each interval, at most so many times, under one number', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'tick', { repeat: { every: 100, times: 3 } })
    await bench.advance(99)
    assert.equal(bench.status('q').messages, 0)
    await bench.advance(1)
    assert.equal(bench.status('q').messages, 1)
    await bench.advance(100)
    const [left] = await listAll(bench)
    assert.deepEqual(
      [left?.fired, left?.due, left?.repetition],
      [2, bench.clock.wall() + 100, { every: 100, times: 3 }],
    )
    await bench.advance(1_000)
    assert.deepEqual(await bench.texts('q'), ['tick', 'tick', 'tick'])
    assert.deepEqual([bench.status('q').scheduled, bench.status('q').published], [0, 3])
    assert.deepEqual(await listAll(bench), [])
  })

  test('from a time on, until another, or until it expires', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    const now = bench.clock.wall()
    peer.send('until', 'm', { due: now + 50, repeat: { every: 100, until: now + 250 } })
    peer.send('expires', 'm', { expiry: now + 250, repeat: { every: 100 } })
    await bench.advance(50)
    assert.equal(bench.status('until').messages, 1)
    await bench.advance(150)
    assert.equal(bench.status('expires').messages, 2)
    await bench.advance(1_000)
    assert.equal(bench.status('until').messages, 3)
    const { messages, scheduled, departed } = bench.status('expires')
    assert.deepEqual([messages, scheduled, departed.expired], [0, 0, 3])
  })

  test('by cron expression, in a time zone, through the change to summer time', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    bench.clock.jumpWall(Date.parse('2027-03-27T00:00:00Z') - bench.clock.wall())
    const peer = bench.connect()
    const times: string[] = []
    peer.onDelivery = (delivery) => {
      times.push(new Date(delivery.publishedAt).toISOString())
      peer.settle(delivery)
    }
    peer.consume('q')
    peer.send('q', 'm', { repeat: { cron: '30 8 * * *', timezone: 'Europe/Berlin' } })
    await bench.advance(2 * 24 * 60 * MINUTE)
    assert.deepEqual(times, ['2027-03-27T07:30:00.000Z', '2027-03-28T06:30:00.000Z'])
  })

  test('occurrences that a broker that was down has missed come once; then it goes on in time', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm', { repeat: { every: 100 } })
    await bench.advance(100)
    await bench.kill()
    const wall = bench.clock.wall()
    bench.clock.jumpWall(1_050)
    await bench.kill()
    assert.equal(bench.status('q').messages, 2)
    const [next] = await listAll(bench)
    assert.equal(next?.due, wall + 1_100)
    await bench.advance(50)
    assert.equal(bench.status('q').messages, 3)
  })

  test('a restart, in good order or not, neither loses its place nor counts anew', async () => {
    const bench = await Bench.onDisk({ scheduledEntries: 4 })
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm', { repeat: { every: 100, times: 4 } })
    for (let i = 0; i < 8; i++) peer.send('other', 'm', later(bench, 10_000))
    await bench.advance(150)
    await bench.restart()
    await bench.advance(100)
    await bench.kill()
    assert.equal(bench.status('q').messages, 2)
    await bench.advance(1_000)
    assert.equal(bench.status('q').messages, 4)
  })

  test('it can be cancelled between two deliveries', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    const numbers = schedulesOf(peer)
    peer.send('q', 'm', { repeat: { every: 100 } })
    await bench.advance(250)
    assert.equal(await cancel(bench, numbers.get(1)!), true)
    await bench.crash()
    await bench.advance(1_000)
    assert.deepEqual([(await bench.texts('q')).length, bench.status('q').scheduled], [2, 0])
  })

  test('it is found, and can be cancelled, at every moment while pages and messages are read because it is due', async () => {
    for (const [what, ask] of Object.entries(whileDue)) {
      for (let moment = 1_000; moment < 1_025; moment++) {
        const bench = await beforeDue()
        const peer = bench.connect()
        const numbers = schedulesOf(peer)
        peer.send('q', 'tick', { ...later(bench, 1_000), repeat: { every: 1_000 }, durability: 'memory' })
        await bench.idle()
        bench.disk.faults.delay = { min: 5, max: 5 }
        await bench.advance(moment)
        const found = await answered(bench, (done) => ask(bench, numbers.get(1)!, done))
        assert.equal(found, true, `${what} at ${moment} ms`)
        if (what === 'found') continue
        const before = (await bench.browse('q')).length
        await bench.advance(2_000)
        assert.equal((await bench.browse('q')).length, before, `${what}, and nothing comes after`)
      }
    }
  })

  test('a full queue that keeps what it has takes no copy, and counts it', async () => {
    const bench = await Bench.onDisk()
    bench.declare('q', { maxMessages: 2 })
    const peer = bench.connect()
    peer.send('q', 'm', { repeat: { every: 100 } })
    await bench.advance(1_000)
    const { messages, departed } = bench.status('q')
    assert.deepEqual([messages, departed.dropped], [2, 8])
  })

  test('of level memory, no copy is made that has no room, and it is counted', async () => {
    const bench = await Bench.onDisk({ memoryBytes: 2_000 })
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'x'.repeat(400), { repeat: { every: 100 }, durability: 'memory' })
    await bench.advance(1_000)
    const { messages, departed } = bench.status('q')
    assert.deepEqual([messages, departed.dropped], [3, 7])
  })
})
