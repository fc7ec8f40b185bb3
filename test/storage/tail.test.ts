import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { OperationBatch, OperationType } from '../../src/engine/ports/operations.ts'
import { Slice } from '../../src/engine/ports/store.ts'
import { Tail } from '../../src/storage/tail.ts'
import { VirtualClock } from '../../src/testing/virtual-clock.ts'

const MIB = 2 ** 20
const SIZE = 64 * 1024
/** Messages of a batch each. */
const LIMIT_COUNT = (16 * MIB) / SIZE

/** A tail of 16 MiB, into which messages come that fill a batch each. */
class Filled {
  readonly clock: VirtualClock = new VirtualClock()
  readonly tail: Tail = new Tail(this.clock, 16 * MIB)
  newest = 0

  add(written: number = this.newest + 1): void {
    const batch = new OperationBatch(SIZE)
    batch.begin(OperationType.publish, ++this.newest)
    batch.putBytes(new Uint8Array(10))
    batch.end()
    this.tail.add(batch, written)
  }

  has(lsn: number): boolean {
    return this.tail.find(lsn, new Slice())
  }

  /** Looks for the oldest one that is kept, from the newest back. */
  get kept(): number {
    let lsn = this.newest
    while (this.has(lsn)) lsn--
    return this.newest - lsn
  }
}

suite('the tail of the journal keeps in memory what will be asked for', () => {
  test('nobody reads: all of it, up to the limit, the newest of it', () => {
    const filled = new Filled()
    for (let i = 0; i < 1_000; i++) filled.add()
    assert.equal(filled.kept, LIMIT_COUNT)
  })

  test('readers keep up: what they have passed is soon dropped, what is to come is there', () => {
    const filled = new Filled()
    for (let i = 0; i < 1_000; i++) {
      filled.add()
      assert.ok(filled.has(filled.newest))
    }
    const { kept } = filled
    assert.ok(kept >= MIB / SIZE && kept <= (4 * MIB) / SIZE, `${kept} batches are kept`)
  })

  test('readers keep up while little comes in: what they have passed is dropped all the sooner', async () => {
    const filled = new Filled()
    for (let i = 0; i < 1_000; i++) {
      await filled.clock.advance(10)
      filled.add()
      assert.ok(filled.has(filled.newest))
    }
    assert.ok(filled.kept <= MIB / SIZE / 2, `${filled.kept} batches are kept`)
  })

  test('one reader is behind: all is kept from his place on, wherever the others are', () => {
    const filled = new Filled()
    const behind = LIMIT_COUNT - 10
    for (let i = 0; i < 1_000; i++) {
      filled.add()
      const lsn = Math.max(1, filled.newest - behind)
      if (i % 10 === 0) assert.ok(filled.has(lsn), `${lsn} of ${filled.newest}`)
      assert.ok(filled.has(filled.newest))
    }
  })

  test('a reader stops: what comes from then on is kept up to the limit', () => {
    const filled = new Filled()
    for (let i = 0; i < 1_000; i++) {
      filled.add()
      if (i < 500) assert.ok(filled.has(filled.newest))
      if (i === 700) assert.ok(filled.has(501))
    }
    assert.equal(filled.kept, LIMIT_COUNT)
  })

  test('what is not written stays, however much it is', () => {
    const filled = new Filled()
    for (let i = 0; i < 1_000; i++) {
      filled.add(100)
      assert.ok(filled.has(filled.newest))
    }
    assert.ok(filled.has(101))
  })
})
