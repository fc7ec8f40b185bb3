import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { ConnectionSink } from '../../src/engine/api.ts'
import { Connection } from '../../src/engine/connection.ts'
import { Consumer } from '../../src/engine/consumer.ts'
import { CHUNK_SLOTS, Chunk } from '../../src/engine/index/chunk.ts'
import { ChunkImage, readChunkImage } from '../../src/engine/index/chunk-image.ts'
import type { Lane } from '../../src/engine/index/lane.ts'
import { PageChanges } from '../../src/engine/index/page-changes.ts'
import { isHeld, StateCode } from '../../src/engine/lifecycle.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import { Pager } from '../../src/engine/pager.ts'
import { ByteWriter, OperationReader } from '../../src/engine/ports/operations.ts'
import { Queue } from '../../src/engine/queue.ts'
import { defaultPolicy } from '../../src/model/policy.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'
import { seed } from './seed.ts'

interface Entry {
  readonly lsn: number
  readonly size: number
  readonly expiry: number
  readonly group: number
  state: number
  deliveries: number
  failures: number
  due: number
}

const definition = {
  name: 'q',
  lifetime: { kind: 'forever' },
  policy: defaultPolicy,
  durability: 'disk',
} as const

/** One lane under a pager that keeps a single chunk, and beside it the same as a plain array. */
class Twin {
  readonly clock = new VirtualClock()
  readonly store = new MemoryStore(this.clock)
  readonly pager: Pager
  readonly queue: Queue
  readonly lane: Lane
  readonly entries: Entry[] = []
  /** All that were ever written: what a checkpoint names is kept although it was freed. */
  readonly pages = new Map<number, Uint8Array>()
  /** Chunks in memory whose image only said what has changed since their page was written. */
  referring = 0
  private readonly random: SeededRandom
  private lsn = 0
  private grouping = false

  constructor(random: SeededRandom) {
    this.random = random
    const { store } = this
    const { writePage } = store
    store.writePage = (bytes) => {
      const page = writePage.call(store, bytes)
      this.pages.set(page, Uint8Array.from(bytes))
      return page
    }
    this.pager = new Pager(store, CHUNK_SLOTS, () => Number.POSITIVE_INFINITY)
    this.queue = new Queue(1, definition, this.pager)
    this.lane = this.queue.lane(4)
  }

  append(count: number): void {
    for (let i = 0; i < count; i++) {
      this.lsn += this.random.chance(0.9) ? 1 : this.random.between(2, 50)
      const size = this.random.between(0, 300)
      const expiry = this.random.chance(0.1) ? this.random.between(1, 1_000) : 0
      // Some chunks have no groups at all.
      const group = this.grouping && this.random.chance(0.5) ? this.random.between(1, 2 ** 32 - 1) : 0
      if (this.random.chance(0.001)) this.grouping = !this.grouping
      this.lane.append(this.lsn, size, expiry, 0, group)
      this.pager.makeRoom()
      this.entries.push({
        lsn: this.lsn,
        size,
        expiry,
        group,
        state: StateCode.ready,
        deliveries: 0,
        failures: 0,
        due: 0,
      })
    }
  }

  /** Acquires the first ready entries, as dispatch does. */
  acquire(count: number): void {
    const taken = this.entries.filter(({ state }) => state === StateCode.ready).slice(0, count)
    let number = 0
    for (const entry of taken) {
      const { chunk, slot } = this.firstReady(number)
      number = chunk.number
      assert.equal(chunk.lsnOf(slot), entry.lsn, 'ready entries come in order')
      this.set(entry, StateCode.acquired)
    }
  }

  private firstReady(from: number): { chunk: Chunk; slot: number } {
    for (let number = from; ; number++) {
      const chunk = this.lane.chunkWithReady(number)
      assert.ok(chunk, 'there is a chunk with a ready entry')
      if (!chunk.resident) this.load(chunk)
      const slot = chunk.nextReady(0)
      if (slot >= 0) return { chunk, slot }
      number = chunk.number
    }
  }

  /** Settles, releases or delays random entries that are acquired; wakes random ones that wait. */
  change(count: number): void {
    const held = this.entries.filter(({ state }) => state !== StateCode.ready)
    for (let i = 0; i < count && held.length > 0; i++) {
      const [entry] = held.splice(this.random.between(0, held.length - 1), 1)
      if (entry!.state === StateCode.waiting) this.set(entry!, StateCode.ready)
      else this.decide(entry!)
    }
  }

  private decide(entry: Entry): void {
    const how = this.random.weighted({ leave: 6, release: 2, wait: 2 })
    if (how === 'leave') {
      this.leave(entry)
    } else if (how === 'release') {
      this.set(entry, StateCode.ready)
    } else {
      const { chunk, slot } = this.find(entry.lsn)
      entry.failures++
      entry.deliveries += 2
      entry.due = this.random.between(1, 1_000)
      chunk.setFailures(slot, entry.failures)
      chunk.setDeliveries(slot, entry.deliveries)
      this.set(entry, StateCode.waiting)
      chunk.wait(slot, entry.due)
    }
  }

  leave(entry: Entry): void {
    this.set(entry, StateCode.accepted)
    this.entries.splice(this.entries.indexOf(entry), 1)
  }

  private set(entry: Entry, state: number): void {
    const { chunk, slot } = this.find(entry.lsn)
    this.queue.setState(this.lane, chunk, slot, state)
    entry.state = state
  }

  private find(lsn: number): { chunk: Chunk; slot: number } {
    const chunk = this.lane.chunkOf(lsn)
    assert.ok(chunk?.resident, 'a chunk with entries that are not ready stays in memory')
    const slot = chunk.find(lsn)
    assert.ok(slot >= 0)
    return { chunk, slot }
  }

  load(chunk: Chunk): void {
    this.pager.load(this.queue, this.lane, chunk, () => {})
    while (this.clock.step());
    assert.ok(chunk.resident)
  }

  /** The lane says the same as the array, without loading anything. */
  compareSums(): void {
    const { lane, entries, queue } = this
    const count = (state: number): number => entries.filter((entry) => entry.state === state).length
    assert.deepEqual(
      { live: lane.live, ready: lane.ready, bytes: lane.bytes, ...pick(queue) },
      {
        live: entries.length,
        ready: count(StateCode.ready),
        bytes: entries.reduce((sum, { size }) => sum + size, 0),
        waiting: count(StateCode.waiting),
        acquired: count(StateCode.acquired),
      },
    )
    const inner = lane.chunks.slice(0, -1).filter(({ resident, live }) => resident && live > 0)
    assert.equal(this.pager.chunks, inner.length, 'the pager counts what is in memory')
    for (const { lsn, expiry } of entries) {
      if (expiry > 0) assert.ok(lane.chunkOf(lsn)!.minExpiry <= expiry, 'no entry expires before minExpiry')
    }
  }

  /** As a checkpoint does, of which the one before began when so many more entries were not there yet. */
  settle(count: number): void {
    const lsn = this.entries.at(-count)?.lsn ?? this.lsn
    this.pager.settle(lsn)
    this.pager.settleLast(this.queue, lsn)
  }

  /** Somebody consumes, or nobody does. */
  consume(count: number): void {
    this.queue.consumers = count % 2 === 0 ? [] : [nobody]
  }

  /** Takes images of all chunks; answers how to compare them with what there was then. */
  photograph(): () => void {
    const living = [...this.lane.living()]
    this.referring += living.filter((chunk) => chunk.resident && chunk.changed() !== undefined).length
    const images = living.map((chunk) => new ChunkImage(chunk))
    const then = this.entries.map((entry) => ({ ...entry }))
    return () => {
      const found = images.flatMap((image) => {
        const writer = new ByteWriter()
        image.take(writer)
        const chunk = new Chunk(0, 4)
        readChunkImage(new OperationReader().reset(writer.bytes, 0, writer.length), chunk)
        if (!chunk.resident) chunk.restore(this.pages.get(chunk.page)!)
        return entriesOf(chunk)
      })
      // Whoever held a message is gone after a restart.
      const isHeldNow = (entry: Entry): boolean => entry.state === StateCode.acquired
      assert.deepEqual(
        found,
        then
          .map(comparable)
          .map((entry) => (isHeldNow(entry) ? { ...entry, state: StateCode.ready } : entry)),
      )
    }
  }

  compareEntries(): void {
    const found: Entry[] = []
    for (const chunk of [...this.lane.chunks]) {
      if (chunk.live === 0) continue
      if (!chunk.resident) this.load(chunk)
      found.push(...entriesOf(chunk))
    }
    assert.deepEqual(found, this.entries.map(comparable))
  }
}

const connection = new Connection(1, {} as ConnectionSink, undefined, 0)
const nobody = new Consumer(1, new Queue(2, definition, {} as Pager), connection, { queue: 'q' })

function pick({ waiting, acquired }: Queue): { waiting: number; acquired: number } {
  return { waiting, acquired }
}

function comparable(entry: Entry): Entry {
  return entry.state === StateCode.waiting ? entry : { ...entry, due: 0 }
}

function entriesOf(chunk: Chunk): Entry[] {
  const entries: Entry[] = []
  for (let slot = 0; slot < chunk.length; slot++) {
    const state = chunk.stateOf(slot)
    if (!isHeld(state)) continue
    entries.push({
      lsn: chunk.lsnOf(slot),
      size: chunk.sizeOf(slot),
      expiry: chunk.expiryOf(slot),
      group: chunk.groupOf(slot),
      state,
      deliveries: chunk.deliveriesOf(slot),
      failures: chunk.failuresOf(slot),
      due: state === StateCode.waiting ? chunk.dueOf(slot) : 0,
    })
  }
  return entries
}

const few = fc.integer({ min: 1, max: 20 })
const many = fc.integer({ min: 500, max: 3_000 })
const step = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), count: fc.oneof(few, many) }),
  fc.record({
    kind: fc.constantFrom('acquire' as const, 'change' as const, 'consume' as const, 'settle' as const),
    count: fc.oneof(few, few, many),
  }),
)

suite('the index of a queue does what a plain array does (DESIGN §6)', () => {
  test('append, acquire, settle, release, wait, page and checkpoints, with room for one chunk', (t) => {
    t.diagnostic(`SEED=${seed}`)
    let evictions = 0
    let referring = 0
    const property = fc.property(
      fc.array(step, { minLength: 8, maxLength: 20 }),
      fc.nat(3),
      fc.integer({ min: 0 }),
      (steps, photographAt, from) => {
        const twin = new Twin(new SeededRandom(from))
        let compareImages = (): void => {}
        for (const [i, { kind, count }] of steps.entries()) {
          if (i % 4 === photographAt) {
            compareImages()
            compareImages = twin.photograph()
          }
          twin[kind](count)
          twin.compareSums()
        }
        compareImages()
        twin.compareEntries()
        evictions += twin.pages.size
        referring += twin.referring
      },
    )
    fc.assert(property, { seed, numRuns: 40 })
    t.diagnostic(`${evictions} chunks went to pages, ${referring} images referred to one`)
    assert.ok(evictions >= 10 && referring >= 3)
  })

  test('what is written is read back, with the patches that came while it lay in a page', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const patch = fc.record({
      index: fc.nat(),
      gone: fc.boolean(),
      deliveries: fc.integer({ min: 0, max: 9 }),
      failures: fc.integer({ min: 0, max: 9 }),
      due: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_000 })),
    })
    const property = fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.array(patch, { maxLength: 20 }),
      fc.integer({ min: 0 }),
      (count, patches, from) => {
        const twin = new Twin(new SeededRandom(from))
        twin.append(count)
        const chunk = twin.lane.chunks[0]!
        const expected = new Map(twin.entries.map((entry) => [entry.lsn, { ...entry }]))
        const page = written(chunk)
        chunk.evict(1)
        for (const { index, ...rest } of patches) {
          const { lsn } = twin.entries[index % count]!
          chunk.patch({ ...rest, lsn })
          apply(expected, { ...rest, lsn })
        }
        // The patches are part of a snapshot that is taken before the page is loaded.
        const copy = twin.lane.newChunk()
        const changes = writtenChanges(chunk)
        copy.evict(1, PageChanges.read(new OperationReader().reset(changes, 0, changes.length)))
        for (const one of [chunk, copy]) {
          const waiting = one.restore(page)
          assert.deepEqual(entriesOf(one), [...expected.values()].map(comparable))
          assert.equal(one.live, expected.size)
          const isWaiting = [...expected.values()].filter(({ state }) => state === StateCode.waiting)
          assert.deepEqual(
            waiting.map((slot) => one.lsnOf(slot)),
            isWaiting.map(({ lsn }) => lsn),
          )
        }
      },
    )
    fc.assert(property, { seed, numRuns: 200 })
  })

  test('a lane finds an entry also when a chunk between held nothing that survived a restart', () => {
    const twin = new Twin(new SeededRandom(1))
    for (const lsn of [10, 0, 20]) {
      const chunk = twin.lane.newChunk()
      if (lsn > 0) chunk.append(lsn, 1, 0, 0)
      twin.lane.restore(chunk)
    }
    for (const lsn of [10, 20]) assert.equal(twin.lane.chunkOf(lsn)?.lsnOf(0), lsn)
    assert.equal(twin.lane.after(twin.lane.chunkOf(10)!), twin.lane.chunkOf(20))
    twin.append(CHUNK_SLOTS)
    assert.equal(twin.lane.chunkWithReady(0)?.firstLsn, 10)
  })

  test('what somebody consumes next stays in memory; what nobody consumes may go, the oldest first', () => {
    for (const consumers of [0, 1]) {
      const twin = new Twin(new SeededRandom(1))
      twin.consume(consumers)
      twin.append(CHUNK_SLOTS * 6)
      const resident = twin.lane.chunks.map((chunk) => chunk.resident)
      const ofConsumed = [true, true, false, false, false, true]
      assert.deepEqual(resident, consumers > 0 ? ofConsumed : [false, false, false, false, true, true])
    }
  })

  test('one message that stays does not keep what came after it in memory', () => {
    const twin = new Twin(new SeededRandom(1))
    twin.append(1)
    twin.acquire(1)
    for (let i = 0; i < 200; i++) {
      twin.append(CHUNK_SLOTS)
      twin.acquire(CHUNK_SLOTS)
      while (twin.entries.length > 1) twin.leave(twin.entries[1]!)
    }
    assert.ok(twin.lane.chunks.length < 80, `${twin.lane.chunks.length} chunks for a message`)
    twin.append(10)
    twin.compareEntries()
  })

  test('a chunk counts once against the budget, also when it was the last of its lane as it was loaded', () => {
    const twin = new Twin(new SeededRandom(1))
    const chunk = twin.lane.newChunk()
    chunk.append(1, 1, 0, 0)
    chunk.evict(twin.store.writePage(written(chunk)))
    chunk.live = 1
    chunk.ready = 1
    twin.lane.restore(chunk)
    twin.load(chunk)
    assert.equal(twin.pager.chunks, 0)
    twin.append(CHUNK_SLOTS + 1)
    assert.equal(twin.pager.chunks, 1)
  })
})

function written(chunk: Chunk): Uint8Array {
  const writer = new ByteWriter()
  chunk.write(writer)
  return Uint8Array.from(writer.bytes.subarray(0, writer.length))
}

function writtenChanges(chunk: Chunk): Uint8Array {
  const writer = new ByteWriter()
  chunk.changed()!.write(writer)
  return writer.bytes.subarray(0, writer.length)
}

function apply(
  entries: Map<number, Entry>,
  patch: { lsn: number; gone: boolean; deliveries: number; failures: number; due: number },
): void {
  const entry = entries.get(patch.lsn)
  if (entry === undefined) return
  if (patch.gone) entries.delete(patch.lsn)
  else {
    const { deliveries, failures, due } = patch
    Object.assign(entry, { deliveries, failures, due, state: due > 0 ? StateCode.waiting : StateCode.ready })
  }
}
