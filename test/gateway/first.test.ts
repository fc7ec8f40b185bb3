import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { GatewayBench } from './support.ts'

test('what is sent is accepted, delivered, and gone when it is settled', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'queue://q' })
  assert.equal(await sender.send('one'), 'accepted')
  const receiver = await client.receiver({ address: 'q', credit: 10 })
  const delivery = await receiver.takeOne()
  assert.equal(delivery.text, 'one')
  assert.equal(bench.bench.status('q').acquired, 1)
  await receiver.settle(delivery)
  assert.equal(bench.bench.status('q').messages, 0)
  assert.deepEqual(client.faults, [])
})
