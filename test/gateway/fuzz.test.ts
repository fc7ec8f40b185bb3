/** Whatever a client says, the broker answers by the protocol, has no fault of its own, and is left as it was. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SeededRandom } from '../../src/testing/random.ts'
import { encodeDeclare, encodeDischarge } from '../../src/wire/amqp10/coordination.ts'
import { accepted } from '../../src/wire/amqp10/peer/performatives.ts'
import { AmqpSymbol } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'
import { type Client, GatewayBench, source, target } from './support.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9))
const runs = Number(process.env['FUZZ_RUNS'] ?? 400)

/** What a client says that does a bit of everything, as frames. */
async function conversation(): Promise<Buffer[]> {
  const bench = await GatewayBench.start({ maxFrameSize: 1_024 })
  const frames: Buffer[] = []
  const heard = (bytes: Buffer): void => void frames.push(...framesOf(bytes))
  const client = await bench.client({ containerId: 'c' }, { maxFrameSize: 1_024 }, {}, heard)
  await talk(bench, client)
  return frames
}

async function talk(bench: GatewayBench, client: Client): Promise<void> {
  const properties = new Map([['millrace:producer-id', 'p']])
  const sender = await client.sender({ address: 'q', properties })
  for (let i = 1; i <= 3; i++) {
    const tag = Buffer.alloc(8)
    tag.writeBigUInt64BE(BigInt(i))
    await sender.send(
      { body: { kind: 'text', value: `m${i}` }, messageId: `${i}`, expiration: 1e13, timestamp: 1 },
      { tag },
    )
  }
  const relay = await client.sender({})
  await relay.send({
    body: { kind: 'value', value: new Map([['a', [1, 2n]]]) },
    to: { kind: 'topic', name: 't' },
  })
  await relay.send({ body: { kind: 'bytes', value: Buffer.alloc(3_000) }, to: { kind: 'queue', name: 'q' } })
  const temporary = await client.sender({
    target: target({ dynamic: true, capabilities: ['temporary-queue'] }),
  })
  const durable = {
    durable: 'unsettled-state',
    expiryPolicy: 'never',
    capabilities: ['topic', 'shared'],
  } as const
  const subscriber = await client.receiver({
    name: 's|1',
    source: source({ address: 't', ...durable }),
    credit: 5,
  })
  const receiver = await client.receiver({
    address: 'q',
    credit: 2,
    rcvSettleMode: 'second',
    desiredCapabilities: ['millrace'],
  })
  await bench.idle()
  const [first, second] = receiver.received
  await receiver.settle(first!, accepted, false)
  await receiver.settle(second!, { kind: 'modified', deliveryFailed: true, undeliverableHere: true })
  receiver.link.grant(10)
  receiver.link.drain()
  const browser = await client.receiver({
    source: source({ address: 'q', distributionMode: 'copy' }),
    credit: 10,
  })
  const answers = await client.receiver({ source: source({ dynamic: true }), credit: 5 })
  const management = await client.sender({ address: '$management' })
  const replyTo = { kind: 'queue', name: answers.attach!.source!.address! } as const
  const body = { kind: 'value', value: { queue: 'q' } } as const
  for (const operation of ['queues', 'browse', 'purge'])
    await management.send({ properties: { operation }, replyTo, body })
  await transact(bench, client)
  await client.receiver({ name: 's', source: null })
  await browser.leave(true)
  await subscriber.leave(false)
  temporary.link.detach(true)
  client.session.end()
  await client.close()
}

/** A transaction that is committed and one that is left open, and a half message that is asked for. */
async function transact(bench: GatewayBench, client: Client): Promise<void> {
  const coordinator = await client.sender({ target: { coordinator: true, capabilities: [] } })
  const say = async (bytes: Uint8Array): Promise<Uint8Array> => {
    const id = coordinator.link.send(false, 0, null, null, bytes, 0, bytes.length)
    await bench.idle()
    const state = coordinator.states.get(id)
    return state?.kind === 'declared' ? state.transaction : new Uint8Array()
  }
  const sender = await client.sender({ address: 'tx' })
  const receiver = await client.receiver({ address: 'tx', credit: 5 })
  await sender.send('in')
  for (const end of [true, false]) {
    const transaction = await say(encodeDeclare())
    const state = { kind: 'transactional', transaction } as const
    await sender.send('out', { state })
    for (const delivery of receiver.received.splice(0))
      await receiver.settle(delivery, { ...state, outcome: accepted }, end)
    if (end) await say(encodeDischarge(transaction, false))
  }
  await client.receiver({ address: '$prepared/g', credit: 5 })
  await sender.send('half', { prefix: prepareFor('g') })
}

function prepareFor(group: string): Uint8Array {
  const writer = new Writer()
  writer.descriptor(0x71)
  writer.map([[new AmqpSymbol('x-opt-prepare'), group]])
  return Uint8Array.from(writer.slice())
}

/** The header of the protocol, then frames; what the client says at once may be several. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.toString('latin1', at, at + 4) === 'AMQP' ? 8 : bytes.readUInt32BE(at)
    frames.push(bytes.subarray(at, at + size))
    at += size
  }
  return frames
}

/** Damages a few frames: bytes changed, frames left out, said twice, cut short with their size put right, swapped. */
function damage(frames: readonly Buffer[], random: SeededRandom): Buffer[] {
  const damaged = frames.map((frame) => Buffer.from(frame))
  const pick = (below: number): number => Math.floor(random.next() * below)
  for (let times = 1 + pick(4); times > 0; times--) {
    const at = 1 + pick(damaged.length - 1)
    const frame = damaged[at]!
    switch (pick(6)) {
      case 0:
        damaged.splice(at, 1)
        break
      case 1:
        damaged.splice(pick(damaged.length), 0, frame)
        break
      case 2:
        damaged[at] = Buffer.from(frame.subarray(0, 8 + pick(Math.max(1, frame.length - 8))))
        damaged[at]!.writeUInt32BE(damaged[at]!.length)
        break
      case 3:
        ;[damaged[at], damaged[1]] = [damaged[1]!, frame]
        break
      default:
        // Most of a frame is its body; its head is the framer's affair.
        for (let bytes = 1 + pick(3); bytes > 0 && frame.length > 8; bytes--) {
          const position = 8 + pick(frame.length - 8)
          frame[position] = random.next() < 0.5 ? pick(256) : (frame[position]! + 1) & 0xff
        }
    }
  }
  return damaged
}

test(`${runs} damaged conversations harm nobody else (SEED=${seed})`, async () => {
  const frames = await conversation()
  assert.ok(frames.length > 30, `${frames.length} frames`)
  const random = new SeededRandom(seed)
  const bench = await GatewayBench.start({ maxFrameSize: 1_024 })
  const neighbour = await bench.client()
  const sender = await neighbour.sender({ address: 'n' })
  const receiver = await neighbour.receiver({ address: 'n', credit: 1_000_000 })
  for (let run = 0; run < runs; run++) {
    const client = bench.mute()
    for (const frame of damage(frames, random)) {
      client.hosted.receive(frame)
      client.hosted.takeOutput()
      if (random.next() < 0.3) await bench.idle()
    }
    await bench.idle()
    assert.deepEqual(client.faults, [], `run ${run}`)
    client.hosted.cut()
    assert.equal(bench.bench.broker.connections().length, 1, `run ${run}`)
  }
  assert.equal(await sender.send('still there'), 'accepted')
  await receiver.settle(await receiver.takeOne())
  assert.equal(bench.gateway.size, 1)
  const held = bench.bench.broker
    .queues()
    .reduce((sum, { acquired, consumers }) => sum + acquired + consumers, 0)
  assert.equal(held, 1, 'the consumer of the neighbour alone')
})
