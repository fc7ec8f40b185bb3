import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, refuses } from './support.ts'

function exists(bench: Bench, queue: string): boolean {
  return bench.broker.queue(queue) !== undefined
}

suite('the lifetime of a queue is data (DESIGN §3)', () => {
  test('connection: goes with the connection that declared it, and belongs to it alone', async () => {
    const bench = await Bench.inMemory()
    const [owner, other] = [bench.connect(), bench.connect()]
    bench.broker.declareQueue({ name: 'mine', lifetime: { kind: 'connection' } }, owner.id)
    other.send('mine', 'm')
    await bench.idle()
    refuses(() => other.consume('mine'), 'destination-in-use')
    owner.consume('mine')
    await bench.idle()
    assert.equal(owner.takeOne().text, 'm')
    other.disconnect()
    assert.ok(exists(bench, 'mine'))
    owner.disconnect()
    await bench.idle()
    assert.ok(!exists(bench, 'mine'))
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('auto-delete: goes when the last consumer has left, with what it holds', async () => {
    const bench = await Bench.inMemory()
    bench.broker.declareQueue({ name: 'q', lifetime: { kind: 'auto-delete' } })
    const peer = bench.connect()
    peer.send('q', 'm')
    await bench.advance(100_000)
    assert.ok(exists(bench, 'q'), 'nobody has left')
    const [one, two] = [peer.consume('q', 0), peer.consume('q', 0)]
    bench.broker.cancel(one, { release: true })
    assert.ok(exists(bench, 'q'))
    bench.broker.cancel(two, { release: false })
    await bench.idle()
    assert.ok(!exists(bench, 'q'))
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('idle: goes after so long without consumer, counted from the last use', async () => {
    const bench = await Bench.inMemory()
    const declare = (): unknown =>
      bench.broker.declareQueue({ name: 'q', lifetime: { kind: 'idle', after: 1_000 } })
    declare()
    const peer = bench.connect()
    await bench.advance(900)
    const consumer = peer.consume('q')
    await bench.advance(5_000)
    bench.broker.cancel(consumer, { release: true })
    await bench.advance(900)
    assert.ok(exists(bench, 'q'))
    const second = peer.consume('q')
    bench.broker.cancel(second, { release: true })
    await bench.advance(999)
    assert.ok(exists(bench, 'q'))
    declare()
    await bench.advance(999)
    assert.ok(exists(bench, 'q'), 'declaring it is using it')
    await bench.advance(1)
    assert.ok(!exists(bench, 'q'))
  })

  test('idle: also when no consumer ever comes', async () => {
    const bench = await Bench.inMemory()
    bench.broker.declareQueue({ name: 'q', lifetime: { kind: 'idle', after: 1_000 } })
    await bench.advance(999)
    assert.ok(exists(bench, 'q'))
    await bench.advance(1)
    assert.ok(!exists(bench, 'q'))
  })

  test('after a restart: a connection’s queue is gone, an idle one has its time again, others stay', async () => {
    const bench = await Bench.onDisk()
    const peer = bench.connect()
    bench.broker.declareQueue({ name: 'mine', lifetime: { kind: 'connection' } }, peer.id)
    bench.broker.declareQueue({ name: 'idle', lifetime: { kind: 'idle', after: 1_000 } })
    bench.declare('forever')
    for (const queue of ['mine', 'idle', 'forever']) peer.send(queue, 'm')
    await bench.advance(500)
    await bench.crash()
    await bench.advance(900)
    const names = (): string[] => bench.broker.queues().map(({ definition }) => definition.name)
    assert.deepEqual(names(), ['idle', 'forever'])
    await bench.advance(200)
    assert.deepEqual(names(), ['forever'])
  })
})

suite('after the end', () => {
  test('a closed broker refuses everything with its own code, and confirms nothing', async () => {
    const bench = await Bench.inMemory()
    bench.declare('full', { maxMessages: 1 })
    const peer = bench.connect()
    for (const text of ['a', 'held']) peer.send('full', text)
    await bench.idle()
    await bench.broker.close()
    refuses(() => peer.send('full', 'm'), 'closed')
    refuses(() => bench.declare('q'), 'closed')
    refuses(() => bench.connect(), 'closed')
    await bench.advance(100_000)
    assert.equal(peer.outcomes.get(2), undefined)
  })
})
