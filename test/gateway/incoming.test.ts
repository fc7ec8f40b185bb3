/** Links on which clients send (core 2.6, 3.2, 3.4; Anonymous Terminus 1.0). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { AmqpSymbol, Typed } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'
import { GatewayBench, source, target } from './support.ts'

function header(
  durable: boolean | null,
  priority: number | null = null,
  ttl: number | null = null,
): Uint8Array {
  const writer = new Writer()
  writer.descriptor(0x70)
  writer.list([
    durable,
    priority === null ? null : new Typed('ubyte', priority),
    ttl === null ? null : new Typed('uint', ttl),
  ])
  return Uint8Array.from(writer.slice())
}

function deliveryAnnotations(entries: [string, unknown][]): Uint8Array {
  const writer = new Writer()
  writer.descriptor(0x71)
  writer.map(entries.map(([key, value]) => [new AmqpSymbol(key), value]))
  return Uint8Array.from(writer.slice())
}

const text = (value: string) => ({ body: { kind: 'text', value } as const })

test('the bare message and its annotations leave byte-identical; header and delivery annotations are replaced', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const content = {
    ...text('body'),
    messageId: 'ID:1',
    properties: { a: 1, b: 'two', c: null },
    to: { kind: 'queue', name: 'q' },
    groupId: 'g',
  } as const
  const prefix = Buffer.concat([header(true, 7), deliveryAnnotations([['x-whatever', 'gone']])])
  assert.equal(await sender.send(content, { prefix }), 'accepted')
  const receiver = await client.receiver({ address: 'q', credit: 1 })
  const delivery = await receiver.takeOne()
  assert.deepEqual(Buffer.from(delivery.payload), encodeMessage(content))
  assert.deepEqual(delivery.header, [true, 7, null, true, 0])
  assert.equal(delivery.annotations.size, 0)
})

test('the level: disk unless durable=false or the annotation asks for another', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const receiver = await client.receiver({ address: 'q', credit: 10 })
  const durable = async (prefix: Uint8Array | null): Promise<unknown> => {
    assert.equal(await sender.send('m', { prefix }), 'accepted')
    return (await receiver.takeOne()).header[0]
  }
  assert.equal(await durable(null), true, 'no header')
  assert.equal(await durable(header(null, 4)), true, 'left out')
  assert.equal(await durable(header(true)), true)
  assert.equal(await durable(header(false)), false)
  const overridden = Buffer.concat([header(false), deliveryAnnotations([['x-opt-durability', 'os']])])
  assert.equal(await durable(overridden), true)
  const wrong = deliveryAnnotations([['x-opt-durability', 'paper']])
  assert.equal(await sender.send('m', { prefix: wrong }), 'amqp:decode-error')
})

test('ttl and absolute-expiry-time limit the life of a message; ttl goes first, and what is left is shown', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const wall = bench.bench.clock.wall()
  await sender.send(text('a'), { prefix: header(true, null, 5_000) })
  await sender.send({ ...text('b'), expiration: wall + 3_000 })
  await sender.send(
    { ...text('c'), expiration: wall - 3_000, timestamp: 1 },
    { prefix: header(true, null, 9_000) },
  )
  await bench.bench.advance(1_000)
  const receiver = await client.receiver({ address: 'q', credit: 1 })
  const delivery = await receiver.takeOne()
  assert.equal(delivery.text, 'a')
  assert.equal(delivery.header[2], 4_000)
  await bench.bench.advance(3_000)
  receiver.link.grant(10)
  assert.deepEqual(await receiver.take(), ['c'])
  assert.equal(bench.bench.status('q').departed.expired, 1)
})

test('bytes that are no message are rejected with amqp:decode-error, and the link goes on', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  for (const bytes of [
    [0x00],
    [0x41],
    [0x00, 0x53, 0x70, 0xc0, 9, 1],
    [0x00, 0x53, 0x10, 0x45],
    [0x00, 0x53, 0x70, 0x40],
  ]) {
    const id = sender.link.send(false, 0, null, null, Uint8Array.from(bytes), 0, bytes.length)
    await bench.idle()
    assert.equal(sender.outcomes.get(id), 'amqp:decode-error', bytes.join())
  }
  const other = sender.link.send(false, 7, null, null, new Uint8Array(0), 0, 0)
  await bench.idle()
  assert.equal(sender.outcomes.get(other), 'amqp:decode-error', 'another message format')
  assert.equal(await sender.send('fine'), 'accepted')
  assert.deepEqual(client.faults, [])
})

test('messages of several frames, kept whole or streamed into the engine, arrive as they were', async () => {
  const bench = await GatewayBench.start({ maxFrameSize: 4_096 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const receiver = await client.receiver({ address: 'q', credit: 10 })
  for (const size of [10_000, 256 * 1024 - 10, 256 * 1024 + 1, 1_500_000]) {
    const value = Buffer.alloc(size, `${size} `)
    const content = { body: { kind: 'bytes', value } as const, messageId: `ID:${size}` }
    assert.equal(await sender.send(content, { prefix: header(true, 6) }), 'accepted')
    const delivery = await receiver.takeOne()
    assert.equal(delivery.header[1], 6)
    assert.ok(Buffer.from(delivery.payload).equals(encodeMessage(content)), `${size} bytes`)
    await receiver.settle(delivery)
  }
  assert.equal(bench.bench.status('q').messages, 0)
})

test('what a message that is still coming has said of itself is not forgotten over a whole one between', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const slow = await client.sender({ address: 'q' })
  const quick = await client.sender({ address: 'q' })
  const receiver = await client.receiver({ address: 'q', credit: 10 })
  // So large that its head is read long before its end.
  const value = Buffer.alloc(600_000)
  const bytes = Buffer.concat([header(true, 8), encodeMessage({ body: { kind: 'bytes', value } })])
  slow.link.begin(false, 0, null)
  slow.link.append(bytes, 0, 500_000, false)
  await bench.idle()
  assert.equal(await quick.send('whole', { prefix: header(true, 2) }), 'accepted')
  assert.equal((await receiver.takeOne()).header[1], 2)
  slow.link.append(bytes, 500_000, bytes.length, true)
  assert.equal((await receiver.takeOne()).header[1], 8)
})

test('messages of several frames that come on several links at once are not taken for each other', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const receiver = await client.receiver({ address: 'q', credit: 100 })
  const step = 50_000
  for (const sizes of [
    [70_000, 100_000, 200_000],
    [130_000, 70_000, 600_000],
  ]) {
    const sent = sizes.map((size) =>
      encodeMessage({ body: { kind: 'bytes', value: Buffer.alloc(size, `${size} `) } }),
    )
    const links = await Promise.all(sizes.map(() => client.sender({ address: 'q' })))
    for (const { link } of links) link.begin(false, 0, null)
    for (let at = 0; at < 650_000; at += step) {
      for (const [i, bytes] of sent.entries()) {
        const last = at + step >= bytes.length
        if (at < bytes.length) links[i]!.link.append(bytes, at, last ? bytes.length : at + step, last)
      }
      await bench.idle()
    }
    const received = receiver.received.splice(0)
    assert.equal(received.length, sizes.length)
    for (const bytes of sent) {
      assert.ok(
        received.some(({ payload }) => bytes.equals(payload)),
        `${bytes.length} bytes`,
      )
    }
    for (const delivery of received) await receiver.settle(delivery)
  }
})

test('a delivery that is given up half way leaves nothing behind', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const bytes = encodeMessage({ body: { kind: 'bytes', value: Buffer.alloc(600_000) } })
  sender.link.begin(false, 0, null)
  sender.link.append(bytes, 0, 500_000, false)
  sender.link.abort()
  await bench.idle()
  assert.equal(await sender.send('next'), 'accepted')
  sender.link.begin(false, 0, null)
  sender.link.append(bytes, 0, 500_000, false)
  sender.link.detach(true)
  await bench.idle()
  assert.equal(bench.bench.status('q').messages, 1)
  assert.deepEqual(client.faults, [])
})

test('larger than the limit: the link is told the limit and ended when it goes beyond', async () => {
  const bench = await GatewayBench.start({ maxMessageBytes: 1_000 })
  const client = await bench.client()
  assert.equal(client.opened?.properties.get('max-message-size'), 1_000n)
  const sender = await client.sender({ address: 'q' })
  assert.equal(sender.attach?.maxMessageSize, 1_000)
  await sender.send('x'.repeat(2_000))
  assert.equal(sender.refusal, 'amqp:link:message-size-exceeded')
})

test('settled sends are stored and not answered', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q', sndSettleMode: 'settled' })
  assert.equal(await sender.send('m', { settled: true }), undefined)
  assert.equal(bench.bench.status('q').messages, 1)
})

test('the relay sends each message where its to says, by prefix or by the annotation of its kind', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  assert.ok(client.opened?.offeredCapabilities.includes('ANONYMOUS-RELAY'))
  const relay = await client.sender({ target: null })
  const subscriber = await client.receiver({ address: 'topic://news', credit: 10 })
  assert.equal(await relay.send({ ...text('1'), to: { kind: 'queue', name: 'a' } }), 'accepted')
  assert.equal(await relay.send({ ...text('2'), to: { kind: 'topic', name: 'news' } }), 'accepted')
  assert.equal(await relay.send({ ...text('3'), to: { kind: 'queue', name: 'topic://news' } }), 'accepted')
  assert.equal(await relay.send({ ...text('4'), to: { kind: 'topic', name: 'nobody' } }), 'accepted')
  assert.equal(bench.bench.status('a').messages, 1)
  assert.deepEqual(await subscriber.take(), ['2', '3'])
  assert.equal(bench.bench.broker.queue('nobody'), undefined)
})

test('the relay takes no address for the one before, however much they resemble each other', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const relay = await client.sender({ target: null })
  const names = ['same', 'same', 'sane', 'same', 'sam', 'same', 'sameness', 'same', 'x'.repeat(100), 'same']
  for (const name of names) {
    assert.equal(await relay.send({ ...text(name), to: { kind: 'queue', name } }), 'accepted')
  }
  const messages = (name: string): number | undefined =>
    bench.bench.broker.queue(name) && bench.bench.status(name).messages
  assert.deepEqual(['same', 'sane', 'sam', 'sameness', 'x'.repeat(100)].map(messages), [6, 1, 1, 1, 1])
  assert.equal(await relay.send({ ...text('m'), to: { kind: 'topic', name: 'same' } }), 'accepted')
  assert.equal(await relay.send(text('to nowhere')), 'amqp:not-found')
  assert.equal(messages('same'), 6)
})

test('what one message says of its time is not taken for what the next says', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const at = (deliveryTime: number) => ({ ...text('later'), deliveryTime })
  const late = bench.bench.clock.wall() + 3_600_000
  for (const content of [text('now'), at(late), at(late), text('now'), text('now'), at(late), at(late + 1)]) {
    assert.equal(await sender.send(content), 'accepted')
  }
  const { scheduled, messages } = bench.bench.status('q')
  assert.deepEqual({ scheduled, messages }, { scheduled: 4, messages: 3 })
})

test('unroutable through the relay: rejected, or where the sender takes no rejection, detached with the same error', async () => {
  const bench = await GatewayBench.start({}, { autoCreate: ['known.#'] })
  const client = await bench.client()
  const nowhere = { ...text('m'), to: { kind: 'queue', name: 'unknown' } } as const
  const relay = await client.sender({})
  assert.equal(await relay.send(nowhere), 'amqp:not-found')
  assert.equal(await relay.send(text('no address')), 'amqp:not-found')
  assert.equal(
    await relay.send({ ...text('m'), to: { kind: 'queue', name: 'temp-queue:gone' } }),
    'amqp:not-found',
  )
  assert.equal(bench.bench.broker.queue('temp-queue:gone'), undefined, 'not created again for a late reply')
  const picky = await client.sender({ source: source({ outcomes: ['amqp:accepted:list'] }) })
  await picky.send(nowhere)
  assert.equal(picky.refusal, 'amqp:not-found')
  const hasty = await client.sender({})
  await hasty.send(nowhere, { settled: true })
  assert.equal(hasty.refusal, 'amqp:not-found')
})

test('a target that may not come into being is refused with amqp:not-found', async () => {
  const bench = await GatewayBench.start({}, { autoCreate: false })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  assert.equal(sender.refusal, 'amqp:not-found')
  assert.equal(sender.attach?.target, null, 'refused as 2.6.3 asks')
  assert.deepEqual(sender.detach?.error?.info?.get('millrace:code'), 'destination-not-found')
})

test('an address names a queue or topic by prefix, capability, existence, default', async () => {
  const bench = await GatewayBench.start({ defaultKind: 'topic' })
  bench.bench.declare('there')
  const client = await bench.client()
  const subscriber = await client.receiver({ address: 'topic://#', credit: 100 })
  const send = async (address: string, capabilities: string[] = []): Promise<unknown[]> => {
    const sender = await client.sender({ target: target({ address, capabilities }) })
    assert.equal(await sender.send('m'), 'accepted', address)
    return subscriber.take()
  }
  assert.deepEqual(await send('queue://a'), [])
  assert.deepEqual(await send('topic://a'), ['m'])
  assert.deepEqual(await send('b', ['queue']), [])
  assert.deepEqual(await send('b', ['topic']), ['m'])
  assert.deepEqual(await send('there'), [])
  assert.deepEqual(await send('elsewhere'), ['m'])
  const nameless = await client.sender({ address: 'queue://' })
  assert.equal(nameless.refusal, 'amqp:not-found', 'what JMS clients call an invalid destination')
  assert.equal(nameless.detach?.error?.info?.get('millrace:code'), 'destination-invalid')
})

function tag(sequence: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(sequence))
  return bytes
}

test('under a producer identity what is sent again is confirmed and stored once', async () => {
  const bench = await GatewayBench.start()
  const properties = new Map([['millrace:producer-id', 'p1']])
  const first = await bench.client()
  const sender = await first.sender({ address: 'q', properties })
  assert.equal(sender.attach?.properties.get('millrace:last-sequence'), 0n)
  assert.equal(await sender.send('1', { tag: tag(1) }), 'accepted')
  assert.equal(await sender.send('2', { tag: tag(2) }), 'accepted')
  first.hosted.cut()
  const second = await bench.client()
  const again = await second.sender({ address: 'q', properties })
  assert.equal(again.attach?.properties.get('millrace:last-sequence'), 2n)
  assert.equal(await again.send('2', { tag: tag(2) }), 'accepted')
  assert.equal(await again.send('3', { tag: tag(3) }), 'accepted')
  assert.deepEqual(await bench.bench.texts('q').then((texts) => texts.length), 3)
  assert.equal(await again.send('x', { tag: Buffer.from('x') }), 'amqp:invalid-field')
  const nobody = await second.sender({ address: 'q', properties: new Map([['millrace:producer-id', '']]) })
  assert.equal(nobody.refusal, 'amqp:invalid-field')
})

test('credit follows what is undecided, in messages and in bytes', async () => {
  const bench = await GatewayBench.start({ unsettledBytes: 1_000_000, creditWindow: 500 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  assert.equal(sender.link.credit, 100)
  for (let i = 0; i < 40; i++) await sender.send('small')
  assert.ok(sender.link.credit > 400 && sender.link.credit <= 500, `${sender.link.credit} small ones`)
  const large = 'x'.repeat(100_000)
  for (let i = 0; i < 40; i++) assert.equal(await sender.send(large), 'accepted')
  for (let i = 0; i < 400 && sender.link.credit > 20; i++) await sender.send(large)
  assert.ok(sender.link.credit >= 1 && sender.link.credit <= 20, `${sender.link.credit} large ones`)
})

test('a queue that blocks withholds credit, says why, and lets it flow again', async () => {
  const bench = await GatewayBench.start({ creditWindow: 20 })
  bench.bench.declare('q', { maxMessages: 5, overflow: 'block', blockTimeout: 60_000 })
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const other = await client.sender({ address: 'other' })
  for (let i = 0; i < 20; i++) sender.put(`${i}`)
  await bench.idle()
  assert.equal(sender.outcomes.size, 5)
  assert.equal(sender.link.credit, 0, 'no more until there is room')
  assert.deepEqual(
    sender.told.map((properties) => properties.get('millrace:blocked')),
    ['queue-full'],
  )
  assert.equal(await other.send('m'), 'accepted', 'others are not held up')
  const receiver = await client.receiver({ address: 'q', credit: 100 })
  for (let taken = 0; taken < 20; ) {
    await bench.idle()
    for (const delivery of receiver.received.splice(0)) {
      taken++
      await receiver.settle(delivery)
    }
  }
  await bench.idle()
  assert.equal(sender.outcomes.size, 20)
  assert.equal(sender.told.at(-1)?.get('millrace:blocked'), '')
  assert.ok(sender.link.credit >= 15)
})
