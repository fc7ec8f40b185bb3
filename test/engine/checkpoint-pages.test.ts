/** Checkpoints name the pages of chunks that are in memory, and what has become of their entries since. */
import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { type ReplayableStore, replayable } from './replayable-store.ts'
import { type Bench, numbered } from './support.ts'

const MESSAGES = 2_500

async function filled(residentEntries: number): Promise<{ bench: Bench; store: ReplayableStore }> {
  const { bench, store } = await replayable({ residentEntries })
  bench.declare('q')
  const peer = bench.connect()
  for (const text of numbered('', MESSAGES)) peer.send('q', text)
  await bench.idle()
  return { bench, store }
}

suite('a checkpoint does not write again what lies in a page (DESIGN §6)', () => {
  test('a backlog that stays is written into pages once; whatever is added, taken or held since survives', async () => {
    const { bench, store } = await filled(100_000)
    store.takeCheckpoint()
    const first = store.checkpointBytes
    store.takeCheckpoint()
    const second = store.checkpointBytes
    assert.ok(second * 5 < first, `the entries take ${first} bytes, their pages ${second}`)
    const peer = bench.connect()
    peer.consume('q', 110)
    await bench.idle()
    const taken = peer.take()
    peer.settleAll(taken.slice(0, 100))
    peer.send('q', 'late')
    await bench.idle()
    store.takeCheckpoint()
    assert.ok(store.checkpointBytes < first / 4, `${store.checkpointBytes} bytes say what has changed`)
    await bench.reopen()
    assert.equal(bench.status('q').messages, MESSAGES + 1 - 100)
    const after = bench.connect()
    after.consume('q', MESSAGES)
    await bench.idle()
    const again = after.take()
    assert.deepEqual(
      again.map(({ text }) => text),
      [...numbered('', MESSAGES).slice(100), 'late'],
    )
    const counts = again.map(({ deliveryCount }) => deliveryCount)
    assert.deepEqual([counts[0], counts[9], counts[10], counts.at(-1)], [2, 2, 1, 1])
  })

  test('a chunk that is read from its page and half consumed is not written again, also by the checkpoint after', async () => {
    const { bench, store } = await filled(1)
    const peer = bench.connect()
    peer.consume('q', 500)
    await bench.idle()
    const taken = peer.take()
    peer.settleAll(taken)
    await bench.idle()
    store.takeCheckpoint()
    store.takeCheckpoint()
    const bytes = store.checkpointBytes
    await bench.reopen()
    assert.equal(bench.status('q').messages, MESSAGES - 500)
    assert.deepEqual(await bench.locate(taken[0]!.lsn), [])
    // What has gone is not in the page's own list of entries, and must not come back when the page is named once more.
    assert.equal((await bench.texts('q')).length, MESSAGES - 500)
    store.takeCheckpoint()
    await bench.reopen()
    assert.deepEqual((await bench.texts('q')).slice(0, 2), ['500', '501'])
    assert.equal(bench.status('q').messages, MESSAGES - 500)
    assert.ok(bytes < 4_000, `${bytes} bytes`)
  })

  test('the page of a last chunk that is emptied is given back, and new messages find their place', async () => {
    const { bench, store } = await filled(100_000)
    store.takeCheckpoint()
    store.takeCheckpoint()
    assert.equal(store.pagesWritten, 3)
    const peer = bench.connect()
    peer.consume('q', MESSAGES)
    await bench.idle()
    peer.settleAll(peer.take())
    peer.send('q', 'new')
    await bench.idle()
    assert.equal(store.freed.size, 3)
    store.takeCheckpoint()
    await bench.reopen()
    assert.deepEqual(await bench.texts('q'), ['new'])
  })

  test('messages of level memory that a page has are gone after a restart, and stay so when the page is put away again', async () => {
    const { bench, store } = await filled(1)
    const peer = bench.connect()
    for (const text of numbered('m', 1_000)) peer.send('q', text, { durability: 'memory' })
    for (const text of numbered('d', 1_100)) peer.send('q', text)
    await bench.idle()
    store.takeCheckpoint()
    await bench.reopen()
    const expected = [...numbered('', MESSAGES), ...numbered('d', 1_100)]
    // All pages come into memory, and leave it again.
    const other = bench.connect()
    const consumer = other.consume('q', 10_000)
    await bench.idle()
    assert.equal(other.take().length, expected.length)
    bench.broker.cancel(consumer, { release: true })
    for (const text of numbered('e', 3_000)) other.send('q', text)
    await bench.idle()
    const last = bench.connect()
    last.consume('q', 10_000)
    await bench.idle()
    assert.deepEqual(last.takeTexts(), [...expected, ...numbered('e', 3_000)])
  })
})
