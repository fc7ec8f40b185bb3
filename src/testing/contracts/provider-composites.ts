import assert from 'node:assert/strict'
import { composite, queue, topic } from '../../client/destinations.ts'
import type { StandardSchema } from '../../client/standard-schema.ts'
import { assertEmpty, contract, one, type ProviderSubject } from './provider-subject.ts'

/** One message to several destinations. */
export function testComposites(subject: ProviderSubject): void {
  contract(
    subject,
    ['compositeDestinations', 'topics'],
    'one send to queues and topics: each has the message once, under its own name',
    async (bench) => {
      const mq = await bench.connect()
      const [a, b] = [bench.queue<string>(), bench.queue<string>()]
      const news = topic<string>('news.today')
      const heard = await mq.createConsumer(news)
      const all = composite(a, news, b, a)
      const receipt = await mq.send(all, 'm', { properties: { n: 1 } })
      for (const member of [a, b]) {
        const message = await one(mq, member)
        assert.deepEqual(
          [message.body, message.messageId, message.properties['n']],
          ['m', receipt.messageId, 1],
        )
        assert.deepEqual(message.destination, { kind: 'queue', name: member.name })
        await message.acknowledge()
        await assertEmpty(mq, member)
      }
      const message = await heard.receive()
      assert.deepEqual([message?.body, message?.destination], ['m', { kind: 'topic', name: 'news.today' }])
      assert.equal(await heard.receiveNoWait(), undefined)
    },
  )

  contract(
    subject,
    ['compositeDestinations', 'policies'],
    'what one of them refuses is in none, and the sender is told; each has the policy that it is given with',
    async (bench) => {
      const mq = await bench.connect()
      const free = bench.queue<string>()
      const full = bench.queue<string>({ policy: { maxMessages: 1, overflow: 'reject' } })
      const producer = await mq.createProducer(composite(free, full))
      await producer.send('first')
      await assert.rejects(producer.send('second'), { code: 'queue-full' })
      await assert.rejects(mq.send(composite(topic<string>('x.*'), free), 'third'), {
        code: 'destination-invalid',
      })
      assert.equal((await one(mq, free)).body, 'first')
      await assertEmpty(mq, free)
    },
  )

  contract(
    subject,
    ['compositeDestinations', 'transactions'],
    'a transaction has it in all of them or in none',
    async (bench) => {
      const mq = await bench.connect()
      const [a, b] = [bench.queue<string>(), bench.queue<string>()]
      const session = mq.connection.createSession({ acknowledge: 'transacted' })
      const producer = await session.createProducer(composite(a, b))
      await producer.send('undone')
      await session.rollback()
      await producer.send('done')
      await session.commit()
      for (const member of [a, b]) {
        const message = await one(mq, member)
        assert.equal(message.body, 'done')
        await message.acknowledge()
        await assertEmpty(mq, member)
      }
    },
  )

  contract(
    subject,
    ['compositeDestinations'],
    'it is there to send to: nobody receives from one, none is inside another, and bodies fit every schema',
    async (bench) => {
      const mq = await bench.connect()
      const [a, b] = [bench.queue<string>(), bench.queue<string>()]
      const both = composite(a, b)
      await assert.rejects(mq.createConsumer(both as never), { code: 'destination-invalid' })
      await assert.rejects(mq.send(queue<string>('other'), 'm', { replyTo: both as never }), {
        code: 'argument-invalid',
      })
      const temporary = await mq.createTemporaryQueue<string>()
      for (const wrong of [[a], [a, both], [a, temporary], [a, queue('with,comma')], [a, 'b']])
        assert.throws(() => composite(...(wrong as never[])), { code: 'destination-invalid' })
      const fussy = queue<string>('fussy', { body: short })
      await assert.rejects(mq.send(composite(a, fussy), 'too long'), { code: 'message-invalid' })
      await assertEmpty(mq, a)
    },
  )
}

const short: StandardSchema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      (value as string).length < 5 ? { value: value as string } : { issues: [{ message: 'too long' }] },
  },
}
