import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import type { Settlement } from '../../src/engine/api.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from './seed.ts'
import { Bench, failed, type Peer, type Received, released } from './support.ts'

interface Sent {
  readonly number: number
  readonly color: string
  readonly group: string
  readonly priority: number
  wasDelivered: boolean
  /** Who has it. */
  holder: Actor | null
  gone: boolean
}

interface Actor {
  readonly peer: Peer
  readonly consumer: number
  readonly color: string | null
  readonly held: Received[]
  readonly refused: Set<number>
  credit: number
  /** By priority, and by group and priority: the last first delivery. */
  readonly last: Map<string, number>
}

const colors = ['red', 'green', 'blue', 'grey']
const refusal: Settlement = { outcome: 'modified', undeliverableHere: true }

/** Random consumers and senders on one queue, and beside it what must be true of every delivery and of every rest. */
class Model {
  readonly sent: Sent[] = []
  readonly owners = new Map<string, Actor>()
  actors: Actor[] = []
  private readonly bench: Bench
  private readonly random: SeededRandom
  private readonly grouping: boolean
  private sender: Peer

  constructor(bench: Bench, random: SeededRandom) {
    this.bench = bench
    this.random = random
    this.grouping = random.chance(0.7)
    bench.declare('dead')
    bench.declare('q', { maxDeliveries: 3, deadLetter: 'dead' })
    this.sender = bench.connect()
  }

  async run(steps: number, most: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      await this.step(most)
      await this.bench.idle()
      await this.checkRest()
    }
    await this.finish()
  }

  private async step(most: number): Promise<void> {
    const { random } = this
    const what = random.weighted({
      send: 8,
      join: 3,
      leave: 2,
      lose: 1,
      grant: 6,
      settle: 14,
      wait: 4,
      drain: 1,
      restart: 0.5,
    })
    if (what === 'send') this.send(random.between(1, most))
    else if (what === 'join' && this.actors.length < 6) this.join()
    else if (what === 'wait') await this.bench.advance(random.between(1, 300))
    else if (what === 'restart') await this.restart()
    else if (this.actors.length > 0)
      await this.act(what, this.actors[random.between(0, this.actors.length - 1)]!)
  }

  private async act(what: string, actor: Actor): Promise<void> {
    const { broker } = this.bench
    if (what === 'grant') {
      const credit = this.random.between(1, 30)
      actor.credit += credit
      broker.grant(actor.consumer, credit)
    } else if (what === 'drain') {
      broker.drain(actor.consumer, (lapsed) => {
        actor.credit -= lapsed
      })
    } else if (what === 'leave') {
      broker.cancel(actor.consumer, { release: true })
      this.gone(actor)
    } else if (what === 'lose') {
      actor.peer.disconnect()
      this.gone(actor)
    } else if (what === 'settle') this.settle(actor)
  }

  private send(count: number): void {
    for (let i = 0; i < count; i++) {
      const number = this.sent.length
      const color = colors[this.random.between(0, colors.length - 1)]!
      const group = this.grouping && this.random.chance(0.6) ? `g${this.random.between(0, 5)}` : ''
      const priority = this.random.chance(0.9) ? 4 : this.random.between(0, 9)
      this.sent.push({ number, color, group, priority, wasDelivered: false, holder: null, gone: false })
      this.sender.send('q', JSON.stringify({ number, color }), { group, priority })
    }
  }

  private join(): void {
    const peer = this.bench.connect()
    const color = this.random.chance(0.4) ? null : colors[this.random.between(0, 2)]!
    const consumer = this.bench.broker.consume(peer.id, {
      queue: 'q',
      selector: color === null ? '' : `color = '${color}'`,
    })
    const actor = { peer, consumer, color, held: [], refused: new Set<number>(), credit: 0, last: new Map() }
    peer.onDelivery = (delivery) => this.delivered(actor, delivery)
    this.actors.push(actor)
  }

  private delivered(actor: Actor, delivery: Received): void {
    const message = this.sent[JSON.parse(delivery.text).number]!
    assert.ok(takes(actor, message), 'a consumer gets what its selector chooses')
    assert.ok(message.holder === null, 'one consumer at a time has a message')
    assert.ok(!message.gone, 'what is settled does not come again')
    if (message.group !== '') this.checkGroup(actor, message)
    this.checkOrder(actor, message)
    message.holder = actor
    message.wasDelivered = true
    actor.credit--
    actor.held.push(delivery)
  }

  private checkGroup(actor: Actor, { group }: Sent): void {
    for (const other of this.sent)
      if (other.group === group && other.holder !== null)
        assert.ok(other.holder === actor, `one consumer at a time has messages of group ${group}`)
    this.owners.set(group, actor)
  }

  /** First deliveries to one consumer, of one priority, come in order: of no group, and of each group. */
  private checkOrder(actor: Actor, { number, group, priority, wasDelivered }: Sent): void {
    if (wasDelivered) return
    const key = `${priority} ${group}`
    assert.ok(number > (actor.last.get(key) ?? -1), `message ${number} of '${group}' comes in order`)
    actor.last.set(key, number)
  }

  private settle(actor: Actor): void {
    for (let left = this.random.between(1, 20); left > 0 && actor.held.length > 0; left--) {
      const [delivery] = actor.held.splice(this.random.between(0, actor.held.length - 1), 1)
      const message = this.sent[JSON.parse(delivery!.text).number]!
      const how = this.random.weighted({ accept: 12, release: 2, fail: 1.5, refuse: 0.5 })
      message.holder = null
      if (how === 'accept') message.gone = true
      if (how === 'refuse') actor.refused.add(message.number)
      actor.peer.settle(
        delivery!,
        how === 'accept' ? undefined : how === 'release' ? released : how === 'fail' ? failed : refusal,
      )
    }
  }

  private gone(actor: Actor): void {
    for (const delivery of actor.held) this.sent[JSON.parse(delivery.text).number]!.holder = null
    this.actors = this.actors.filter((other) => other !== actor)
  }

  private async restart(): Promise<void> {
    await this.bench.restart()
    for (const actor of [...this.actors]) this.gone(actor)
    this.sender = this.bench.connect()
  }

  /** Nobody with credit is left without a message that it could have. */
  private async checkRest(): Promise<void> {
    const hungry = this.actors.filter(({ credit }) => credit > 0)
    if (hungry.length === 0) return
    const here = await this.bench.browse('q')
    const entries = here.map(({ state, bytes, start, end }) => {
      const { number } = JSON.parse(Buffer.from(bytes.subarray(start, end)).toString())
      return { state, message: this.sent[number]! }
    })
    const parked = new Set(
      entries.filter(({ state }) => state === 'waiting').map(({ message }) => message.group),
    )
    for (const { state, message } of entries) {
      if (state !== 'ready' || (message.group !== '' && parked.has(message.group))) continue
      for (const actor of hungry) {
        if (
          !takes(actor, message) ||
          !this.isFree(
            message,
            actor,
            entries.map(({ state, message: other }) => ({ state, ...other })),
          )
        )
          continue
        assert.fail(
          `message ${message.number} of '${message.group}' is ready, and a consumer with credit ${actor.credit} takes it`,
        )
      }
    }
  }

  /** A member that its consumer does not take waits until nothing of the group is with anybody, and those behind with it. */
  private isFree(
    message: Sent,
    actor: Actor,
    entries: readonly (Sent & { readonly state: string })[],
  ): boolean {
    const { group } = message
    if (group === '') return true
    const owner = this.owners.get(group)
    const holders = new Set(
      this.sent.filter((other) => other.group === group && other.holder).map(({ holder }) => holder),
    )
    if (holders.size > 0) {
      const ready = entries.filter((other) => other.group === group && other.state === 'ready')
      return owner === actor && holders.has(actor) && ready.every((other) => takes(actor, other))
    }
    return owner === undefined || owner === actor || !this.actors.includes(owner) || !takes(owner, message)
  }

  /** Everybody goes; one who takes everything gets all that is left, once. */
  private async finish(): Promise<void> {
    for (const actor of [...this.actors]) {
      actor.peer.disconnect()
      this.gone(actor)
    }
    await this.bench.advance(5_000)
    const peer = this.bench.connect()
    peer.onDelivery = (delivery) => {
      const message = this.sent[JSON.parse(delivery.text).number]!
      assert.ok(!message.gone, 'what is settled does not come again')
      message.gone = true
      peer.settle(delivery)
    }
    peer.consume('q', 1_000_000)
    await this.bench.advance(5_000)
    for (const { text } of await this.bench
      .browse('dead')
      .then((dead) =>
        dead.map(({ bytes, start, end }) => ({ text: Buffer.from(bytes.subarray(start, end)).toString() })),
      )) {
      const message = this.sent[JSON.parse(text).number]!
      assert.ok(!message.gone, 'a dead letter was not settled')
      message.gone = true
    }
    assert.deepEqual(
      this.sent.filter(({ gone }) => !gone).map(({ number }) => number),
      [],
      'every message has gone somewhere',
    )
  }
}

function takes({ color, refused }: Actor, message: Sent): boolean {
  return (color === null || color === message.color) && !refused.has(message.number)
}

suite('consumers that do not want everything, and groups, against a model (DESIGN §4.8, §4.9)', () => {
  for (const candidates of [4, 40, 262_144]) {
    test(`random consumers with room for ${candidates} candidates`, async (t) => {
      t.diagnostic(`SEED=${seed}`)
      for (let i = 0; i < Number(process.env['RUNS'] ?? 6); i++) {
        const random = new SeededRandom(seed + i * 7919 + candidates)
        const bench = await Bench.onDisk({ candidates })
        await new Model(bench, random).run(80, 30)
      }
    })
  }
})
