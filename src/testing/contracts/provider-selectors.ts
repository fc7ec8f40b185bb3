import assert from 'node:assert/strict'
import type { MessageConsumer } from '../../client/consumer.ts'
import type { Context } from '../../client/context.ts'
import { type Queue, type Topic, topic } from '../../client/destinations.ts'
import { contract, one, type ProviderSubject } from './provider-subject.ts'

/** Sends numbers with themselves as property `n`, and `even` and `kind` beside it. */
async function sendNumbers(
  mq: Context,
  to: Queue<number> | Topic<number>,
  from: number,
  below: number,
): Promise<void> {
  for (let n = from; n < below; n++)
    await mq.send(to, n, { properties: { n, even: n % 2 === 0, kind: n % 3 === 0 ? 'fizz' : 'plain' } })
}

/** Everything that is there for a consumer, acknowledged. */
async function drain(consumer: MessageConsumer<number>): Promise<number[]> {
  const bodies: number[] = []
  for (;;) {
    const message = await consumer.receiveNoWait()
    if (message === undefined) return bodies
    bodies.push(message.body)
    await message.acknowledge()
  }
}

/** Selectors on queues, browsers and subscriptions, and what subscribers do not want to hear of themselves. */
export function testSelectors(subject: ProviderSubject): void {
  testQueueSelectors(subject)
  testTopicSelectors(subject)
  testDurableSelectors(subject)
  testWrongSelectors(subject)
}

function testQueueSelectors(subject: ProviderSubject): void {
  contract(
    subject,
    ['selectors'],
    'JMS 4.1.2: a consumer gets what its selector takes, over the whole backlog, and leaves the rest to others',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      await sendNumbers(mq, numbers, 0, 400)
      const few = await mq.createConsumer(numbers, { selector: 'n >= 395 AND even' })
      assert.deepEqual(await drain(few), [396, 398])
      await sendNumbers(mq, numbers, 400, 403)
      assert.deepEqual([(await few.receive())?.body, (await few.receive())?.body], [400, 402])
      const all = await mq.createConsumer(numbers, { selector: '' })
      assert.equal((await drain(all)).length, 399)
    },
  )

  contract(
    subject,
    ['selectors'],
    'JMS 3.8.1.1: headers and properties of every kind can be selected by',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue<string>()
      const properties = { long: 2n ** 60n, double: 1.5, text: "it's", flag: true, time: new Date(5000) }
      const options = {
        properties,
        priority: 7,
        type: 'order',
        correlationId: 'c-1',
        group: 'g',
        groupSequence: 3,
      } as const
      await mq.send(texts, 'x', options)
      const { messageId } = await mq.send(texts, 'y', { durability: 'memory' })
      const selected = async (selector: string): Promise<string> => {
        const bodies: string[] = []
        for await (const { body } of mq.browse(texts, { selector })) bodies.push(body)
        return bodies.join()
      }
      for (const selector of [
        'long = 1152921504606846976',
        'double * 2 = 3 AND double BETWEEN 1 AND 2',
        "text = 'it''s' AND text LIKE 'i_''%'",
        'flag',
        'time = 5000',
        "JMSPriority = 7 AND JMSType = 'order' AND JMSCorrelationID = 'c-1' AND JMSXGroupID = 'g' AND JMSXGroupSeq = 3",
        "JMSDeliveryMode = 'PERSISTENT' AND JMSTimestamp > 0",
      ])
        assert.equal(await selected(selector), 'x', selector)
      for (const selector of [
        `JMSMessageID = '${messageId}'`,
        "JMSDeliveryMode = 'NON_PERSISTENT'",
        'text IS NULL',
        'JMSType IS NULL AND JMSPriority < 7',
      ])
        assert.equal(await selected(selector), 'y', selector)
      assert.equal(await selected("JMSXDeliveryCount >= 0 OR text <> 'x' AND text = 5"), '')
    },
  )

  contract(
    subject,
    ['selectors', 'browse'],
    'a browser with a selector sees what it takes of the whole queue, in order',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      await sendNumbers(mq, numbers, 0, 700)
      const bodies: number[] = []
      for await (const { body } of mq.browse(numbers, { selector: "kind = 'fizz' AND n > 600" }))
        bodies.push(body)
      assert.deepEqual(
        bodies,
        Array.from({ length: 33 }, (_, i) => 603 + 3 * i),
      )
    },
  )

  contract(
    subject,
    ['selectors', 'policies'],
    'management purges and moves what a selector takes',
    async (bench, t) => {
      const mq = await bench.connect()
      const { management } = mq.connection.provided
      if (!management) return t.skip('it has no management')
      const [numbers, other] = [bench.queue<number>(), bench.queue<number>()]
      await mq.declare(other)
      await sendNumbers(mq, numbers, 0, 10)
      assert.equal(await management.purge(numbers.name, { selector: 'even' }), 5)
      assert.equal(await management.move(numbers.name, other.name, { selector: 'n > 3', limit: 2 }), 2)
      assert.deepEqual([(await one(mq, other)).body, (await one(mq, other)).body], [5, 7])
      assert.equal(await management.redrive(other.name, { selector: 'n = 5' }), 0)
    },
  )
}

function testTopicSelectors(subject: ProviderSubject): void {
  contract(
    subject,
    ['selectors', 'topics'],
    'JMS 4.2.2: what its selector does not take never enters a subscription',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = topic<number>('numbers')
      const fizz = await mq.createConsumer(numbers, { selector: "kind = 'fizz'" })
      const large = await mq.createConsumer(topic<number>('#'), { selector: 'n > 7' })
      await sendNumbers(mq, numbers, 0, 10)
      assert.deepEqual(
        [await drain(fizz), await drain(large)],
        [
          [0, 3, 6, 9],
          [8, 9],
        ],
      )
    },
  )

  contract(
    subject,
    ['selectors', 'topics'],
    'no-local: a consumer does not hear what its own connection sends, with and without client id',
    async (bench) => {
      const numbers = topic<number>('numbers')
      for (const clientId of [undefined, 'me']) {
        const mq = await bench.connect(clientId)
        const other = await bench.connect()
        const consumer = await mq.createConsumer(numbers, { noLocal: true })
        const everything = await mq.createConsumer(numbers)
        await mq.send(numbers, 1)
        await other.send(numbers, 2)
        assert.deepEqual([await drain(consumer), await drain(everything)], [[2], [1, 2]])
      }
    },
  )
}

function testDurableSelectors(subject: ProviderSubject): void {
  const needs = ['selectors', 'topics', 'durableSubscriptions'] as const

  contract(
    subject,
    needs,
    'JMS 4.2.3: another selector, while nobody consumes, is another subscription in its place; the same, however written, is not',
    async (bench) => {
      const mq = await bench.connect('app')
      const numbers = topic<number>('numbers')
      await mq.subscribe(numbers, { name: 's', selector: 'even AND n > 1' })
      await sendNumbers(mq, numbers, 0, 6)
      const same = await mq.subscribe(numbers, { name: 's', selector: '(n>1) and even' })
      const consumer = await mq.createConsumer(same)
      assert.deepEqual(await drain(consumer), [2, 4])
      await sendNumbers(mq, numbers, 6, 8)
      await assert.rejects(mq.subscribe(numbers, { name: 's', selector: 'NOT even' }), {
        code: 'destination-in-use',
      })
      await consumer.close()
      const changed = await mq.subscribe(numbers, { name: 's', selector: 'NOT even' })
      await sendNumbers(mq, numbers, 8, 10)
      const again = await mq.createConsumer(changed)
      assert.deepEqual(await drain(again), [9], 'what the one before had kept is gone')
      await again.close()
      await mq.subscribe(numbers, { name: 's' })
      const everything = await mq.subscribe(numbers, { name: 's' })
      await sendNumbers(mq, numbers, 10, 12)
      assert.deepEqual(await drain(await mq.createConsumer(everything)), [10, 11])
    },
  )

  contract(
    subject,
    needs,
    'JMS 4.2.2: no-local of a durable subscription is by client id, also on a later connection',
    async (bench) => {
      const numbers = topic<number>('numbers')
      const before = await bench.connect('app')
      const options = { name: 's', noLocal: true, selector: 'even' }
      await before.subscribe(numbers, options)
      await before.close()
      const mq = await bench.connect('app')
      await sendNumbers(mq, numbers, 0, 2)
      await sendNumbers(await bench.connect(), numbers, 2, 5)
      const consumer = await mq.createConsumer(await mq.subscribe(numbers, options))
      assert.deepEqual(await drain(consumer), [2, 4])
    },
  )

  contract(subject, needs, 'sharers of a subscription share its selector', async (bench) => {
    const [one, two] = [await bench.connect(), await bench.connect()]
    const numbers = topic<number>('numbers')
    const options = { name: 's', shared: true, selector: 'n < 4' }
    const consumers = [
      await one.createConsumer(await one.subscribe(numbers, options), { prefetch: 0 }),
      await two.createConsumer(await two.subscribe(numbers, options), { prefetch: 0 }),
    ]
    await sendNumbers(one, numbers, 0, 6)
    const received = (await Promise.all(consumers.map(drain))).flat()
    assert.deepEqual(
      received.sort((a, b) => a - b),
      [0, 1, 2, 3],
    )
    await assert.rejects(two.subscribe(numbers, { ...options, selector: 'n < 5' }), {
      code: 'destination-in-use',
    })
  })
}

function testWrongSelectors(subject: ProviderSubject): void {
  contract(
    subject,
    ['selectors'],
    'JMS 10.3: a selector that cannot be read is refused with its position, and nothing comes of it',
    async (bench) => {
      const mq = await bench.connect('app')
      const numbers = bench.queue<number>()
      await mq.send(numbers, 1)
      const wrong = { code: 'selector-invalid', message: /position 9/ }
      const selector = 'n = 1 OR'
      await assert.rejects(mq.createConsumer(numbers, { selector }), wrong)
      await assert.rejects(mq.browse(numbers, { selector })[Symbol.asyncIterator]().next(), wrong)
      if (subject.capabilities.topics)
        await assert.rejects(mq.createConsumer(topic('t'), { selector }), wrong)
      if (subject.capabilities.durableSubscriptions) {
        await assert.rejects(mq.subscribe(topic('t'), { name: 's', selector }), wrong)
        await assert.rejects(mq.unsubscribe('s'), { code: 'destination-not-found' })
      }
      assert.equal((await one(mq, numbers)).body, 1)
    },
  )

  contract(
    subject,
    ['selectors', 'topics', 'durableSubscriptions'],
    'wishes that cannot be fulfilled are refused: no-local of queues and sharers, selectors beside those of a subscription',
    async (bench) => {
      const mq = await bench.connect('app')
      const refused = { code: 'argument-invalid' }
      const news = topic('news')
      const subscription = await mq.subscribe(news, { name: 's' })
      await assert.rejects(mq.createConsumer(bench.queue(), { noLocal: true }), refused)
      await assert.rejects(mq.createConsumer(subscription, { selector: 'a = 1' }), refused)
      await assert.rejects(mq.createConsumer(subscription, { noLocal: true }), refused)
      await assert.rejects(
        async () => mq.subscribe(news, { name: 't', shared: true, noLocal: true }),
        refused,
      )
      const selector = 5 as unknown as string
      await assert.rejects(mq.createConsumer(bench.queue(), { selector }), refused)
      await assert.rejects(async () => mq.subscribe(news, { name: 't', selector }), refused)
      assert.throws(() => mq.browse(bench.queue(), { selector }), refused)
    },
  )
}
