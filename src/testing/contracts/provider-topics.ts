import assert from 'node:assert/strict'
import { queue, topic } from '../../client/destinations.ts'
import { contract, one, type ProviderSubject } from './provider-subject.ts'

/** Publish and subscribe, and destinations that end with their connection. */
export function testTopics(subject: ProviderSubject): void {
  contract(
    subject,
    ['topics'],
    'JMS 4.2: each volatile subscription gets what is sent while it exists',
    async (bench) => {
      const mq = await bench.connect()
      const prices = topic<number>('prices.eur')
      await mq.send(prices, 0)
      const one = await mq.createConsumer(prices)
      await mq.send(prices, 1)
      const two = await mq.createConsumer(prices)
      await mq.send(prices, 2)
      const received = [await one.receive(), await one.receive(), await two.receive()]
      assert.deepEqual(
        received.map((message) => message?.body),
        [1, 2, 2],
      )
      assert.deepEqual(received[0]!.destination, { kind: 'topic', name: 'prices.eur' })
      assert.equal(await two.receiveNoWait(), undefined)
    },
  )

  contract(subject, ['topics'], "'*' stands for one level and '#' for any number", async (bench) => {
    const mq = await bench.connect()
    const patterns = ['a.*', 'a.#', '#', 'a.*.c', '*.b']
    const consumers = []
    for (const pattern of patterns) consumers.push(await mq.createConsumer(topic<string>(pattern)))
    for (const key of ['a', 'a.b', 'a.b.c', 'x']) await mq.send(topic<string>(key), key)
    const heard: string[][] = []
    for (const consumer of consumers) {
      const keys: string[] = []
      for (let m = await consumer.receiveNoWait(); m; m = await consumer.receiveNoWait()) keys.push(m.body)
      heard.push(keys)
    }
    assert.deepEqual(heard, [['a.b'], ['a', 'a.b', 'a.b.c'], ['a', 'a.b', 'a.b.c', 'x'], ['a.b.c'], ['a.b']])
  })

  contract(
    subject,
    ['topics', 'durableSubscriptions', 'policies'],
    'durable and shared subscriptions have wildcards, too; what is sent has none',
    async (bench) => {
      const mq = await bench.connect('app')
      const own = await mq.subscribe(topic<string>('w.*.c'), { name: 'own' })
      const shared = await mq.subscribe(topic<string>('w.#'), { name: 'shared', shared: true })
      for (const key of ['w', 'w.b.c', 'v.b.c']) await mq.send(topic<string>(key), key)
      const heard: string[][] = []
      for (const subscription of [own, shared]) {
        const consumer = await mq.createConsumer(subscription)
        const keys: string[] = []
        for (
          let next = await consumer.receive({ timeout: 0 });
          next;
          next = await consumer.receive({ timeout: 0 })
        )
          keys.push(next.body)
        await consumer.close()
        heard.push(keys)
      }
      assert.deepEqual(heard, [['w.b.c'], ['w', 'w.b.c']])
      for (const key of ['w.*', '#']) {
        await assert.rejects(mq.send(topic<string>(key), 'x'), { code: 'destination-invalid' })
      }
    },
  )

  contract(
    subject,
    ['topics', 'policies'],
    'virtual topics: each group gets all, and shares it out',
    async (bench) => {
      const mq = await bench.connect()
      const name = bench.queue().name
      const [a, b] = ['a', 'b'].map((group) => queue<string>(`Consumer.${group}.VirtualTopic.${name}`))
      const members = [await mq.createConsumer(a!), await mq.createConsumer(a!)]
      assert.equal(await mq.receive(b!, { timeout: 0 }), undefined)
      for (const text of ['1', '2']) await mq.send(topic<string>(`VirtualTopic.${name}`), text)
      const received = [await members[0]!.receive(), await members[1]!.receive()]
      assert.deepEqual(received.map((message) => message!.body).sort(), ['1', '2'])
      assert.deepEqual([(await mq.receive(b!))!.body, (await mq.receive(b!))!.body], ['1', '2'])
    },
  )

  contract(subject, ['topics'], 'a topic holds nothing to receive', async (bench) => {
    const mq = await bench.connect()
    await assert.rejects(mq.receive(topic('t') as never), { code: 'destination-invalid' })
  })

  testDurable(subject)
  testTemporary(subject)
}

function testDurable(subject: ProviderSubject): void {
  const needs = ['topics', 'durableSubscriptions'] as const

  contract(
    subject,
    needs,
    'JMS 4.2.3: a durable subscription keeps messages while nobody consumes',
    async (bench) => {
      const mq = await bench.connect('app')
      const events = topic<number>('events')
      const audit = await mq.subscribe(events, { name: 'audit' })
      await mq.send(events, 1)
      await mq.close()
      const sender = await bench.connect()
      await sender.send(events, 2)
      const again = await bench.connect('app')
      assert.equal((await again.receive(audit))?.body, 1)
      const second = await again.receive(audit)
      assert.equal(second?.body, 2)
      await second!.acknowledge()
    },
  )

  contract(
    subject,
    needs,
    'JMS 8.3.3: it needs a client id, has one consumer, and ends when unsubscribed',
    async (bench) => {
      const anonymous = await bench.connect()
      const events = topic<number>('events')
      await assert.rejects(anonymous.subscribe(events, { name: 'audit' }), { code: 'client-id-invalid' })
      await assert.rejects(anonymous.subscribe(events, { name: 'no spaces' }), { code: 'argument-invalid' })
      await assert.rejects(anonymous.unsubscribe('no spaces'), { code: 'argument-invalid' })
      const mq = await bench.connect('app')
      const audit = await mq.subscribe(events, { name: 'audit' })
      const consumer = await mq.createConsumer(audit)
      await assert.rejects(mq.createConsumer(audit), { code: 'destination-in-use' })
      await assert.rejects(mq.unsubscribe('audit'), { code: 'destination-in-use' })
      await consumer.close()
      await mq.send(events, 1)
      await mq.unsubscribe('audit')
      await assert.rejects(mq.unsubscribe('audit'), { code: 'destination-not-found' })
      const fresh = await mq.subscribe(events, { name: 'audit' })
      assert.equal(await mq.receive(fresh, { timeout: 0 }), undefined)
    },
  )

  contract(
    subject,
    needs,
    'JMS 4.2.3: another topic replaces the subscription and what it holds',
    async (bench) => {
      const mq = await bench.connect('app')
      await mq.subscribe(topic<string>('old'), { name: 'audit' })
      await mq.send(topic('old'), 'old')
      const audit = await mq.subscribe(topic<string>('new'), { name: 'audit' })
      await mq.send(topic('old'), 'old')
      await mq.send(topic('new'), 'new')
      assert.equal((await mq.receive(audit))?.body, 'new')
      assert.equal(await mq.receive(audit, { timeout: 0 }), undefined)
    },
  )

  contract(subject, needs, 'JMS 4.2.4: the consumers of a shared subscription compete', async (bench) => {
    const [left, right] = [await bench.connect(), await bench.connect()]
    const events = topic<number>('events')
    const shared = await left.subscribe(events, { name: 'crew', shared: true })
    const seen: number[] = []
    const both = Promise.withResolvers<void>()
    for (const mq of [left, right]) {
      const worker = mq.consume(shared, ({ body }) => {
        seen.push(body)
        if (seen.length === 20) both.resolve()
      })
      await worker.ready
    }
    for (let i = 0; i < 20; i++) await left.send(events, i)
    await both.promise
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    )
  })

  contract(subject, needs, 'JMS 6.1.2: a client id has one user at a time', async (bench) => {
    const mq = await bench.connect('app')
    await assert.rejects(bench.connect('app'), { code: 'client-id-invalid' })
    await mq.close()
    await bench.connect('app')
  })
}

function testTemporary(subject: ProviderSubject): void {
  contract(
    subject,
    ['temporaryDestinations'],
    'JMS 4.1.4: request and reply by a temporary queue',
    async (bench) => {
      const [client, server] = [await bench.connect(), await bench.connect()]
      const requests = bench.queue<number>()
      const replies = await client.createTemporaryQueue<number>()
      server.consume(requests, async (message) => {
        const { replyTo, messageId } = message
        await server.send(replyTo!, message.body * 2, { correlationId: messageId })
      })
      const { messageId } = await client.send(requests, 21, { replyTo: replies })
      const reply = await one(client, replies)
      assert.deepEqual([reply.body, reply.correlationId], [42, messageId])
      assert.equal(reply.destination.kind, 'temporary-queue')
    },
  )

  contract(
    subject,
    ['temporaryDestinations'],
    'JMS 6.2.2: it belongs to its connection and ends with it',
    async (bench) => {
      const [owner, other] = [await bench.connect(), await bench.connect()]
      const replies = await owner.createTemporaryQueue<string>()
      await assert.rejects(other.receive(replies), { code: 'destination-invalid' })
      await assert.rejects(other.deleteTemporary(replies), { code: 'destination-invalid' })
      await other.send(replies, 'x')
      await owner.close()
      await assert.rejects(other.send(replies, 'late'), { code: 'destination-not-found' })
    },
  )

  contract(
    subject,
    ['temporaryDestinations'],
    'a temporary queue can be deleted when nobody consumes',
    async (bench) => {
      const mq = await bench.connect()
      const replies = await mq.createTemporaryQueue<string>()
      const consumer = await mq.createConsumer(replies)
      await assert.rejects(mq.deleteTemporary(replies), { code: 'destination-in-use' })
      await consumer.close()
      await mq.deleteTemporary(replies)
      await assert.rejects(mq.send(replies, 'late'), { code: 'destination-not-found' })
    },
  )

  contract(
    subject,
    ['temporaryDestinations', 'topics'],
    'a temporary topic carries messages',
    async (bench) => {
      const mq = await bench.connect()
      const news = await mq.createTemporaryTopic<string>()
      const consumer = await mq.createConsumer(news)
      await mq.send(news, 'x')
      const message = await consumer.receive()
      assert.deepEqual(
        [message?.body, message?.destination],
        ['x', { kind: 'temporary-topic', name: news.name }],
      )
    },
  )
}
