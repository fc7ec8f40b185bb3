import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { GatewayBench, source } from './support.ts'

test('every frame of a body in parts carries some of it: rhea takes an empty one for no message at all', async () => {
  const bench = await GatewayBench.start()
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const body = { kind: 'bytes', value: Buffer.alloc(600_000, 'x') } as const
  assert.equal(await sender.send({ body }), 'accepted')
  for (const distributionMode of ['copy', 'move'] as const) {
    const receiver = await client.receiver({ source: source({ address: 'q', distributionMode }) })
    const sizes: number[] = []
    const { transfer } = receiver
    receiver.transfer = (part) => {
      sizes.push(part.end - part.start)
      transfer.call(receiver, part)
    }
    receiver.link.grant(1)
    await receiver.takeOne()
    assert.ok(sizes.length > 1)
    assert.ok(!sizes.includes(0), `sizes of the parts: ${sizes}`)
    await receiver.leave(true)
  }
})
