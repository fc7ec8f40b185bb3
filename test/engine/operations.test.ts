import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  ByteWriter,
  OperationReader,
  PublishFlag,
  PublishHead,
  readPublish,
  writePublish,
  writeVarint,
} from '../../src/engine/ports/operations.ts'
import { forEachSettled } from '../../src/engine/ports/settle-operation.ts'
import { seed } from './seed.ts'

const number = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER),
)
const lsns = fc.array(number, { maxLength: 5 })
const head = fc.record({
  flags: fc.nat(32_767),
  priority: fc.nat(9),
  format: number,
  publishedAt: number,
  queues: lsns,
  expiry: number,
  due: number,
  targets: lsns,
  producer: number,
  sequence: number,
  replacedQueue: number,
  replacedLsn: number,
  transaction: number,
  producerGroup: fc.string({ unit: 'grapheme' }),
  group: fc.string({ unit: 'grapheme' }),
  deduplicationId: fc.string({ unit: 'grapheme' }),
  repetition: fc.string({ unit: 'grapheme' }),
  keys: fc.array(
    fc.record({ queue: number, key: fc.string({ unit: 'grapheme' }) }, { noNullPrototype: true }),
    { maxLength: 4 },
  ),
  exchange: fc.string({ unit: 'grapheme' }),
  key: fc.string({ unit: 'grapheme' }),
  named: fc.string({ unit: 'grapheme' }),
  annotations: fc.string({ unit: 'grapheme' }),
  size: number,
  chunks: lsns,
})

/** What remains of a head when the fields that its flags leave out are reset. */
function asFlagged(full: Omit<PublishHead, 'payloadStart' | 'payloadEnd'>, payload: Uint8Array): object {
  const has = (flag: number): boolean => (full.flags & flag) !== 0
  const direct = has(PublishFlag.direct)
  const chunked = has(PublishFlag.chunked)
  return {
    ...full,
    expiry: has(PublishFlag.expires) ? full.expiry : 0,
    due: has(PublishFlag.due) ? full.due : 0,
    targets: has(PublishFlag.due) ? full.targets : [],
    producer: has(PublishFlag.producer) ? full.producer : 0,
    sequence: has(PublishFlag.producer) ? full.sequence : 0,
    replacedQueue: has(PublishFlag.replaces) ? full.replacedQueue : 0,
    replacedLsn: has(PublishFlag.replaces) ? full.replacedLsn : 0,
    transaction: has(PublishFlag.transacted) ? full.transaction : 0,
    producerGroup: has(PublishFlag.prepared) ? full.producerGroup : '',
    group: has(PublishFlag.grouped) ? full.group : '',
    deduplicationId: has(PublishFlag.deduplicated) ? full.deduplicationId : '',
    repetition: has(PublishFlag.repeating) ? full.repetition : '',
    keys: has(PublishFlag.keyed) ? full.keys : [],
    exchange: direct ? '' : full.exchange,
    key: direct ? '' : full.key,
    named: has(PublishFlag.composite) ? full.named : '',
    annotations: has(PublishFlag.annotated) ? full.annotations : '',
    size: chunked ? full.size : payload.length,
    chunks: chunked ? full.chunks : [],
  }
}

function encode(from: Omit<PublishHead, 'payloadStart' | 'payloadEnd'>, payload: Uint8Array): Buffer {
  const writer = new ByteWriter(8)
  writePublish(writer, Object.assign(new PublishHead(), from), payload)
  return writer.bytes.subarray(0, writer.length)
}

const payloads = fc.uint8Array({ maxLength: 40 })

suite('the codec of operations (docs/spec/journal.md)', () => {
  test('a varint of any safe integer is read back, in the bytes it was given', () => {
    const property = fc.property(number, (value) => {
      const bytes = new Uint8Array(8)
      const end = writeVarint(bytes, 0, value)
      const reader = new OperationReader().reset(bytes, 0, end)
      assert.deepEqual([reader.varint(), reader.at, reader.failed], [value, end, false])
    })
    fc.assert(property, { seed, numRuns: 500 })
  })

  test('a publish head is read back as its flags say, into a head that held another one before', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const read = new PublishHead()
    const reader = new OperationReader()
    const property = fc.property(head, payloads, (written, payload) => {
      const bytes = encode(written, payload)
      assert.ok(readPublish(reader.reset(bytes, 0, bytes.length), read))
      const { payloadStart, payloadEnd, ...fields } = read
      assert.deepEqual(fields, asFlagged(written, payload))
      const isChunked = written.flags & PublishFlag.chunked
      assert.deepEqual(bytes.subarray(payloadStart, payloadEnd), Buffer.from(isChunked ? [] : payload))
    })
    fc.assert(property, { seed, numRuns: 500 })
  })

  test('a truncated head is told from a whole one, or its payload is the shorter part of the same', () => {
    const property = fc.property(head, payloads, fc.nat(), (written, payload, cut) => {
      const bytes = encode(written, payload)
      const read = new PublishHead()
      const end = cut % bytes.length
      if (!readPublish(new OperationReader().reset(bytes, 0, end), read)) return
      assert.ok(!(written.flags & PublishFlag.chunked), 'a list that was cut is noticed')
      assert.deepEqual(
        bytes.subarray(read.payloadStart, end),
        Buffer.from(payload).subarray(0, end - read.payloadStart),
      )
    })
    fc.assert(property, { seed, numRuns: 500 })
  })

  test('garbage neither throws nor reads outside its bounds nor runs away', () => {
    const read = new PublishHead()
    const property = fc.property(
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(10),
      fc.integer({ min: 1, max: 5_000 }),
      (bytes, margin, own) => {
        const end = Math.max(0, bytes.length - margin)
        const reader = new OperationReader()
        readPublish(reader.reset(bytes, 0, end), read)
        assert.ok(reader.at <= end && read.queues.length <= end && read.chunks.length <= end)
        let last = -1
        forEachSettled(
          reader.reset(bytes, 0, end),
          (lsn) => {
            assert.ok(lsn > last && lsn < own, 'rising, and before the operation itself')
            last = lsn
          },
          own,
        )
        assert.ok(reader.at <= end)
      },
    )
    fc.assert(property, { seed, numRuns: 2_000 })
  })
})
