import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import rhea, { type EventContext } from 'rhea'
import { connect, queue, topic } from '../../src/index.ts'

test('at a broker without anonymous relay each destination has a link; refusals name their reason', async (t) => {
  const container = rhea.create_container()
  const server = container.listen({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.after(() => server.close())
  const taken: string[] = []
  // Without a target in the answer a link is refused (core 2.6.3).
  container.on('receiver_open', ({ receiver }: EventContext) => receiver!.set_target(receiver!.target))
  container.on('message', ({ message, receiver, delivery }: EventContext) => {
    const { address } = receiver!.target
    taken.push(`${address} ${message!.body}`)
    if (message!.body === 'bad')
      delivery!.reject({ condition: 'amqp:not-found', description: 'no such place' })
    else delivery!.accept()
  })
  const mq = await connect(`amqp://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    reconnect: false,
  })
  assert.deepEqual(mq.capabilities.durabilities, ['disk', 'memory'])
  await Promise.all([mq.send(queue('a'), '1'), mq.send(topic('b'), '2'), mq.send(queue('a'), '3')])
  assert.deepEqual(taken.toSorted(), ['a 1', 'a 3', 'b 2'])
  await assert.rejects(mq.send(queue('a'), 'bad'), {
    code: 'destination-not-found',
    message: 'no such place',
  })
  await assert.rejects(mq.send(queue('a'), 'x', { durability: 'os' }), { code: 'unsupported' })
  await mq.close()
})
