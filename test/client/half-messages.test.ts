/** Half messages that nobody has decided: who is asked, when, and what an answer does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Decision, isMillraceError, queue } from '../../src/index.ts'
import { testBroker } from '../../src/testing/index.ts'

const texts = queue<string>('texts')
const producerGroup = 'orders'

test('the producers of the group are asked after 6 s, then every 30 s, and their answer counts', async () => {
  await using broker = await testBroker()
  const { mq } = broker
  const other = await broker.connect()
  const half = await mq.prepare(texts, 'x', { producerGroup, correlationId: 'c-1' })
  const asked: unknown[] = []
  const answers: Decision[] = ['unknown', 'commit']
  await using checks = await other.answerChecks<string>(producerGroup, (message) => {
    const { body, correlationId, preparedId, messageId } = message
    asked.push([body, correlationId, preparedId, messageId])
    return answers[asked.length - 1]!
  })
  await broker.advance('5.9s')
  assert.equal(asked.length, 0)
  await broker.advance('0.1s')
  assert.deepEqual(asked, [['x', 'c-1', half.id, half.messageId]])
  await broker.advance('29s')
  assert.equal(asked.length, 1)
  await broker.advance('1s')
  assert.equal(asked.length, 2)
  assert.equal((await mq.receive(texts, { timeout: 0 }))!.body, 'x')
  assert.deepEqual(await mq.prepared.list(), [])
  await checks.close()
})

test('a check that throws, or answers nonsense, leaves the message open and is reported', async () => {
  await using broker = await testBroker()
  const { mq } = broker
  const errors: string[] = []
  mq.on('error', (error) => errors.push(isMillraceError(error.cause) ? error.cause.code : error.code))
  await mq.prepare(texts, 'x', { producerGroup })
  let calls = 0
  await mq.answerChecks(producerGroup, () => {
    if (++calls === 1) throw new Error('the database is away')
    return 'maybe' as Decision
  })
  await broker.advance('36s')
  assert.deepEqual([calls, errors], [2, ['illegal-state', 'argument-invalid']])
  assert.equal((await mq.prepared.list()).length, 1)
})

test('groups are asked for their own, connections and handlers take turns, and who has closed is not asked', async () => {
  await using broker = await testBroker()
  const [one, two] = [await broker.connect(), await broker.connect()]
  const asked: string[] = []
  const answer = (name: string) => (): Decision => {
    asked.push(name)
    return 'unknown'
  }
  const first = await one.answerChecks(producerGroup, answer('1a'))
  await one.answerChecks(producerGroup, answer('1b'))
  await two.answerChecks(producerGroup, answer('2'))
  await two.answerChecks('others', answer('others'))
  await broker.mq.prepare(texts, 'x', { producerGroup })
  await broker.advance('96s')
  assert.deepEqual(asked.sort(), ['1a', '1b', '2', '2'])
  asked.length = 0
  await first.close()
  await two.close()
  await broker.advance('60s')
  assert.deepEqual(asked, ['1b', '1b'])
})

test('a message that is asked for is shown and not settled', async () => {
  await using broker = await testBroker()
  const { mq } = broker
  await mq.prepare(texts, 'x', { producerGroup })
  const refused = Promise.withResolvers<unknown>()
  await mq.answerChecks(producerGroup, (message) => {
    message.acknowledge().catch(refused.resolve)
    return 'rollback'
  })
  await broker.advance('6s')
  assert.equal(((await refused.promise) as { code: string }).code, 'illegal-state')
  assert.deepEqual(await mq.prepared.list(), [])
  assert.equal(await mq.receive(texts, { timeout: 0 }), undefined)
})
