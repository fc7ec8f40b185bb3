import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import type { Message } from '../../client/message.ts'
import { typed } from '../../client/typed.ts'
import type { PropertyValue } from '../../model/message.ts'
import { assertEmpty, contract, deadLettersOf, one, type ProviderSubject, take } from './provider-subject.ts'

/** What is sent is what is received. */
export function testMessages(subject: ProviderSubject): void {
  contract(
    subject,
    [],
    'JMS 7.3: sends of one level are confirmed in the order of their calls',
    async (bench) => {
      const mq = await bench.connect()
      const queues = [bench.queue<number>(), bench.queue<number>(), bench.queue<number>()]
      const order: number[] = []
      const sends = Array.from({ length: 300 }, (_, i) =>
        mq.send(queues[i % 3]!, i).then(() => void order.push(i)),
      )
      await Promise.all(sends)
      assert.deepEqual(order, [...order.keys()])
    },
  )

  contract(subject, [], 'JMS 6.2.9: many sends in flight arrive in order of call', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    const sent = Array.from({ length: 500 }, (_, i) => mq.send(numbers, i))
    const receipts = await Promise.all(sent)
    assert.equal(new Set(receipts.map(({ messageId }) => messageId)).size, 500, 'ids are unique')
    const received = await take(mq, numbers, 500)
    assert.deepEqual(
      received.map(({ body }) => body),
      Array.from({ length: 500 }, (_, i) => i),
    )
    assert.deepEqual(
      received.map(({ messageId }) => messageId),
      receipts.map(({ messageId }) => messageId),
    )
  })

  contract(subject, [], 'a body of 3 MiB comes back, in order with its small neighbours', async (bench) => {
    const mq = await bench.connect()
    const anything = bench.queue<unknown>()
    const large = new Uint8Array(3 * 1024 * 1024).map((_, i) => (i * 31) >> 3)
    await Promise.all(
      ['before', large, 'after', large.slice(7), 'end'].map((body) => mq.send(anything, body)),
    )
    const consumer = await mq.createConsumer(anything)
    const received: Message[] = []
    while (received.length < 5) received.push((await consumer.receive())!)
    assert.deepEqual(
      received.map(({ body }) => (body instanceof Uint8Array ? body.length : body)),
      ['before', large.length, 'after', large.length - 7, 'end'],
    )
    assert.ok(Buffer.from(received[1]!.body as Uint8Array).equals(large))
    assert.ok(Buffer.from(received[3]!.body as Uint8Array).equals(large.subarray(7)))
  })

  contract(subject, [], 'a message over the limit is refused, and the next one is not', async (bench, t) => {
    const { maxMessageBytes } = subject.capabilities
    if (maxMessageBytes > 64 * 1024 * 1024)
      return t.skip(`its limit of ${maxMessageBytes} bytes is too large to try`)
    const mq = await bench.connect()
    const anything = bench.queue<unknown>()
    await assert.rejects(mq.send(anything, new Uint8Array(maxMessageBytes)), { code: 'message-too-large' })
    await mq.send(anything, 'small')
    assert.equal((await one(mq, anything)).body, 'small')
  })

  contract(subject, [], 'a send that need not wait does not overtake one that must', async (bench) => {
    const mq = await bench.connect()
    const declared = bench.queue()
    const plain = { kind: 'queue', name: declared.name } as const
    await Promise.all([
      mq.send(declared, 'a'),
      mq.send(plain, 'b'),
      mq.send(declared, 'c'),
      mq.send(plain, 'd'),
    ])
    const received = await take(mq, declared, 4)
    assert.deepEqual(
      received.map(({ body }) => body),
      ['a', 'b', 'c', 'd'],
    )
  })

  contract(subject, [], 'what cannot be carried is refused, and nothing is sent', async (bench) => {
    const mq = await bench.connect()
    const anything = bench.queue<unknown>()
    const circular: Record<string, unknown> = {}
    circular['self'] = circular
    for (const body of [circular, 1n, () => 1]) {
      await assert.rejects(mq.send(anything, body), { code: 'message-invalid' })
    }
    await assert.rejects(mq.send(anything, 'x', { properties: { nested: {} as never } }), {
      code: 'message-format-invalid',
    })
    const unusable = [
      { messageId: 7 },
      { correlationId: {} },
      { correlationId: new Uint8Array() },
      { replyTo: 'answers' },
      { type: 1 },
      { contentType: 1 },
      { group: 1 },
      { groupSequence: -1 },
      { groupSequence: 2 ** 32 },
    ]
    for (const options of unusable)
      await assert.rejects(mq.send(anything, 'x', options as never), { code: 'argument-invalid' })
    for (const destination of ['orders', undefined, { name: 'orders' }, { kind: 'queue' }])
      await assert.rejects(mq.send(destination as never, 'x'), { code: 'destination-invalid' })
    await assert.rejects(mq.send(anything, 'x', { priority: 10 }), { code: 'argument-invalid' })
    await assert.rejects(mq.send(anything, 'x', { durability: 'paper' as never }), {
      code: 'argument-invalid',
    })
    await assert.rejects(mq.send(anything, 'x', { ttl: 'soon' }), { code: 'duration-invalid' })
    await assertEmpty(mq, anything)
  })

  contract(subject, [], 'the content is read before send returns', async (bench) => {
    const mq = await bench.connect()
    const anything = bench.queue<unknown>({ policy: { maxMessages: 100 } })
    for (let round = 0; round < 2; round++) {
      const [bytes, object, stream] = [Uint8Array.of(1), { n: 1 }, [1]]
      const properties = { n: 1, bytes }
      const sent = [
        mq.send(anything, bytes, { properties }),
        mq.send(anything, object),
        mq.send(anything, object, { kind: 'map' }),
        mq.send(anything, stream, { kind: 'stream' }),
      ]
      bytes[0] = 2
      object.n = 2
      stream[0] = 2
      properties.n = 2
      await Promise.all(sent)
      const received = await take(mq, anything, 4)
      assert.deepEqual(
        received.map(({ body }) => body),
        [Uint8Array.of(1), { n: 1 }, { n: 1 }, [1]],
      )
      assert.deepEqual({ ...received[0]!.properties }, { n: 1, bytes: Uint8Array.of(1) })
    }
  })

  testKinds(subject)
  testHeaders(subject)
  testLevels(subject)
  testDeduplication(subject)
}

function testDeduplication(subject: ProviderSubject): void {
  contract(
    subject,
    ['policies'],
    'a queue with deduplication stores messages of one id once, small or large, and confirms each',
    async (bench) => {
      const mq = await bench.connect()
      const anything = bench.queue<unknown>({ policy: { deduplication: { window: '1h', count: 10 } } })
      const large = new Uint8Array(1024 * 1024).fill(7)
      for (const [i, body] of ['a', 'b', large, large, 'c'].entries())
        await mq.send(anything, body, { deduplicationId: ['x', 'x', 'y', 'y', 'z'][i] })
      await mq.send(anything, 'd', { properties: { _AMQ_DUPL_ID: 'z' } })
      await mq.send(anything, 'e')
      const received = await take(mq, anything, 4)
      assert.deepEqual(
        received.map(({ body }) => (body instanceof Uint8Array ? body.length : body)),
        ['a', large.length, 'c', 'e'],
      )
      for (const deduplicationId of ['', 'x'.repeat(257)])
        await assert.rejects(mq.send(anything, 'f', { deduplicationId }), { code: 'argument-invalid' })
    },
  )
}

function testKinds(subject: ProviderSubject): void {
  contract(subject, [], 'text, bytes, JSON and nothing come back as they were sent', async (bench) => {
    const mq = await bench.connect()
    const anything = bench.queue<unknown>()
    const bodies = ['', 'naïve 水 🚀', new Uint8Array(), Uint8Array.of(0, 255), { a: [1, null, { b: 'c' }] }]
    const all = [...bodies, [], 42, -0.5, true, null, undefined]
    for (const body of all) await mq.send(anything, body)
    const kinds = []
    for (const body of all) {
      const message = await one(mq, anything)
      assert.deepEqual(message.body, body)
      kinds.push(message.kind)
    }
    assert.deepEqual(kinds, [
      ...['text', 'text', 'bytes', 'bytes'],
      ...['json', 'json', 'json', 'json', 'json', 'json', 'value'],
    ])
  })

  contract(
    subject,
    [],
    'JMS 3.11: maps and streams come back as they were sent, read-only',
    async (bench) => {
      const mq = await bench.connect()
      const maps = bench.queue<unknown>()
      const map = {
        text: 'é',
        n: -7,
        big: 2n ** 40n,
        yes: true,
        no: null,
        bytes: Uint8Array.of(1),
        price: typed('double', 1),
      }
      await mq.send(maps, { ...map, absent: undefined }, { kind: 'map' })
      await mq.send(maps, [1, 'two', null, false, typed('char', 'é')], { kind: 'stream' })
      await mq.send(maps, 'text', { kind: 'json' })
      const [first, second, third] = await take(mq, maps, 3)
      assert.deepEqual([first!.kind, second!.kind, third!.kind], ['map', 'stream', 'json'])
      assert.deepEqual(first!.body, { ...map, price: 1 })
      assert.deepEqual(second!.body, [1, 'two', null, false, 'é'])
      assert.equal(third!.body, 'text')
      assert.throws(() => Object.assign(first!.body as object, { n: 1 }), TypeError)
      assert.throws(() => (second!.body as unknown[]).push(1), TypeError)
    },
  )

  contract(subject, [], 'JMS 3.11: a body that is not of the kind asked for is refused', async (bench) => {
    const mq = await bench.connect()
    const anything = bench.queue<unknown>()
    const wrong = { text: 1, bytes: 'text', map: [1], stream: { a: 1 } } as const
    for (const [kind, body] of Object.entries(wrong)) {
      await assert.rejects(mq.send(anything, body, { kind: kind as keyof typeof wrong }), {
        code: 'message-format-invalid',
      })
    }
    for (const body of [new Map(), new Date(), null, { '': 1 }, { nested: {} }]) {
      await assert.rejects(mq.send(anything, body, { kind: 'map' }), { code: 'message-format-invalid' })
    }
    await assert.rejects(mq.send(anything, [undefined], { kind: 'stream' }), {
      code: 'message-format-invalid',
    })
    await assert.rejects(mq.send(anything, 'x', { kind: 'object' as never }), { code: 'argument-invalid' })
    await assertEmpty(mq, anything)
  })
}

function testHeaders(subject: ProviderSubject): void {
  contract(subject, [], 'properties of all types and the JMS headers come back', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const properties: Record<string, PropertyValue> = {
      text: 'é',
      integer: -7,
      double: 0.1,
      large: 2 ** 40,
      long: 2n ** 62n,
      yes: true,
      no: false,
      when: new Date(1_700_000_000_123),
      bytes: Uint8Array.of(1, 2, 3),
      nothing: null,
    }
    const replyTo = { kind: 'topic', name: 'answers.here' } as const
    const before = Date.now()
    await mq.send(texts, 'x', {
      properties,
      replyTo,
      correlationId: 'c-1',
      messageId: 'ID:mine',
      type: 'Order',
      group: 'g',
      groupSequence: 3,
      contentType: 'text/plain',
    })
    const message = await one(mq, texts)
    assert.deepEqual({ ...message.properties }, properties)
    assert.deepEqual(message.replyTo, replyTo)
    assert.deepEqual(
      [message.correlationId, message.messageId, message.type, message.groupId, message.groupSequence],
      ['c-1', 'ID:mine', 'Order', 'g', 3],
    )
    assert.equal(message.contentType, 'text/plain')
    assert.deepEqual(message.destination, { kind: 'queue', name: texts.name })
    assert.ok(message.timestamp! >= before && message.timestamp! <= Date.now(), 'the time of the send call')
    assert.deepEqual([message.deliveryCount, message.redelivered, message.expiration], [1, false, undefined])
    assert.equal(message.priority, 4)
    const defined = ['JMSXGroupID', 'JMSXGroupSeq', 'JMSXDeliveryCount', 'JMSXUserID']
    assert.deepEqual(
      defined.map((name) => message.property(name)),
      ['g', 3, 1, undefined],
      'JMS 3.5.9: the properties that JMS defines',
    )
    assert.deepEqual([message.property('text'), message.property('toString')], ['é', undefined])
    assert.equal(message.property('long', 'string'), String(2n ** 62n), 'JMS 3.5.4')
    assert.throws(() => message.property('text', 'number'), { code: 'message-format-invalid' })
  })

  contract(subject, [], 'JMS 3.4.5: a correlation id is a text or bytes', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const bytes = Uint8Array.of(0, 171, 255)
    await mq.send(texts, 'x', { correlationId: bytes })
    await mq.send(texts, 'y', { correlationId: 'order 7' })
    const [first, second] = await take(mq, texts, 2)
    assert.deepEqual([first!.correlationIdBytes, first!.correlationId], [bytes, 'ID:AMQP_BINARY:00ABFF'])
    assert.deepEqual([second!.correlationIdBytes, second!.correlationId], [undefined, 'order 7'])
  })

  contract(
    subject,
    [],
    'JMS 3.5.1: names of properties that no selector could name are refused',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      for (const name of [
        '',
        'a-b',
        '1st',
        'a b',
        'Null',
        'between',
        'JMSPriority',
        'JMSXGroupID',
        'JMS_vendor',
      ]) {
        await assert.rejects(
          mq.send(texts, 'x', { properties: { [name]: 1 } }),
          { code: 'argument-invalid' },
          name,
        )
      }
      const properties = { _a$1: 1, größe: 2, jmsx: 3, nullable: 4, 水: 5 }
      await mq.send(texts, 'x', { properties })
      assert.deepEqual({ ...(await one(mq, texts)).properties }, properties)
    },
  )

  contract(subject, [], 'JMS 3.9: a received message is read-only', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue<unknown>()
    await mq.send(texts, Uint8Array.of(1, 2), { properties: { a: 1 } })
    const message = await one(mq, texts)
    assert.throws(() => Object.assign(message, { body: 'other' }), { code: 'message-read-only' })
    assert.throws(() => Object.assign(message.properties, { a: 2 }), TypeError)
    ;(message.body as Uint8Array)[0] = 99
    await message.release()
    const again = await one(mq, texts)
    assert.deepEqual(again.body, Uint8Array.of(1, 2), 'redelivery gives the original')
    await again.acknowledge()
    const properties = { bytes: Uint8Array.of(1), date: new Date(5) }
    await mq.send(texts, { list: [1] }, { properties })
    const session = mq.connection.createSession()
    const consumer = await session.createConsumer(texts)
    const shown = (await consumer.receive())!
    ;(shown.body as { list: number[] }).list.push(2)
    ;(shown.properties['bytes'] as Uint8Array)[0] = 99
    ;(shown.properties['date'] as Date).setTime(99)
    session.recover()
    const recovered = (await consumer.receive())!
    assert.deepEqual(recovered.body, { list: [1] }, 'and so does recover')
    assert.deepEqual(recovered.properties, properties)
  })
}

function testLevels(subject: ProviderSubject): void {
  contract(subject, [], 'each durability it claims is confirmed, and named in the receipt', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    for (const durability of subject.capabilities.durabilities) {
      assert.equal((await mq.send(texts, durability, { durability })).durability, durability)
      const message = await one(mq, texts)
      assert.equal(message.deliveryMode, durability === 'memory' ? 'non-persistent' : 'persistent')
      await message.acknowledge()
    }
  })

  contract(subject, [], 'it says whether what is on disk outlives the broker', async (bench) => {
    const mq = await bench.connect()
    assert.equal(mq.capabilities.lasting, subject.capabilities.lasting)
  })

  contract(
    subject,
    ['priority'],
    'JMS 3.4.10: a higher priority goes first, equals in order',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      const priorities = [4, 0, 9, 4, 9, 5]
      for (const [i, priority] of priorities.entries()) await mq.send(numbers, i, { priority })
      const received = await take(mq, numbers, 6)
      assert.deepEqual(
        received.map(({ body }) => body),
        [2, 4, 5, 0, 3, 1],
      )
      assert.deepEqual(
        received.map(({ priority }) => priority),
        [9, 9, 5, 4, 4, 0],
      )
    },
  )

  contract(subject, ['ttl', 'policies'], 'JMS 3.4.9: an expired message is not delivered', async (bench) => {
    const mq = await bench.connect()
    const late = bench.queue()
    const texts = bench.queue({ policy: { expired: late.name } })
    await assertEmpty(mq, late)
    await mq.send(texts, 'short', { ttl: 5 })
    await mq.send(texts, 'long', { ttl: '1h' })
    const dead = await one(mq, late)
    assert.equal(dead.body, 'short')
    assert.equal(dead.deadLetter?.reason, 'expired')
    assert.equal(dead.expiration, undefined, 'it does not expire again')
    const alive = await one(mq, texts)
    assert.equal(alive.body, 'long')
    assert.ok(alive.expiration! > Date.now())
    await assertEmpty(mq, texts)
  })

  contract(subject, ['ttl'], 'JMS 3.4.9: a time to live may be longer than 49 days', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const day = 24 * 3_600_000
    const before = Date.now()
    await mq.send(texts, 'x', { ttl: 100 * day })
    const lives = (await one(mq, texts)).expiration! - before
    assert.ok(lives >= 100 * day && lives < 101 * day, `it lives ${lives / day} days`)
  })

  contract(
    subject,
    ['ttl', 'policies'],
    'JMS 3.4.9: what expires while it is fetched ahead is not shown, and goes where expired messages go',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { expired: '{queue}.dlq' } })
      const consumer = await mq.createConsumer(texts)
      const ttl = 30
      await mq.send(texts, 'short', { ttl })
      await mq.send(texts, 'long', { ttl: '1h' })
      // By the time this is confirmed both have been handed out.
      await mq.send(bench.queue(), 'turn')
      await pause(ttl + 1)
      const message = await consumer.receive()
      assert.equal(message!.body, 'long')
      await message!.acknowledge()
      assert.equal((await one(mq, deadLettersOf(texts))).deadLetter?.reason, 'expired')
      assert.equal(await consumer.receiveNoWait(), undefined)
    },
  )

  contract(
    subject,
    ['ttl', 'policies'],
    'the ttl of the queue holds where the message has none',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { ttl: 5, expired: '{queue}.dlq' } })
      await mq.send(texts, 'x')
      assert.equal((await one(mq, deadLettersOf(texts))).deadLetter?.reason, 'expired')
    },
  )
}
