import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { Log } from '../../src/engine/log.ts'
import { type OperationBatch, OperationReader, OperationType } from '../../src/engine/ports/operations.ts'
import { forEachSettled } from '../../src/engine/ports/settle-operation.ts'
import type { Store } from '../../src/engine/ports/store.ts'
import { Queue } from '../../src/engine/queue.ts'
import { defaultPolicy } from '../../src/model/policy.ts'
import { seed } from './seed.ts'

/** A log whose batches are kept, and what their settle operations say, by queue. */
function recordedLog(): { log: Log; batches: OperationBatch[]; settled: () => Map<number, number[][]> } {
  const batches: OperationBatch[] = []
  const log = new Log({ commit: (batch: OperationBatch) => void batches.push(batch) } as Store)
  const settled = (): Map<number, number[][]> => {
    const byQueue = new Map<number, number[][]>()
    for (const batch of batches) {
      for (let i = 0; i < batch.count; i++) {
        if (batch.types[i] !== OperationType.settle) continue
        const reader = new OperationReader().reset(batch.bytes, batch.bodyStart(i), batch.bodyEnd(i))
        const queue = reader.varint()
        assert.equal(reader.byte(), 0, 'accepted')
        const lsns: number[] = []
        assert.ok(forEachSettled(reader, (lsn) => lsns.push(lsn), batch.lsns[i]!))
        assert.equal(reader.at, reader.end, 'nothing is left over')
        byQueue.set(queue, [...(byQueue.get(queue) ?? []), lsns])
      }
    }
    return byQueue
  }
  return { log, batches, settled }
}

function newQueue(id: number): Queue {
  const definition = {
    name: `${id}`,
    lifetime: { kind: 'forever' },
    policy: defaultPolicy,
    durability: 'disk',
  } as const
  return new Queue(id, definition, { filled: () => {}, emptied: () => {}, abandoned: () => {} })
}

suite('the log', () => {
  test('messages accepted in any order become one settle operation a queue and turn, of all and only them', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const turn = fc.uniqueArray(fc.integer({ min: 1, max: 300 }), { maxLength: 120 })
    const property = fc.property(fc.array(fc.tuple(turn, turn), { maxLength: 4 }), (turns) => {
      const { log, settled } = recordedLog()
      log.lastLsn = 1_000
      const queues = [newQueue(1), newQueue(2)]
      for (const accepted of turns) {
        accepted.forEach((lsns, index) => {
          for (const lsn of lsns) log.accepted(queues[index]!, lsn)
        })
        log.commit()
        assert.equal(log.pending, false)
      }
      for (const [index, { id }] of queues.entries()) {
        const expected = turns.map((accepted) => accepted[index]!.toSorted(byNumber)).filter(isSome)
        assert.deepEqual(settled().get(id) ?? [], expected)
      }
    })
    fc.assert(property, { seed, numRuns: 200 })
  })

  test('batches stay bounded in bytes and in the distance of their LSNs, and nothing is lost between them', () => {
    const { log, batches } = recordedLog()
    for (let i = 0; i < 5; i++) {
      log.begin(OperationType.chunk).putBytes(Buffer.alloc(600_000, i))
      log.end()
    }
    for (let i = 0; i < 3_000_000; i++) log.skip()
    log.begin(OperationType.chunk).putByte(1)
    log.end()
    log.commit()
    const lsns = batches.flatMap((batch) => [...batch.lsns.subarray(0, batch.count)])
    assert.deepEqual(lsns, [1, 2, 3, 4, 5, 3_000_006])
    for (const batch of batches) assert.ok(batch.length < 2 << 20)
    assert.equal(
      log.unsyncedBytes,
      batches.reduce((sum, { length }) => sum + length, 0),
    )
    log.becameDurable(5)
    assert.equal(log.unsyncedBytes, batches.at(-1)!.length)
    log.becameDurable(log.lastOperation)
    assert.equal(log.unsyncedBytes, 0)
  })

  test('batches of any sizes keep what was written and little memory beside it', () => {
    const { log, batches } = recordedLog()
    const usual = Array.from({ length: 20 }, () => [100_000, 30_000, 40_000, 10]).flat()
    const sizes = [...usual, ...new Array<number>(60).fill(500), 70_000]
    for (const [index, size] of sizes.entries()) {
      log.begin(OperationType.chunk).putBytes(Buffer.alloc(size, index))
      log.end()
      log.commit()
    }
    for (const [index, size] of sizes.entries()) {
      const { bytes, length } = batches[index]!
      const body = bytes.subarray(length - size, length)
      assert.ok(
        body.every((byte) => byte === index),
        `batch ${index} was written over`,
      )
    }
    const settledIn = batches.slice(1)
    const unused = settledIn.reduce((sum, { bytes, length }) => sum + bytes.length - length, 0)
    const used = settledIn.reduce((sum, { length }) => sum + length, 0)
    assert.ok(unused * 3 < used, `${unused} bytes unused beside ${used}`)
  })
})

function isSome(lsns: readonly number[]): boolean {
  return lsns.length > 0
}

function byNumber(a: number, b: number): number {
  return a - b
}
