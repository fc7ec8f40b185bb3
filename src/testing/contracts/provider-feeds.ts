import assert from 'node:assert/strict'
import type { Context } from '../../client/context.ts'
import type { Queue } from '../../client/destinations.ts'
import type { Feed } from '../../client/feed.ts'
import type { Message } from '../../client/message.ts'
import type { MillraceError } from '../../model/errors.ts'
import { contract, one, type ProviderSubject } from './provider-subject.ts'

/** A feed, and what has been taken from it. */
interface Fed<T> {
  readonly feed: Feed<T>
  readonly taken: Message<T>[]
  readonly ended: Promise<MillraceError>
  /** Resolves when so many have been taken. */
  until(count: number): Promise<void>
}

async function feedOf<T>(mq: Context, from: Queue<never, T>): Promise<Fed<T>> {
  const consumer = await mq.createConsumer(from, { prefetch: 0 })
  const taken: Message<T>[] = []
  const ended = Promise.withResolvers<MillraceError>()
  let changed = Promise.withResolvers<void>()
  const feed = consumer.feed({
    available() {
      for (let message = feed.take(); message; message = feed.take()) taken.push(message)
      if (feed.error) ended.resolve(feed.error)
      changed.resolve()
      changed = Promise.withResolvers()
    },
    forfeited: () => {},
    idle: async () => {},
  })
  const until = async (count: number): Promise<void> => {
    while (taken.length < count) await changed.promise
  }
  return { feed, taken, ended: ended.promise, until }
}

const bodies = (messages: readonly Message[]): unknown[] => messages.map(({ body }) => body)

/** How messages are taken by whoever grants the credit himself. */
export function testFeeds(subject: ProviderSubject): void {
  contract(subject, [], 'a feed brings what was asked for, and the rest stays for others', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    for (let i = 0; i < 5; i++) await mq.send(numbers, i)
    const { feed, taken, until } = await feedOf(mq, numbers)
    feed.grant(2)
    await until(2)
    assert.equal((await one(mq, numbers)).body, 2)
    feed.grant(1)
    await until(3)
    assert.deepEqual(bodies(taken), [0, 1, 3])
  })

  contract(subject, [], 'a drained feed has nothing to come, until more is asked for', async (bench) => {
    const mq = await bench.connect()
    const numbers = bench.queue<number>()
    await mq.send(numbers, 0)
    const { feed, taken, until } = await feedOf(mq, numbers)
    feed.grant(10)
    await feed.drain()
    assert.deepEqual(bodies(taken), [0], 'what was ready came first')
    await mq.send(numbers, 1)
    assert.equal((await one(mq, numbers)).body, 1, 'and not to the feed')
    await mq.send(numbers, 2)
    feed.grant(1)
    await until(2)
    assert.deepEqual(bodies(taken), [0, 2])
  })

  contract(
    subject,
    [],
    'a feed knows how many are to come, and gives back what nobody took',
    async (bench) => {
      const mq = await bench.connect()
      const numbers = bench.queue<number>()
      for (let i = 0; i < 3; i++) await mq.send(numbers, i)
      const consumer = await mq.createConsumer(numbers, { prefetch: 0 })
      let came = Promise.withResolvers<void>()
      const feed = consumer.feed({
        available: () => came.resolve(),
        forfeited: () => {},
        idle: async () => {},
      })
      feed.grant(4)
      assert.equal(feed.coming, 4)
      while (!feed.take()) {
        await came.promise
        came = Promise.withResolvers()
      }
      await feed.drain()
      assert.equal(feed.coming, 2)
      feed.giveBack()
      assert.equal(feed.coming, 0)
      const again = [await one(mq, numbers), await one(mq, numbers)]
      assert.deepEqual(bodies(again), [1, 2])
      assert.deepEqual(
        again.map(({ deliveryCount }) => deliveryCount),
        [1, 1],
      )
    },
  )

  contract(subject, [], 'a feed whose queue is deleted is told so', async (bench, t) => {
    const mq = await bench.connect()
    const texts = bench.queue()
    const { management } = mq.connection.provided
    if (!management) return t.skip('it has no management to delete a queue with')
    const { feed, ended } = await feedOf(mq, texts)
    feed.grant(1)
    await management.delete(texts.name)
    assert.equal((await ended).code, 'destination-not-found')
  })

  contract(subject, [], 'a feed is of a consumer that fetches nothing ahead', async (bench) => {
    const mq = await bench.connect()
    const ahead = await mq.createConsumer(bench.queue())
    const listener = { available: () => {}, forfeited: () => {}, idle: async () => {} }
    assert.throws(() => ahead.feed(listener), { code: 'illegal-state' })
    const asked = await mq.createConsumer(bench.queue(), { prefetch: 0 })
    asked.feed(listener)
    assert.throws(() => asked.feed(listener), { code: 'illegal-state' })
  })
}
