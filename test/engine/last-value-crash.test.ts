import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { SeededRandom } from '../../src/testing/random.ts'
import { known, policy, send, valueIn, values } from './last-value-support.ts'
import { replayable } from './replayable-store.ts'
import { seed } from './seed.ts'
import { Bench, type Received, released } from './support.ts'

suite('last values survive a crash', () => {
  test('after every single operation, with a checkpoint or without: no key has two values nor loses its last', async () => {
    for (const isChecked of [false, true]) {
      const { bench, store } = await replayable()
      bench.declare('q', policy)
      const peer = bench.connect()
      for (const [v, k] of ['a', 'b', 'a'].entries()) send(peer, 'q', k, v)
      await bench.idle()
      peer.consume('q', 1)
      const transaction = peer.begin()
      send(peer, 'q', 'c', 3, { transaction })
      send(peer, 'q', 'a', 4, { transaction })
      await bench.idle()
      const begun = store.types.length
      if (isChecked) store.takeCheckpoint()
      send(peer, 'q', 'b', 5)
      await bench.idle()
      await bench.commit(transaction)
      for (const [v, k] of ['b', 'c', 'a', 'c'].entries()) send(peer, 'q', k, 6 + v)
      await bench.idle()
      for (let count = begun; count <= store.types.length; count++) {
        const left = await Bench.on(({ clock }) => store.prefix(count, clock))
        await left.advance(1)
        const found = (await left.texts('q')).map((text) => JSON.parse(text) as { k: string; v: number })
        const keys = found.map(({ k }) => k)
        assert.equal(new Set(keys).size, keys.length, `${count}: ${JSON.stringify(found)}`)
        for (const k of ['a', 'b']) assert.ok(keys.includes(k), `${count}: ${k} of ${JSON.stringify(found)}`)
        if (count === store.types.length)
          assert.deepEqual(
            found.map(({ v }) => v),
            [6, 8, 9],
          )
      }
    }
  })

  test('a checkpoint knows what a later one has outdated, and does not when that one is lost', async () => {
    const { bench, store } = await replayable()
    bench.declare('q', policy)
    const peer = bench.connect()
    for (const [v, k] of ['a', 'b'].entries()) send(peer, 'q', k, v)
    peer.consume('q', 2)
    await bench.idle()
    peer.take()
    send(peer, 'q', 'a', 2)
    send(peer, 'q', 'b', 3, { durability: 'memory' })
    peer.consume('q', 2)
    await bench.idle()
    peer.settleAll(peer.take())
    await bench.idle()
    assert.deepEqual(await values(bench), [0, 1])
    store.takeCheckpoint()
    const left = await Bench.on(({ clock }) => store.prefix(store.types.length, clock))
    await left.advance(1)
    assert.deepEqual(await values(left), [1])
  })

  test('what level memory outdates is not to come back when a durable one has outdated it too, before that or after', async () => {
    for (const memoryFirst of [true, false]) {
      const { bench, store } = await replayable()
      bench.declare('q', policy)
      const peer = bench.connect()
      send(peer, 'q', 'a', 0)
      peer.consume('q', 1)
      await bench.idle()
      peer.take()
      if (memoryFirst) send(peer, 'q', 'a', 1, { durability: 'memory' })
      send(peer, 'q', 'a', 2)
      // Of level memory it counts at once, and so before the one that waits for the disk.
      if (!memoryFirst) send(peer, 'q', 'a', 3, { durability: 'memory' })
      await bench.idle()
      peer.consume('q', 1)
      await bench.idle()
      peer.settleAll(peer.take())
      await bench.idle()
      assert.deepEqual(await values(bench), [0], 'only what is held')
      store.takeCheckpoint()
      const left = await Bench.on(({ clock }) => store.prefix(store.types.length, clock))
      await left.advance(1)
      assert.deepEqual(await values(left), [], `memory first: ${memoryFirst}`)
    }
  })

  test(`any history comes to what a map comes to (SEED=${seed})`, async () => {
    for (let run = 0; run < 12; run++) await history(new SeededRandom(seed + run))
  })
})

interface Known {
  readonly k: number
  readonly v: number
  held: Received | undefined
  outdated: boolean
}

/** Sends, deliveries, settlements, transactions, restarts and crashes on the journal, beside a list that is searched. */
async function history(random: SeededRandom): Promise<void> {
  const bench = await Bench.onDisk({ residentEntries: 1 })
  bench.declare('q', { ...policy, maxDeliveries: undefined })
  let peer = bench.connect()
  let model: Known[] = []
  let v = 0
  const below = (count: number): number => Math.floor(random.next() * count)
  const arrive = (arrived: readonly { k: number; v: number }[]): void => {
    for (const one of arrived) {
      for (const other of model) if (other.k === one.k) other.outdated = true
      model = model.filter(({ held, outdated }) => held !== undefined || !outdated)
      model.push({ ...one, held: undefined, outdated: false })
    }
  }
  const free = (known: Known): void => {
    known.held = undefined
    if (known.outdated) model.splice(model.indexOf(known), 1)
  }
  const publish = (transaction?: number): { k: number; v: number } => {
    const message = { k: below(6), v: v++ }
    send(peer, 'q', message.k, message.v, { transaction })
    return message
  }
  for (let step = 0; step < 60; step++) {
    const choice = below(12)
    if (choice < 4) arrive(Array.from({ length: 1 + below(4) }, () => publish()))
    else if (choice < 6) {
      const transaction = peer.begin()
      const sent = Array.from({ length: 1 + below(4) }, () => publish(transaction))
      await bench.idle()
      if (below(3) === 0) await bench.rollback(transaction)
      else if ((await bench.commit(transaction)) === undefined) arrive(sent)
    } else if (choice < 9) {
      const waiting = model.filter(({ held }) => held === undefined).length
      if (waiting === 0) continue
      peer.consume('q', 1 + below(Math.min(2, waiting)))
      await bench.idle()
      for (const delivery of peer.take()) {
        const known = model.find((one) => one.v === valueIn(delivery.text))
        assert.ok(
          known && known.held === undefined && !known.outdated,
          `${delivery.text} was there to be had`,
        )
        known.held = delivery
      }
    } else if (choice < 11) {
      const known = model.find(({ held }) => held !== undefined)
      if (known === undefined) continue
      const isAccepted = below(2) === 0
      // The consumers have no credit left, so that nobody takes it at once.
      peer.settle(known.held!, isAccepted ? undefined : released)
      if (isAccepted) model.splice(model.indexOf(known), 1)
      else free(known)
    } else {
      await bench.idle()
      await bench[(['restart', 'crash', 'kill'] as const)[below(3)]!]()
      peer = bench.connect()
      for (const known of [...model]) free(known)
    }
    await bench.idle()
    assert.deepEqual(
      await values(bench),
      model.map((known) => known.v),
      `step ${step}`,
    )
  }
  assert.equal(bench.status('q').messages, model.length)
  assert.equal(known(bench), model.length, 'no more keys are known than messages are there')
}
