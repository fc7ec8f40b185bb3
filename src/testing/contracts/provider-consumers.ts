import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Message } from '../../client/message.ts'
import {
  assertEmpty,
  contract,
  deadLettersOf,
  one,
  type ProviderSubject,
  quickly,
  take,
} from './provider-subject.ts'

/** How messages are taken: by receive, listeners, loops and workers. */
export function testConsumers(subject: ProviderSubject): void {
  contract(
    subject,
    ['policies', 'redelivery'],
    'a handler is told when its delivery is taken back, and settles nothing any more',
    async (bench) => {
      const mq = await bench.connect()
      const policy = { deliveryTimeout: 20, maxDeliveries: 9 }
      const texts = bench.queue({ policy })
      const unsettled = once(mq, 'error')
      const [told, again] = [Promise.withResolvers<{ code: string }>(), Promise.withResolvers<void>()]
      const worker = mq.consume(texts, { concurrency: 2 }, async ({ deliveryCount }, { signal }) => {
        if (deliveryCount > 1) return again.resolve()
        await once(signal, 'abort')
        told.resolve(signal.reason)
      })
      await mq.send(texts, 'x')
      assert.equal((await told.promise).code, 'delivery-settled')
      assert.equal((await unsettled)[0].code, 'delivery-settled')
      await again.promise
      await worker.close()
      await assertEmpty(mq, texts)
    },
  )

  contract(
    subject,
    [],
    'receive waits for a message, or until its deadline, or until its signal',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      assert.equal(await mq.receive(texts, { timeout: 0 }), undefined)
      assert.equal(await mq.receive(texts, { timeout: 10 }), undefined)
      const waiting = mq.receive(texts)
      const aborter = new AbortController()
      const aborted = mq.receive(texts, { signal: aborter.signal })
      aborter.abort(new Error('enough'))
      await assert.rejects(aborted, { message: 'enough' })
      await assert.rejects(mq.receive(texts, { signal: aborter.signal }), { message: 'enough' })
      await mq.send(texts, 'x')
      assert.equal((await waiting)?.body, 'x')
    },
  )

  contract(subject, [], 'receive with no time to wait finds what is there', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    await mq.send(texts, 'a')
    await mq.send(texts, 'b')
    assert.equal((await mq.receive(texts, { timeout: 0 }))?.body, 'a')
    const session = mq.connection.createSession()
    const consumer = await session.createConsumer(texts)
    assert.equal((await consumer.receiveNoWait())?.body, 'b')
    assert.equal(await consumer.receiveNoWait(), undefined)
  })

  contract(
    subject,
    [],
    'an abandoned receive holds nothing that another consumer could have',
    async (bench) => {
      const [mq, other] = [await bench.connect(), await bench.connect()]
      const texts = bench.queue()
      await assertEmpty(mq, texts)
      const aborter = new AbortController()
      const abandoned = mq.receive(texts, { signal: aborter.signal })
      // By the next turn it has asked the broker.
      await new Promise((resolve) => setImmediate(resolve))
      aborter.abort()
      await assert.rejects(abandoned, { name: 'AbortError' })
      await mq.send(texts, 'x')
      assert.equal((await one(other, texts)).body, 'x')
    },
  )

  contract(
    subject,
    [],
    'JMS 6.2.13: the listeners of a session run one at a time, in order',
    async (bench) => {
      const connection = await bench.connection()
      const session = connection.createSession()
      const [left, right] = [bench.queue<number>(), bench.queue<number>()]
      const producer = await session.createProducer()
      for (let i = 0; i < 20; i++) await producer.sendTo(i % 2 === 0 ? left : right, i)
      let running = 0
      const seen: number[] = []
      await new Promise<void>((resolve) => {
        const listener = async (message: Message<number>) => {
          assert.equal(++running, 1)
          await new Promise((next) => setImmediate(next))
          running--
          seen.push(message.body)
          await message.acknowledge()
          if (seen.length === 20) resolve()
        }
        void Promise.all([left, right].map((from) => session.createConsumer(from))).then((consumers) => {
          for (const consumer of consumers) consumer.setMessageListener(listener)
          connection.start()
        })
      })
      const even = seen.filter((i) => i % 2 === 0)
      assert.deepEqual(
        even,
        even.toSorted((a, b) => a - b),
        'in order from one queue',
      )
      assert.equal(new Set(seen).size, 20)
    },
  )

  contract(subject, [], 'JMS 6.2.5: a session with listeners does not receive', async (bench) => {
    const session = (await bench.connection()).createSession()
    const consumer = await session.createConsumer(bench.queue())
    consumer.setMessageListener(() => {})
    await assert.rejects(consumer.receive(), { code: 'illegal-state' })
    const auto = (await bench.connection()).createSession({ acknowledge: 'auto' })
    const iterated = (await auto.createConsumer(bench.queue()))[Symbol.asyncIterator]()
    await assert.rejects(iterated.next(), { code: 'illegal-state' })
  })

  contract(
    subject,
    [],
    'JMS 6.1.4: a connection delivers nothing before start and while stopped',
    async (bench) => {
      const connection = await bench.connection()
      const session = connection.createSession()
      const numbers = bench.queue<number>()
      const producer = await session.createProducer(numbers)
      for (let i = 0; i < 3; i++) await producer.send(i)
      const consumer = await session.createConsumer(numbers)
      assert.equal(await consumer.receive({ timeout: 5 }), undefined)
      connection.start()
      assert.equal((await consumer.receive())?.body, 0)
      await connection.stop()
      assert.equal(await consumer.receive({ timeout: 5 }), undefined)
      const waiting = consumer.receive()
      connection.start()
      assert.equal((await waiting)?.body, 1)
    },
  )

  testLoops(subject)
  testWorkers(subject)
}

function testLoops(subject: ProviderSubject): void {
  contract(
    subject,
    [],
    'a closed consumer gives back what it has fetched ahead; what it has delivered can be settled',
    async (bench) => {
      const [mq, other] = [await bench.connect(), await bench.connect()]
      const numbers = bench.queue<number>()
      for (let i = 0; i < 5; i++) await mq.send(numbers, i)
      const consumer = await mq.createConsumer(numbers)
      const first = await consumer.receive()
      await consumer.close()
      const rest = await take(other, numbers, 4)
      assert.deepEqual(
        rest.map(({ body, deliveryCount }) => [body, deliveryCount]),
        [1, 2, 3, 4].map((body) => [body, 1]),
      )
      await first!.acknowledge()
      await other.close()
      await mq.close()
      assert.equal((await take(await bench.connect(), numbers, 4)).length, 4)
    },
  )

  contract(
    subject,
    [],
    'for await acknowledges nothing by itself; leaving the loop gives back the rest',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      for (let i = 0; i < 10; i++) await mq.send(numbers, i)
      let kept: Message<number> | undefined
      for await (const message of await mq.createConsumer(numbers)) {
        if (message.body === 2) await message.acknowledge()
        if (message.body === 3) kept = message
        if (message.body === 5) break
      }
      await assert.rejects(kept!.acknowledge(), { code: 'delivery-settled' })
      const left = await take(mq, numbers, 9)
      assert.deepEqual(
        left.map(({ body }) => body),
        [0, 1, 3, 4, 5, 6, 7, 8, 9],
      )
    },
  )

  contract(
    subject,
    [],
    'closing a consumer ends the loop and the receive that wait for it',
    async (bench) => {
      const mq = await bench.connect()
      const consumer = await mq.createConsumer(bench.queue())
      const seen: unknown[] = []
      const loop = (async () => {
        for await (const message of consumer) seen.push(message)
      })()
      const waiting = consumer.receive()
      await consumer.close()
      assert.equal(await waiting, undefined)
      await loop
      assert.deepEqual(seen, [])
      await assert.rejects(consumer.receive(), { code: 'closed' })
    },
  )

  contract(subject, [], 'competing consumers share a queue, each message once', async (bench) => {
    const numbers = bench.queue<number>()
    const mq = await bench.connect()
    const seen = new Map<number, number>()
    await new Promise<void>((resolve) => {
      void (async () => {
        for (let c = 0; c < 3; c++) {
          const other = await bench.connect()
          other.consume(numbers, { prefetch: 4 }, ({ body }) => {
            seen.set(body, (seen.get(body) ?? 0) + 1)
            if (seen.size === 200) resolve()
          })
        }
        for (let i = 0; i < 200; i++) void mq.send(numbers, i)
      })()
    })
    assert.ok([...seen.values()].every((times) => times === 1))
  })
}

function testWorkers(subject: ProviderSubject): void {
  contract(
    subject,
    [],
    'a worker runs as many handlers at once as it was told, and accepts what returns',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      for (let i = 0; i < 30; i++) await mq.send(numbers, i)
      let running = 0
      let most = 0
      const all = Promise.withResolvers<void>()
      let count = 0
      const worker = mq.consume(numbers, { concurrency: 4 }, async () => {
        most = Math.max(most, ++running)
        await new Promise((next) => setImmediate(next))
        running--
        if (++count === 30) all.resolve()
      })
      await all.promise
      await worker.close()
      assert.equal(most, 4)
      await assertEmpty(mq, numbers)
    },
  )

  contract(subject, ['policies'], 'a consumer of a higher priority goes first', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const low = await mq.createConsumer(texts, { prefetch: 1, priority: -1 })
    const high = await mq.createConsumer(texts, { prefetch: 2, priority: 7 })
    for (const text of ['a', 'b', 'c']) await mq.send(texts, text)
    assert.deepEqual([(await high.receive())!.body, (await high.receive())!.body], ['a', 'b'])
    assert.equal((await low.receive())!.body, 'c')
    await assert.rejects(mq.createConsumer(texts, { priority: 0.5 }), { code: 'argument-invalid' })
  })

  contract(
    subject,
    ['policies'],
    'one consumer is active, and the next one when it has left',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { singleActiveConsumer: true } })
      const first = await mq.createConsumer(texts)
      const second = await mq.createConsumer(texts, { priority: 1 })
      for (const text of ['a', 'b', 'c']) await mq.send(texts, text)
      await (await first.receive())!.acknowledge()
      const held = (await first.receive())!
      assert.equal(await second.receive({ timeout: 0 }), undefined)
      await first.close()
      assert.equal(
        await second.receive({ timeout: 0 }),
        undefined,
        'its session may still settle what it took',
      )
      await held.release()
      assert.deepEqual([(await second.receive())!.body, (await second.receive())!.body], ['b', 'c'])
    },
  )

  contract(
    subject,
    ['redelivery', 'policies'],
    'a handler that throws has its message again, then dead-lettered',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxDeliveries: 2, backoff: quickly } })
      const counts: number[] = []
      await using _worker = mq.consume(texts, (message) => {
        counts.push(message.deliveryCount)
        throw new Error('no such customer')
      })
      await mq.send(texts, 'x')
      const dead = await one(mq, deadLettersOf(texts))
      assert.deepEqual(counts, [1, 2])
      assert.match(dead.deadLetter!.history[0]!.description, /no such customer/)
    },
  )

  contract(
    subject,
    ['redelivery'],
    'a body that cannot be decoded is dead-lettered at once',
    async (bench) => {
      const mq = await bench.connect()
      const anything = bench.queue<unknown>()
      let calls = 0
      await using _worker = mq.consume(anything, (message) => {
        calls++
        void message.body
      })
      await mq.send(anything, Buffer.from('{no'), { contentType: 'application/json' })
      const dead = await one(mq, deadLettersOf(anything))
      assert.deepEqual([dead.deadLetter?.reason, calls], ['invalid-body', 1])
      assert.throws(() => dead.body, { code: 'message-invalid' })
    },
  )

  contract(subject, [], 'a handler that settles by itself has the last word', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const seen: string[] = []
    const end = Promise.withResolvers<void>()
    await using _worker = mq.consume(texts, async (message) => {
      seen.push(message.body)
      if (message.body === 'release' && !seen.slice(0, -1).includes('release')) await message.release()
      if (seen.length === 3) end.resolve()
    })
    await mq.send(texts, 'release')
    await mq.send(texts, 'end')
    await end.promise
    assert.deepEqual(seen.toSorted(), ['end', 'release', 'release'])
  })

  contract(
    subject,
    [],
    'close waits for the handlers that run and gives back what none has begun with',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      for (let i = 0; i < 5; i++) await mq.send(numbers, i)
      const begun = Promise.withResolvers<void>()
      const finish = Promise.withResolvers<void>()
      const worker = mq.consume(numbers, async () => {
        begun.resolve()
        await finish.promise
      })
      await begun.promise
      const closed = worker.close()
      finish.resolve()
      await closed
      await worker.closed
      const left = await take(mq, numbers, 4)
      assert.deepEqual(
        left.map(({ body }) => body),
        [1, 2, 3, 4],
      )
    },
  )

  contract(
    subject,
    [],
    'when drain has passed, the signal is aborted and the message goes back',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await mq.send(texts, 'x')
      const begun = Promise.withResolvers<AbortSignal>()
      const worker = mq.consume(texts, async (_message, { signal }) => {
        begun.resolve(signal)
        await once(signal, 'abort')
      })
      const signal = await begun.promise
      assert.equal(signal.aborted, false)
      await worker.close({ drain: 10 })
      assert.equal(signal.aborted, true)
      assert.equal((await one(mq, texts)).body, 'x')
    },
  )

  contract(subject, [], 'stop pauses a worker, start resumes it; its signal closes it', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    const aborter = new AbortController()
    let reached = Promise.withResolvers<number>()
    const worker = mq.consume(numbers, { signal: aborter.signal }, ({ body }) => reached.resolve(body))
    await mq.send(numbers, 1)
    assert.equal(await reached.promise, 1)
    await worker.stop()
    reached = Promise.withResolvers<number>()
    await mq.send(numbers, 2)
    worker.start()
    assert.equal(await reached.promise, 2)
    aborter.abort()
    await worker.closed
    assert.throws(() => worker.start(), { code: 'closed' })
  })

  contract(
    subject,
    [],
    'a worker whose queue is deleted ends with an error that says so',
    async (bench, t) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const { management } = mq.connection.provided
      if (!management) return t.skip('it has no management to delete a queue with')
      const reported = once(mq, 'error')
      const worker = mq.consume(texts, () => {})
      await worker.ready
      await management.delete(texts.name)
      await assert.rejects(worker.closed, { code: 'destination-not-found' })
      assert.equal((await reported)[0].code, 'destination-not-found')
    },
  )
}
