/** Shaping over a network, where credit takes time to arrive, and the connection may be lost. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, suite, test } from 'node:test'
import { connect, queue } from '../../src/index.ts'
import { shapedConsumer, shapedProducer } from '../../src/patterns/index.ts'
import { LocalBroker } from '../client-amqp/local-broker.ts'

suite('over AMQP', { timeout: 20_000 }, () => {
  let broker: LocalBroker
  before(async () => {
    broker = await LocalBroker.start()
  })
  after(() => broker.stop())

  test('each message is done once, and no more are held than are worked on', async () => {
    await using mq = await connect(broker.url)
    const jobs = queue<number>('jobs')
    const total = 2_000
    const producer = await shapedProducer(mq, jobs, { maxInFlight: 64 })
    let [running, most] = [0, 0]
    const seen: number[] = []
    const all = Promise.withResolvers<void>()
    const consumer = shapedConsumer(mq, jobs, { concurrency: 16 }, async ({ body }) => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      if (seen.push(body) === total) all.resolve()
    })
    await Promise.all(Array.from({ length: total }, (_, i) => producer.send(i)))
    await all.promise
    await consumer.close()
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: total }, (_, i) => i),
    )
    assert.ok(most > 1 && most <= 16, `${most} at once`)
    const [report] = (await mq.management.queues()).filter(({ name }) => name === 'jobs')
    assert.deepEqual([report?.messages, report?.delivered], [0, total])
  })

  test('while the breaker is open nothing is delivered; what is asked for later comes', async () => {
    await using mq = await connect(broker.url)
    const jobs = queue<number>('fragile', { policy: { backoff: { delay: 1, jitter: 0 } } })
    for (let i = 0; i < 10; i++) await mq.send(jobs, i)
    let isDown = true
    const done = new Set<number>()
    const all = Promise.withResolvers<void>()
    const options = { concurrency: 4, breaker: { failures: 3, pause: 30 } }
    const consumer = shapedConsumer(mq, jobs, options, ({ body }) => {
      if (isDown) throw new Error('down')
      if (done.add(body).size === 10) all.resolve()
    })
    for (let state = ''; state !== 'half-open'; ) [state] = await once(consumer, 'breaker')
    isDown = false
    await all.promise
    assert.equal(consumer.status.breaker, 'closed')
    const [report] = (await mq.management.queues()).filter(({ name }) => name === 'fragile')
    assert.ok(report!.delivered < 30, `${report?.delivered} deliveries of 10 messages`)
  })
})
