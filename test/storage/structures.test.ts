import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  OperationBatch,
  OperationReader,
  OperationType,
  PublishFlag,
  PublishHead,
  writePublish,
} from '../../src/engine/ports/operations.ts'
import { Slice } from '../../src/engine/ports/store.ts'
import { Bitmap } from '../../src/storage/bitmap.ts'
import { readExtent, writeExtent } from '../../src/storage/checkpoint-format.ts'
import { Extent } from '../../src/storage/extent.ts'
import { FILE_HEADER, FileKind, readFileHeader, writeFileHeader } from '../../src/storage/format.ts'
import { sizeCode, sizeOfCode } from '../../src/storage/live-block.ts'
import { dropBytes } from '../../src/storage/node-disk.ts'
import { PublishFacts } from '../../src/storage/publish-facts.ts'
import { Round } from '../../src/storage/round.ts'
import { Segment } from '../../src/storage/segment.ts'
import { SparseTable, STRETCH } from '../../src/storage/sparse-table.ts'
import { Stretch } from '../../src/storage/stretch.ts'
import { Survivors } from '../../src/storage/survivors.ts'
import { seed } from './support.ts'

const settings = { seed, numRuns: 60 }
const long = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER - 2 ** 24 })

test('file headers are read as they were written, and no flipped bit passes', () => {
  const header = fc.record({
    kind: fc.integer({ min: 1, max: 3 }),
    epoch: fc.integer({ min: 0, max: 0xffffffff }),
    number: long,
    lsn: long,
  })
  fc.assert(
    fc.property(header, fc.integer({ min: 0, max: FILE_HEADER * 8 - 1 }), (fields, bit) => {
      const bytes = writeFileHeader(fields)
      assert.deepEqual(readFileHeader(bytes), { ...fields, version: 1, features: 0 })
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      assert.equal(readFileHeader(bytes), undefined)
    }),
    settings,
  )
})

/** Frames as the writer makes them, of chunks with these bodies at LSNs with these distances. */
function framed(first: number, operations: readonly { gap: number; body: Uint8Array }[]) {
  const batch = new OperationBatch()
  let lsn = first
  const lsns = operations.map(({ gap, body }) => {
    lsn += gap
    batch.begin(OperationType.chunk, lsn)
    batch.putBytes(body)
    batch.end()
    return lsn
  })
  const segment = new Segment(FileKind.journal, 7)
  const round = new Round(segment, FILE_HEADER, 3, 1)
  round.add(batch)
  return { bytes: Buffer.concat(round.buffers), lsns, segment, round }
}

const operations = fc.array(
  fc.record({ gap: fc.integer({ min: 1, max: 0xffffff }), body: fc.uint8Array({ maxLength: 3000 }) }),
  { minLength: 1, maxLength: 60 },
)

test('frames are read as they were written: every operation, at its LSN, byte for byte', () => {
  fc.assert(
    fc.property(long, operations, (first, written) => {
      const { bytes, lsns, segment, round } = framed(first % 2 ** 52, written)
      assert.equal(bytes.length, round.bytes)
      assert.equal(bytes.length % 8, 0)
      const stretch = new Stretch(bytes, FILE_HEADER, segment.number)
      assert.deepEqual(stretch.damage, [])
      const slice = new Slice()
      for (const [i, lsn] of lsns.entries()) {
        assert.equal(stretch.find(lsn, slice), true)
        assert.deepEqual(
          Buffer.from(slice.bytes.subarray(slice.start, slice.end)),
          Buffer.from(written[i]!.body),
        )
        const index = segment.table.find(0, lsn)
        assert.ok(segment.table.lsn(index) <= lsn)
      }
    }),
    settings,
  )
})

test('a flipped bit costs one frame: none of it is returned, and all of the others are', () => {
  fc.assert(
    fc.property(operations, fc.nat(), (written, where) => {
      const { bytes, lsns, segment } = framed(1, written)
      const bit = where % (bytes.length * 8)
      const intact = new Stretch(Buffer.from(bytes), FILE_HEADER, segment.number)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      const stretch = new Stretch(bytes, FILE_HEADER, segment.number)
      const slice = new Slice()
      const whole = new Slice()
      for (const lsn of lsns) {
        if (!stretch.find(lsn, slice)) {
          assert.ok(stretch.damage.length > 0)
          continue
        }
        assert.equal(intact.find(lsn, whole), true)
        assert.deepEqual(
          slice.bytes.subarray(slice.start, slice.end),
          whole.bytes.subarray(whole.start, whole.end),
        )
      }
      const lost = stretch.damage.reduce((sum, { start, end }) => sum + end - start, 0)
      assert.ok(lost <= 48 + 16 * 1024 + 3016 + 8, `${lost} bytes`)
    }),
    settings,
  )
})

test('bytes that belong to another place are no frame', () => {
  const { bytes, segment } = framed(1, [{ gap: 1, body: Buffer.from('x') }])
  assert.equal(new Stretch(bytes, FILE_HEADER, segment.number).damage.length, 0)
  assert.equal(new Stretch(bytes, FILE_HEADER + 8, segment.number).damage.length, 1)
  assert.equal(new Stretch(bytes, FILE_HEADER, segment.number + 1).damage.length, 1)
})

test('an extent counts like a map of messages with their holders', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      at: fc.nat(9000),
      size: fc.nat(5000),
      holders: fc.integer({ min: 1, max: 400 }),
    }),
    fc.record({
      kind: fc.constant('drop' as const),
      at: fc.nat(9000),
      length: fc.integer({ min: 1, max: 3000 }),
      whole: fc.boolean(),
    }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const segment = new Segment(FileKind.journal, 1)
      const extent = new Extent(1000, segment)
      extent.lastLsn = 10_000
      const model = new Map<number, { holders: number; size: number }>()
      for (const one of steps) {
        const lsn = 1000 + one.at
        if (one.kind === 'add') {
          if (!model.has(lsn)) model.set(lsn, { holders: one.holders, size: one.size })
          extent.add(lsn, one.size, one.holders)
          continue
        }
        const died: number[] = []
        extent.drop(lsn, lsn + one.length - 1, one.whole, (dead) => died.push(dead))
        assert.deepEqual(died, dropFrom(model, lsn, lsn + one.length - 1, one.whole))
      }
      assert.equal(extent.live, model.size)
      for (let lsn = 1000; lsn <= 10_000; lsn += 37) assert.equal(extent.has(lsn), model.has(lsn))
      const lsns = [...model.keys()].sort((a, b) => a - b)
      assert.deepEqual(liveOf(extent), lsns)
      const bytes = [...model.values()].reduce((sum, { size }) => sum + size, 0)
      assert.ok(Math.abs(extent.liveBytes - bytes) <= bytes * 0.5 + 5000, `${extent.liveBytes} for ${bytes}`)
      assert.deepEqual(liveOf(copied(extent, segment)), lsns)
    }),
    settings,
  )
})

function dropFrom(
  model: Map<number, { holders: number }>,
  from: number,
  to: number,
  whole: boolean,
): number[] {
  const dead: number[] = []
  for (let lsn = from; lsn <= to; lsn++) {
    const message = model.get(lsn)
    if (!message || (--message.holders > 0 && !whole)) continue
    model.delete(lsn)
    dead.push(lsn)
  }
  return dead
}

function liveOf(extent: Extent): number[] {
  const found: number[] = []
  for (let lsn = extent.liveFrom(0); lsn < Number.POSITIVE_INFINITY; lsn = extent.liveFrom(lsn + 1))
    found.push(lsn)
  return found
}

/** Through a checkpoint and back. */
function copied(extent: Extent, segment: Segment): Extent {
  const batch = new OperationBatch()
  writeExtent(batch, extent, 77)
  const reader = new OperationReader().reset(batch.bytes, 0, batch.length)
  const read = readExtent(reader, new Map([[segment.number, segment]]))!
  assert.equal(read.asOf, 77)
  assert.equal(read.live, extent.live)
  return read
}

test('sizes are kept to an eighth', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 16 * 1024 * 1024 }), (size) => {
      assert.ok(Math.abs(sizeOfCode(sizeCode(size)) - size) <= size / 8)
    }),
    settings,
  )
})

test('a sparse table finds the stretch that holds an LSN, in a segment and in the runs of a cluster', () => {
  const frames = fc.array(
    fc.record({
      queue: fc.nat(5),
      lsns: fc.integer({ min: 1, max: 50 }),
      size: fc.integer({ min: 48, max: STRETCH }),
    }),
    { minLength: 1, maxLength: 100 },
  )
  fc.assert(
    fc.property(frames, fc.boolean(), (list, clustered) => {
      const table = new SparseTable(FILE_HEADER, clustered)
      const sorted = clustered ? list.toSorted((a, b) => a.queue - b.queue) : list
      let offset = FILE_HEADER
      let lsn = 1
      const placed = sorted.map(({ queue, lsns, size }) => {
        const frame = { queue: clustered ? queue : 0, first: lsn, last: lsn + lsns - 1, offset }
        table.note(frame.queue, lsn, offset, offset + size)
        table.note(frame.queue, lsn, offset, offset + size)
        offset += size
        lsn += lsns
        return frame
      })
      for (const { queue, first, last, offset: at } of placed) {
        for (const one of [first, last]) {
          const index = table.find(queue, one)
          assert.ok(table.offset(index) <= at && at < table.endOf(index))
        }
      }
      assert.equal(table.find(clustered ? 9 : 0, 0), -1)
    }),
    settings,
  )
})

test('blocks are handed out once, given back, and forgotten at the end', () => {
  const step = fc.oneof(fc.record({ take: fc.integer({ min: 1, max: 20 }) }), fc.record({ give: fc.nat() }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      let bitmap = new Bitmap()
      const runs: { first: number; count: number }[] = []
      for (const one of steps) {
        if ('take' in one) {
          const first = bitmap.takeRun(one.take)
          for (const run of runs) assert.ok(first + one.take <= run.first || run.first + run.count <= first)
          runs.push({ first, count: one.take })
        } else if (runs.length > 0) {
          const [run] = runs.splice(one.give % runs.length, 1)
          bitmap.giveRun(run!.first, run!.count)
        }
        const copy = new Bitmap()
        copy.fromBytes(bitmap.toBytes())
        bitmap = copy
      }
      bitmap.trim()
      assert.equal(bitmap.length, Math.max(0, ...runs.map(({ first, count }) => first + count)))
    }),
    settings,
  )
})

test('survivors come out by queue, then by LSN, each with its bytes, also of memory that was used before', () => {
  const survivors = new Survivors()
  fc.assert(
    fc.property(
      fc.array(fc.record({ queue: fc.nat(1e6), size: fc.integer({ min: 8, max: 200 }) }), { minLength: 1 }),
      fc.nat(255),
      (list, fill) => {
        survivors.clear()
        list.forEach(({ queue, size }, i) => {
          const bytes = Buffer.alloc(size + 10, i ^ fill)
          bytes[5] = OperationType.publish
          survivors.add(queue, 100 + i, bytes, 5, 5 + size)
        })
        const order = [...survivors.inRuns()]
        const expected = list
          .map(({ queue }, i) => [queue, 100 + i])
          .sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!)
        assert.deepEqual(
          order.map((index) => [survivors.queue(index), survivors.lsn(index)]),
          expected,
        )
        const target = Buffer.alloc(300)
        for (const index of order) {
          survivors.copyTo(target, 3, index, 0x123456)
          assert.equal(target.readUInt32LE(3), ((0x123456 << 8) | OperationType.publish) >>> 0)
          const rest = target.subarray(7, 3 + survivors.length(index))
          assert.ok(rest.every((byte) => byte === ((index ^ fill) & 0xff)))
        }
      },
    ),
    settings,
  )
})

test('what a store must know of a publish operation is found whatever else is in it', () => {
  const fields = fc.record({
    flags: fc.nat(32_767),
    queues: fc.array(fc.integer({ min: 1, max: 1e9 }), { maxLength: 20 }),
    chunks: fc.array(long, { maxLength: 5 }),
    replacedLsn: long,
    texts: fc.tuple(fc.string(), fc.string(), fc.string(), fc.string(), fc.string(), fc.string()),
  })
  fc.assert(
    fc.property(fields, ({ flags, queues, chunks, replacedLsn, texts }) => {
      const head = Object.assign(new PublishHead(), { flags, queues, chunks, replacedLsn })
      Object.assign(head, {
        exchange: texts[0],
        key: texts[1],
        annotations: texts[2],
        group: texts[3],
        deduplicationId: texts[4],
        keys: queues.map((queue) => ({ queue, key: texts[3] })),
        named: texts[5],
        expiry: 5,
        due: 6,
        targets: queues.map((queue) => queue + 1),
        transaction: 7,
        sequence: 9,
      })
      const batch = new OperationBatch()
      batch.begin(OperationType.publish, 1)
      writePublish(batch, head, Buffer.from('payload'))
      batch.end()
      const facts = new PublishFacts()
      facts.sought = queues.at(-1) ?? 0
      assert.equal(
        facts.read(new OperationReader().reset(batch.bytes, batch.bodyStart(0), batch.bodyEnd(0))),
        true,
      )
      assert.equal(facts.queues, queues.length)
      assert.equal(facts.firstQueue, queues[0] ?? 0)
      assert.equal(facts.isHeldBySought, queues.length > 0)
      assert.equal(facts.replacedLsn, flags & PublishFlag.replaces ? replacedLsn : 0)
      assert.deepEqual(facts.chunks, flags & PublishFlag.chunked ? chunks : [])
    }),
    settings,
  )
})

test('a partial write goes on with the bytes that are left', () => {
  const lists = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 10 })
  fc.assert(
    fc.property(lists, fc.nat(), (buffers, count) => {
      const all = Buffer.concat(buffers)
      const written = all.length === 0 ? 0 : count % (all.length + 1)
      assert.deepEqual(Buffer.concat(dropBytes(buffers, written)), all.subarray(written))
    }),
    settings,
  )
})
