import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { connect, queue } from '../../src/index.ts'
import { testBroker } from '../../src/testing/index.ts'

const jobs = queue<number>('jobs')

test('a handler that returns at once works off any number of fetched messages, not one inside the other', async () => {
  await using mq = await connect('memory:')
  const total = 20_000
  await Promise.all(Array.from({ length: total }, (_, i) => mq.send(jobs, i)))
  let next = 0
  const all = Promise.withResolvers<void>()
  const worker = mq.consume(jobs, { prefetch: total }, ({ body }) => {
    assert.equal(body, next++)
    if (next === total) all.resolve()
  })
  await all.promise
  await worker.close()
})

test('a handler may return any thenable: the message is accepted when that is fulfilled', async () => {
  await using mq = await connect('memory:')
  await mq.send(jobs, 1)
  const begun = Promise.withResolvers<void>()
  let fulfil = (): void => {}
  const worker = mq.consume(jobs, () => {
    begun.resolve()
    const then = (done: () => void): void => {
      fulfil = done
    }
    return { then }
  })
  await begun.promise
  assert.equal((await mq.management.queues())[0]?.acquired, 1)
  fulfil()
  await worker.close()
  assert.equal((await mq.management.queues())[0]?.messages, 0)
})

test('a handler whose delivery timeout has passed is told so, also when it looks at its signal later', async () => {
  await using broker = await testBroker()
  const slow = queue<number>('slow', { policy: { deliveryTimeout: '1s', maxDeliveries: 9 } })
  const [signals, goOn] = [[] as AbortSignal[], Promise.withResolvers<void>()]
  const worker = broker.mq.consume(slow, { concurrency: 3 }, async ({ body, deliveryCount }, context) => {
    if (deliveryCount > 1) return
    if (body === 1) signals.push(context.signal)
    await goOn.promise
    if (body === 2) signals.push(context.signal)
  })
  broker.mq.on('error', () => {})
  await worker.ready
  await broker.mq.send(slow, 1)
  await broker.mq.send(slow, 2)
  while (signals.length === 0) await setImmediate()
  assert.equal(signals[0]!.aborted, false)
  const aborted = once(signals[0]!, 'abort')
  // It waits for the handlers, which wait for us.
  void broker.advance('1s').catch(() => {})
  await aborted
  assert.equal(signals[0]!.reason.code, 'delivery-settled')
  goOn.resolve()
  await worker.close()
  assert.equal(signals[1]?.aborted, true)
  assert.equal(signals[1]?.reason.code, 'delivery-settled')
})

test('a message that was fetched and not begun when its delivery timeout passes is begun once, not twice', async () => {
  await using broker = await testBroker()
  const slow = queue<number>('slow', {
    policy: { deliveryTimeout: '1s', maxDeliveries: 9, backoff: { delay: 0 } },
  })
  const [seen, goOn] = [[] as string[], Promise.withResolvers<void>()]
  broker.mq.on('error', () => {})
  const worker = broker.mq.consume(slow, async ({ body, deliveryCount }) => {
    seen.push(`${body}/${deliveryCount}`)
    if (body === 1 && deliveryCount === 1) await goOn.promise
  })
  await worker.ready
  await broker.mq.send(slow, 1)
  await broker.mq.send(slow, 2)
  const advanced = broker.advance('1s')
  while ((await broker.messages(slow)).some(({ deliveryCount }) => deliveryCount < 2)) await setImmediate()
  goOn.resolve()
  await advanced
  assert.deepEqual(seen.toSorted(), ['1/1', '1/2', '2/2'])
})

test('a handler that a closing worker does not wait for is told so', async () => {
  await using mq = await connect('memory:')
  await mq.send(jobs, 1)
  const begun = Promise.withResolvers<AbortSignal>()
  const worker = mq.consume(jobs, (_, { signal }) => {
    begun.resolve(signal)
    return new Promise(() => {})
  })
  const signal = await begun.promise
  await worker.close({ drain: 0 })
  assert.equal(signal.reason.code, 'closed')
})
