/**
 * The client against Apache Artemis: queues, topics, durable subscriptions and browsing at a broker that is not ours.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Capabilities, type Context, connect, queue, topic, typed } from '../../../src/index.ts'
import { Artemis } from './broker.ts'

const artemis = await Artemis.start()
after(() => artemis.stop())

async function using(clientId: string | undefined, use: (mq: Context) => Promise<void>): Promise<void> {
  const mq = await connect(artemis.url, { clientId })
  try {
    await use(mq)
  } finally {
    await mq.close()
  }
}

test('it says of itself what it can do', async () => {
  await using(undefined, async ({ capabilities }) => {
    const expected: Partial<Capabilities> = {
      durabilities: ['disk', 'memory'],
      policies: false,
      redelivery: false,
      retryDelay: false,
    }
    for (const [name, value] of Object.entries(expected))
      assert.deepEqual(capabilities[name as keyof Capabilities], value)
  })
})

test('a wrong password is refused', async () => {
  const wrong = artemis.url.replace('password', 'wrong')
  await assert.rejects(connect(wrong), { code: 'authentication-failed' })
})

test('queues: sends in order, every outcome, properties, large bodies', async () => {
  await using(undefined, async (mq) => {
    const texts = queue<unknown>('texts')
    await Promise.all(Array.from({ length: 500 }, (_, i) => mq.send(texts, i, { properties: { i } })))
    const consumer = await mq.createConsumer(texts)
    for (let i = 0; i < 500; i++) {
      const message = (await consumer.receive())!
      assert.deepEqual([message.body, message.properties['i']], [i, i])
      await message.acknowledge()
    }
    await consumer.close()
    await mq.send(texts, 'again')
    await (await mq.receive(texts))!.release()
    const failed = (await mq.receive(texts))!
    assert.equal(failed.body, 'again')
    await failed.fail('not now')
    const redelivered = (await mq.receive(texts))!
    assert.ok(redelivered.redelivered)
    await redelivered.acknowledge()
    const large = new Uint8Array(3 * 1024 * 1024).map((_, i) => i >> 3)
    await mq.send(texts, large)
    const whole = (await mq.receive(texts))!
    assert.deepEqual(whole.body, large)
    await whole.acknowledge()
    assert.equal(await mq.receive(texts, { timeout: 0 }), undefined)
  })
})

test('a producer for one queue, a worker, priorities and time to live', async () => {
  await using(undefined, async (mq) => {
    const numbers = queue<number>('numbers')
    const producer = await mq.createProducer(numbers)
    for (const [i, priority] of [4, 0, 9].entries()) await producer.send(i, { priority })
    await producer.send(3, { ttl: 1 })
    const seen: number[] = []
    const all = Promise.withResolvers<void>()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const worker = mq.consume(numbers, ({ body }) => {
      if (seen.push(body) === 3) all.resolve()
    })
    await all.promise
    await worker.close()
    assert.deepEqual(seen, [2, 0, 1])
    assert.equal(await mq.receive(numbers, { timeout: 0 }), undefined, 'what has expired is not delivered')
  })
})

test('browsing shows the messages, page after page, and takes none', async () => {
  await using(undefined, async (mq) => {
    const shelf = queue<number>('shelf')
    await Promise.all(Array.from({ length: 250 }, (_, i) => mq.send(shelf, i)))
    for (let round = 0; round < 2; round++) {
      const seen: number[] = []
      for await (const { body } of mq.browse(shelf)) seen.push(body)
      assert.deepEqual(
        seen,
        Array.from({ length: 250 }, (_, i) => i),
      )
    }
  })
})

test('topics: volatile subscriptions, and a durable one that keeps what comes while nobody is there', async () => {
  const news = topic<string>('news')
  await using('reader', async (mq) => {
    const volatile = await mq.createConsumer(news)
    const audit = await mq.subscribe(news, { name: 'audit' })
    await mq.send(news, 'first')
    assert.equal((await volatile.receive())!.body, 'first')
    const message = (await mq.receive(audit))!
    assert.equal(message.body, 'first')
    await message.acknowledge()
  })
  await using(undefined, async (mq) => {
    await mq.send(news, 'while away')
  })
  await using('reader', async (mq) => {
    const audit = await mq.subscribe(news, { name: 'audit' })
    const consumer = await mq.createConsumer(audit)
    const message = (await consumer.receive())!
    assert.equal(message.body, 'while away')
    await message.acknowledge()
    await consumer.close()
    await mq.unsubscribe('audit')
    await assert.rejects(mq.unsubscribe('audit'), { code: 'destination-not-found' })
  })
})

test('a shared subscription is shared by connections without client id', async () => {
  const events = topic<number>('events')
  await using(undefined, async (left) => {
    await using(undefined, async (right) => {
      const crew = await left.subscribe(events, { name: 'crew', shared: true })
      const seen: number[] = []
      const all = Promise.withResolvers<void>()
      for (const mq of [left, right]) {
        await mq.consume(crew, ({ body }) => {
          if (seen.push(body) === 20) all.resolve()
        }).ready
      }
      for (let i = 0; i < 20; i++) await left.send(events, i)
      await all.promise
      assert.equal(new Set(seen).size, 20)
    })
  })
})

test('requests and replies over temporary queues', async () => {
  await using(undefined, async (asking) => {
    await using(undefined, async (serving) => {
      const requests = queue<number>('requests')
      const worker = serving.serve(requests, { concurrency: 4 }, ({ body }) => body * 2)
      const numbers = Array.from({ length: 50 }, (_, i) => i)
      const replies = await Promise.all(
        numbers.map((number) => asking.request<number, number>(requests, number)),
      )
      assert.deepEqual(
        replies.map(({ body }) => body),
        numbers.map((number) => number * 2),
      )
      await worker.close()
      await assert.rejects(asking.request(requests, 1, { timeout: 50 }), { code: 'timeout' })
      assert.deepEqual(asking.requests, { outstanding: 0, late: 0 })
    })
  })
})

test('maps, streams, typed properties and a correlation id of bytes pass through', async () => {
  await using(undefined, async (mq) => {
    const kinds = queue<unknown>('kinds')
    const correlationId = Uint8Array.of(1, 255)
    await mq.send(
      kinds,
      { n: 1, long: 2n, text: 'é' },
      { kind: 'map', correlationId, properties: { price: typed('double', 1) } },
    )
    await mq.send(kinds, [1, 'two', null], { kind: 'stream' })
    const [map, stream] = [(await mq.receive(kinds))!, (await mq.receive(kinds))!]
    assert.deepEqual([map.kind, map.body], ['map', { n: 1, long: 2n, text: 'é' }])
    assert.deepEqual([map.correlationIdBytes, map.property('price', 'number')], [correlationId, 1])
    assert.deepEqual([stream.kind, stream.body], ['stream', [1, 'two', null]])
    for (const message of [map, stream]) await message.acknowledge()
  })
})

test('a client id has one user at a time', async () => {
  await using('alone', async () => {
    await assert.rejects(connect(artemis.url, { clientId: 'alone' }), { code: 'client-id-invalid' })
  })
})

test('transacted sessions: commit, and rollback in order', async () => {
  await using(undefined, async (mq) => {
    const [inputs, outputs] = [queue<number>('tx-in'), queue<number>('tx-out')]
    for (let i = 0; i < 5; i++) await mq.send(inputs, i)
    const tx = await mq.createContext({ acknowledge: 'transacted' })
    const consumer = await tx.createConsumer(inputs)
    const take = async (count: number): Promise<[number, boolean][]> => {
      const taken: [number, boolean][] = []
      for (let i = 0; i < count; i++) {
        const { body, redelivered } = (await consumer.receive())!
        taken.push([body, redelivered])
        void tx.send(outputs, body)
      }
      return taken
    }
    assert.deepEqual(await take(2), [
      [0, false],
      [1, false],
    ])
    assert.equal(await mq.receive(outputs, { timeout: 0 }), undefined)
    await tx.rollback()
    assert.deepEqual(await take(3), [
      [0, true],
      [1, true],
      [2, false],
    ])
    await tx.commit()
    for (const body of [0, 1, 2]) {
      const message = (await mq.receive(outputs))!
      assert.equal(message.body, body)
      await message.acknowledge()
    }
    await tx.close()
    const rest = (await mq.receive(inputs))!
    assert.equal(rest.body, 3, 'what was not received in the transaction is there still')
    await rest.acknowledge()
    await mq.transaction(async (again) => {
      const last = (await again.receive(inputs))!
      await again.send(outputs, last.body * 10)
    })
    assert.equal((await mq.receive(outputs))!.body, 40)
  })
})
