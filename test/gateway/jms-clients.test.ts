/** What clients that follow the JMS mapping rely on beyond the core, found with Qpid JMS. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { AmqpSymbol } from '../../src/wire/amqp10/values.ts'
import { GatewayBench } from './support.ts'

const jms = { desiredCapabilities: ['sole-connection-for-container', 'ANONYMOUS-RELAY', 'SHARED-SUBS'] }

test('a JMS client that says nothing of durability means NON_PERSISTENT; of others it is stored', async () => {
  const bench = await GatewayBench.start()
  for (const [open, durable] of [
    [jms, false],
    [{}, true],
    [{ desiredCapabilities: ['millrace', 'SHARED-SUBS'] }, true],
  ] as const) {
    const client = await bench.client(open)
    const sender = await client.sender({ address: 'q' })
    assert.equal(await sender.send('message'), 'accepted')
    const receiver = await client.receiver({ address: 'q', credit: 1 })
    const delivery = await receiver.takeOne()
    assert.equal(delivery.header[0], durable)
    await receiver.settle(delivery)
    await client.close()
  }
})

test('a client id in use is told by a symbol, which is what JMS clients compare', async () => {
  const bench = await GatewayBench.start()
  await bench.client({ containerId: 'ada', ...jms })
  const second = await bench.client({ containerId: 'ada', ...jms })
  assert.deepEqual(second.end?.error?.info?.get('invalid-field'), new AmqpSymbol('container-id'))
})
