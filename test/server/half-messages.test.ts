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
