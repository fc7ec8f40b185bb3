import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { Section } from '../../src/wire/amqp10/sections.ts'
import { selectableValue } from '../../src/wire/amqp10/selection.ts'
import { AmqpSymbol, Described, Typed, type TypeName, Uuid } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'
import { seed } from '../engine/seed.ts'

function select(bytes: Uint8Array, identifier: string): unknown {
  return selectableValue(bytes, 0, bytes.length, identifier)
}

function withProperties(properties: Map<unknown, unknown>): Buffer {
  const writer = new Writer()
  writer.value(new Described(new Typed('ulong', Section.applicationProperties), properties))
  writer.value(new Described(new Typed('ulong', Section.value), 'body'))
  return Buffer.from(writer.slice())
}

test('whole numbers of every width are exact, float and double approximate even when whole (JMS 3.8.1.2)', () => {
  const whole: TypeName[] = ['ubyte', 'ushort', 'uint', 'ulong', 'byte', 'short', 'int', 'long']
  for (const type of whole)
    for (const value of [0, 7, 100])
      assert.equal(select(withProperties(new Map([['a', new Typed(type, value)]])), 'a'), BigInt(value), type)
  for (const type of ['float', 'double'] as const)
    assert.equal(select(withProperties(new Map([['a', new Typed(type, 7)]])), 'a'), 7, type)
})

test('symbols, ids and times are values of the language; bytes, lists and null are not', () => {
  const id = new Uuid(new Uint8Array(16))
  const properties = new Map<unknown, unknown>([
    ['symbol', new AmqpSymbol('s')],
    ['uuid', id],
    ['date', new Date(1234)],
    ['bytes', new Uint8Array([1])],
    ['null', null],
    ['größe', true],
    ['größer', false],
  ])
  const bytes = withProperties(properties)
  assert.deepEqual(
    ['symbol', 'uuid', 'date', 'bytes', 'größe', 'größer', 'gr', 'absent', '__proto__', 'constructor'].map(
      (name) => select(bytes, name),
    ),
    ['s', String(id), 1234n, undefined, true, false, undefined, undefined, undefined, undefined],
  )
})

test('headers of the properties section by the JMS mapping; absent ones are NULL', () => {
  const bytes = encodeMessage({
    body: { kind: 'text', value: 'x' },
    messageId: 'ID:1',
    correlationId: 'c',
    type: 't',
    timestamp: 5000,
    groupId: 'g',
    groupSequence: 3,
    properties: { JMSType: 'not the header', a: 1 },
  })
  const names = [
    'JMSMessageID',
    'JMSCorrelationID',
    'JMSType',
    'JMSTimestamp',
    'JMSXGroupID',
    'JMSXGroupSeq',
    'a',
  ]
  assert.deepEqual(
    names.map((name) => select(bytes, name)),
    ['ID:1', 'c', 't', 5000n, 'g', 3n, 1n],
  )
  const empty = encodeMessage({ body: { kind: 'text', value: 'x' } })
  assert.deepEqual([...new Set(names.map((name) => select(empty, name)))], [undefined])
})

test('any bytes have a value or none: damaged and cut messages never throw', () => {
  const whole = encodeMessage({ body: { kind: 'text', value: 'x' }, type: 't', properties: { a: 'b', c: 5 } })
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.nat(whole.length),
      (flips, cut) => {
        const bytes = Buffer.from(whole.subarray(0, cut))
        for (const [at, byte] of flips) if (at < cut) bytes[at] = byte
        for (const name of ['a', 'c', 'JMSType', 'JMSMessageID']) select(bytes, name)
      },
    ),
    { seed, numRuns: 500 },
  )
  // The beginning of a message that is longer has what lies in it.
  const long = encodeMessage({ body: { kind: 'text', value: 'x'.repeat(1000) }, properties: { a: 'b' } })
  assert.equal(select(long.subarray(0, 100), 'a'), 'b')
})
