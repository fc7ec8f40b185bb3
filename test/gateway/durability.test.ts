/** Accepted means that the level asked for was reached; and what waits for the disk is bounded. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { accepted } from '../../src/wire/amqp10/peer/performatives.ts'
import { HeldSyncs } from '../engine/held-syncs.ts'
import { GatewayBench, source } from './support.ts'

const inMemory = Uint8Array.from([0x00, 0x53, 0x70, 0xc0, 0x02, 0x01, 0x42])

test('a send is accepted, delivered and its settlement answered when the disk has it, not before', async () => {
  const syncs = new HeldSyncs()
  const bench = GatewayBench.on(await syncs.bench())
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const receiver = await client.receiver({ address: 'q', credit: 5, rcvSettleMode: 'second' })
  syncs.isHolding = true
  const waiting = sender.put('on disk')
  assert.equal(await sender.send('in memory', { prefix: inMemory }), 'accepted')
  await bench.bench.advance(1_000)
  assert.equal(sender.outcomes.has(waiting), false)
  assert.equal(receiver.received.length, 0)
  syncs.release()
  await bench.bench.advance(1)
  assert.equal(sender.outcomes.get(waiting), 'accepted')
  const [delivery, other] = receiver.received
  assert.deepEqual([delivery?.text, other?.text], ['on disk', 'in memory'], 'in the order in which they came')
  syncs.isHolding = true
  receiver.link.settle(delivery!.id, delivery!.id, accepted, false)
  await bench.bench.advance(1_000)
  assert.equal(receiver.answers.has(delivery!.id), false)
  syncs.release()
  await bench.bench.advance(1)
  assert.equal(receiver.answers.get(delivery!.id), 'accepted')
})

test('the attach of a durable subscription is answered when the disk has it, not before; credit that came meanwhile counts', async () => {
  const syncs = new HeldSyncs()
  const bench = GatewayBench.on(await syncs.bench())
  const client = await bench.client()
  const sender = await client.sender({ address: 'topic://news' })
  syncs.isHolding = true
  const capabilities = ['topic']
  const durable = {
    address: 'news',
    durable: 'unsettled-state',
    expiryPolicy: 'never',
    capabilities,
  } as const
  const receiver = await client.receiver({ name: 's', source: source(durable), credit: 1 })
  await bench.bench.advance(1_000)
  assert.equal(receiver.attach, undefined)
  syncs.release()
  await bench.bench.advance(1)
  assert.ok(receiver.attach)
  await sender.send('m')
  assert.deepEqual(await receiver.take(), ['m'])
})

test('above the bound on undecided bytes no credit is granted, and twice above nothing is to be read', async () => {
  const syncs = new HeldSyncs()
  const bench = GatewayBench.on(await syncs.bench(), { unsettledBytes: 100_000 })
  const client = await bench.client()
  const senders = [await client.sender({ address: 'a' }), await client.sender({ address: 'b' })]
  syncs.isHolding = true
  for (let i = 0; i < 30 && client.hosted.readable; i++) {
    for (const sender of senders) if (sender.link.credit > 0) sender.put('x'.repeat(5_000))
    await bench.idle()
  }
  assert.equal(client.hosted.readable, false)
  const late = await client.sender({ address: 'c' })
  assert.equal(late.link.credit, 0)
  syncs.release()
  await bench.bench.advance(10)
  assert.equal(client.hosted.readable, true)
  assert.equal(client.resumed, 1)
  assert.ok(late.link.credit > 0, 'who had to wait is told')
})

test('a body that comes faster than the disk takes it is not read on until the disk has caught up', async () => {
  const syncs = new HeldSyncs()
  const bench = GatewayBench.on(await syncs.bench())
  const client = await bench.client()
  const sender = await client.sender({ address: 'q' })
  const bytes = encodeMessage({ body: { kind: 'bytes', value: Buffer.alloc(60_000_000) } })
  syncs.isHolding = true
  sender.link.begin(false, 0, null)
  let at = 0
  while (at < bytes.length && client.hosted.readable) {
    const end = Math.min(bytes.length, at + 1_000_000)
    sender.link.append(bytes, at, end, end === bytes.length)
    at = end
    await bench.idle()
  }
  assert.ok(at > 30_000_000 && at < 45_000_000, `stopped after ${at}`)
  await bench.bench.advance(100)
  assert.equal(client.hosted.readable, false)
  syncs.release()
  await bench.bench.advance(100)
  assert.equal(client.hosted.readable, true)
  sender.link.append(bytes, at, bytes.length, true)
  await bench.bench.advance(100)
  assert.deepEqual([...sender.outcomes.values()], ['accepted'])
})
