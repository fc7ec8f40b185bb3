import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, queue } from '../../src/index.ts'
import { Served } from './support.ts'

test('a server asks for half messages, and ends transactions, when its configuration says', async (t) => {
  const served = await Served.start(t, { preparedFirstCheck: 20, limitsTransactionTimeout: 20 })
  const mq = await connect(`amqp://127.0.0.1:${served.port}`)
  const texts = queue<string>('texts')
  const asked = Promise.withResolvers<string>()
  await mq.answerChecks<string>('g', ({ body }) => {
    asked.resolve(body)
    return 'commit'
  })
  await mq.prepare(texts, 'x', { producerGroup: 'g' })
  assert.equal(await asked.promise, 'x')
  assert.equal((await mq.receive(texts))!.body, 'x')
  const tx = await mq.createContext({ acknowledge: 'transacted' })
  await tx.send(texts, 'late')
  for (;;) {
    // Asking whether it is over does not keep it alive.
    const { pending } = (await mq.management.queues()).find(({ name }) => name === 'texts')!
    if (pending === 0) break
    await new Promise((resolve) => setImmediate(resolve))
  }
  await assert.rejects(tx.commit(), { code: 'transaction-rolled-back' })
  await mq.close()
})

test('a server has the limits of transactions, half messages and memory that its configuration says', async (t) => {
  const served = await Served.start(t, {
    limitsMaxTransactions: 2,
    limitsMaxTransactionOperations: 3,
    limitsOpenOperations: 4,
    limitsMaxPrepared: 1,
    limitsMemoryBytes: 2_000,
  })
  const mq = await connect(`amqp://127.0.0.1:${served.port}`)
  t.after(() => mq.close())
  const texts = queue<string>('texts')
  const [a, b, c] = await Promise.all([1, 2, 3].map(() => mq.createContext({ acknowledge: 'transacted' })))
  for (let i = 0; i < 3; i++) await a!.send(texts, 'x')
  await b!.send(texts, 'x')
  await assert.rejects(b!.send(texts, 'x'), { code: 'memory-full', message: /openOperations/ })
  await assert.rejects(c!.send(texts, 'x'), { code: 'memory-full', message: /maxTransactions/ })
  await assert.rejects(a!.send(texts, 'x'), { code: 'transaction-too-large' })
  await assert.rejects(a!.commit(), { code: 'transaction-rolled-back' })
  await mq.prepare(texts, 'x', { producerGroup: 'g' })
  await assert.rejects(mq.prepare(texts, 'x', { producerGroup: 'g' }), { code: 'memory-full' })
  await assert.rejects(mq.send(texts, 'x'.repeat(3_000), { durability: 'memory' }), { code: 'memory-full' })
})
