/** Transactions as clients of all kinds ask for them (core part 4), and half messages. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { EngineOptions } from '../../src/engine/options.ts'
import { encodeDeclare, encodeDischarge } from '../../src/wire/amqp10/coordination.ts'
import {
  accepted,
  type DeliveryState,
  released,
  type TransactionalState,
} from '../../src/wire/amqp10/peer/performatives.ts'
import { AmqpSymbol } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'
import { type Client, GatewayBench, source, type TestReceiver, type TestSender } from './support.ts'

const OUTCOMES = ['amqp:accepted:list', 'amqp:rejected:list', 'amqp:released:list', 'amqp:modified:list']
const rejected = 'amqp:transaction:rollback'
const unknown = 'amqp:transaction:unknown-id'

/** A controller: what it says, and what it is answered. */
class Controller {
  readonly sender: TestSender
  private readonly bench: GatewayBench

  private constructor(bench: GatewayBench, sender: TestSender) {
    this.bench = bench
    this.sender = sender
  }

  static async attach(bench: GatewayBench, client: Client, outcomes = OUTCOMES): Promise<Controller> {
    const target = { coordinator: true, capabilities: ['amqp:local-transactions'] } as const
    return new Controller(bench, await client.sender({ target, source: source({ outcomes }) }))
  }

  async say(bytes: Uint8Array, settled = false): Promise<DeliveryState | undefined> {
    const id = this.sender.link.send(settled, 0, null, null, bytes, 0, bytes.length)
    await this.bench.idle()
    return this.sender.states.get(id)
  }

  /** The state of what is posted in the transaction. */
  async declare(): Promise<TransactionalState> {
    const state = await this.say(encodeDeclare())
    assert.equal(state?.kind, 'declared')
    assert.equal(state.transaction.length, 8)
    return { kind: 'transactional', transaction: state.transaction }
  }

  /** 'accepted', or the condition of the rejection. */
  async discharge({ transaction }: TransactionalState, fail = false): Promise<string | undefined> {
    const state = await this.say(encodeDischarge(transaction, fail))
    return state?.kind === 'rejected' ? state.error?.condition : state?.kind
  }
}

async function start(options: EngineOptions = {}): Promise<{
  bench: GatewayBench
  client: Client
  controller: Controller
  sender: TestSender
  receiver: TestReceiver
}> {
  const bench = await GatewayBench.start({}, options)
  const client = await bench.client()
  const controller = await Controller.attach(bench, client)
  const sender = await client.sender({ address: 'q' })
  const receiver = await client.receiver({ address: 'q', credit: 100 })
  return { bench, client, controller, sender, receiver }
}

function outcome(state: TransactionalState, outcome: DeliveryState): TransactionalState {
  return { ...state, outcome }
}

test('4.5.1: the coordinator says what it can do', async () => {
  const { controller } = await start()
  assert.deepEqual(controller.sender.attach?.target, {
    coordinator: true,
    capabilities: ['amqp:local-transactions', 'amqp:multi-txns-per-ssn', 'amqp:multi-ssns-per-txn'],
  })
})

test('4.4.1: what is posted is answered in its transaction, and seen when that is discharged', async () => {
  const { controller, sender, receiver } = await start()
  const [one, other] = [await controller.declare(), await controller.declare()]
  assert.notDeepEqual(one.transaction, other.transaction)
  for (const [text, state] of [
    ['a', one],
    ['b', other],
    ['c', one],
  ] as const) {
    assert.equal(await sender.send(text, { state }), 'transactional')
    assert.deepEqual([...sender.states.values()].at(-1), outcome(state, accepted))
  }
  assert.deepEqual(await receiver.take(), [])
  assert.equal(await controller.discharge(other, true), 'accepted')
  assert.deepEqual(await receiver.take(), [])
  assert.equal(await controller.discharge(one), 'accepted')
  assert.deepEqual(await receiver.take(), ['a', 'c'])
})

test('4.4.1: posting goes through the relay and to topics, pre-settled, and in many frames', async () => {
  const bench = await GatewayBench.start({ maxFrameSize: 512 })
  const client = await bench.client()
  const controller = await Controller.attach(bench, client)
  const relay = await client.sender()
  const fixed = await client.sender({ address: 'topic://t' })
  const queue = await client.receiver({ address: 'q', credit: 10 })
  const topic = await client.receiver({ address: 'topic://t', credit: 10 })
  const state = await controller.declare()
  const large = 'x'.repeat(2_000)
  relay.put({ to: { kind: 'queue', name: 'q' }, body: { kind: 'text', value: large } }, { state })
  fixed.put('settled', { state, settled: true })
  assert.deepEqual([await queue.take(), await topic.take()], [[], []])
  assert.equal(await controller.discharge(state), 'accepted')
  assert.deepEqual([await queue.take(), await topic.take()], [[large], ['settled']])
})

test('4.4.2: what is retired unsettled is settled by the broker when the transaction is discharged', async () => {
  const { bench, controller, sender, receiver } = await start()
  await sender.send('x')
  const delivery = await receiver.takeOne()
  const state = outcome(await controller.declare(), accepted)
  await receiver.settle(delivery, state, false)
  assert.equal(receiver.answers.size, 0)
  assert.equal(await controller.discharge(state), 'accepted')
  assert.equal(receiver.answers.get(delivery.id), 'transactional')
  assert.equal(bench.bench.broker.queue('q')!.messages, 0)
})

test('4.4.2: after a rollback what was retired unsettled is acquired still, and wants another disposition', async () => {
  const { bench, controller, sender, receiver } = await start()
  await sender.send('x')
  const delivery = await receiver.takeOne()
  const state = outcome(await controller.declare(), accepted)
  await receiver.settle(delivery, state, false)
  assert.equal(await controller.discharge(state, true), 'accepted')
  assert.equal(bench.bench.broker.queue('q')!.acquired, 1)
  assert.deepEqual(await receiver.take(), [])
  const again = outcome(await controller.declare(), accepted)
  await receiver.settle(delivery, again, false)
  assert.equal(await controller.discharge(again), 'accepted')
  assert.equal(bench.bench.broker.queue('q')!.messages, 0)
})

test('what was retired settled goes back when the transaction rolls back: in order, counted, at once', async () => {
  const { controller, sender, receiver } = await start()
  for (const text of ['a', 'b', 'c']) await sender.send(text)
  const [first, second] = await receiver.take().then(() => [{ id: 0 }, { id: 1 }])
  const state = outcome(await controller.declare(), accepted)
  await receiver.settle(first!, state)
  await receiver.settle(second!, state)
  await controller.discharge(state, true)
  assert.deepEqual(
    receiver.received.map(({ text, header }) => [text, header[4]]),
    [
      ['a', 1],
      ['b', 1],
    ],
  )
})

test('4.3: a transaction that is not there has an unknown id, on every way to it', async () => {
  const { bench, client, controller, sender, receiver } = await start()
  const state = await controller.declare()
  assert.equal(await controller.discharge(state), 'accepted')
  assert.equal(await controller.discharge(state), unknown)
  const foreign: TransactionalState = { kind: 'transactional', transaction: Uint8Array.of(1, 2) }
  assert.equal(await controller.discharge(foreign), unknown)
  await sender.send('x')
  const delivery = await receiver.takeOne()
  await receiver.settle(delivery, outcome(state, accepted))
  assert.equal(receiver.refusal, unknown)
  assert.equal(bench.bench.broker.queue('q')!.ready, 1, 'what it held went back')
  const other = await bench.client()
  const theirs = await other.sender({ address: 'q' })
  const mine = await controller.declare()
  assert.equal(await theirs.send('stolen', { state: mine }), unknown, 'it belongs to its connection')
  theirs.put('stolen', { state: mine, settled: true })
  await bench.idle()
  assert.equal(theirs.refusal, unknown, 'who wants no answer is told by the end of his link')
  assert.equal(await controller.discharge(mine), 'accepted')
  const again = await client.receiver({ address: 'q', credit: 10 })
  assert.deepEqual(await again.take(), ['x'])
})

test('4.2: what is open when its controller leaves is rolled back', async () => {
  const { controller, sender, receiver } = await start()
  const state = await controller.declare()
  await sender.send('x', { state })
  await sender.send('y')
  const delivery = await receiver.takeOne()
  await receiver.settle(delivery, outcome(state, accepted))
  controller.sender.link.detach(true)
  assert.deepEqual(await receiver.take(), ['y'])
  assert.equal(await sender.send('z', { state }), unknown)
})

test('what is open when its connection is lost is rolled back', async () => {
  const { bench, client, controller, sender, receiver } = await start()
  await sender.send('in')
  const delivery = await receiver.takeOne()
  const state = await controller.declare()
  await sender.send('out', { state })
  await receiver.settle(delivery, outcome(state, accepted))
  client.hosted.cut()
  const other = await bench.client()
  const again = await other.receiver({ address: 'q', credit: 10 })
  const { text, header } = await again.takeOne()
  assert.deepEqual([text, header[4]], ['in', 1])
})

test('a refused message is told its sender, and makes the discharge fail, whether it wanted an answer or not', async () => {
  const { bench, controller, sender, client } = await start()
  bench.bench.broker.declareQueue({ name: 'small', policy: { maxMessages: 1, overflow: 'reject' } })
  const small = await client.sender({ address: 'small' })
  const told = await controller.declare()
  assert.equal(await small.send('a', { state: told }), 'transactional')
  const id = small.put('b', { state: told })
  await bench.idle()
  const answer = small.states.get(id) as TransactionalState
  assert.equal(answer.outcome?.kind, 'rejected')
  assert.equal(await controller.discharge(told), rejected, 'a is not sent without b')
  assert.equal(bench.bench.broker.queue('small')!.messages, 0)
  assert.equal(await small.send('fills it'), 'accepted')
  const unheard = await controller.declare()
  small.put('c', { state: unheard, settled: true })
  await sender.send('d', { state: unheard })
  assert.equal(await controller.discharge(unheard), rejected)
  assert.equal(bench.bench.broker.queue('q')!.messages, 0)
})

test('a discharge in one piece with what was posted waits for what becomes of that', async () => {
  const { bench, controller, client } = await start()
  bench.bench.broker.declareQueue({ name: 'small', policy: { maxMessages: 1, overflow: 'reject' } })
  const small = await client.sender({ address: 'small' })
  const state = await controller.declare()
  small.put('a', { state, settled: true })
  small.put('b', { state, settled: true })
  assert.equal(await controller.discharge(state), rejected)
})

test('limits: a transaction that is too large, or idle for too long, is rolled back and says why', async () => {
  const { bench, controller, sender, receiver } = await start({
    maxTransactionOperations: 2,
    transactionTimeout: 1_000,
  })
  const large = await controller.declare()
  for (const text of ['a', 'b', 'c']) await sender.send(text, { state: large })
  const refusal = [...sender.states.values()].at(-1) as TransactionalState
  assert.equal(
    refusal.outcome?.kind === 'rejected' && refusal.outcome.error?.condition,
    'amqp:resource-limit-exceeded',
  )
  assert.equal(await controller.discharge(large), rejected)
  await sender.send('x')
  const delivery = await receiver.takeOne()
  const idle = await controller.declare()
  await receiver.settle(delivery, outcome(idle, accepted))
  await bench.bench.advance(2_000)
  assert.equal(await controller.discharge(idle), 'amqp:transaction:timeout')
  assert.deepEqual(await receiver.take(), ['x'])
})

test('limits: no more transactions than the broker takes', async () => {
  const { controller } = await start({ maxTransactions: 1 })
  const state = await controller.declare()
  const refused = await controller.say(encodeDeclare())
  assert.equal(refused?.kind === 'rejected' && refused.error?.condition, 'amqp:resource-limit-exceeded')
  await controller.discharge(state)
  await controller.declare()
})

test('bad words to the coordinator are rejected, or end the link of who takes no rejection (4.3)', async () => {
  const { bench, client, controller } = await start()
  const nonsense = await controller.say(Buffer.from([0, 0x53, 0x77, 0xa1, 1, 0x61]))
  assert.equal(nonsense?.kind === 'rejected' && nonsense.error?.condition, 'amqp:decode-error')
  const writer = new Writer()
  writer.raw(Buffer.from([0, 0x53, 0x77, 0, 0x53, 0x31, 0xc0, 4, 1, 0xa0, 1, 7]))
  const global = await controller.say(writer.slice())
  assert.equal(global?.kind === 'rejected' && global.error?.condition, 'amqp:not-implemented')
  const deaf = await Controller.attach(bench, client, ['amqp:accepted:list'])
  await deaf.say(encodeDischarge(Uint8Array.of(1), false))
  assert.equal(deaf.sender.refusal, unknown)
  const settled = await Controller.attach(bench, client, ['amqp:accepted:list'])
  await settled.say(encodeDeclare(), true)
  assert.equal(settled.sender.refusal, 'amqp:invalid-field')
  assert.deepEqual(client.faults, [])
})

function annotated(group: string): Uint8Array {
  const writer = new Writer()
  writer.descriptor(0x71)
  writer.map([[new AmqpSymbol('x-opt-prepare'), group]])
  return Uint8Array.from(writer.slice())
}

test('a half message is answered with its id; its producers are asked for it, and decide', async () => {
  const { bench, client, sender, receiver } = await start()
  const prefix = annotated('g')
  for (const text of ['a', 'b', 'c']) await sender.send(text, { prefix })
  const states = [...sender.states.values()] as TransactionalState[]
  const ids = states.map(({ transaction }) => Buffer.from(transaction).toString())
  assert.deepEqual(
    bench.bench.broker.prepared().map(({ id }) => id),
    ids,
  )
  assert.ok(states.every(({ outcome }) => outcome?.kind === 'accepted'))
  const checks = await client.receiver({ address: '$prepared/g', credit: 10 })
  assert.deepEqual(await checks.take(), [])
  await bench.bench.advance(6_000)
  await bench.idle()
  const asked = [...checks.received]
  assert.deepEqual(
    asked.map(({ text, annotations }) => [text, annotations.get('x-opt-prepared-id')]),
    ['a', 'b', 'c'].map((text, i) => [text, ids[i]]),
  )
  checks.received.length = 0
  await checks.settle(asked[0]!, accepted)
  await checks.settle(asked[1]!, { kind: 'rejected' }, false)
  await checks.settle(asked[2]!, released)
  assert.equal(checks.answers.get(asked[1]!.id), 'rejected')
  assert.deepEqual(await receiver.take(), ['a'])
  await bench.bench.advance(30_000)
  assert.deepEqual(await checks.take(), ['c'], 'what was left open is asked for again')
  await checks.leave(true)
  await bench.bench.advance(60_000)
  assert.deepEqual(
    bench.bench.broker.prepared().map(({ id, checks }) => [id, checks]),
    [[ids[2], 2]],
    'nobody is there to be asked',
  )
})

test('a half message without group, or in a transaction, is refused', async () => {
  const { controller, sender } = await start()
  assert.equal(await sender.send('x', { prefix: annotated('') }), 'amqp:invalid-field')
  const state = await controller.declare()
  await sender.send('x', { prefix: annotated('g'), state })
  const answer = [...sender.states.values()].at(-1) as TransactionalState
  assert.equal(answer.outcome?.kind, 'rejected')
})
