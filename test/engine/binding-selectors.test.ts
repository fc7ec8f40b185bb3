import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { type Binding, BindingSet } from '../../src/engine/routing/binding-set.ts'
import type { ExchangeKind } from '../../src/model/policy.ts'
import { parseSelector } from '../../src/model/selector/selector.ts'
import { seed } from './seed.ts'
import { Bench, refuses } from './support.ts'

const selectors = [
  "colour = 'red'",
  "colour IN ('red', 'blue') AND size > 1",
  'size > 1',
  'size = 1 OR size = 2.0',
  "colour = 'red' OR size = 3",
  'NOT flag',
  'flag',
  'colour IS NULL',
  undefined,
]

suite('selectors of bindings (JMS 4.2.2: unwanted messages never enter the subscription)', () => {
  for (const kind of ['topic', 'direct', 'fanout', 'headers'] as ExchangeKind[]) {
    test(`${kind}: a queue gets what its selector takes, once, and nothing else`, async () => {
      const bench = await Bench.inMemory()
      bench.broker.declareExchange({ name: 'x', kind })
      for (const queue of ['red', 'large', 'all']) bench.declare(queue)
      bench.broker.bind({ exchange: 'x', queue: 'red', key: 'k', selector: "colour = 'red'" })
      bench.broker.bind({ exchange: 'x', queue: 'red', key: 'k', selector: "colour = 'red' AND size > 0" })
      bench.broker.bind({ exchange: 'x', queue: 'large', key: 'k', selector: 'size > 10' })
      bench.broker.bind({ exchange: 'x', queue: 'all', key: 'k' })
      const peer = bench.connect()
      for (const message of [{ colour: 'red', size: 1 }, { colour: 'blue', size: 11 }, { size: 'red' }])
        peer.publish('x', 'k', JSON.stringify(message))
      await bench.idle()
      const counts = ['red', 'large', 'all'].map((queue) => bench.status(queue).published)
      assert.deepEqual(counts, [1, 1, 3])
    })
  }

  test('a message that no selector takes is unroutable, and goes to the alternate exchange', async () => {
    const bench = await Bench.inMemory()
    bench.broker.declareExchange({ name: 'x', kind: 'fanout', alternate: 'amq.fanout' })
    for (const queue of ['q', 'other']) bench.declare(queue)
    bench.broker.bind({ exchange: 'x', queue: 'q', key: '', selector: 'a = 1' })
    const peer = bench.connect()
    const tag = peer.publish('x', '', '{"a": 2}', { mandatory: true })
    await bench.idle()
    assert.equal(peer.outcomes.get(tag), 'message-unroutable')
    bench.broker.bind({ exchange: 'amq.fanout', queue: 'other', key: '' })
    peer.publish('x', '', '{"a": 2}', { mandatory: true })
    await bench.idle()
    assert.deepEqual([bench.status('q').published, bench.status('other').published], [0, 1])
  })

  test('priority and durability are those of the publication', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const selector = "JMSPriority > 5 AND JMSDeliveryMode = 'NON_PERSISTENT'"
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'k', selector })
    const peer = bench.connect()
    peer.publish('amq.topic', 'k', 'a', { priority: 9 })
    peer.publish('amq.topic', 'k', 'b', { priority: 9, durability: 'memory' })
    peer.publish('amq.topic', 'k', 'c', { priority: 5, durability: 'memory' })
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['b'])
  })

  test('of a body that arrives in parts, its beginning is looked at', async () => {
    const bench = await Bench.inMemory({ chunkBytes: 64 })
    bench.declare('q')
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'k', selector: 'a = 1' })
    const peer = bench.connect()
    for (const a of [1, 2]) {
      const body = bench.broker.openBody(peer.id)
      const text = JSON.stringify({ a, filling: 'x'.repeat(500) })
      for (let at = 0; at < text.length; at += 50)
        bench.broker.appendBody(body, Buffer.from(text.slice(at, at + 50)))
      peer.publish('amq.topic', 'k', '', { body })
    }
    await bench.idle()
    assert.equal(bench.status('q').published, 1)
  })

  test('a selector that cannot be read is refused, and nothing is bound', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    refuses(
      () => bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: '#', selector: 'a =' }),
      'selector-invalid',
    )
    assert.deepEqual(bench.broker.bindings(), [])
  })

  for (const way of ['restart', 'crash'] as const) {
    test(`selectors of bindings are kept over a ${way}, in the journal and in a checkpoint`, async () => {
      const bench = await Bench.onDisk()
      bench.declare('q')
      bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'k', selector: 'a = 1' })
      await bench.idle()
      await bench[way]()
      // After the second one the binding comes from a checkpoint.
      await bench.restart()
      const peer = bench.connect()
      for (const a of [1, 2]) peer.publish('amq.topic', 'k', JSON.stringify({ a }))
      await bench.idle()
      assert.deepEqual(await bench.texts('q'), ['{"a":1}'])
    })
  }

  test('no-local by connection: one without client id passes over what it sent itself (JMS 4.2.2)', async () => {
    const bench = await Bench.inMemory()
    const [own, other] = [bench.connect(), bench.connect()]
    bench.declare('q')
    bench.broker.bind({ exchange: 'amq.topic', queue: 'q', key: 'k', noLocalConnection: own.id })
    own.publish('amq.topic', 'k', 'own')
    other.publish('amq.topic', 'k', 'other')
    await bench.idle()
    assert.deepEqual(await bench.texts('q'), ['other'])
  })

  test('the arrangement by selectors finds what asking each selector would, also after some have left', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const binding = fc.record({ selector: fc.constantFrom(...selectors), stays: fc.boolean() })
    const message = fc.record(
      {
        colour: fc.constantFrom('red', 'blue', 5n, null),
        size: fc.constantFrom(1n, 2n, 2.5, 3, 'x', undefined),
        flag: fc.constantFrom(true, false, 'true'),
      },
      { requiredKeys: [] },
    )
    const agrees = fc.property(fc.array(binding, { maxLength: 12 }), fc.array(message), (given, messages) => {
      const set = new BindingSet()
      const bindings = given.map(({ selector, stays }, number): [Binding, boolean] => [
        {
          definition: { exchange: 'x', queue: 'q', key: '', selector },
          id: String(number),
          queue: number,
          selector: selector === undefined ? undefined : parseSelector(selector),
        },
        stays,
      ])
      for (const [each] of bindings) set.add(each)
      for (const [each, stays] of bindings) if (!stays) set.delete(each)
      const left = bindings.filter(([, stays]) => stays).map(([each]) => each)
      assert.equal(set.empty, left.length === 0)
      for (const values of messages) {
        const lookup = (name: string): unknown => (values as Record<string, unknown>)[name]
        const found = new Set<Binding>()
        set.collect(lookup, found)
        const expected = left.filter(({ selector }) => selector?.matches(lookup) ?? true)
        assert.deepEqual(new Set([...found].map(({ id }) => id)), new Set(expected.map(({ id }) => id)))
      }
    })
    fc.assert(agrees, { seed, numRuns: 200 })
  })
})
