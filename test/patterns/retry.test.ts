import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { type Context, queue } from '../../src/index.ts'
import { PermanentError, RetryLater, redrive, retrying } from '../../src/patterns/index.ts'
import { testBroker } from '../../src/testing/index.ts'

const jobs = queue<number>('jobs', { policy: { backoff: { delay: '1s', jitter: 0 }, maxDeliveries: 3 } })

/** Numbers of dead letters, with their reasons. */
async function letters(mq: Context, name = 'jobs.dlq'): Promise<[unknown, string | undefined][]> {
  const found: [unknown, string | undefined][] = []
  for await (const { body, deadLetter } of mq.browse(queue(name))) found.push([body, deadLetter?.description])
  return found
}

suite('retrying: errors told apart by a policy, for any consumer', () => {
  test('permanent errors dead-letter at once, the others come again when the broker says so', async () => {
    await using t = await testBroker()
    const calls: number[] = []
    const permanent = (error: unknown) => `${error}`.includes('unknown customer')
    const handler = retrying<number>(
      ({ body }) => {
        calls.push(body)
        if (body === 1) throw new Error('unknown customer')
        if (body === 2) throw new PermanentError('no such product')
        throw new Error('deadlock')
      },
      { permanent },
    )
    t.mq.consume(jobs, { concurrency: 3 }, handler)
    for (const body of [1, 2, 3]) await t.mq.send(jobs, body)
    await t.idle()
    assert.deepEqual(calls, [1, 2, 3])
    await t.advance('10s')
    assert.deepEqual(calls, [1, 2, 3, 3, 3])
    assert.deepEqual(await letters(t.mq), [
      [1, 'unknown customer'],
      [2, 'PermanentError: no such product'],
      [3, 'deadlock'],
    ])
  })

  test('what the handler says, an error knows, or the policy counts, decides when it comes again', async () => {
    await using t = await testBroker()
    const waits: [number, number][] = []
    const failedAt = new Map<number, number>()
    const handler = retrying<number>(
      ({ body, deliveryCount }, { retry }) => {
        if (deliveryCount === 2) waits.push([body, t.mq.clock.monotonic() - failedAt.get(body)!])
        if (deliveryCount > 1) return
        failedAt.set(body, t.mq.clock.monotonic())
        if (body === 1) return retry({ after: '20s' })
        if (body === 2) throw new RetryLater('429', { after: '30s' })
        throw new Error('try later')
      },
      { after: (_error, attempt) => `${40 * attempt}s` },
    )
    t.mq.consume(jobs, { concurrency: 3 }, handler)
    for (const body of [1, 2, 3]) await t.mq.send(jobs, body)
    await t.advance('1m')
    assert.deepEqual(waits, [
      [1, 20_000],
      [2, 30_000],
      [3, 40_000],
    ])
  })

  test('a handler that throws after it has said what is to become of the message is told of', async () => {
    await using t = await testBroker()
    const told: Error[] = []
    t.mq.on('error', (error) => told.push(error))
    t.mq.consume(
      jobs,
      retrying<number>((_message, { deadLetter }) => {
        deadLetter('fraud')
        throw new Error('and more')
      }),
    )
    await t.mq.send(jobs, 1)
    await t.idle()
    assert.deepEqual(await letters(t.mq), [[1, 'fraud']])
    assert.match(String(told[0]?.cause), /and more/)
  })

  test('a message that the handler settles itself is left alone, whatever it throws', async () => {
    await using t = await testBroker()
    t.mq.on('error', () => {})
    t.mq.consume(
      jobs,
      retrying<number>(async (message) => {
        await message.acknowledge()
        throw new PermanentError('too late')
      }),
    )
    await t.mq.send(jobs, 1)
    await t.idle()
    assert.deepEqual(await t.deadLetters(jobs), [])
    assert.deepEqual(await t.messages(jobs), [])
  })
})

suite('redrive', () => {
  async function fail(mq: Context, name: string, count: number, deadLetter: string): Promise<void> {
    const numbers = queue<number>(name, { policy: { deadLetter } })
    for (let i = 0; i < count; i++) {
      await mq.send(numbers, i)
      await (await mq.receive(numbers))?.reject(i % 2 ? 'odd' : 'even')
    }
  }

  test('all of a queue, those with a reason, or so many', async () => {
    await using t = await testBroker()
    const numbers = queue<number>('q', { policy: { deadLetter: '{queue}.dead' } })
    await fail(t.mq, 'q', 10, '{queue}.dead')
    assert.equal(
      await redrive(t.mq, numbers, { where: ({ deadLetter }) => deadLetter?.description === 'odd' }),
      5,
    )
    assert.equal(await redrive(t.mq, numbers, { limit: 2 }), 2)
    assert.deepEqual((await letters(t.mq, 'q.dead')).length, 3)
    assert.equal(await redrive(t.mq, numbers), 3)
    assert.equal(await redrive(t.mq, numbers), 0)
    const back = await t.messages(numbers)
    assert.deepEqual(
      back.map(({ deliveryCount }) => deliveryCount),
      Array(10).fill(0),
    )
  })

  test('where several queues share one for their dead letters, each gets its own back, at a rate', async () => {
    await using t = await testBroker()
    await fail(t.mq, 'a', 4, 'dead')
    await fail(t.mq, 'b', 4, 'dead')
    const moving = redrive(t.mq, queue('a'), { rate: 2 })
    await t.advance('1s')
    const soFar = (await t.messages(queue('a'))).length
    assert.ok(soFar >= 2 && soFar <= 3, `${soFar} after a second`)
    await t.advance('1s')
    assert.equal(await moving, 4)
    assert.equal((await letters(t.mq, 'dead')).length, 4)
  })

  test('a queue that does not exist, or has no dead letters, is told apart from one that has none now', async () => {
    await using t = await testBroker()
    await assert.rejects(redrive(t.mq, queue('nowhere')), { code: 'destination-not-found' })
    await t.mq.send(queue('kept', { policy: { deadLetter: false } }), 1)
    await assert.rejects(redrive(t.mq, queue('kept')), { code: 'destination-not-found' })
    await t.mq.send(jobs, 1)
    assert.equal(await redrive(t.mq, jobs), 0)
  })
})
