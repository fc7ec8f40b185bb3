import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, queue } from '../../src/index.ts'

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
