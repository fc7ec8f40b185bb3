import assert from 'node:assert/strict'
import { once } from 'node:events'
import { queue, topic } from '../../client/destinations.ts'
import { assertEmpty, contract, deadLettersOf, one, type ProviderSubject, take } from './provider-subject.ts'

/** Queues: looking into them, their capacity, and the life of what uses them. */
export function testQueues(subject: ProviderSubject): void {
  testLastValues(subject)
  contract(
    subject,
    ['browse'],
    'JMS 4.1.6: browsing shows a queue in order and takes nothing',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      for (let i = 0; i < 250; i++) void mq.send(numbers, i, { properties: { i } })
      await mq.send(numbers, 250, { properties: { i: 250 } })
      const seen: number[] = []
      for await (const message of mq.browse(numbers)) {
        assert.equal(message.properties['i'], message.body)
        await assert.rejects(message.acknowledge(), { code: 'illegal-state' })
        seen.push(message.body)
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 251 }, (_, i) => i),
      )
      assert.equal((await take(mq, numbers, 251)).length, 251)
    },
  )

  contract(
    subject,
    ['browse'],
    'browsing shows large bodies, and what is held, with its state',
    async (bench) => {
      const mq = await bench.connect()
      const anything = bench.queue<unknown>()
      await mq.send(anything, 'held')
      await mq.send(anything, new Uint8Array(1024 * 1024).fill(7))
      await one(mq, anything)
      const shown = []
      for await (const { state, body } of mq.browse(anything)) {
        shown.push([state, body instanceof Uint8Array ? body.length : body])
      }
      assert.deepEqual(shown, [
        ['acquired', 'held'],
        ['ready', 1024 * 1024],
      ])
    },
  )

  contract(subject, ['browse'], 'browsing a queue that does not exist is an error', async (bench) => {
    const mq = await bench.connect()
    await assert.rejects(mq.browse(queue('nowhere'))[Symbol.asyncIterator]().next(), {
      code: 'destination-not-found',
    })
    assert.throws(() => mq.browse(topic('news') as never), { code: 'destination-invalid' })
  })

  testManagement(subject)
  testOverflow(subject)
  testLife(subject)
}

function testManagement(subject: ProviderSubject): void {
  contract(
    subject,
    ['redelivery', 'policies'],
    'management counts, locates, moves, redrives, purges and deletes',
    async (bench, t) => {
      const mq = await bench.connect()
      const { management } = mq.connection.provided
      if (!management) return t.skip('it has no management')
      const texts = bench.queue({ policy: { deadLetter: 'letters' } })
      const other = bench.queue()
      await mq.declare(other)
      for (const text of ['a', 'b', 'c']) await mq.send(texts, text)
      const first = await one(mq, texts)
      assert.equal((await management.locate(first.brokerId))[0]?.state, 'acquired')
      await first.reject()
      assert.equal(await management.redrive('letters'), 1)
      assert.equal(await management.move(texts.name, other.name, { limit: 2 }), 2)
      const report = (await management.queues()).find(({ name }) => name === texts.name)
      assert.deepEqual(
        [report?.messages, report?.departed['moved'], report?.policy.deadLetter],
        [1, 2, 'letters'],
      )
      assert.equal((await one(mq, texts)).body, 'a')
      assert.equal(await management.purge(other.name), 2)
      assert.equal(await management.delete(other.name), 0)
      await assert.rejects(management.purge(other.name), { code: 'destination-not-found' })
      await assert.rejects(management.move(texts.name, other.name), { code: 'destination-not-found' })
      for (const wrong of [{ limit: 0 }, { rate: -1 }, { brokerId: 'x' }])
        await assert.rejects(management.redrive('letters', wrong), { code: 'argument-invalid' })
    },
  )

  contract(
    subject,
    ['topics'],
    'management knows topics by their subscriptions, and connections',
    async (bench, t) => {
      const mq = await bench.connect()
      const { management } = mq.connection.provided
      if (!management) return t.skip('it has no management')
      const before = (await management.connections()).length
      await bench.connect()
      assert.equal((await management.connections()).length, before + 1)
      assert.deepEqual(await management.topics(), [])
      await mq.createConsumer(topic('a.*'))
      const [report] = await management.topics()
      assert.deepEqual([report?.name, report?.subscriptions.length], ['a.*', 1])
      assert.equal(report?.subscriptions[0]?.consumers, 1)
    },
  )
}

function testOverflow(subject: ProviderSubject): void {
  contract(
    subject,
    ['policies'],
    "overflow 'reject' refuses what does not fit, until there is room",
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxMessages: 2, overflow: 'reject' } })
      await mq.send(texts, 'a')
      await mq.send(texts, 'b')
      await assert.rejects(mq.send(texts, 'c'), { code: 'queue-full', retryable: true })
      await (await one(mq, texts)).acknowledge()
      await mq.send(texts, 'd')
    },
  )

  contract(
    subject,
    ['policies'],
    "overflow 'block' holds sends in order until there is room, and says so",
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxMessages: 2, overflow: 'block' } })
      await mq.send(texts, 'a')
      await mq.send(texts, 'b')
      const blocked = once(mq, 'blocked')
      const held = [mq.send(texts, 'c'), mq.send(texts, 'd')]
      assert.deepEqual(await blocked, [texts.name, 'queue-full'])
      const unblocked = once(mq, 'unblocked')
      for (const message of await take(mq, texts, 2)) await message.acknowledge()
      await Promise.all(held)
      assert.deepEqual(await unblocked, [texts.name])
      const rest = await take(mq, texts, 2)
      assert.deepEqual(
        rest.map(({ body }) => body),
        ['c', 'd'],
      )
    },
  )

  contract(subject, ['policies'], "overflow 'block' refuses when its time has passed", async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue({ policy: { maxMessages: 1, overflow: 'block', blockTimeout: 5 } })
    await mq.send(texts, 'a')
    await assert.rejects(mq.send(texts, 'b'), { code: 'queue-full' })
  })

  contract(subject, ['policies'], "overflow 'drop-oldest' keeps the newest", async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue({ policy: { maxMessages: 2, overflow: 'drop-oldest' } })
    for (const body of ['a', 'b', 'c']) await mq.send(texts, body)
    const left = await take(mq, texts, 2)
    assert.deepEqual(
      left.map(({ body }) => body),
      ['b', 'c'],
    )
  })

  contract(
    subject,
    ['policies', 'redelivery'],
    "overflow 'dead-letter' moves the oldest to the dead letters",
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxMessages: 2, overflow: 'dead-letter' } })
      for (const body of ['a', 'b', 'c']) await mq.send(texts, body)
      const dead = await one(mq, deadLettersOf(texts))
      assert.deepEqual([dead.body, dead.deadLetter?.reason], ['a', 'overflow'])
      assert.equal((await take(mq, texts, 2)).length, 2)
      await assertEmpty(mq, texts)
    },
  )

  contract(
    subject,
    ['policies'],
    'a queue that exists with another policy is a conflict, each time',
    async (bench) => {
      const mq = await bench.connect()
      await mq.send(queue('disputed', { policy: { maxMessages: 1 } }), 'x')
      const other = queue('disputed', { policy: { maxMessages: 2 } })
      for (let i = 0; i < 2; i++) await assert.rejects(mq.send(other, 'x'), { code: 'destination-conflict' })
      await assert.rejects(mq.receive(other), { code: 'destination-conflict' })
      const { management } = mq.connection.provided
      await management?.delete('disputed')
      if (management) await mq.send(other, 'x')
    },
  )
}

function testLife(subject: ProviderSubject): void {
  contract(
    subject,
    [],
    'JMS 6.1.8: closed objects say that they are closed; close may be repeated',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const { connection } = mq
      const session = connection.createSession()
      const producer = await session.createProducer(texts)
      const consumer = await session.createConsumer(texts)
      await producer.close()
      await consumer.close()
      await assert.rejects(producer.send('x'), { code: 'closed' })
      await assert.rejects(consumer.receive(), { code: 'closed' })
      assert.throws(() => consumer.setMessageListener(() => {}), { code: 'closed' })
      await session.close()
      await session.close()
      await assert.rejects(session.createProducer(), { code: 'closed' })
      await assert.rejects(session.createConsumer(texts), { code: 'closed' })
      await mq.close()
      await mq.close()
      await connection.close()
      await assert.rejects(mq.send(texts, 'x'), { code: 'closed' })
      await assert.rejects(mq.receive(texts), { code: 'closed' })
      await assert.rejects(mq.createTemporaryQueue(), { code: 'closed' })
      assert.throws(() => mq.consume(texts, () => {}), { code: 'closed' })
      assert.throws(() => mq.browse(texts), { code: 'closed' })
      assert.throws(() => connection.start(), { code: 'closed' })
      assert.throws(() => connection.createSession(), { code: 'closed' })
    },
  )

  contract(subject, [], 'JMS 7.3: close waits for the sends that are under way', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    const sends = Array.from({ length: 100 }, (_, i) => mq.send(numbers, i))
    await mq.close()
    const outcomes = await Promise.allSettled(sends)
    assert.ok(outcomes.every(({ status }) => status === 'fulfilled'))
    assert.equal((await take(await bench.connect(), numbers, 100)).length, 100)
  })

  contract(
    subject,
    ['policies'],
    'close with drain does not wait for ever for a send that is held',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxMessages: 1, blockTimeout: '1h' } })
      await mq.send(texts, 'a')
      const producer = await mq.connection.createSession().createProducer(texts)
      const held = [mq.send(texts, 'b'), producer.send('c')]
      const refused = held.map((send) => assert.rejects(send, { code: 'closed' }))
      await mq.close({ drain: 5 })
      await Promise.all(refused)
    },
  )

  contract(subject, [], 'await using closes at the end of the block', async (bench) => {
    const texts = bench.queue()
    {
      await using mq = await bench.connect()
      await using session = mq.connection.createSession()
      await using producer = await session.createProducer(texts)
      await using _consumer = await session.createConsumer(texts)
      await using _worker = mq.consume(bench.queue(), () => {})
      await producer.send('x')
    }
    assert.equal((await one(await bench.connect(), texts)).body, 'x', 'what was unsettled went back')
  })

  contract(
    subject,
    [],
    'JMS 6.2.5: a listener cannot close its own session, but its consumer',
    async (bench) => {
      const connection = await bench.connection()
      connection.start()
      const session = connection.createSession()
      const texts = bench.queue()
      await (await session.createProducer(texts)).send('x')
      const consumer = await session.createConsumer(texts)
      const outcome = new Promise<void>((resolve, reject) => {
        consumer.setMessageListener(async (message) => {
          try {
            await assert.rejects(session.close(), { code: 'illegal-state' })
            await assert.rejects(connection.close(), { code: 'illegal-state' })
            await message.acknowledge()
            await consumer.close()
            resolve()
          } catch (error) {
            reject(error)
          }
        })
      })
      await outcome
    },
  )
}

function testLastValues(subject: ProviderSubject): void {
  contract(
    subject,
    ['policies'],
    'a queue with lastValue keeps the newest message of each value of a property, small or large',
    async (bench) => {
      const mq = await bench.connect()
      const anything = bench.queue<unknown>({ policy: { lastValue: 'symbol' } })
      const large = new Uint8Array(1024 * 1024).fill(7)
      const sent = [
        ['a', 1],
        ['b', 2],
        [large, 1],
        ['c', '1'],
        ['d', 2],
        ['e', undefined],
        ['f', undefined],
      ] as const
      for (const [body, symbol] of sent)
        await mq.send(anything, body, symbol === undefined ? {} : { properties: { symbol } })
      const received = await take(mq, anything, 5)
      assert.deepEqual(
        received.map(({ body }) => (body instanceof Uint8Array ? body.length : body)),
        [large.length, 'c', 'd', 'e', 'f'],
      )
      await assert.rejects(mq.send(anything, 'g', { properties: { symbol: 'x'.repeat(256) } }), {
        code: 'message-invalid',
      })
    },
  )
}
