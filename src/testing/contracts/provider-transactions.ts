import assert from 'node:assert/strict'
import type { MessageConsumer } from '../../client/consumer.ts'
import type { Context } from '../../client/context.ts'
import { type Queue, topic } from '../../client/destinations.ts'
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

const transacted = { acknowledge: 'transacted' } as const
const illegal = { code: 'illegal-state' } as const

/** Messages that must come, as what they say: body, count, redelivered. */
async function seen<T>(consumer: MessageConsumer<T>, count: number): Promise<[T, number, boolean][]> {
  const messages: Message<T>[] = []
  for (let i = 0; i < count; i++) messages.push((await consumer.receive())!)
  return messages.map(({ body, deliveryCount, redelivered }) => [body, deliveryCount, redelivered])
}

async function sendAll<T>(mq: Context, to: Queue<T, unknown>, bodies: readonly T[]): Promise<void> {
  await Promise.all(bodies.map((body) => mq.send(to, body)))
}

/** Sends and settlements that happen together or not at all (JMS 6.2.7). */
export function testTransactions(subject: ProviderSubject): void {
  testCommit(subject)
  testRollback(subject)
  testSessions(subject)
  testConvenience(subject)
  testHalfMessages(subject)
}

function testCommit(subject: ProviderSubject): void {
  contract(
    subject,
    ['transactions'],
    'JMS 6.2.7: what a transaction sends is seen with its commit, in order',
    async (bench) => {
      const mq = await bench.connect()
      const [first, second] = [bench.queue<number>(), bench.queue<number>()]
      const tx = await mq.createContext(transacted)
      const sent = [0, 1, 2, 3].map((i) => tx.send(i % 2 === 0 ? first : second, i))
      await Promise.all(sent)
      await assertEmpty(mq, first)
      await tx.commit()
      const bodies = [...(await take(mq, first, 2)), ...(await take(mq, second, 2))].map(({ body }) => body)
      assert.deepEqual(bodies, [0, 2, 1, 3])
    },
  )

  contract(subject, ['transactions'], 'JMS 7.3: commit waits for the sends under way', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    const tx = await mq.createContext(transacted)
    for (let i = 0; i < 50; i++) void tx.send(numbers, i)
    await tx.commit()
    const bodies = (await take(mq, numbers, 50)).map(({ body }) => body)
    assert.deepEqual(bodies, [...Array(50).keys()])
  })

  contract(
    subject,
    ['transactions'],
    'JMS 6.2.7: commit acknowledges what the session has received',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      await sendAll(mq, numbers, [0, 1, 2])
      const tx = await mq.createContext(transacted)
      const consumer = await tx.createConsumer(numbers)
      assert.deepEqual(await seen(consumer, 2), [
        [0, 1, false],
        [1, 1, false],
      ])
      await tx.commit()
      await tx.close()
      const rest = await one(mq, numbers)
      assert.equal(rest.body, 2)
      await rest.acknowledge()
      await assertEmpty(mq, numbers)
    },
  )

  contract(
    subject,
    ['transactions'],
    'a consumer that was closed before the commit has its messages acknowledged',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await mq.send(texts, 'x')
      const tx = await mq.createContext(transacted)
      const consumer = await tx.createConsumer(texts, { prefetch: 0 })
      await seen(consumer, 1)
      await consumer.close()
      await assertEmpty(mq, texts)
      await tx.commit()
      await tx.close()
      await assertEmpty(mq, texts)
    },
  )

  contract(
    subject,
    ['transactions'],
    'transactions follow each other, and several are open at once',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      const [one, other] = [await mq.createContext(transacted), await mq.createContext(transacted)]
      for (let round = 0; round < 3; round++) {
        await one.send(numbers, round)
        await other.send(numbers, 100 + round)
        await other.rollback()
        await one.commit()
      }
      assert.deepEqual(
        (await take(mq, numbers, 3)).map(({ body }) => body),
        [0, 1, 2],
      )
      await assertEmpty(mq, numbers)
    },
  )

  contract(subject, ['transactions'], 'a commit of nothing is a commit', async (bench) => {
    const tx = await (await bench.connect()).createContext(transacted)
    await tx.commit()
    await tx.rollback()
    await tx.commit()
  })
}

function testRollback(subject: ProviderSubject): void {
  contract(subject, ['transactions'], 'JMS 6.2.7: rollback destroys what was sent', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const tx = await mq.createContext(transacted)
    void tx.send(texts, 'never')
    await tx.rollback()
    await tx.send(texts, 'then')
    await tx.commit()
    assert.equal((await one(mq, texts)).body, 'then')
    await assertEmpty(mq, texts)
  })

  for (const prefetch of [0, 2, 100]) {
    contract(
      subject,
      ['transactions'],
      `JMS 6.2.7, 3.5.11: rollback redelivers in order, marked and counted (prefetch ${prefetch})`,
      async (bench) => {
        const mq = await bench.connect()
        const numbers = bench.queue<number>()
        await sendAll(mq, numbers, [0, 1, 2, 3, 4])
        const tx = await mq.createContext(transacted)
        const consumer = await tx.createConsumer(numbers, { prefetch })
        await seen(consumer, 3)
        await tx.rollback()
        assert.deepEqual(await seen(consumer, 2), [
          [0, 2, true],
          [1, 2, true],
        ])
        await tx.rollback()
        assert.deepEqual(await seen(consumer, 5), [
          [0, 3, true],
          [1, 3, true],
          [2, 2, true],
          [3, 1, false],
          [4, 1, false],
        ])
        await tx.commit()
        await tx.close()
        await assertEmpty(mq, numbers)
      },
    )
  }

  contract(
    subject,
    ['transactions', 'redelivery', 'policies'],
    'a message that is rolled back every time is dead-lettered in the end',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxDeliveries: 2, backoff: quickly } })
      await mq.send(texts, 'poison')
      await mq.send(texts, 'good')
      const tx = await mq.createContext(transacted)
      const consumer = await tx.createConsumer(texts)
      for (const count of [1, 2]) {
        assert.deepEqual(await seen(consumer, 1), [['poison', count, count > 1]])
        await tx.rollback()
      }
      assert.deepEqual(await seen(consumer, 1), [['good', 1, false]])
      await tx.commit()
      assert.equal((await one(mq, deadLettersOf(texts))).body, 'poison')
    },
  )

  contract(subject, ['transactions'], 'JMS 6.1.8: closing the session rolls back', async (bench) => {
    const mq = await bench.connect()
    const [inputs, outputs] = [bench.queue(), bench.queue()]
    await mq.send(inputs, 'in')
    const tx = await mq.createContext(transacted)
    const consumer = await tx.createConsumer(inputs)
    await seen(consumer, 1)
    await tx.send(outputs, 'out')
    await tx.close()
    const again = await one(mq, inputs)
    assert.deepEqual([again.body, again.deliveryCount, again.redelivered], ['in', 2, true])
    await assertEmpty(mq, outputs)
  })

  contract(
    subject,
    ['transactions'],
    'a transaction that holds more than a session remembers',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      const count = 2_300
      await sendAll(mq, numbers, [...Array(count).keys()])
      const tx = await mq.createContext(transacted)
      const consumer = await tx.createConsumer(numbers)
      const first = await seen(consumer, count)
      assert.ok(first.every(([body, deliveries], i) => body === i && deliveries === 1))
      await tx.rollback()
      const second = await seen(consumer, count)
      assert.ok(second.every(([body, deliveries], i) => body === i && deliveries === 2))
      await tx.commit()
      await tx.close()
      await assertEmpty(mq, numbers)
    },
  )
}

function testSessions(subject: ProviderSubject): void {
  contract(
    subject,
    ['transactions'],
    'JMS 6.2.10: a transacted session does not recover, acknowledge says nothing',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await mq.send(texts, 'x')
      const tx = await mq.createContext(transacted)
      const message = await one(tx, texts)
      await message.acknowledge()
      assert.throws(() => tx.recover(), illegal)
      assert.throws(() => tx.consume(texts, () => {}), illegal)
      await tx.rollback()
      assert.deepEqual((await one(tx, texts)).deliveryCount, 2)
      await tx.commit()
    },
  )

  contract(
    subject,
    ['transactions'],
    'JMS 10.3: commit and rollback belong to transacted sessions',
    async (bench) => {
      const connection = await bench.connection()
      for (const acknowledge of ['individual', 'client', 'auto', 'dups-ok'] as const) {
        const session = connection.createSession({ acknowledge })
        await assert.rejects(session.commit(), illegal)
        await assert.rejects(session.rollback(), illegal)
      }
      const closed = connection.createSession(transacted)
      await closed.close()
      await assert.rejects(closed.commit(), { code: 'closed' })
      await assert.rejects(closed.rollback(), { code: 'closed' })
    },
  )

  contract(
    subject,
    ['transactions'],
    'overlapping commits and rollbacks are illegal, sends are not',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const tx = await mq.createContext(transacted)
      void tx.send(texts, 'a')
      const committing = tx.commit()
      const next = tx.send(texts, 'b')
      await assert.rejects(tx.commit(), illegal)
      await assert.rejects(tx.rollback(), illegal)
      await committing
      await next
      assert.equal((await one(mq, texts)).body, 'a')
      await assertEmpty(mq, texts)
      await tx.commit()
      assert.equal((await one(mq, texts)).body, 'b')
    },
  )

  contract(
    subject,
    ['transactions'],
    'JMS 8.7: a listener may commit, and its failure does not roll back',
    async (bench) => {
      const mq = await bench.connect()
      const [inputs, outputs] = [bench.queue<number>(), bench.queue<number>()]
      const tx = await mq.createContext(transacted)
      const errors: string[] = []
      mq.on('error', (error) => errors.push(error.message))
      const consumer = await tx.createConsumer(inputs)
      const done = Promise.withResolvers<void>()
      const calls: number[] = []
      consumer.setMessageListener(async ({ body }) => {
        calls.push(body)
        void tx.send(outputs, body * 10)
        if (body === 1) throw new Error('not this one')
        if (body === 2) await tx.commit().then(done.resolve, done.reject)
      })
      await sendAll(mq, inputs, [0, 1, 2])
      await done.promise
      await tx.close()
      assert.deepEqual(calls, [0, 1, 2])
      assert.match(errors.join(), /not this one/)
      assert.deepEqual(
        (await take(mq, outputs, 3)).map(({ body }) => body),
        [0, 10, 20],
      )
      await assertEmpty(mq, inputs)
    },
  )

  contract(subject, ['transactions'], 'a producer with an id is not for transactions', async (bench) => {
    const session = (await bench.connection()).createSession(transacted)
    await assert.rejects(session.createProducer(undefined, { id: 'me' }), { code: 'argument-invalid' })
  })

  contract(
    subject,
    ['transactions', 'policies'],
    'a send that was refused makes the commit fail, and with it everything',
    async (bench) => {
      const mq = await bench.connect()
      const small = bench.queue({ policy: { maxMessages: 1, overflow: 'reject' } })
      const other = bench.queue()
      await mq.send(small, 'full')
      await mq.send(other, 'in')
      const tx = await mq.createContext(transacted)
      const consumer = await tx.createConsumer(other)
      await seen(consumer, 1)
      void tx.send(other, 'out').catch(() => {})
      await assert.rejects(tx.send(small, 'too much'), { code: 'queue-full' })
      await assert.rejects(tx.commit(), (error: Error & { code: string; cause: { code: string } }) => {
        assert.deepEqual([error.code, error.cause.code], ['transaction-rolled-back', 'queue-full'])
        return true
      })
      assert.deepEqual(await seen(consumer, 1), [['in', 2, true]])
      await tx.commit()
      await assertEmpty(mq, other)
    },
  )
}

function testConvenience(subject: ProviderSubject): void {
  contract(
    subject,
    ['transactions'],
    'transaction(): commits on return, rolls back on throw',
    async (bench) => {
      const mq = await bench.connect()
      const [inputs, outputs] = [bench.queue<number>(), bench.queue<number>()]
      await mq.send(inputs, 7)
      const attempt = (fail: boolean): Promise<number> =>
        mq.transaction(async (tx) => {
          const { body, deliveryCount } = await one(tx, inputs)
          void tx.send(outputs, body * deliveryCount)
          if (fail) throw new Error('no')
          return deliveryCount
        })
      await assert.rejects(attempt(true), /^Error: no$/)
      await assertEmpty(mq, outputs)
      assert.equal(await attempt(false), 2)
      assert.equal((await one(mq, outputs)).body, 14)
      await assertEmpty(mq, inputs)
      const several = [1, 2, 3].map((n) => mq.transaction((tx) => tx.send(outputs, n)))
      await Promise.all(several)
      const bodies = (await take(mq, outputs, 3)).map(({ body }) => body)
      assert.deepEqual(new Set(bodies), new Set([1, 2, 3]))
    },
  )

  contract(
    subject,
    ['transactions'],
    'JMS 8.x: a context over the same connection, and its end',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const other = await mq.createContext({ acknowledge: 'client' })
      await other.send(texts, 'x')
      await other.close()
      await assert.rejects(other.send(texts, 'y'), { code: 'closed' })
      assert.equal((await one(mq, texts)).body, 'x')
    },
  )
}

/** Half messages: stored, invisible, and decided later. */
function testHalfMessages(subject: ProviderSubject): void {
  const producerGroup = 'orders'

  contract(
    subject,
    ['preparedMessages'],
    'a half message is seen when it is committed, never when it is rolled back',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const [good, bad] = [
        await mq.prepare(texts, 'good', { producerGroup, properties: { n: 1 } }),
        await mq.prepare(texts, 'bad', { producerGroup }),
      ]
      assert.notEqual(good.id, bad.id)
      await assertEmpty(mq, texts)
      const listed = await mq.prepared.list()
      assert.deepEqual(
        listed.map(({ id, group, key, queues, checks, parked }) => [id, group, key, queues, checks, parked]),
        [good, bad].map(({ id }) => [id, producerGroup, texts.name, [texts.name], 0, false]),
      )
      await good.commit()
      await bad.rollback()
      const message = await one(mq, texts)
      assert.deepEqual(
        [message.body, message.properties, message.messageId],
        ['good', { n: 1 }, good.messageId],
      )
      await assertEmpty(mq, texts)
      assert.deepEqual(await mq.prepared.list(), [])
    },
  )

  contract(
    subject,
    ['preparedMessages'],
    'a half message is decided once, by whoever knows its id',
    async (bench) => {
      const [mq, other] = [await bench.connect(), await bench.connect()]
      const texts = bench.queue()
      const producer = await mq.createProducer(texts)
      const half = await producer.prepare('x', { producerGroup })
      await mq.close()
      await other.prepared.decide(half.id, 'commit')
      assert.equal((await one(other, texts)).body, 'x')
      for (const decision of ['commit', 'rollback'] as const)
        await assert.rejects(other.prepared.decide(half.id, decision), { code: 'prepared-not-found' })
      await assert.rejects(other.prepared.decide('nonsense', 'commit'), { code: 'prepared-not-found' })
    },
  )

  contract(
    subject,
    ['preparedMessages'],
    'a half message that nobody could take, or without group, is refused',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await assert.rejects(mq.prepare(texts, 'x', { producerGroup: '' }), { code: 'argument-invalid' })
      await assert.rejects(mq.prepare(topic('nobody.listens'), 'x', { producerGroup }), {
        code: 'message-unroutable',
      })
      await assert.rejects((await mq.createProducer()).prepare('x', { producerGroup }), illegal)
    },
  )

  contract(
    subject,
    ['preparedMessages', 'transactions'],
    'a half message is no part of a transaction',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const tx = await mq.createContext(transacted)
      await tx.send(texts, 'sent')
      const half = await tx.prepare(texts, 'prepared', { producerGroup })
      await tx.rollback()
      await half.commit()
      assert.equal((await one(mq, texts)).body, 'prepared')
      await assertEmpty(mq, texts)
    },
  )
}
