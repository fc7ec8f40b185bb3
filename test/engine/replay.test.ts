import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SeededRandom } from '../../src/testing/random.ts'
import { type ReplayableStore, replayable } from './replayable-store.ts'
import { seed } from './seed.ts'
import {
  type Bench,
  failed,
  type Peer,
  type Received,
  rejected,
  released,
  steadyBackoff,
  textOf,
} from './support.ts'

const SEEDS = Number(process.env['SEEDS'] ?? 20)
const names = ['a', 'b', 'c'] as const

/** Everything about a broker that must be the same after it is opened again. */
async function stateOf(bench: Bench): Promise<string> {
  const queues = []
  for (const { definition } of bench.broker.queues()) {
    const messages = []
    for (const message of await bench.browse(definition.name)) {
      if (!message.durable) continue
      const { lsn, annotations, priority, expiry, state } = message
      const counts = state === 'waiting' ? await countsOf(bench, lsn, definition.name) : {}
      messages.push({ lsn, text: textOf(message), annotations, priority, expiry, state, ...counts })
    }
    queues.push({ definition, messages })
  }
  const bindings = bench.broker.bindings().map((binding) => JSON.stringify(binding))
  const state = {
    prepared: bench.broker
      .prepared()
      .map(({ id, group, key, queues, checks }) => ({ id, group, key, queues, checks })),
    queues: queues.sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1)),
    bindings: bindings.sort(),
    exchanges: bench.broker.exchanges().map(({ name }) => name),
  }
  return JSON.stringify(state, null, 1)
}

async function countsOf(bench: Bench, lsn: number, queue: string): Promise<object> {
  const locations = await bench.locate(lsn)
  const { deliveryCount, failures, due } = locations.find((location) => location.queue === queue)!
  return { deliveryCount, failures, due }
}

/** Random work on a broker whose checkpoints are taken a section at a time in between. */
class Workload {
  readonly bench: Bench
  private readonly random: SeededRandom
  private peer: Peer
  private count = 0
  private held: Received[] = []
  private open: number[] = []

  constructor(bench: Bench, random: SeededRandom) {
    this.bench = bench
    this.random = random
    this.peer = bench.connect()
  }

  async work(): Promise<void> {
    const kinds = {
      send: 8,
      deep: 1,
      settle: 8,
      transaction: 8,
      half: 3,
      topology: 4,
      remove: 2,
      section: 6,
      time: 2,
    }
    await this[this.random.weighted(kinds)]()
  }

  private send(): void {
    const durability = this.random.pick(['disk', 'disk', 'os', 'memory'] as const)
    const priority = this.random.pick([4, 4, 7])
    const expiry = this.random.chance(0.1) ? this.bench.clock.wall() + this.random.between(1, 3_000) : 0
    for (let i = this.random.between(1, 5); i > 0; i--) {
      const text = `${this.count++}`
      const transaction = this.random.chance(0.5) ? this.random.pick([undefined, ...this.open]) : undefined
      const more = { durability, priority, expiry, transaction }
      if (this.random.chance(0.5)) this.peer.send(this.random.pick(names), text, more)
      else this.peer.publish('amq.fanout', 'k', text, more)
    }
  }

  /** Enough to fill chunks, so that some are paged; now and then one of nothing but memory messages. */
  private async deep(): Promise<void> {
    const durability = this.random.pick(['disk', 'disk', 'memory'] as const)
    for (let i = 0; i < 1_500; i++) this.peer.send('a', `${this.count++}`, { durability })
    await this.bench.idle()
  }

  private async settle(): Promise<void> {
    const queue = this.random.pick(names)
    if (this.bench.broker.queue(queue) === undefined) return
    const consumer = this.peer.consume(queue, this.random.pick([1, 3, 30, 1_200]))
    await this.bench.idle()
    for (const delivery of this.peer.take()) {
      const settlement = this.random.pick([undefined, undefined, released, failed, rejected, null])
      if (settlement === null) this.held.push(delivery)
      else this.peer.settle(delivery, settlement, undefined, this.random.pick([undefined, ...this.open]))
    }
    if (this.random.chance(0.5)) this.bench.broker.cancel(consumer, { release: this.random.chance(0.5) })
    if (this.random.chance(0.3)) for (const delivery of this.held.splice(0)) this.peer.settle(delivery)
    if (this.random.chance(0.05)) this.reconnect()
  }

  private transaction(): void {
    const { broker } = this.bench
    const kind = this.random.weighted({ begin: 3, commit: 3, rollback: 1 })
    if (kind === 'begin' && this.open.length < 3) this.open.push(this.peer.begin())
    const transaction = kind === 'begin' ? undefined : this.open.shift()
    if (transaction === undefined) return
    // Often between two sections of a checkpoint, decided and not durable.
    if (kind === 'commit') broker.commitTransaction(transaction, () => {})
    else broker.rollbackTransaction(transaction, () => {})
    if (this.random.chance(0.5)) this.section()
  }

  private half(): void {
    const { broker } = this.bench
    const prepare = { group: 'g' }
    const [oldest] = broker.prepared()
    if (oldest !== undefined && this.random.chance(0.5)) {
      broker.decidePrepared(oldest.id, this.random.pick(['commit', 'rollback']), () => {})
      if (this.random.chance(0.5)) this.section()
    } else if (this.random.chance(0.5)) {
      this.peer.send(this.random.pick(names), `${this.count++}`, { prepare })
    } else {
      this.peer.publish('amq.fanout', 'k', `${this.count++}`, { prepare })
    }
    if (this.random.chance(0.3)) broker.joinGroup(this.peer.id, 'g')
  }

  private reconnect(): void {
    this.open = []
    this.peer.disconnect()
    this.peer = this.bench.connect()
    this.held = []
  }

  private topology(): void {
    const { broker } = this.bench
    const queue = this.random.pick(names)
    broker.declareQueue({ name: queue, policy: { maxDeliveries: 2, backoff: steadyBackoff } })
    const binding = { exchange: 'amq.fanout', queue, key: this.random.pick(['x', 'y']) }
    if (this.random.chance(0.7)) broker.bind(binding)
    else broker.unbind(binding)
    const exchange = this.random.pick(['e', 'f'])
    if (this.random.chance(0.5)) broker.declareExchange({ name: exchange, kind: 'direct' })
    else broker.deleteExchange(exchange)
  }

  private remove(): void {
    const queue = this.random.pick(names)
    const { broker } = this.bench
    if (broker.queue(queue) === undefined) return
    if (this.random.chance(0.7)) broker.deleteQueue(queue, {}, () => {})
    else broker.purgeQueue(queue, () => {})
    // Often at once under the same name, between two sections of a checkpoint.
    if (this.random.chance(0.7)) this.topology()
  }

  private section(): void {
    const store = this.bench.store as ReplayableStore
    if (this.random.chance(0.3)) store.takeCheckpoint()
    else store.takeSection()
  }

  private async time(): Promise<void> {
    await this.bench.advance(this.random.between(1, 500))
  }
}

/** A message that came back although it was settled has no bytes any more: delivering it would find it damaged. */
async function deliverAll(bench: Bench): Promise<void> {
  const peer = bench.connect()
  const names = bench.broker.queues().map(({ definition }) => definition.name)
  const consumers = names.map((queue) => peer.consume(queue, 100_000))
  await bench.idle()
  for (const queue of names) assert.equal(bench.status(queue).departed.quarantined, 0, queue)
  for (const consumer of consumers) bench.broker.cancel(consumer, { release: true })
  peer.disconnect()
}

async function run(from: number): Promise<void> {
  const random = new SeededRandom(from)
  const { bench } = await replayable({
    residentEntries: random.pick([1, 3_000, 100_000]),
    policies: [{ match: '#', policy: { maxDeliveries: 2, backoff: steadyBackoff } }],
  })
  for (let life = 0; life < 3; life++) {
    const workload = new Workload(bench, random)
    for (let i = 0; i < 60; i++) {
      await workload.work()
      if (random.chance(0.3)) await bench.idle()
    }
    // With nobody told, what is with consumers comes back, and transactions that are open are rolled back.
    if (random.chance(0.5))
      for (const connection of [...Array(1_000).keys()]) bench.broker.disconnect(connection)
    await bench.idle()
    const before = (await stateOf(bench)).replaceAll('"state": "acquired"', '"state": "ready"')
    await bench.reopen()
    assert.equal(await stateOf(bench), before)
    await deliverAll(bench)
  }
}

test('promises 1, 3: after replay from a checkpoint taken at any pace, everything durable is as it was', async (t) => {
  t.diagnostic(`SEED=${seed} SEEDS=${SEEDS}`)
  for (let i = 0; i < SEEDS; i++) {
    await run(seed + i).catch((cause: unknown) => {
      throw new Error(`replay with SEED=${seed + i} SEEDS=1`, { cause })
    })
  }
})
