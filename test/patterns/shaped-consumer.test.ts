import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Context, queue } from '../../src/index.ts'
import { batchConsumer, PermanentError, RetryLater, shapedConsumer } from '../../src/patterns/index.ts'
import { Intake } from '../../src/patterns/shaping/intake.ts'
import { TestClock } from '../../src/testing/test-clock.ts'
import { VirtualBroker } from './virtual.ts'

const jobs = queue<number>('jobs', { policy: { backoff: { delay: '1s', jitter: 0 }, maxDeliveries: 3 } })
const dead = queue<number>('jobs.dlq')

async function fill(mq: Context, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => mq.send(jobs, i)))
}

suite('what is not begun with stays with the broker', () => {
  test('no more are held than are worked on, and others get the rest', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 10)
    shapedConsumer(v.mq, jobs, { concurrency: 3 }, () => v.sleep(1_000))
    await v.rest()
    const { acquired, ready } = await v.report('jobs')
    assert.deepEqual([acquired, ready], [3, 7])
    const other = await v.connect()
    assert.equal((await other.receive(jobs, { timeout: 0 }))?.body, 3)
  })

  test('each is done once, all of them, and closing waits for those that run', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 50)
    const seen: number[] = []
    const consumer = shapedConsumer(v.mq, jobs, { concurrency: 8 }, async ({ body }) => {
      await v.sleep(10)
      seen.push(body)
    })
    await v.pass(45)
    const closed = consumer.close()
    await v.pass(20)
    await closed
    assert.equal(seen.length, 40)
    const { messages, departed } = await v.report('jobs')
    assert.deepEqual([messages, departed.accepted], [10, 40])
    assert.equal(consumer.status.done, 40)
  })

  test('when drain has passed, the signal is aborted and the messages go back', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 1)
    const begun = Promise.withResolvers<AbortSignal>()
    const late = Promise.withResolvers<void>()
    const consumer = shapedConsumer(v.mq, jobs, {}, async (_message, { signal }) => {
      begun.resolve(signal)
      await late.promise
    })
    const signal = await begun.promise
    await consumer.close({ drain: 5 })
    assert.ok(signal.aborted)
    late.resolve()
    await v.rest()
    assert.equal((await v.report('jobs')).ready, 1)
    assert.equal(consumer.status.done, 0, 'what it returned was too late')
  })

  test('stop gives back what was fetched, start goes on; its signal closes it', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 5)
    const aborter = new AbortController()
    const options = { prefetch: 3, signal: aborter.signal }
    const seen: number[] = []
    const consumer = shapedConsumer(v.mq, jobs, options, async ({ body }) => {
      await v.sleep(10)
      seen.push(body)
    })
    await v.rest()
    assert.equal((await v.report('jobs')).acquired, 4, 'one runs, three are fetched')
    const stopped = consumer.stop()
    await v.pass(10)
    await stopped
    assert.deepEqual(seen, [0])
    assert.equal((await v.report('jobs')).ready, 4)
    consumer.start()
    await v.pass(100)
    assert.deepEqual(seen, [0, 1, 2, 3, 4])
    aborter.abort()
    await consumer.closed
  })

  test('a body that does not fit is a dead letter, and the handler does not see it', async () => {
    await using v = await VirtualBroker.start()
    const validate = async (value: unknown) =>
      typeof value === 'number' ? { value } : { issues: [{ message: 'it is no number' }] }
    const checked = queue<number>('jobs', { body: { '~standard': { version: 1, vendor: 'test', validate } } })
    const plain = queue<unknown>('jobs')
    for (const body of [1, 'two', 3]) await v.mq.send(plain, body)
    const seen: unknown[] = []
    const options = { batch: { size: 3, window: 10 } }
    batchConsumer(v.mq, checked, options, (messages) => void seen.push(messages.map(({ body }) => body)))
    await v.pass(50)
    assert.deepEqual(seen, [[1, 3]])
    const letter = await v.mq.receive(queue('jobs.dlq'))
    assert.deepEqual([letter?.body, letter?.deadLetter?.reason], ['two', 'invalid-body'])
  })

  test('the signal of a handler is aborted when the broker takes its delivery back', async () => {
    await using v = await VirtualBroker.start()
    const brief = queue<number>('brief', { policy: { deliveryTimeout: '1s' } })
    await v.mq.send(brief, 1)
    await v.mq.send(brief, 2)
    const reasons: [number, string][] = []
    batchConsumer(v.mq, brief, { batch: { size: 2, window: 10 } }, async (messages, { signal }) => {
      if (reasons.length > 0) return
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      reasons.push([messages.length, signal.reason.code])
    })
    await v.pass(3_000)
    assert.deepEqual(reasons, [[2, 'delivery-settled']])
  })

  test('a consumer whose queue is deleted ends with an error that says so', async () => {
    await using v = await VirtualBroker.start()
    v.mq.on('error', () => {})
    const consumer = shapedConsumer(v.mq, jobs, {}, () => {})
    await consumer.ready
    await v.mq.management.delete('jobs')
    await assert.rejects(consumer.closed, { code: 'destination-not-found' })
  })
})

test('what comes while it is being stopped goes back, and is not begun with', async () => {
  const released: number[] = []
  const begun: number[] = []
  const intake = new Intake<number>({
    clock: new TestClock(),
    limit: () => 2,
    size: 1,
    window: 0,
    prefetch: 0,
    bucket: undefined,
    keyed: undefined,
    work: async ([message]) => void begun.push(message!.body),
    report: (error) => assert.fail(String(error)),
  })
  const granted: number[] = []
  const drained = Promise.withResolvers<void>()
  let came: unknown[] = []
  const feed = {
    coming: 0,
    countOf: () => 0,
    grant: (count: number) => granted.push(count),
    drain: () => drained.promise,
    take: () => came.shift(),
    giveBack() {
      for (const { body } of came as { body: number }[]) released.push(body)
      came = []
    },
  }
  intake.begin(feed as never)
  const arrive = (body: number) => {
    came.push({ body })
    intake.pump()
  }
  intake.resume()
  arrive(1)
  const stopped = intake.pause()
  arrive(2)
  assert.deepEqual(begun, [1])
  drained.resolve()
  await stopped
  arrive(3)
  assert.deepEqual([begun, released], [[1], [2]])
  intake.resume()
  assert.deepEqual([begun, released], [[1, 3], [2]])
  assert.equal(granted[0], 2)
})

suite('rates', () => {
  test('so many a second, and no more than the burst at once', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 200)
    const begun: number[] = []
    const options = { concurrency: 50, rate: { perSecond: 20, burst: 5 } }
    shapedConsumer(v.mq, jobs, options, () => void begun.push(v.clock.monotonic()))
    await v.pass(5_000)
    for (const [i, at] of begun.entries())
      assert.ok(i + 1 <= 5 + (at * 20) / 1_000 + 1e-6, `${i + 1} by ${at} ms`)
    assert.ok(begun.length >= 100 && begun.length <= 105, `${begun.length} in 5 s`)
    assert.equal((await v.report('jobs')).acquired, 0, 'nothing waits here')
  })

  test('each key has its own; a message waits with the broker, once, and nobody behind it', async () => {
    await using v = await VirtualBroker.start()
    for (let i = 0; i < 20; i++) await v.mq.send(jobs, i, { properties: { customer: 'a' } })
    for (let i = 20; i < 23; i++) await v.mq.send(jobs, i, { properties: { customer: 'b' } })
    const begun: [body: number, at: number][] = []
    const key = (message: { property(name: string): unknown }) => String(message.property('customer'))
    const options = { ratePerKey: { perSecond: 1, burst: 2, key } }
    const consumer = shapedConsumer(v.mq, jobs, options, ({ body, deliveryCount }) => {
      assert.equal(deliveryCount, 1, 'it was not its fault')
      begun.push([body, Math.round(v.clock.monotonic() / 100) / 10])
    })
    await v.pass(18_500)
    const of = (customer: (body: number) => boolean) => begun.filter(([body]) => customer(body))
    assert.deepEqual(
      of((body) => body < 20),
      Array.from({ length: 20 }, (_, i) => [i, Math.max(0, i - 1)]),
    )
    assert.deepEqual(
      of((body) => body >= 20),
      [
        [20, 0],
        [21, 0],
        [22, 1],
      ],
    )
    assert.equal(consumer.status.deferred, 19, 'each but the first two, once')
  })

  test('a message that waits for its key does not count among those that are begun with', async () => {
    await using v = await VirtualBroker.start()
    for (let i = 0; i < 10; i++) await v.mq.send(jobs, i, { properties: { customer: 'hot' } })
    for (let i = 10; i < 19; i++) await v.mq.send(jobs, i, { properties: { customer: i } })
    const begun: number[] = []
    const key = (message: { property(name: string): unknown }) => String(message.property('customer'))
    const options = {
      concurrency: 20,
      rate: { perSecond: 1, burst: 10 },
      ratePerKey: { perSecond: 0.1, burst: 1, key },
    }
    shapedConsumer(v.mq, jobs, options, ({ body }) => void begun.push(body))
    await v.rest()
    assert.deepEqual(begun, [0, 10, 11, 12, 13, 14, 15, 16, 17, 18])
  })

  test('members of a group are worked on one after the other, and others beside them', async () => {
    await using v = await VirtualBroker.start()
    for (let i = 0; i < 30; i++) await v.mq.send(jobs, i, { group: 'hot' })
    for (let i = 30; i < 40; i++) await v.mq.send(jobs, i, { group: `${i}` })
    const running = new Set<string>()
    const order: number[] = []
    shapedConsumer(v.mq, jobs, { concurrency: 4 }, async ({ body, groupId }) => {
      assert.ok(!running.has(groupId!), 'one of a group at a time')
      running.add(groupId!)
      await v.sleep(10)
      running.delete(groupId!)
      order.push(body)
    })
    await v.pass(105)
    assert.deepEqual(
      order.filter((body) => body < 30),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    assert.equal(order.filter((body) => body >= 30).length, 10, 'nobody waits for a group that is not theirs')
    await v.pass(300)
    assert.deepEqual(
      order.filter((body) => body < 30),
      Array.from({ length: 30 }, (_, i) => i),
    )
  })

  test('of a group the members behind wait with the one that is too early', async () => {
    await using v = await VirtualBroker.start()
    for (let i = 0; i < 4; i++) await v.mq.send(jobs, i, { group: 'a' })
    await v.mq.send(jobs, 9, { group: 'b' })
    const begun: number[] = []
    const options = { concurrency: 5, ratePerKey: { perSecond: 1, burst: 1 } }
    const consumer = shapedConsumer(v.mq, jobs, options, ({ body }) => void begun.push(body))
    await v.pass(3_500)
    assert.deepEqual(begun, [0, 9, 1, 2, 3])
    assert.equal(consumer.status.deferred, 3)
  })
})

suite('circuit breaker', () => {
  test('while it is open nothing is fetched, nothing comes in a loop, and no message pays for the outage', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 20)
    let isDown = true
    let calls = 0
    const seen: number[] = []
    const states: string[] = []
    const options = { concurrency: 4, breaker: { failures: 2, pause: '10s', maxPause: '20s' } }
    const consumer = shapedConsumer(v.mq, jobs, options, async ({ body }) => {
      calls++
      await v.sleep(5)
      if (isDown) throw new Error('connection refused')
      seen.push(body)
    })
    consumer.on('breaker', (state) => states.push(state))
    await v.pass(8_000)
    assert.deepEqual([calls, consumer.status.breaker], [5, 'open'])
    const { acquired, departed, delivered } = await v.report('jobs')
    assert.deepEqual([acquired, departed['dead-lettered'], delivered], [0, 0, 5])
    // An hour: a try every 20 s, and never more.
    await v.pass(3_600_000, 1_000)
    assert.ok(calls > 170 && calls < 190, `${calls} calls`)
    isDown = false
    await v.pass(60_000, 1_000)
    assert.deepEqual(
      seen.toSorted((a, b) => a - b),
      Array.from({ length: 20 }, (_, i) => i),
    )
    assert.equal((await v.report('jobs')).departed['dead-lettered'], 0)
    assert.deepEqual(states.slice(0, 3), ['open', 'half-open', 'open'])
    assert.deepEqual(states.slice(-2), ['half-open', 'closed'])
  })

  test('a poison message that is tried in vain lets another one be tried next', async () => {
    await using v = await VirtualBroker.start()
    await v.mq.send(jobs, -1)
    const options = { breaker: { failures: 1, pause: '1s' } }
    const seen: number[] = []
    const consumer = shapedConsumer(v.mq, jobs, options, ({ body }) => {
      if (body < 0) throw new Error('cannot')
      seen.push(body)
    })
    await v.pass(1_500)
    assert.equal(consumer.status.breaker, 'open')
    await fill(v.mq, 3)
    await v.pass(3_000)
    assert.deepEqual(seen, [0, 1, 2])
    for (let i = 0; i < 5; i++) {
      await fill(v.mq, 1)
      await v.pass(10_000, 100)
    }
    assert.equal((await v.report('jobs.dlq'))?.messages, 1, 'in the end it is a dead letter')
  })

  test('a message that is at fault itself does not open it', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 10)
    const consumer = shapedConsumer(v.mq, jobs, { breaker: { failures: 1 } }, () => {
      throw new PermanentError('no such customer')
    })
    await v.rest()
    assert.deepEqual([consumer.status.breaker, consumer.status.deadLettered], ['closed', 10])
  })
})

suite('outcomes', () => {
  test('permanent: a dead letter at once, with the reason; transient: by backoff; later: when it was said', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 4)
    const attempts: string[] = []
    const retry = {
      permanent: [RangeError],
      after: (error: unknown) => (`${error}`.includes('slow') ? '5s' : undefined),
    }
    shapedConsumer(v.mq, jobs, { concurrency: 4, retry }, ({ body, deliveryCount }, context) => {
      attempts.push(`${body}@${Math.round(v.clock.monotonic() / 1_000)}`)
      if (deliveryCount > 1) return
      if (body === 0) throw new RangeError('never')
      if (body === 1) throw new Error('slow down')
      if (body === 2) return context.retry({ after: '3s', reason: 'busy' })
      throw new RetryLater('quota', { after: '7s' })
    })
    await v.pass(10_000)
    assert.deepEqual(attempts, ['0@0', '1@0', '2@0', '3@0', '2@3', '1@5', '3@7'])
    const letter = await v.mq.receive(dead)
    assert.deepEqual([letter?.body, letter?.deadLetter?.description], [0, 'RangeError: never'])
  })

  test('what a handler has said counts, whatever it throws after that', async () => {
    await using v = await VirtualBroker.start()
    const told: Error[] = []
    v.mq.on('error', (error) => told.push(error))
    await fill(v.mq, 1)
    shapedConsumer(v.mq, jobs, {}, (_message, context) => {
      context.deadLetter('fraud')
      throw new Error('and more')
    })
    await v.rest()
    assert.equal((await v.mq.receive(dead))?.deadLetter?.description, 'fraud')
    assert.match(String(told[0]?.cause), /and more/)
  })
})

suite('batches', () => {
  test('of so many, or of what has come within the window', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 25)
    const sizes: [size: number, at: number][] = []
    const options = { batch: { size: 10, window: '200ms' } }
    batchConsumer(v.mq, jobs, options, (messages) => void sizes.push([messages.length, v.clock.monotonic()]))
    await v.pass(100)
    assert.deepEqual(sizes, [
      [10, 0],
      [10, 0],
    ])
    await v.pass(150)
    assert.deepEqual(sizes[2], [5, 200])
    const { messages, departed } = await v.report('jobs')
    assert.deepEqual([messages, departed.accepted], [0, 25])
  })

  test('each message has its own outcome', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 6)
    const rounds: number[][] = []
    const options = { batch: { size: 6, window: 10 } }
    const consumer = batchConsumer(v.mq, jobs, options, async (messages, context) => {
      rounds.push(messages.map(({ body }) => body))
      if (rounds.length > 1) return undefined
      context.deadLetter(messages[0]!, 'first')
      context.retry(messages[1]!, { after: '2s' })
      await messages[2]!.reject('second')
      return Promise.allSettled(
        messages.map(async ({ body }) => {
          if (body === 3) throw new PermanentError('third')
          if (body === 4) throw new Error('again')
        }),
      )
    })
    await v.pass(5_000)
    assert.deepEqual(rounds, [[0, 1, 2, 3, 4, 5], [4], [1]])
    const reasons: string[] = []
    for await (const { deadLetter } of v.mq.browse(dead)) reasons.push(String(deadLetter?.description))
    assert.deepEqual(reasons.toSorted(), ['PermanentError: third', 'first', 'second'])
    assert.equal(consumer.status.failed, 2)
  })

  test('one bad message does not fail its neighbours', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 5)
    const done = new Set<number>()
    batchConsumer(v.mq, jobs, { batch: { size: 5, window: 10 } }, (messages) => {
      if (messages.some(({ body }) => body === 2)) throw new Error('constraint violated')
      for (const { body } of messages) done.add(body)
    })
    await v.pass(60_000, 100)
    assert.deepEqual([...done], [0, 1, 3, 4])
    assert.equal((await v.mq.receive(dead))?.body, 2)
  })

  test('a member of a group that is tried alone, in vain, is not passed by those behind it', async () => {
    await using v = await VirtualBroker.start()
    for (const [body, group] of [
      [0, 'a'],
      [1, 'a'],
      [2, 'b'],
      [3, 'a'],
    ] as const)
      await v.mq.send(jobs, body, { group })
    const done: number[] = []
    let isFixed = false
    batchConsumer(v.mq, jobs, { batch: { size: 4, window: 10 } }, (messages) => {
      if (!isFixed && messages.some(({ body }) => body === 1)) throw new Error('not yet')
      for (const { body } of messages) done.push(body)
    })
    await v.pass(500)
    assert.deepEqual(done, [0, 2])
    isFixed = true
    await v.pass(2_000)
    assert.deepEqual(done, [0, 2, 1, 3])
  })

  test('when what they need is down, a batch that is tried one by one is not tried to the end', async () => {
    await using v = await VirtualBroker.start()
    await fill(v.mq, 100)
    let calls = 0
    const options = { batch: { size: 100, window: 10 }, breaker: { failures: 4, pause: '1h' } }
    batchConsumer(v.mq, jobs, options, () => {
      calls++
      throw new Error('connection refused')
    })
    await v.pass(500)
    assert.equal(calls, 4)
    const { ready, waiting } = await v.report('jobs')
    assert.deepEqual([ready + waiting, waiting], [100, 3])
  })
})

test('concurrency finds out what a service bears', async () => {
  await using v = await VirtualBroker.start()
  await fill(v.mq, 3_000)
  let running = 0
  const limits: number[] = []
  const consumer = shapedConsumer(v.mq, jobs, { concurrency: { max: 200 } }, async () => {
    running++
    await v.sleep(10 * Math.max(1, running / 10))
    running--
    limits.push(consumer.status.limit)
  })
  for (let i = 0; i < 100 && consumer.status.done < 3_000; i++) await v.pass(50, 2)
  assert.equal(consumer.status.done, 3_000)
  const late = limits.slice(1_500)
  assert.ok(Math.max(...late) < 60, `${Math.max(...late)} at once where 10 are borne`)
  assert.ok(Math.max(...late) >= 8)
})
