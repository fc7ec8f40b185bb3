import assert from 'node:assert/strict'
import type { Message } from '../../client/message.ts'
import type { AcknowledgeMode } from '../../client/session.ts'
import {
  assertEmpty,
  contract,
  deadLettersOf,
  one,
  type ProviderSubject,
  quickly,
  take,
} from './provider-subject.ts'

/** What becomes of a message that was delivered. */
export function testSettlement(subject: ProviderSubject): void {
  contract(subject, [], 'individual: an acknowledged message is gone, the others go back', async (bench) => {
    const first = await bench.connect()
    const numbers = bench.queue<number>()
    for (let i = 0; i < 4; i++) await first.send(numbers, i)
    const received = await take(first, numbers, 4)
    await Promise.all([received[1]!.acknowledge(), received[3]!.acknowledge()])
    await first.close()
    const second = await bench.connect()
    const left = await take(second, numbers, 2)
    assert.deepEqual(
      left.map(({ body }) => body),
      [0, 2],
    )
    await Promise.all(left.map((message) => message.acknowledge()))
    await assertEmpty(second, numbers)
  })

  contract(subject, [], 'a delivery is settled once', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    await mq.send(texts, 'x')
    const message = await one(mq, texts)
    await message.acknowledge()
    for (const again of [() => message.acknowledge(), () => message.release(), () => message.reject()]) {
      await assert.rejects(again(), { code: 'delivery-settled' })
    }
  })

  contract(subject, [], 'JMS 6.2.11: acknowledge of what the broker lost is rejected', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    await mq.send(texts, 'x')
    const message = await one(mq, texts)
    await mq.close()
    await assert.rejects(message.acknowledge(), { code: 'closed' })
    const again = await bench.connect()
    assert.equal((await one(again, texts)).body, 'x')
  })

  contract(
    subject,
    [],
    'a released message is ready at once, as if it had not been delivered',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      await mq.send(texts, 'a')
      await mq.send(texts, 'b')
      await (await one(mq, texts)).release()
      const again = await one(mq, texts)
      assert.deepEqual([again.body, again.deliveryCount, again.redelivered], ['a', 1, false])
    },
  )

  testRedelivery(subject)
  testModes(subject)
}

function testRedelivery(subject: ProviderSubject): void {
  contract(
    subject,
    ['redelivery'],
    'a failed message comes again, counted, behind its neighbours',
    async (bench) => {
      const mq = await bench.connect()
      for (let delay = 300; ; delay *= 4) {
        const texts = bench.queue({ policy: { backoff: { delay, multiplier: 1, jitter: 0 } } })
        await mq.send(texts, 'a')
        await mq.send(texts, 'b')
        const first = await one(mq, texts)
        const begun = performance.now()
        await first.fail('not now')
        const other = await one(mq, texts)
        // On a machine that was slower than the backoff nothing is shown either way.
        if (performance.now() - begun > delay) continue
        assert.equal(other.body, 'b', 'a failure delays nobody else')
        const again = await one(mq, texts)
        assert.deepEqual([again.body, again.deliveryCount, again.redelivered], ['a', 2, true])
        return
      }
    },
  )

  contract(
    subject,
    ['redelivery', 'retryDelay', 'policies'],
    'whoever gives a message back may say when it comes again',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { backoff: { delay: '1h', jitter: 0 }, maxDeliveries: 2 } })
      await mq.send(texts, 'x')
      const waits: [least: number, waited: number, count: number][] = []
      const comesAgain = async (least: number, giveBack: (message: Message) => Promise<void>) => {
        const message = await one(mq, texts)
        const given = performance.now()
        await giveBack(message)
        const again = await one(mq, texts)
        waits.push([least, performance.now() - given, again.deliveryCount])
        await again.release()
      }
      await comesAgain(60, (message) => message.release({ after: 60 }))
      await comesAgain(0, (message) => message.release({ after: 0 }))
      await comesAgain(80, (message) => message.fail('busy', { after: '80ms' }))
      for (const [least, waited] of waits)
        assert.ok(waited >= least * 0.9, `${waited} ms are less than ${least} ms`)
      assert.deepEqual(
        waits.map(([, , count]) => count),
        [1, 1, 2],
        'what was not used does not count',
      )
      await (await one(mq, texts)).fail('busy still', { after: '1h' })
      const [dead] = await take(mq, deadLettersOf(texts), 1)
      assert.equal(dead?.deadLetter?.description, 'busy still', 'the limit of deliveries holds all the same')
      await assert.rejects(dead!.release({ after: '25h' }), { code: 'argument-invalid' })
    },
  )

  contract(
    subject,
    ['redelivery', 'retryDelay', 'policies'],
    'a failure that is to come again at once takes its old place',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { backoff: { delay: '1h' } } })
      await mq.send(texts, 'a')
      await mq.send(texts, 'b')
      await (await one(mq, texts)).fail('again', { after: 0 })
      const again = await one(mq, texts)
      assert.deepEqual([again.body, again.deliveryCount], ['a', 2])
    },
  )

  contract(subject, ['redelivery', 'policies'], 'the backoff grows with each failure', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue({ policy: { backoff: { delay: 4, multiplier: 8, jitter: 0 } } })
    await mq.send(texts, 'x')
    const waits: number[] = []
    for (let i = 0; i < 3; i++) {
      const message = await one(mq, texts)
      const failed = performance.now()
      await message.fail()
      const again = await one(mq, texts)
      waits.push(performance.now() - failed)
      await again.release()
    }
    const least = [4, 32, 256]
    for (const [i, wait] of waits.entries())
      assert.ok(wait >= least[i]! * 0.9, `${wait} ms is less than ${least[i]} ms`)
  })

  contract(subject, ['redelivery', 'policies'], 'a backoff of listed delays', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue({ policy: { backoff: { delays: [1, 200, 1], jitter: 0 } } })
    await mq.send(texts, 'x')
    const waits: number[] = []
    for (let i = 0; i < 4; i++) {
      const message = await one(mq, texts)
      waits.push(performance.now())
      await (i < 3 ? message.fail() : message.acknowledge())
    }
    assert.ok(waits[2]! - waits[1]! >= 180, 'the second delay is the longest')
  })

  contract(
    subject,
    ['redelivery', 'policies'],
    'after max deliveries: the dead-letter queue, with its history',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue({ policy: { maxDeliveries: 3, backoff: quickly } })
      await mq.send(texts, 'poison', { properties: { kept: 'yes' }, correlationId: 'c' })
      for (let i = 1; i <= 3; i++) {
        const message = await one(mq, texts)
        assert.equal(message.deliveryCount, i)
        await message.fail(`failure ${i}`)
      }
      const dead = await one(mq, deadLettersOf(texts))
      assert.deepEqual([dead.body, dead.correlationId, dead.properties['kept']], ['poison', 'c', 'yes'])
      assert.equal(dead.deadLetter?.reason, 'max-deliveries')
      assert.equal(dead.deadLetter?.origin.queue, texts.name)
      assert.equal(dead.deadLetter?.history.length, 1)
      const [step] = dead.deadLetter!.history
      assert.deepEqual([step!.queue, step!.deliveries], [texts.name, 3])
      assert.match(step!.description, /failure 3/)
      await dead.acknowledge()
      await assertEmpty(mq, texts)
    },
  )

  contract(subject, ['redelivery'], 'a rejected message is dead-lettered at once', async (bench) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    await mq.send(texts, 'bad')
    await (await one(mq, texts)).reject('unknown customer')
    const dead = await one(mq, deadLettersOf(texts))
    assert.deepEqual(
      [dead.body, dead.deadLetter?.reason, dead.deadLetter?.description],
      ['bad', 'rejected', 'unknown customer'],
    )
    assert.deepEqual(dead.destination, { kind: 'queue', name: texts.name }, 'where it was sent first')
  })

  contract(
    subject,
    ['redelivery', 'policies'],
    'a named dead-letter queue takes the dead letters',
    async (bench) => {
      const mq = await bench.connect()
      const morgue = bench.queue()
      const texts = bench.queue({ policy: { deadLetter: morgue.name } })
      await assertEmpty(mq, morgue)
      await mq.send(texts, 'bad')
      await (await one(mq, texts)).reject()
      assert.equal((await one(mq, morgue)).body, 'bad')
    },
  )
}

function testModes(subject: ProviderSubject): void {
  contract(
    subject,
    [],
    'JMS 6.2.10 client: one acknowledgement covers the session, not others',
    async (bench) => {
      const connection = await bench.connection()
      connection.start()
      const [one, two, three] = [bench.queue(), bench.queue(), bench.queue()]
      const session = connection.createSession({ acknowledge: 'client' })
      const other = connection.createSession({ acknowledge: 'client' })
      const producer = await session.createProducer()
      for (const to of [one, one, two, three]) await producer.sendTo(to, to.name)
      const [fromOne, fromTwo] = [await session.createConsumer(one), await session.createConsumer(two)]
      const fromThree = await other.createConsumer(three)
      await fromOne.receive()
      await fromTwo.receive()
      await fromThree.receive()
      const last = await fromOne.receive()
      await last!.acknowledge()
      await last!.acknowledge()
      await session.close()
      await other.close()
      const mq = await bench.connect()
      await assertEmpty(mq, one)
      await assertEmpty(mq, two)
      assert.equal((await mq.receive(three))?.body, three.name)
    },
  )

  contract(
    subject,
    [],
    'JMS 6.2.10: recover delivers again what is unacknowledged, in order, counted',
    async (bench) => {
      const connection = await bench.connection()
      connection.start()
      const texts = bench.queue()
      const session = connection.createSession({ acknowledge: 'client' })
      const producer = await session.createProducer(texts)
      for (const body of ['a', 'b', 'c', 'd']) await producer.send(body)
      const consumer = await session.createConsumer(texts)
      await (await consumer.receive())!.acknowledge()
      const early = await consumer.receive()
      await consumer.receive()
      session.recover()
      const again = [await consumer.receive(), await consumer.receive(), await consumer.receive()]
      assert.deepEqual(
        again.map((message) => [message!.body, message!.deliveryCount, message!.redelivered]),
        [
          ['b', 2, true],
          ['c', 2, true],
          ['d', 1, false],
        ],
      )
      await again[2]!.acknowledge()
      assert.equal(await consumer.receiveNoWait(), undefined)
      await early!.acknowledge()
    },
  )

  contract(
    subject,
    [],
    'recover, however often, leaves to others what prefetch leaves to them',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      const bodies = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
      for (const body of bodies) await mq.send(texts, body)
      const client = await mq.createContext({ acknowledge: 'client' })
      const consumer = await client.createConsumer(texts, { prefetch: 2 })
      for (let round = 1; round <= 10; round++) {
        for (const body of ['a', 'b']) {
          const message = await consumer.receive()
          assert.deepEqual([message!.body, message!.deliveryCount], [body, round])
        }
        client.recover()
      }
      // By the time this is confirmed the broker knows what the consumer has asked for.
      await mq.send(bench.queue(), 'turn')
      const others = await take(mq, texts, 4)
      assert.deepEqual(
        others.map(({ body }) => body),
        ['e', 'f', 'g', 'h'],
      )
      for (const message of others) await message.release()
      // What was fetched in place of those that are settled comes as ever.
      for (const body of bodies) {
        const message = await consumer.receive()
        assert.equal(message!.body, body)
        await message!.acknowledge()
      }
    },
  )

  contract(
    subject,
    [],
    'JMS 6.2.10 client: what a closed consumer has delivered is acknowledged with the rest, or goes back',
    async (bench) => {
      const mq = await bench.connect()
      const texts = bench.queue()
      for (const text of ['a', 'b', 'c', 'd']) await mq.send(texts, text)
      const client = await mq.createContext({ acknowledge: 'client' })
      const consumers = await Promise.all([1, 2, 3].map(() => client.createConsumer(texts, { prefetch: 0 })))
      const [first, second, third] = consumers
      await first!.receive()
      await first!.close()
      await (await second!.receive())!.acknowledge()
      assert.equal((await third!.receive())!.body, 'c')
      await third!.close()
      client.recover()
      assert.equal((await second!.receive())!.body, 'c')
      await second!.close()
      await client.close()
      const left = await take(mq, texts, 2)
      assert.deepEqual(
        left.map(({ body }) => body),
        ['c', 'd'],
      )
    },
  )

  const automatic: readonly AcknowledgeMode[] = ['auto', 'dups-ok']
  for (const acknowledge of automatic) {
    contract(subject, [], `JMS 6.2.10 ${acknowledge}: what was received is acknowledged`, async (bench) => {
      const connection = await bench.connection()
      connection.start()
      const texts = bench.queue()
      const session = connection.createSession({ acknowledge })
      const producer = await session.createProducer(texts)
      for (const body of ['a', 'b', 'c']) await producer.send(body)
      const consumer = await session.createConsumer(texts)
      await consumer.receive()
      await consumer.receive()
      assert.throws(() => session.recover(), { code: 'illegal-state' })
      await session.close()
      const mq = await bench.connect()
      assert.equal((await mq.receive(texts))?.body, 'c')
      await assertEmpty(mq, texts)
    })

    contract(
      subject,
      ['redelivery'],
      `JMS 8.7 ${acknowledge}: what a listener throws on is redelivered`,
      async (bench) => {
        const connection = await bench.connection()
        connection.start()
        const texts = bench.queue()
        const session = connection.createSession({ acknowledge })
        await (await session.createProducer(texts)).send('x')
        const consumer = await session.createConsumer(texts)
        const seen: number[] = []
        await new Promise<void>((resolve) => {
          consumer.setMessageListener((message) => {
            seen.push(message.deliveryCount)
            if (seen.length < 3) throw new Error('again')
            resolve()
          })
        })
        assert.deepEqual(seen, [1, 2, 3])
        await session.close()
        await assertEmpty(await bench.connect(), texts)
      },
    )
  }
}
