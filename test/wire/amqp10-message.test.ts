import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isMillraceError } from '../../src/model/errors.ts'
import { IdSeries, type MessageContent, PlainContent } from '../../src/model/message.ts'
import { encodeMessage, encodeShared } from '../../src/wire/amqp10/message-encoder.ts'
import { decodeMessage, findProperty, type MessageView } from '../../src/wire/amqp10/message-view.ts'
import { Section } from '../../src/wire/amqp10/sections.ts'
import { AmqpSymbol, Described, Typed, Uuid } from '../../src/wire/amqp10/values.ts'
import { Writer } from '../../src/wire/amqp10/writer.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

const fields = [
  ...([
    'body',
    'properties',
    'userId',
    'messageId',
    'correlationId',
    'replyTo',
    'to',
    'type',
    'contentType',
  ] as const),
  ...(['groupId', 'groupSequence', 'timestamp', 'expiration'] as const),
]

function plain(view: MessageContent): Record<string, unknown> {
  return Object.fromEntries(
    fields.map((field) => [field, view[field]]).filter(([, value]) => value !== undefined),
  )
}

function sections(...parts: [code: number, value: unknown][]): Buffer {
  const writer = new Writer()
  for (const [code, value] of parts) writer.value(new Described(new Typed('ulong', code), value))
  return Buffer.from(writer.slice())
}

const text = fc.string({ unit: 'binary', maxLength: 300 })
const destination = fc
  .tuple(fc.constantFrom('queue', 'topic', 'temporary-queue', 'temporary-topic' as const), text)
  .map(([kind, name]) => ({ kind, name }))
const millis = fc.integer({ min: -1e12, max: 8e15 })
const property = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.boolean(),
  fc.date({ noInvalidDate: true }),
  fc.uint8Array().map((array) => new Uint8Array(array)),
  fc.constant(null),
)
const body = fc.oneof(
  text.map((value) => ({ kind: 'text' as const, value })),
  fc.uint8Array().map((array) => ({ kind: 'bytes' as const, value: new Uint8Array(array) })),
  fc.jsonValue().map((value) => ({ kind: 'json' as const, value })),
  fc
    .uniqueArray(fc.tuple(text, property), { selector: ([name]) => name })
    .map((entries) => ({ kind: 'map' as const, value: new Map(entries) })),
  fc.array(property).map((value) => ({ kind: 'stream' as const, value })),
  fc.bigInt({ min: 0n, max: 99n }).map((value) => ({ kind: 'value' as const, value })),
)
const content = fc.record(
  {
    body,
    properties: fc.dictionary(fc.oneof(text, fc.constant('__proto__')), property),
    messageId: text,
    userId: text,
    correlationId: text,
    replyTo: destination,
    to: destination,
    type: text,
    groupId: text,
    groupSequence: fc.nat(),
    timestamp: millis,
    expiration: millis,
  },
  { requiredKeys: ['body'] },
)

test(`a message comes back as it was sent (SEED=${seed})`, () => {
  fc.assert(
    fc.property(content, (sent) => {
      const received = plain(decodeMessage(encodeMessage(sent)))
      const expected: Record<string, unknown> = { properties: {}, ...sent }
      if (sent.body.kind === 'json') {
        expected['contentType'] = 'application/json'
        expected['body'] = { kind: 'json', value: JSON.parse(JSON.stringify(sent.body.value)) }
      }
      assert.deepEqual(
        { ...received, properties: { ...(received['properties'] as object) } },
        {
          ...expected,
          properties: { ...(expected['properties'] as object) },
        },
      )
    }),
    { seed, numRuns: 400 },
  )
})

test(`a message of which its producer says nothing but the body is written like any other (SEED=${seed})`, () => {
  const stem = fc.oneof(fc.string({ maxLength: 40 }), text)
  const number = fc.oneof(fc.nat(1300), fc.maxSafeNat())
  const message = fc.tuple(body, number, fc.option(destination, { nil: undefined }), millis)
  fc.assert(
    fc.property(fc.array(stem, { minLength: 1, maxLength: 2 }), fc.array(message), (stems, messages) => {
      const series = stems.map((each) => new IdSeries(each))
      for (const [index, [value, count, to, timestamp]] of messages.entries()) {
        const content = new PlainContent(value, series[index % series.length]!, count, timestamp)
        const expected = encodeMessage({ body: value, messageId: content.messageId, timestamp, to })
        // A head that has been made is used from the second message on.
        for (const time of ['first', 'second'])
          assert.ok(encodeShared(content, to).equals(expected), `the ${time} time`)
      }
    }),
    { seed, numRuns: 200 },
  )
})

test('JMS mapping: the annotation names the message type, and the smallest message is golden', () => {
  const encoded = encodeMessage({ body: { kind: 'text', value: 'hi' } })
  const expected = [
    ...[0x00, 0x53, 0x72, 0xc1, 0x17, 0x02, 0xa3, 0x12, ...Buffer.from('x-opt-jms-msg-type'), 0x51, 0x05],
    ...[0x00, 0x53, 0x77, 0xa1, 0x02, 0x68, 0x69],
  ]
  assert.deepEqual([...encoded], expected)
  const types = [
    [{ kind: 'text', value: '' }, 5],
    [{ kind: 'bytes', value: new Uint8Array() }, 3],
    [{ kind: 'json', value: 1 }, 3],
    [{ kind: 'map', value: new Map() }, 2],
    [{ kind: 'stream', value: [] }, 4],
    [{ kind: 'value', value: new Map() }, 2],
    [{ kind: 'value', value: [] }, 4],
    [{ kind: 'value', value: null }, 0],
    [{ kind: 'value', value: 5 }, undefined],
  ] as const
  for (const [body, type] of types) assert.equal(decodeMessage(encodeMessage({ body })).jmsType, type)
})

test('core 3.2: header, delivery annotations and footer of other senders are passed over', () => {
  const bytes = sections(
    [Section.header, [true]],
    [Section.deliveryAnnotations, new Map([[new AmqpSymbol('x'), 1]])],
    [Section.properties, ['id', null, 'to', 'subject']],
    [Section.applicationProperties, new Map([['colour', 'red']])],
    [Section.value, 'body'],
    [Section.footer, new Map()],
  )
  const view = decodeMessage(bytes)
  assert.deepEqual(view.body, { kind: 'text', value: 'body' })
  assert.equal(view.messageId, 'id')
  assert.equal(view.type, 'subject')
  assert.deepEqual(view.to, { kind: 'queue', name: 'to' })
  assert.deepEqual(view.properties, { colour: 'red' })
})

test('core 3.2.6, 3.2.7: several data or sequence sections are one body', () => {
  const data = sections([Section.data, Uint8Array.of(1)], [Section.data, Uint8Array.of(2, 3)])
  assert.deepEqual(decodeMessage(data).body, { kind: 'bytes', value: Uint8Array.of(1, 2, 3) })
  const sequence = sections([Section.sequence, [1]], [Section.sequence, ['two']])
  assert.deepEqual(decodeMessage(sequence).body, { kind: 'stream', value: [1, 'two'] })
})

test('symbolic descriptors of sections are understood', () => {
  const writer = new Writer()
  writer.value(new Described(new AmqpSymbol('amqp:amqp-value:*'), 'x'))
  assert.deepEqual(decodeMessage(Buffer.from(writer.slice())).body, { kind: 'text', value: 'x' })
})

test('JMS mapping: ids of other types are shown with a prefix and go back as the same type', () => {
  const ids = [Uuid.parse('00112233-4455-6677-8899-aabbccddeeff')!, 7n, Uint8Array.of(0xab, 1)]
  const shown = [
    'ID:AMQP_UUID:00112233-4455-6677-8899-aabbccddeeff',
    'ID:AMQP_ULONG:7',
    'ID:AMQP_BINARY:AB01',
  ]
  for (const [i, id] of ids.entries()) {
    const wire = typeof id === 'bigint' ? new Typed('ulong', id) : id
    const view = decodeMessage(sections([Section.properties, [wire]], [Section.value, '']))
    assert.equal(view.messageId, shown[i])
    const again = encodeMessage({ body: { kind: 'text', value: '' }, messageId: view.messageId })
    assert.equal(decodeMessage(again).messageId, shown[i])
    assert.ok(!again.includes('ID:'), 'the prefix does not go over the wire')
  }
})

test('a view reads its own range of a larger buffer, and hands out copies of bytes', () => {
  const encoded = encodeMessage({ body: { kind: 'bytes', value: Uint8Array.of(1, 2) }, properties: { a: 1 } })
  const larger = Buffer.concat([Buffer.alloc(7, 0xff), encoded, Buffer.alloc(5, 0xff)])
  const view = decodeMessage(larger, 7, 7 + encoded.length)
  const body = view.body.value as Uint8Array
  body[0] = 99
  assert.deepEqual(decodeMessage(larger, 7, 7 + encoded.length).body.value, Uint8Array.of(1, 2))
  assert.deepEqual(view.properties, { a: 1 })
})

test('getters may be called in any order, views interleaved', () => {
  const one = decodeMessage(
    encodeMessage({ body: { kind: 'text', value: '1' }, properties: { n: 1 }, type: 'a' }),
  )
  const two = decodeMessage(encodeMessage({ body: { kind: 'json', value: { b: 2 } }, messageId: 'ID:2' }))
  assert.equal(one.type, 'a')
  assert.equal(two.messageId, 'ID:2')
  assert.deepEqual(one.body, { kind: 'text', value: '1' })
  assert.deepEqual(two.body, { kind: 'json', value: { b: 2 } })
  assert.equal(one.property('n'), 1)
  assert.equal(two.property('n'), undefined)
})

test('findProperty answers one property and undefined for what is no message', () => {
  const payload = encodeMessage({
    body: { kind: 'text', value: '' },
    properties: { a: 1, b: 'two', c: true },
  })
  assert.equal(findProperty(payload, 'b'), 'two')
  assert.equal(findProperty(payload, 'c'), true)
  assert.equal(findProperty(payload, 'd'), undefined)
  assert.equal(findProperty(Buffer.from('garbage'), 'a'), undefined)
})

test('what cannot be carried is refused with message-invalid', () => {
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  const refused: MessageContent[] = [
    { body: { kind: 'json', value: undefined } },
    { body: { kind: 'json', value: circular } },
    { body: { kind: 'json', value: 1n } },
  ]
  for (const message of refused) assert.throws(() => encodeMessage(message), { code: 'message-invalid' })
  assert.deepEqual(
    decodeMessage(encodeShared({ body: { kind: 'text', value: 'after' } })).body.value,
    'after',
  )
})

test('JMS 3.5.3, 3.11.3: properties, entries and elements are simple values, all else is message-format-invalid', () => {
  const unusable = [
    {},
    [],
    new Map(),
    () => 1,
    Symbol('s'),
    2n ** 64n,
    -(2n ** 63n) - 1n,
    new Date(Number.NaN),
    { type: 'int', value: 1 },
  ]
  for (const value of unusable) {
    const bodies: MessageContent[] = [
      { body: { kind: 'text', value: '' }, properties: { value: value as never } },
      { body: { kind: 'map', value: new Map([['value', value]]) } },
      { body: { kind: 'stream', value: [0, value] } },
    ]
    for (const message of bodies)
      assert.throws(() => encodeMessage(message), {
        code: 'message-format-invalid',
        message: /"value"|element 1/,
      })
  }
})

test('JMS 3.10: a body is decoded anew each time, so that nobody sees what another has changed', () => {
  const bodies = [
    { kind: 'json', value: { a: [1] } },
    { kind: 'bytes', value: Uint8Array.of(1) },
    { kind: 'map', value: new Map([['a', 1]]) },
    { kind: 'stream', value: [1] },
  ] as const
  for (const body of bodies) {
    const view = decodeMessage(encodeMessage({ body }))
    assert.notEqual(view.body.value, view.body.value)
  }
})

test('a body declared as JSON that is not JSON is message-invalid when it is read, and nothing else suffers', () => {
  const bytes = sections(
    [Section.properties, [null, null, null, null, null, null, new AmqpSymbol('application/json')]],
    [Section.data, Buffer.from('{no')],
  )
  const view = decodeMessage(bytes)
  assert.equal(view.contentType, 'application/json')
  assert.throws(() => view.body, { code: 'message-invalid' })
})

test(`random bytes are a message or message-invalid (SEED=${seed})`, () => {
  const attempt = (view: MessageView) => {
    for (const field of fields) {
      try {
        void view[field]
      } catch (error) {
        assert.ok(isMillraceError(error) && error.code === 'message-invalid', String(error))
      }
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (input) => attempt(decodeMessage(input))),
    { seed, numRuns: 1000 },
  )
  fc.assert(
    fc.property(content, fc.nat(), fc.nat(255), (sent, at, byte) => {
      const encoded = encodeMessage(sent)
      encoded[at % encoded.length] = byte
      attempt(decodeMessage(encoded))
    }),
    { seed, numRuns: 1000 },
  )
})
