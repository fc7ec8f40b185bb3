import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { HeldSyncs } from './held-syncs.ts'
import { Bench, numbered, type Peer } from './support.ts'

const prepare = { group: 'orders' }

/** Sends a half message; answers its id. */
async function half(bench: Bench, peer: Peer, queue: string, text: string): Promise<string> {
  const tag = peer.send(queue, text, { prepare })
  await bench.idle()
  assert.equal(peer.outcomes.get(tag), 'accepted')
  return peer.prepared.get(tag)!
}

suite('half messages: stored and durable, and no message before somebody says so', () => {
  test('its id is told when it is durable; committed it is in its place, rolled back it never was', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'before')
    await bench.idle()
    syncs.isHolding = true
    const tag = peer.send('q', 'half', { prepare, durability: 'memory' })
    await bench.idle()
    assert.equal(peer.outcomes.get(tag), undefined, 'it is never of level memory')
    syncs.release()
    await bench.idle()
    const id = peer.prepared.get(tag)!
    peer.send('q', 'after')
    const other = await half(bench, peer, 'q', 'other half')
    assert.deepEqual(await bench.texts('q'), ['before', 'after'])
    assert.equal(bench.status('q').pending, 2)
    assert.equal(await bench.decide(other, 'rollback'), undefined)
    assert.equal(await bench.decide(id, 'commit'), undefined)
    assert.deepEqual(await bench.texts('q'), ['before', 'half', 'after'])
    assert.deepEqual([bench.status('q').pending, bench.broker.prepared()], [0, []])
  })

  test('a commit takes effect when it is durable; both who ask for it meanwhile are answered', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    const peer = bench.connect()
    peer.consume('q')
    const id = await half(bench, peer, 'q', 'half')
    syncs.isHolding = true
    const answers: string[] = []
    for (const decision of ['commit', 'commit', 'rollback'] as const)
      bench.broker.decidePrepared(id, decision, (error) => answers.push(error?.code ?? decision))
    await bench.advance(50)
    assert.deepEqual([answers, peer.takeTexts()], [['prepared-not-found'], []])
    syncs.release()
    await bench.idle()
    assert.deepEqual([answers.slice(1), peer.takeTexts()], [['commit', 'commit'], ['half']])
    assert.equal(await bench.decide(id, 'commit'), 'prepared-not-found', 'once decided it is forgotten')
  })

  test('nobody is asked for one that is not durable, nor by a broker that has failed', async () => {
    const syncs = new HeldSyncs()
    const bench = await syncs.bench()
    bench.declare('q')
    const peer = bench.connect()
    bench.broker.joinGroup(peer.id, 'orders')
    syncs.isHolding = true
    peer.send('q', 'half', { prepare })
    await bench.advance(20_000)
    assert.equal(peer.checks.length, 0)
    syncs.release()
    await bench.advance(7_000)
    assert.equal(peer.checks.length, 1)
    bench.disk.faults.syncError = 1
    peer.send('q', 'lost')
    await bench.advance(100_000)
    assert.deepEqual([peer.notices, peer.checks.length], [['failed: journal-failed'], 1])
  })

  test('one that is fanned out is committed in all queues at once', async () => {
    const bench = await Bench.onDisk()
    for (const queue of ['a', 'b']) {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    const tag = peer.publish('amq.fanout', 'k', 'half', { prepare })
    await bench.idle()
    const [status] = bench.broker.prepared()
    const { group, exchange, key, queues, checks, parked } = status!
    assert.deepEqual(
      { group, exchange, key, queues, checks, parked },
      { group: 'orders', exchange: 'amq.fanout', key: 'k', queues: ['a', 'b'], checks: 0, parked: false },
    )
    await bench.decide(peer.prepared.get(tag)!, 'commit')
    assert.deepEqual([await bench.texts('a'), await bench.texts('b')], [['half'], ['half']])
  })

  test('bad input: no queue, no group, in a transaction, too many, nobody to answer: each says so', async () => {
    const bench = await Bench.inMemory({ maxPrepared: 1 })
    bench.declare('q')
    const peer = bench.connect()
    const refused = [
      peer.publish('amq.topic', 'nobody', 'x', { prepare }),
      peer.send('q', 'x', { prepare: { group: '' } }),
      peer.send('q', 'x', { prepare, transaction: peer.begin() }),
    ]
    peer.send('q', 'x', { prepare })
    refused.push(peer.send('q', 'x', { prepare }))
    await bench.idle()
    assert.deepEqual(
      refused.map((tag) => peer.outcomes.get(tag)),
      ['message-unroutable', 'argument-invalid', 'argument-invalid', 'memory-full'],
    )
    assert.equal(await bench.decide('nonsense', 'commit'), 'prepared-not-found')
    assert.throws(() => bench.broker.joinGroup(peer.id, ''), { code: 'argument-invalid' })
    const mute = bench.broker.connect({ ...peer, check: undefined } as never)
    assert.throws(() => bench.broker.joinGroup(mute, 'orders'), { code: 'unsupported' })
  })

  test('a purge leaves it, deletion of its queue takes it along', async () => {
    const bench = await Bench.inMemory()
    for (const queue of ['a', 'b']) bench.declare(queue)
    const peer = bench.connect()
    await half(bench, peer, 'a', 'stays')
    await half(bench, peer, 'b', 'goes')
    await bench.answer<number>((done) => bench.broker.purgeQueue('a', done))
    await bench.answer<number>((done) => bench.broker.deleteQueue('b', {}, done))
    await bench.advance(6_000)
    assert.deepEqual(
      bench.broker.prepared().map(({ queues }) => queues),
      [['a']],
    )
  })
})

suite('an undecided half message is asked for: first after 6 s, then every 30 s, at most 15 times', () => {
  test('in turn with those who joined the group, with its body; then it is parked and stays', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const sender = bench.connect()
    const members = [bench.connect(), bench.connect()]
    const stranger = bench.connect()
    bench.broker.joinGroup(stranger.id, 'others')
    for (const member of members) bench.broker.joinGroup(member.id, 'orders')
    const id = await half(bench, sender, 'q', 'half')
    sender.disconnect()
    const asked = (): number[] => members.map(({ checks }) => checks.length)
    await bench.advance(5_999)
    assert.deepEqual(asked(), [0, 0])
    await bench.advance(1)
    assert.deepEqual(asked(), [1, 0])
    const { bytes, start, end, group, id: checked, key } = members[0]!.checks[0]!
    const text = Buffer.from(bytes.subarray(start, end)).toString()
    assert.deepEqual([text, group, checked, key], ['half', 'orders', id, 'q'])
    await bench.advance(30_000)
    assert.deepEqual(asked(), [1, 1])
    await bench.advance(13 * 30_000)
    assert.deepEqual(asked(), [8, 7])
    assert.equal(bench.broker.prepared()[0]?.parked, false)
    await bench.advance(1_000_000)
    assert.deepEqual(asked(), [8, 7], 'fifteen times in all')
    const { parked, checks } = bench.broker.prepared()[0]!
    assert.deepEqual(
      { parked, checks, strangers: stranger.checks.length },
      { parked: true, checks: 15, strangers: 0 },
    )
    assert.equal(await bench.decide(id, 'commit'), undefined, 'an operator decides')
    assert.deepEqual(await bench.texts('q'), ['half'])
  })

  test('a check that nobody can be asked does not count, and is made up for when somebody joins', async () => {
    const bench = await Bench.inMemory({ checkBack: { first: 1_000, interval: 2_000, max: 2 } })
    bench.declare('q')
    const peer = bench.connect()
    const id = await half(bench, peer, 'q', 'half')
    await bench.advance(100_000)
    assert.equal(bench.broker.prepared()[0]?.checks, 0)
    bench.broker.joinGroup(peer.id, 'orders')
    await bench.idle()
    assert.deepEqual(
      peer.checks.map((check) => check.id),
      [id],
    )
    bench.broker.leaveGroup(peer.id, 'orders')
    await bench.advance(2_000)
    assert.equal(peer.checks.length, 1)
    bench.broker.joinGroup(peer.id, 'orders')
    await bench.advance(1_000)
    assert.equal(peer.checks.length, 2)
    await bench.decide(id, 'rollback')
    await bench.advance(100_000)
    assert.equal(peer.checks.length, 2, 'nobody asks for what is decided')
  })

  for (const way of ['restart', 'crash'] as const) {
    test(`half messages and how often they were asked for survive a ${way}, decisions too`, async () => {
      const bench = await Bench.onDisk({ checkBack: { first: 1_000, interval: 2_000, max: 3 } })
      bench.declare('q')
      const peer = bench.connect()
      bench.broker.joinGroup(peer.id, 'orders')
      const ids: string[] = []
      for (const text of ['kept', 'committed', 'discarded', 'later'])
        ids.push(await half(bench, peer, 'q', text))
      await bench.advance(1_000)
      await bench.decide(ids[1]!, 'commit')
      await bench.decide(ids[2]!, 'rollback')
      await bench[way]()
      const list = bench.broker.prepared()
      assert.deepEqual(
        list.map(({ id, checks, key, group }) => [id, checks, key, group]),
        [
          [ids[0], 1, 'q', 'orders'],
          [ids[3], 1, 'q', 'orders'],
        ],
      )
      assert.deepEqual(await bench.texts('q'), ['committed'])
      const again = bench.connect()
      bench.broker.joinGroup(again.id, 'orders')
      await bench.advance(1_999)
      assert.equal(again.checks.length, 0)
      await bench.advance(10_000)
      assert.equal(again.checks.length, 4, 'twice more each')
      assert.equal(await bench.decide(ids[0]!, 'commit'), undefined)
      await bench[way]()
      assert.deepEqual(await bench.texts('q'), ['kept', 'committed'])
      assert.equal(bench.broker.prepared()[0]?.parked, true)
    })
  }

  test('thousands of them at once keep to their times', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    bench.broker.joinGroup(peer.id, 'orders')
    for (const text of numbered('m', 3_000)) peer.send('q', text, { prepare })
    await bench.advance(6_000)
    assert.equal(new Set(peer.checks.map(({ id }) => id)).size, 3_000)
  })
})
