import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { type Context, connect, isMillraceError, type Message, queue, topic } from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from '../engine/seed.ts'
import { LocalBroker } from './local-broker.ts'
import { Wire } from './wire.ts'

const quick = { initial: 1, max: 20 } as const

interface Bench {
  readonly broker: LocalBroker
  readonly wire: Wire
  open(options?: Parameters<typeof connect>[1]): Promise<Context>
}

/** A broker, a wire in front of it, and connections through that which come back quickly. */
async function bench(t: TestContext): Promise<Bench> {
  const broker = await LocalBroker.start()
  const wire = await Wire.start(() => broker.port)
  const opened: Context[] = []
  t.after(async () => {
    for (const mq of opened) await mq.close({ drain: 0 })
    wire.stop()
    await broker.stop()
  })
  const open = async (options: Parameters<typeof connect>[1] = {}) => {
    const mq = await connect(wire.url, { reconnect: quick, ...options })
    mq.on('error', (error) => assert.equal(error.code, 'delivery-settled'))
    opened.push(mq)
    return mq
  }
  return { broker, wire, open }
}

const numbers = queue<number>('numbers')

test('sends cut off at random moments are stored once each, in order (DESIGN §3)', {
  timeout: 30_000,
}, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const { wire, open, broker } = await bench(t)
  const random = new SeededRandom(seed)
  const mq = await open()
  const producers = [await mq.createProducer(numbers), await mq.createProducer()]
  const total = 3_000
  let cuts = 0
  mq.on('reconnected', () => {
    cuts++
    wire.cutAfter(Math.floor(random.next() * 60_000))
  })
  wire.cutAfter(Math.floor(random.next() * 60_000))
  const sends: Promise<unknown>[] = []
  for (let i = 0; i < total; i++) {
    const producer = producers[i % 2]!
    sends.push(producer.sendTo(numbers, i))
    if (random.next() < 0.02) await sends.at(-1)
  }
  await Promise.all(sends)
  wire.cutAfter(Number.POSITIVE_INFINITY)
  assert.ok(cuts > 2, `${cuts} cuts are too few to prove anything`)
  const direct = await connect(broker.url)
  const stored: number[] = []
  for await (const { body } of direct.browse(numbers)) stored.push(body as number)
  await direct.close()
  for (const rest of [0, 1]) {
    const ofOne = stored.filter((number) => number % 2 === rest)
    const expected = Array.from({ length: total / 2 }, (_, i) => i * 2 + rest)
    assert.deepEqual(ofOne, expected, 'each once, in order of its producer')
  }
})

test('consumers cut off at random moments: nothing is lost, what was settled stays settled', {
  timeout: 30_000,
}, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const { wire, open, broker } = await bench(t)
  const random = new SeededRandom(seed + 1)
  const direct = await connect(broker.url)
  const total = 2_000
  const sends = Array.from({ length: total }, (_, i) => direct.send(numbers, i))
  await Promise.all(sends)
  const mq = await open()
  let cuts = 0
  mq.on('reconnected', () => {
    cuts++
    wire.cutAfter(Math.floor(random.next() * 40_000))
  })
  const settled = new Set<number>()
  const seen = new Set<number>()
  const done = Promise.withResolvers<void>()
  const take = async (message: Message<number>) => {
    const { body } = message
    assert.ok(!settled.has(body), `${body} was settled and came again`)
    seen.add(body)
    try {
      await message.acknowledge()
      settled.add(body)
    } catch (error) {
      // Lost with the line: nobody knows, and it may come again.
      assert.ok(isMillraceError(error) && error.code === 'delivery-settled', String(error))
    }
    if ((await direct.management.queues())[0]!.messages === 0) done.resolve()
  }
  wire.cutAfter(20_000)
  const worker = mq.consume(numbers, { concurrency: 20, prefetch: 50 }, take)
  await worker.ready
  await Promise.race([done.promise, worker.closed])
  wire.cutAfter(Number.POSITIVE_INFINITY)
  assert.ok(cuts > 2, `${cuts} cuts are too few to prove anything`)
  assert.equal(seen.size, total)
  await direct.close()
})

test('a wire that goes dead without a word is noticed by silence, and replaced', {
  timeout: 10_000,
}, async (t) => {
  const { wire, open } = await bench(t)
  const mq = await open({ idleTimeout: 150, connectTimeout: 200 })
  await mq.send(numbers, 1)
  wire.goDead()
  const lost = once(mq, 'disconnected')
  const held = mq.send(numbers, 2)
  assert.equal((await lost)[0].code, 'connection-lost')
  const back = once(mq, 'reconnected')
  wire.revive()
  await Promise.all([held, back])
  const bodies: number[] = []
  for await (const { body } of mq.browse(numbers)) bodies.push(body)
  assert.deepEqual(bodies, [1, 2])
})

test('events tell of the loss and of its end; a delivery held over it cannot be settled, and comes again', {
  timeout: 10_000,
}, async (t) => {
  const { wire, open } = await bench(t)
  const mq = await open()
  await mq.send(numbers, 1)
  const message = await mq.receive(numbers)
  const events: string[] = []
  mq.on('disconnected', () => events.push('disconnected'))
  const back = once(mq, 'reconnected')
  wire.cut()
  await back
  assert.deepEqual(events, ['disconnected'])
  await assert.rejects(message!.acknowledge(), { code: 'delivery-settled' })
  const again = await mq.receive(numbers)
  assert.deepEqual([again!.body, again!.brokerId], [1, message!.brokerId])
  await again!.acknowledge()
})

test('subscriptions, volatile ones, temporary queues and requests go on over another line', {
  timeout: 10_000,
}, async (t) => {
  const { wire, open } = await bench(t)
  const mq = await open({ clientId: 'app' })
  const news = topic<string>('news')
  const audit = await mq.subscribe(news, { name: 'audit' })
  const volatile = await mq.createConsumer(news)
  const replies = await mq.createTemporaryQueue<string>()
  const durable = await mq.createConsumer(audit)
  const answers = await mq.createConsumer(replies)
  const back = once(mq, 'reconnected')
  wire.cut()
  await back
  await mq.send(news, 'late')
  await mq.send(replies, 'reply')
  const received = [await durable.receive(), await volatile.receive(), await answers.receive()]
  assert.deepEqual(
    received.map((message) => message!.body),
    ['late', 'late', 'reply'],
  )
  assert.ok((await mq.management.queues()).length > 0)
})

test('a lost connection rejects the requests under way; the next ones are answered over a queue of its own', {
  timeout: 10_000,
}, async (t) => {
  const { wire, open, broker } = await bench(t)
  const mq = await open()
  const direct = await connect(broker.url)
  t.after(() => direct.close())
  const asked = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  direct.serve(numbers, { concurrency: 2 }, async ({ body }) => {
    if (body === 1) {
      asked.resolve()
      await gate.promise
    }
    return body * 2
  })
  const waiting = mq.request(numbers, 1)
  await asked.promise
  const temporaries = async () =>
    (await direct.management.queues()).filter(({ name }) => name.startsWith('temp-queue:')).length
  const before = await temporaries()
  const [lost, back] = [once(mq, 'disconnected'), once(mq, 'reconnected')]
  wire.cut()
  await lost
  const meanwhile = mq.request(numbers, 2)
  await assert.rejects(waiting, { code: 'connection-lost' })
  await back
  gate.resolve()
  assert.equal((await meanwhile).body, 4)
  while (!t.signal.aborted && (await temporaries()) !== before) await setImmediate()
  assert.equal((await mq.request(numbers, 3)).body, 6)
  assert.deepEqual(mq.requests, { outstanding: 0, late: 0 })
})

test('a change asked of the broker that the line is lost before is rejected, and not sent with the next request', {
  timeout: 10_000,
}, async (t) => {
  const { wire, open } = await bench(t)
  const mq = await open()
  await mq.send(numbers, 1)
  const back = once(mq, 'reconnected')
  const purged = mq.management.purge('numbers', {})
  wire.cut()
  await assert.rejects(purged, { code: 'connection-lost' })
  await back
  const [report] = await mq.management.queues()
  assert.equal(report!.messages, 1)
})

test('while there is no line a receive keeps to its timeout, and sends wait', {
  timeout: 10_000,
}, async (t) => {
  const { wire, broker } = await bench(t)
  const mq = await connect(wire.url, { reconnect: { initial: 10_000, max: 10_000 } })
  await mq.receive(numbers, { timeout: 0 })
  const lost = once(mq, 'disconnected')
  wire.stop()
  await lost
  assert.equal(await mq.receive(numbers, { timeout: 5 }), undefined)
  const waiting = mq.send(numbers, 1)
  const refused = assert.rejects(waiting, { code: 'closed' })
  await mq.close({ drain: 5 })
  await refused
  assert.equal(broker.connections, 0)
})

test('when the attempts are used up everybody who waits is told', { timeout: 10_000 }, async (t) => {
  const { wire } = await bench(t)
  const mq = await connect(wire.url, { reconnect: { initial: 1, max: 5, maxAttempts: 3 } })
  const worker = mq.consume(numbers, () => {})
  await worker.ready
  const failed = new Promise<void>((resolve) => mq.on('error', () => resolve()))
  const lost = once(mq, 'disconnected')
  wire.stop()
  await lost
  const waiting = mq.send(numbers, 1)
  await assert.rejects(waiting, { code: 'connection-lost' })
  await assert.rejects(worker.closed, { code: 'connection-lost' })
  await failed
  await assert.rejects(mq.send(numbers, 2), { code: 'connection-lost' })
  await mq.close()
})

test('with several addresses the next one takes over', { timeout: 10_000 }, async (t) => {
  const broker = await LocalBroker.start()
  const [one, two] = [await Wire.start(() => broker.port), await Wire.start(() => broker.port)]
  const mq = await connect(['amqp://127.0.0.1:1', one.url, two.url], { reconnect: quick })
  t.after(async () => {
    await mq.close()
    one.stop()
    two.stop()
    await broker.stop()
  })
  assert.deepEqual([one.accepted, two.accepted], [1, 0])
  const back = once(mq, 'reconnected')
  one.stop()
  await back
  assert.equal(two.accepted, 1)
  await mq.send(numbers, 1)
})

test('a handler is told when the connection of its delivery is lost; the next delivery is its own', async (t) => {
  const { wire, open } = await bench(t)
  const mq = await open()
  const signals: AbortSignal[] = []
  const [begun, done] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const worker = mq.consume(numbers, { concurrency: 2 }, async (_, { signal }) => {
    signals.push(signal)
    if (signals.length > 1) return done.resolve()
    begun.resolve()
    await once(signal, 'abort')
  })
  await mq.send(numbers, 1)
  await begun.promise
  wire.cutAfter(0)
  await mq.send(numbers, 2)
  await done.promise
  await worker.close()
  assert.equal(signals[0]!.reason.code, 'connection-lost')
  assert.equal(signals.at(-1)!.aborted, false)
})
