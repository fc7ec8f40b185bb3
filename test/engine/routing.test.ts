import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { BindingDefinition, ExchangeKind } from '../../src/model/policy.ts'
import { Bench, refuses } from './support.ts'

/** A broker with an exchange and queues bound to it by these definitions. */
async function bound(
  kind: ExchangeKind,
  bindings: Record<string, Partial<BindingDefinition>>,
): Promise<{ bench: Bench; reached: (key: string, text?: string, clientId?: string) => Promise<string[]> }> {
  const bench = await Bench.inMemory()
  bench.broker.declareExchange({ name: 'x', kind })
  for (const [queue, binding] of Object.entries(bindings)) {
    bench.declare(queue)
    bench.broker.bind({ exchange: 'x', queue, key: '', ...binding })
  }
  let number = 0
  const reached = async (key: string, text = `${++number}`, clientId?: string): Promise<string[]> => {
    const before = new Map(
      bench.broker.queues().map(({ definition, published }) => [definition.name, published]),
    )
    bench.connect(clientId).publish('x', key, text)
    await bench.idle()
    return bench.broker
      .queues()
      .filter(({ definition, published }) => published > (before.get(definition.name) ?? 0))
      .map(({ definition }) => definition.name)
  }
  return { bench, reached }
}

suite('exchanges (DESIGN §3)', () => {
  test('the default exchange routes by queue name', async () => {
    const bench = await Bench.inMemory()
    bench.declare('a')
    bench.declare('b')
    bench.connect().send('b', 'm')
    await bench.idle()
    const [message] = await bench.browse('b')
    assert.deepEqual([message!.exchange, message!.key, bench.status('a').messages], ['', 'b', 0])
  })

  test('direct: the key is equal', async () => {
    const { reached } = await bound('direct', { a: { key: 'k' }, b: { key: 'k' }, c: { key: 'k.l' } })
    assert.deepEqual(await reached('k'), ['a', 'b'])
    assert.deepEqual(await reached('k.l'), ['c'])
    assert.deepEqual(await reached('#'), [])
  })

  test('fanout: whatever the key', async () => {
    const { reached } = await bound('fanout', { a: { key: 'k' }, b: {} })
    assert.deepEqual(await reached('anything'), ['a', 'b'])
  })

  test('topic: both syntaxes at one exchange; a queue bound twice gets one copy', async () => {
    const { bench, reached } = await bound('topic', {
      all: { key: '#' },
      dotted: { key: 'a.*.c' },
      slashed: { key: 'a/+/c', syntax: 'slashed' },
      two: { key: 'a.#' },
    })
    bench.broker.bind({ exchange: 'x', queue: 'two', key: '#.c' })
    assert.deepEqual(await reached('a.b.c'), ['all', 'dotted', 'slashed', 'two'], 'levels are levels')
    assert.equal(bench.status('two').messages, 1)
    assert.deepEqual(await reached('a/b/c'), ['all'], 'a dotted key of one level')
    bench.connect().publish('x', 'a/b.b/c', 'm', { syntax: 'slashed' })
    await bench.idle()
    assert.deepEqual(
      (await bench.browse('slashed')).map(({ key }) => key),
      ['a.b.c', 'a/b.b/c'],
    )
  })

  test('headers: all or any of the values; null asks only that the header be there', async () => {
    const values = { colour: 'red', size: 2 }
    const { reached } = await bound('headers', {
      all: { headers: { match: 'all', values } },
      any: { headers: { match: 'any', values } },
      there: { headers: { match: 'all', values: { size: null } } },
      none: { headers: { match: 'any', values: {} } },
      every: { headers: { match: 'all', values: {} } },
    })
    const to = (properties: object): Promise<string[]> => reached('', JSON.stringify(properties))
    assert.deepEqual(await to({ colour: 'red', size: 2 }), ['all', 'any', 'there', 'every'])
    assert.deepEqual(await to({ colour: 'red', size: '2' }), ['any', 'there', 'every'])
    assert.deepEqual(await to({ colour: 'blue' }), ['every'])
  })

  test('no-local: a binding passes over what its own client sent', async () => {
    const { reached } = await bound('topic', { own: { key: '#', noLocal: 'me' }, all: { key: '#' } })
    assert.deepEqual(await reached('k', 'm', 'me'), ['all'])
    assert.deepEqual(await reached('k', 'm', 'you'), ['own', 'all'])
    assert.deepEqual(await reached('k', 'm'), ['own', 'all'])
  })

  test('unbind takes out exactly the binding that it names', async () => {
    const { bench, reached } = await bound('topic', { q: { key: 'a.*' } })
    bench.broker.bind({ exchange: 'x', queue: 'q', key: 'a.b' })
    bench.broker.unbind({ exchange: 'x', queue: 'q', key: 'a.*', syntax: 'slashed' })
    assert.deepEqual(await reached('a.c'), ['q'], 'another syntax is another binding')
    bench.broker.unbind({ exchange: 'x', queue: 'q', key: 'a.*' })
    assert.deepEqual(await reached('a.c'), [])
    assert.deepEqual(await reached('a.b'), ['q'])
    assert.deepEqual(bench.broker.bindings(), [{ exchange: 'x', queue: 'q', key: 'a.b' }])
  })

  test('binding twice is binding once', async () => {
    const { bench } = await bound('direct', { q: { key: 'k' } })
    bench.broker.bind({ exchange: 'x', queue: 'q', key: 'k' })
    bench.broker.unbind({ exchange: 'x', queue: 'q', key: 'k' })
    assert.deepEqual(bench.broker.bindings(), [])
  })

  test('deleting a queue takes its bindings; a new one of its name has none', async () => {
    const { bench, reached } = await bound('fanout', { q: {}, other: {} })
    await bench.answer((done) => bench.broker.deleteQueue('q', {}, done))
    bench.declare('q')
    assert.deepEqual(await reached('k'), ['other'])
  })

  test('deleting an exchange takes its bindings; built-in ones stay', async () => {
    const { bench } = await bound('topic', { q: { key: '#' } })
    bench.broker.deleteExchange('x')
    assert.deepEqual(bench.broker.bindings(), [])
    bench.broker.declareExchange({ name: 'x', kind: 'fanout' })
    bench.broker.bind({ exchange: 'x', queue: 'q', key: '' })
    for (const name of ['', 'amq.topic'])
      refuses(() => bench.broker.deleteExchange(name), 'destination-invalid')
    bench.broker.deleteExchange('never was')
  })
})

suite('what no queue takes', () => {
  test('goes to the alternate exchange, over several, and a ring of them ends', async () => {
    const bench = await Bench.inMemory()
    bench.broker.declareExchange({ name: 'first', kind: 'direct', alternate: 'second' })
    bench.broker.declareExchange({ name: 'second', kind: 'direct', alternate: 'third' })
    bench.broker.declareExchange({ name: 'third', kind: 'direct', alternate: 'first' })
    bench.declare('last resort')
    bench.broker.bind({ exchange: 'third', queue: 'last resort', key: 'k' })
    const peer = bench.connect()
    peer.publish('first', 'k', 'm')
    peer.publish('first', 'nobody', 'n', { mandatory: true })
    await bench.idle()
    assert.deepEqual(await bench.texts('last resort'), ['m'])
    assert.deepEqual([...peer.outcomes.values()].sort(), ['accepted', 'message-unroutable'])
  })

  test('is confirmed and dropped, or refused when mandatory', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    const plain = peer.publish('amq.topic', 'k', 'm')
    const mandatory = peer.publish('amq.topic', 'k', 'm', { mandatory: true })
    const inMemory = peer.publish('amq.topic', 'k', 'm', { durability: 'memory' })
    await bench.idle()
    assert.equal(peer.outcomes.get(plain), 'accepted')
    assert.equal(peer.outcomes.get(mandatory), 'message-unroutable')
    assert.equal(peer.outcomes.get(inMemory), 'accepted')
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('an exchange that does not exist refuses', async () => {
    const bench = await Bench.inMemory()
    const peer = bench.connect()
    const tag = peer.publish('nowhere', 'k', 'm')
    await bench.idle()
    assert.equal(peer.outcomes.get(tag), 'destination-not-found')
  })
})

suite('creation by naming, and declarations', () => {
  test('autoCreate allows all, none, or those that match a pattern', async () => {
    const outcomes = async (autoCreate: boolean | string[], queue: string): Promise<string | undefined> => {
      const bench = await Bench.inMemory({ autoCreate })
      const peer = bench.connect()
      const tag = peer.send(queue, 'm')
      await bench.idle()
      return peer.outcomes.get(tag)
    }
    assert.equal(await outcomes(true, 'q'), 'accepted')
    assert.equal(await outcomes(false, 'q'), 'destination-not-found')
    assert.equal(await outcomes(['orders.*', 'mail'], 'orders.new'), 'accepted')
    assert.equal(await outcomes(['orders.*', 'mail'], 'orders.new.late'), 'destination-not-found')
    assert.equal(await outcomes(['orders.*', 'mail'], 'mail'), 'accepted')
  })

  test('the first policy rule that matches the name applies, beneath what the declaration asks for', async () => {
    const bench = await Bench.inMemory({
      policies: [
        { match: 'orders.#', policy: { ttl: 5_000, maxMessages: 7 } },
        { match: '#', policy: { ttl: 1 } },
      ],
    })
    bench.declare('orders.new', { maxMessages: 9 })
    const { ttl, maxMessages, overflow } = bench.status('orders.new').definition.policy
    assert.deepEqual([ttl, maxMessages, overflow], [5_000, 9, 'block'])
  })

  test('a dead-letter queue is created for the first dead letter, and dead-letters nothing itself', async () => {
    const bench = await Bench.inMemory({ autoCreate: false })
    bench.declare('q')
    const peer = bench.connect()
    peer.send('q', 'm')
    peer.onDelivery = (delivery) => peer.settle(delivery, { outcome: 'rejected' })
    peer.consume('q')
    await bench.idle()
    const { deadLetter, maxDeliveries } = bench.status('q.dlq').definition.policy
    assert.deepEqual([deadLetter, maxDeliveries], [undefined, undefined])
  })

  test('a declaration agrees with what exists in everything it names, or is refused', async () => {
    const bench = await Bench.inMemory()
    const { broker } = bench
    broker.declareQueue({ name: 'q', policy: { ttl: 5 } })
    broker.declareQueue({ name: 'q' })
    broker.declareQueue({ name: 'q', policy: { ttl: 5, overflow: 'block' }, passive: true })
    for (const different of [
      { policy: { ttl: 6 } },
      { lifetime: { kind: 'auto-delete' } as const },
      { durability: 'memory' as const },
    ]) {
      refuses(() => broker.declareQueue({ name: 'q', ...different }), 'destination-conflict')
    }
    refuses(() => broker.declareQueue({ name: 'absent', passive: true }), 'destination-not-found')
    refuses(() => broker.declareQueue({ name: '' }), 'destination-invalid')
    refuses(() => broker.declareQueue({ name: 'ä'.repeat(513) }), 'destination-invalid')
    refuses(() => broker.declareExchange({ name: 'amq.topic', kind: 'direct' }), 'destination-conflict')
    refuses(() => broker.bind({ exchange: 'amq.topic', queue: 'absent', key: '' }), 'destination-not-found')
    refuses(() => broker.bind({ exchange: 'absent', queue: 'q', key: '' }), 'destination-not-found')
  })
})
