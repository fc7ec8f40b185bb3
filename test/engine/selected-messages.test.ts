/** Operations on the messages that a selector takes: browsing, moving, purging. */
import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { BrowsePage } from '../../src/engine/api.ts'
import { Bench, refuses, rejected, textOf } from './support.ts'

const ROUGH = 3_000

/** A queue with messages {"n": 0}, {"n": 1}, … over several chunks, in pages as far as that may be. */
async function deepQueue(bench: Bench, count = ROUGH): Promise<void> {
  for (const queue of ['q', 'other']) bench.declare(queue)
  const peer = bench.connect()
  for (let n = 0; n < count; n++) {
    peer.send('q', JSON.stringify({ n }), n % 5 === 0 ? { durability: 'memory' } : {})
    if (n % 500 === 0) await bench.idle()
  }
  await bench.idle()
}

async function selected(bench: Bench, queue: string, selector: string, limit: number): Promise<number[]> {
  const found: number[] = []
  for (let after: string | undefined = ''; after !== undefined; ) {
    const from: string = after
    const page = await bench.answer<BrowsePage>((done) =>
      bench.broker.browse(queue, from, limit, done, selector),
    )
    assert.ok(page.messages.length <= limit)
    for (const message of page.messages) found.push((JSON.parse(textOf(message)) as { n: number }).n)
    after = page.next
  }
  return found
}

suite('messages chosen by a selector', () => {
  test('a browser finds what it wants at the far end of a deep queue, once and in order, whatever the pages', async () => {
    const bench = await Bench.onDisk({ residentEntries: 1 })
    await deepQueue(bench)
    assert.deepEqual(await selected(bench, 'q', `n = ${ROUGH - 1}`, 10), [ROUGH - 1])
    assert.deepEqual(
      await selected(bench, 'q', 'n >= 2990', 3),
      Array.from({ length: 10 }, (_, i) => 2990 + i),
    )
    assert.deepEqual(await selected(bench, 'q', 'n IS NULL', 10), [])
    const even = (await selected(bench, 'q', 'n - n / 2 * 2 = 0', 100)).length
    assert.equal(even, ROUGH / 2)
    const volatile = "JMSDeliveryMode = 'NON_PERSISTENT'"
    assert.equal((await selected(bench, 'q', volatile, 100)).length, ROUGH / 5)
  })

  test('a page that looked at many messages in vain says where to go on, so that a turn stays short', async () => {
    const bench = await Bench.inMemory()
    await deepQueue(bench)
    const page = await bench.answer<BrowsePage>((done) => bench.broker.browse('q', '', 10, done, 'n < 0'))
    assert.deepEqual(page.messages, [])
    assert.ok(page.next !== undefined)
  })

  test('a large body is looked at by its first chunk', async () => {
    const bench = await Bench.onDisk({ chunkBytes: 256 })
    bench.declare('q')
    const peer = bench.connect()
    for (const n of [1, 2]) peer.send('q', `{"n": ${n}}${' '.repeat(2_000)}`)
    await bench.restart()
    const page = await bench.answer<BrowsePage>((done) => bench.broker.browse('q', '', 10, done, 'n = 2'))
    assert.equal(page.messages.length, 1)
    assert.equal(page.messages[0]?.chunks.length, 8)
  })

  test('moving takes what the selector takes, up to the limit, and leaves the rest in order', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    await deepQueue(bench)
    const move = (options: object): Promise<number> =>
      bench.answer<number>((done) => bench.broker.moveMessages('q', 'other', options, done))
    assert.equal(await move({ selector: 'n BETWEEN 1000 AND 1099', limit: 60 }), 60)
    assert.equal(await move({ selector: 'n BETWEEN 1000 AND 1099' }), 40)
    assert.equal(await move({ selector: 'n BETWEEN 1000 AND 1099' }), 0)
    const moved = (await bench.texts('other')).map((text) => (JSON.parse(text) as { n: number }).n)
    assert.deepEqual(
      moved,
      Array.from({ length: 100 }, (_, i) => 1000 + i),
    )
    assert.equal(bench.status('q').messages, ROUGH - 100)
    assert.equal(bench.status('q').acquired, 0)
  })

  test('dead letters that the selector takes go back to where they failed; the others stay', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    const peer = bench.connect()
    for (const n of [1, 2, 3]) peer.send('q', JSON.stringify({ n }))
    const consumer = peer.consume('q', 3)
    await bench.idle()
    peer.settleAll(peer.take(), rejected)
    bench.broker.cancel(consumer, { release: true })
    await bench.idle()
    const redriven = await bench.answer<number>((done) =>
      bench.broker.moveMessages('q.dlq', undefined, { selector: 'n > 1' }, done),
    )
    assert.equal(redriven, 2)
    assert.deepEqual(
      [await bench.texts('q'), await bench.texts('q.dlq')],
      [['{"n":2}', '{"n":3}'], ['{"n":1}']],
    )
  })

  test('purging removes what the selector takes and nobody holds', async () => {
    const bench = await Bench.inMemory({ residentEntries: 1 })
    await deepQueue(bench)
    const peer = bench.connect()
    peer.consume('q', 2)
    await bench.idle()
    const purged = await bench.answer<number>((done) => bench.broker.purgeQueue('q', done, 'n < 2900'))
    assert.equal(purged, 2898)
    const { messages, departed, acquired } = bench.status('q')
    assert.deepEqual([messages, departed.purged, acquired], [102, 2898, 2])
  })

  test('a selector that cannot be read is refused, and nothing happens', async () => {
    const bench = await Bench.inMemory()
    bench.declare('q')
    refuses(() => bench.broker.browse('q', '', 1, () => {}, 'n ='), 'selector-invalid')
    refuses(() => bench.broker.purgeQueue('q', () => {}, 'n ='), 'selector-invalid')
    refuses(() => bench.broker.moveMessages('q', undefined, { selector: '' }, () => {}), 'selector-invalid')
  })
})
