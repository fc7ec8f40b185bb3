/** Another implementation of AMQP 1.0 reads what this one writes, and the other way round. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import rhea from 'rhea'
import { typed } from '../../src/client/typed.ts'
import type { MessageContent } from '../../src/model/message.ts'
import { encodeMessage } from '../../src/wire/amqp10/message-encoder.ts'
import { decodeMessage } from '../../src/wire/amqp10/message-view.ts'

const content: MessageContent = {
  body: { kind: 'text', value: 'naïve 水 🚀 '.repeat(40) },
  properties: {
    text: 'é'.repeat(200),
    integer: -7,
    wide: 70_000,
    double: 0.25,
    long: 5n,
    yes: true,
    nothing: null,
    when: new Date(1_700_000_000_123),
  },
  messageId: 'ID:one',
  correlationId: 'two',
  to: { kind: 'topic', name: 'prices' },
  replyTo: { kind: 'temporary-queue', name: 'answers' },
  type: 'Order',
  contentType: 'text/plain',
  userId: 'ada',
  groupId: 'g',
  groupSequence: 300,
  timestamp: 1_700_000_000_000,
  expiration: 1_800_000_000_000,
}

test('rhea reads the sections that are written here', () => {
  const message = rhea.message.decode(encodeMessage(content))
  assert.equal(message.body, content.body.value)
  assert.deepEqual(
    [message.message_id, message.correlation_id, message.to, message.reply_to, message.subject],
    ['ID:one', 'two', 'prices', 'answers', 'Order'],
  )
  assert.equal(String(message.user_id), 'ada')
  assert.deepEqual([message.content_type, message.group_id, message.group_sequence], ['text/plain', 'g', 300])
  assert.deepEqual(
    [Number(message.creation_time), Number(message.absolute_expiry_time)],
    [content.timestamp, content.expiration],
  )
  const { when, ...rest } = message.application_properties!
  assert.equal(Number(when), 1_700_000_000_123)
  const { when: _, long, ...sent } = content.properties!
  assert.deepEqual({ ...rest }, { ...sent, long: Number(long) })
  assert.deepEqual(
    { ...message.message_annotations },
    { 'x-opt-jms-msg-type': 5, 'x-opt-jms-dest': 1, 'x-opt-jms-reply-to': 2 },
  )
})

test('rhea reads bytes, JSON and structured values that are written here', () => {
  const data = (body: MessageContent['body']) => rhea.message.decode(encodeMessage({ body })).body
  assert.deepEqual([...data({ kind: 'bytes', value: Uint8Array.of(1, 2, 255) }).content], [1, 2, 255])
  assert.deepEqual(JSON.parse(data({ kind: 'json', value: { a: [1, 'é'] } }).content.toString()), {
    a: [1, 'é'],
  })
  assert.deepEqual(data({ kind: 'value', value: [1, 'two', null, true] }), [1, 'two', null, true])
  assert.deepEqual({ ...data({ kind: 'value', value: new Map([['k', 'v']]) }) }, { k: 'v' })
})

test('JMS mapping: a map is an amqp-value map, a stream an amqp-sequence, both annotated, and typed values keep their type', () => {
  const map = rhea.message.decode(
    encodeMessage({
      body: {
        kind: 'map',
        value: new Map<string, unknown>([
          ['n', 1],
          ['price', typed('double', 1)],
          ['c', typed('char', 'x')],
        ]),
      },
      properties: { short: typed('short', 7), float: typed('float', 0.5), whole: typed('long', 3) },
    }),
  )
  assert.deepEqual({ ...map.body }, { n: 1, price: 1, c: 120 })
  assert.deepEqual({ ...map.application_properties }, { short: 7, float: 0.5, whole: 3 })
  assert.deepEqual({ ...map.message_annotations }, { 'x-opt-jms-msg-type': 2 })
  const stream = rhea.message.decode(
    encodeMessage({ body: { kind: 'stream', value: [1, 'two', null, true] } }),
  )
  assert.deepEqual([stream.body.typecode, stream.body.content], [0x76, [1, 'two', null, true]])
  assert.deepEqual({ ...stream.message_annotations }, { 'x-opt-jms-msg-type': 4 })
})

test('what rhea writes is read here', () => {
  const encoded = rhea.message.encode({
    durable: true,
    priority: 7,
    ttl: 1000,
    message_id: 'ID:one',
    correlation_id: 'two',
    to: 'orders',
    subject: 'Order',
    reply_to: 'answers',
    content_type: 'text/plain',
    creation_time: new Date(1_700_000_000_000),
    group_id: 'g',
    group_sequence: 300,
    message_annotations: { 'x-opt-jms-reply-to': rhea.types.wrap_byte(3) },
    application_properties: {
      text: 'é'.repeat(200),
      double: 0.25,
      yes: true,
      small: rhea.types.wrap_ubyte(9),
      long: rhea.types.wrap_long(5),
    },
    body: 'naïve 水 🚀 '.repeat(40),
  })
  const view = decodeMessage(encoded)
  assert.deepEqual(view.body, { kind: 'text', value: 'naïve 水 🚀 '.repeat(40) })
  assert.deepEqual(
    { ...view.properties },
    { text: 'é'.repeat(200), double: 0.25, yes: true, small: 9, long: 5n },
  )
  assert.deepEqual([view.messageId, view.correlationId, view.type], ['ID:one', 'two', 'Order'])
  assert.deepEqual(
    [view.to, view.replyTo],
    [
      { kind: 'queue', name: 'orders' },
      { kind: 'temporary-topic', name: 'answers' },
    ],
  )
  assert.deepEqual(
    [view.contentType, view.timestamp, view.groupId, view.groupSequence],
    ['text/plain', 1_700_000_000_000, 'g', 300],
  )
  const sections = rhea.message.encode({
    body: rhea.message.data_sections([Buffer.from('ab'), Buffer.from('c')]),
  })
  assert.equal(Buffer.from(decodeMessage(sections).body.value as Uint8Array).toString(), 'abc')
  const sequence = rhea.message.encode({ body: rhea.message.sequence_section([1, 'two']) })
  assert.deepEqual(decodeMessage(sequence).body, { kind: 'stream', value: [1, 'two'] })
  const list = rhea.message.encode({ body: [1, 'two', rhea.types.wrap_symbol('three')] })
  assert.deepEqual(decodeMessage(list).body, { kind: 'stream', value: [1, 'two', 'three'] })
  const map = rhea.message.encode({ body: { n: rhea.types.wrap_short(-2), c: rhea.types.wrap_char(120) } })
  assert.deepEqual(decodeMessage(map).body, {
    kind: 'map',
    value: new Map<string, unknown>([
      ['n', -2],
      ['c', 'x'],
    ]),
  })
  const bytes = rhea.message.encode({ body: Buffer.from('ab') })
  assert.deepEqual(decodeMessage(bytes).body, { kind: 'bytes', value: Uint8Array.of(97, 98) })
  const user = rhea.message.encode({ user_id: 'ada', body: '' })
  assert.equal(decodeMessage(user).userId, 'ada')
})
