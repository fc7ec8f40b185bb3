import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { Bench, failed, type Peer, type Received } from './support.ts'

const options = { chunkBytes: 1_000 }

async function bodyOf(bench: Bench, { chunks }: Pick<Received, 'chunks'>): Promise<string> {
  const parts: Buffer[] = []
  for (const lsn of chunks) {
    const bytes = await bench.answer<Uint8Array | null>((done) => bench.broker.readChunk(lsn, done))
    assert.ok(bytes)
    parts.push(Buffer.from(bytes))
  }
  return Buffer.concat(parts).toString()
}

/** Streams `text` into a body in pieces of `piece` bytes, through one buffer. */
function stream(bench: Bench, peer: Peer, text: string, piece: number): number {
  const body = bench.broker.openBody(peer.id)
  const buffer = Buffer.alloc(piece)
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += piece) {
    const length = bytes.copy(buffer, 0, at)
    bench.broker.appendBody(body, buffer.subarray(0, length))
  }
  return body
}

const text = Array.from({ length: 5_500 }, (_, i) => 'abcdefghij'[i % 10]).join('')

suite('large bodies are chunks, streamed, invisible until the last (DESIGN §6)', () => {
  test('streamed in pieces of any size, or handed over whole: delivered as chunks of the bound size', async () => {
    const bench = await Bench.inMemory(options)
    bench.declare('q')
    const peer = bench.connect()
    for (const piece of [1, 999, 1_000, 3_333, 10_000]) {
      peer.send('q', '', { body: stream(bench, peer, text, piece) })
    }
    peer.send('q', text)
    peer.send('q', text.slice(0, 1_000))
    peer.consume('q')
    await bench.idle()
    const deliveries = peer.take()
    const small = deliveries.pop()!
    assert.deepEqual([small.text, small.chunks], [text.slice(0, 1_000), []])
    assert.equal(deliveries.length, 6)
    for (const delivery of deliveries) {
      assert.deepEqual([delivery.size, delivery.chunks.length, delivery.text], [text.length, 6, ''])
      assert.equal(await bodyOf(bench, delivery), text)
    }
    peer.settleAll([...deliveries, small])
    await bench.idle()
    assert.equal(bench.store.status().liveBytes, 0, 'the chunks go with the message')
  })

  test('streamed at once, in memory that others have had: not taken for each other', async () => {
    const bench = await Bench.inMemory(options)
    bench.declare('q')
    const peer = bench.connect()
    peer.consume('q')
    for (let round = 0; round < 3; round++) {
      const texts = ['x', 'y', 'z'].map((letter) => `${round}${letter}`.repeat(1_234))
      const bodies = texts.map(() => bench.broker.openBody(peer.id))
      for (let at = 0; at < 2_468; at += 300) {
        for (const [i, one] of texts.entries()) {
          bench.broker.appendBody(bodies[i]!, Buffer.from(one.slice(at, at + 300)))
        }
      }
      for (const body of bodies) peer.send('q', '', { body })
      await bench.idle()
      const deliveries = peer.take()
      assert.deepEqual(await Promise.all(deliveries.map((each) => bodyOf(bench, each))), texts)
      peer.settleAll(deliveries)
    }
  })

  test('stored once, however many queues hold it', async () => {
    const bench = await Bench.inMemory(options)
    for (const queue of ['a', 'b']) {
      bench.declare(queue)
      bench.broker.bind({ exchange: 'amq.fanout', queue, key: '' })
    }
    const peer = bench.connect()
    peer.publish('amq.fanout', '', '', { body: stream(bench, peer, text, 500) })
    await bench.idle()
    assert.ok(bench.store.status().liveBytes < 2 * text.length)
    for (const queue of ['a', 'b']) {
      peer.consume(queue)
      await bench.idle()
      const delivery = peer.takeOne()
      assert.equal(await bodyOf(bench, delivery), text)
      peer.settle(delivery)
    }
    await bench.idle()
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('aborted, refused, unroutable or left behind by its connection: its chunks are given up', async () => {
    const bench = await Bench.inMemory({ ...options, maxMessageBytes: 5_000 })
    bench.declare('full', { overflow: 'reject', maxMessages: 1 })
    const peer = bench.connect()
    peer.send('full', 'm')
    await bench.idle()
    const before = bench.store.status().liveBytes
    bench.broker.abortBody(stream(bench, peer, text, 700))
    peer.send('q', '', { body: stream(bench, peer, text, 700) })
    peer.send('full', '', { body: stream(bench, peer, text.slice(0, 4_000), 700) })
    peer.publish('amq.topic', 'k', '', {
      body: stream(bench, peer, text.slice(0, 4_000), 700),
      mandatory: true,
    })
    const leaving = bench.connect()
    stream(bench, leaving, text, 700)
    await bench.idle()
    leaving.disconnect()
    await bench.idle()
    assert.deepEqual([...peer.outcomes.values()].slice(1), [
      'message-too-large',
      'queue-full',
      'message-unroutable',
    ])
    assert.equal(bench.store.status().liveBytes, before)
  })

  test('unroutable and not mandatory: confirmed, and its chunks are given up', async () => {
    const bench = await Bench.inMemory(options)
    const peer = bench.connect()
    peer.publish('amq.topic', 'k', '', { body: stream(bench, peer, text, 700) })
    await bench.idle()
    assert.equal(peer.outcomes.get(1), 'accepted')
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('the resend of a stored one is confirmed, and the second copy of its chunks given up', async () => {
    const bench = await Bench.inMemory(options)
    const peer = bench.connect()
    const { handle } = bench.broker.openProducer(peer.id, 'p')
    for (let i = 0; i < 2; i++) {
      peer.send('q', '', { body: stream(bench, peer, text, 700), producer: handle, sequence: 1 })
      await bench.idle()
    }
    assert.deepEqual([...peer.outcomes.values()], ['accepted', 'accepted'])
    assert.ok(bench.store.status().liveBytes < 1.5 * text.length)
  })

  test('held for room, then delivered whole', async () => {
    const bench = await Bench.inMemory(options)
    bench.declare('q', { maxMessages: 1 })
    const peer = bench.connect()
    peer.send('q', 'first')
    peer.send('q', '', { body: stream(bench, peer, text, 700) })
    await bench.idle()
    peer.consume('q', 1)
    await bench.idle()
    peer.settle(peer.takeOne())
    await bench.idle()
    const [held] = await bench.browse('q')
    assert.equal(await bodyOf(bench, held!), text)
  })

  test('dead-lettered without copying it, and whole after a power cut and after a checkpoint', async () => {
    const bench = await Bench.onDisk(options)
    bench.declare('q', { maxDeliveries: 1 })
    const peer = bench.connect()
    peer.send('q', '', { body: stream(bench, peer, text, 700) })
    peer.consume('q')
    await bench.idle()
    peer.settle(peer.takeOne(), failed)
    await bench.idle()
    assert.ok(bench.store.status().liveBytes < 2 * text.length)
    for (const again of ['crash', 'restart', 'crash'] as const) {
      await bench[again]()
      const [letter] = await bench.browse('q.dlq')
      assert.equal(await bodyOf(bench, letter!), text, `after ${again}`)
    }
    const after = bench.connect()
    after.consume('q.dlq')
    await bench.idle()
    after.settle(after.takeOne())
    await bench.idle()
    await bench.crash()
    assert.equal(bench.store.status().liveBytes, 0)
  })

  test('an unfinished one does not survive', async () => {
    const bench = await Bench.onDisk(options)
    const peer = bench.connect()
    stream(bench, peer, text, 700)
    await bench.idle()
    await bench.crash()
    assert.equal(bench.store.status().liveBytes, 0)
  })
})
