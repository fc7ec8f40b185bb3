import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Context, connect, queue, topic } from '../../src/index.ts'
import { CrashableBroker } from '../patterns/crashable.ts'

const small = queue<string>('small', { policy: { maxMessages: 7, overflow: 'reject' } })
const other = queue<string>('other')
const news = topic<string>('news')
const ATTEMPTS = 8
/** The disk takes some time for everything, so that an answer that comes too early is too early. Milliseconds. */
const DELAY = 4

suite('what a broker says that it has set up is there after the power has failed', () => {
  for (const [name, meet] of [
    ['in the process of the broker', (broker: CrashableBroker) => broker.connect()],
    ['over AMQP', async (broker: CrashableBroker) => connect(await broker.serve())],
  ] as const) {
    /** Does it, has the power fail at once, and looks again. */
    const survives = async (
      work: (mq: Context) => Promise<unknown>,
      check: (mq: Context) => Promise<void>,
    ): Promise<void> => {
      for (let seed = 1; seed <= ATTEMPTS; seed++) {
        const broker = await CrashableBroker.start(seed, DELAY)
        try {
          const before = await meet(broker)
          await work(before)
          await broker.crash()
          // Where the broker is in its process, this one has gone with it.
          before.close().catch(() => {})
          const after = await broker.connect()
          await check(after)
          await after.close()
        } finally {
          await broker.stop()
        }
      }
    }

    test(`a queue with its policy, ${name}`, () =>
      survives(
        (mq) => mq.declare(small),
        async (mq) => {
          const found = (await mq.management.queues()).find((report) => report.name === 'small')
          assert.equal(found?.policy.maxMessages, 7)
        },
      ))

    test(`a durable subscription that was asked for, ${name}`, () =>
      survives(
        (mq) => mq.subscribe(news, { name: 'reader', shared: true }),
        async (mq) => {
          const [found] = await mq.management.topics()
          assert.deepEqual([found?.name, found?.subscriptions.length], ['news', 1])
        },
      ))

    test(`a purge, ${name}`, () =>
      survives(
        async (mq) => {
          await mq.send(other, 'one')
          assert.equal(await mq.management.purge('other'), 1)
        },
        async (mq) => {
          for await (const { body } of mq.browse(other)) assert.fail(`${body} is there again`)
        },
      ))
  }
})
