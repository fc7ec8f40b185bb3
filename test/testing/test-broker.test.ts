import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMillraceError, queue } from '../../src/index.ts'
import { testBroker } from '../../src/testing/index.ts'

const orders = queue<{ id: number }>('orders')

test('a failing handler is called again only when its backoff has passed', async () => {
  await using t = await testBroker()
  let calls = 0
  t.mq.consume(orders, () => {
    calls++
    throw new Error('the database is down')
  })
  await t.mq.send(orders, { id: 1 })
  await t.idle()
  assert.equal(calls, 1)
  await t.advance('700ms')
  assert.equal(calls, 1, 'the first delay is 0.8 to 1 second')
  await t.advance('300ms')
  assert.equal(calls, 2)
})

test('after all its deliveries a message lies among the dead letters, with what happened to it', async () => {
  await using t = await testBroker({
    broker: { policies: [{ match: 'orders', policy: { maxDeliveries: 3 } }] },
  })
  t.mq.consume(orders, () => {
    throw new Error('never')
  })
  await t.mq.send(orders, { id: 1 })
  await t.advance('10m')
  assert.deepEqual(await t.messages(orders), [])
  const [dead, ...others] = await t.deadLetters(orders)
  assert.deepEqual(others, [])
  assert.deepEqual(dead?.body, { id: 1 })
  assert.equal(dead?.deadLetter?.reason, 'max-deliveries')
  assert.equal(dead?.deadLetter?.history[0]?.failures, 3)
})

test('a message expires when its time has passed, not before', async () => {
  await using t = await testBroker()
  await t.mq.send(orders, { id: 1 }, { ttl: '15m' })
  await t.advance('14m')
  assert.equal((await t.messages(orders)).length, 1)
  await t.advance('2m')
  assert.equal((await t.messages(orders)).length, 0)
})

test('another connection sees the same broker', async () => {
  await using t = await testBroker()
  const other = await t.connect()
  await t.mq.send(orders, { id: 1 })
  const message = await other.receive(orders)
  assert.deepEqual(message?.body, { id: 1 })
  await message?.acknowledge()
  await t.idle()
})

test('real time cannot be advanced', async () => {
  await using t = await testBroker({ clock: 'real' })
  await assert.rejects(t.advance('1s'), (error) => isMillraceError(error) && error.code === 'illegal-state')
})
