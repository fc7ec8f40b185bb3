/**
 * The types of the API: this file must compile, and each `@ts-expect-error` line must be an error. At run time it shows
 * that destinations are plain values.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Context,
  type Destination,
  type Message,
  type PropertyValue,
  queue,
  type StandardSchema,
  type Subscription,
  type Topic,
  topic,
  typed,
} from '../../src/index.ts'

interface Mail {
  readonly to: string
}

declare const schema: StandardSchema<{ at: string }, { at: Date }>

const mail = queue<Mail>('mail')
const prices: Topic<number> = topic<number>('prices.eur')

/** Never called. */
export async function program(mq: Context, reply: Destination, audit: Subscription<number>): Promise<void> {
  await mq.send(mail, { to: 'ada' })
  // @ts-expect-error: not a body of this queue
  await mq.send(mail, { from: 'ada' })
  // @ts-expect-error: not a body of this queue
  await mq.send(mail, 'ada')
  // @ts-expect-error: a name alone is neither queue nor topic
  await mq.send('mail', { to: 'ada' })
  // @ts-expect-error: there is no such durability
  await mq.send(mail, { to: 'ada' }, { durability: 'paper' })
  // @ts-expect-error: properties are not nested
  await mq.send(mail, { to: 'ada' }, { properties: { nested: {} } })
  await mq.send(reply, { anything: true })
  const message = await mq.receive(mail, { timeout: '5s' })
  const to: string | undefined = message?.body.to
  // @ts-expect-error: a received message is read-only
  if (message) message.body = { to: 'eve' }
  // @ts-expect-error: the body has no such member
  message?.body.from
  // @ts-expect-error: a topic holds nothing to receive
  await mq.receive(prices)

  const events = queue('events', { body: schema })
  await mq.send(events, { at: '2026-01-01' })
  // @ts-expect-error: what is sent is the input of the schema
  await mq.send(events, { at: new Date() })
  const at: Date | undefined = (await mq.receive(events))?.body.at

  mq.consume(mail, { concurrency: 2 }, async ({ body }: Message<Mail>, { signal }) => [
    body.to,
    signal.aborted,
  ])
  mq.consume(prices, ({ body }) => body.toFixed(2))
  mq.consume(audit, ({ body }) => body.toFixed(2))
  // @ts-expect-error: the handler is for other bodies
  mq.consume(prices, (other: Message<Mail>) => other.body.to)
  // @ts-expect-error: a handler is needed
  mq.consume(mail, { concurrency: 2 })

  const subscription = await mq.subscribe(prices, { name: 'audit' })
  const price: number | undefined = (await mq.receive(subscription))?.body
  // @ts-expect-error: a subscription has a name
  await mq.subscribe(prices, { shared: true })
  // @ts-expect-error: a queue is not subscribed to
  await mq.subscribe(mail, { name: 'audit' })

  for await (const each of mq.browse(mail)) void each.body.to
  for await (const each of await mq.createConsumer(prices)) void each.body.toFixed(2)

  const producer = await mq.connection.createSession({ acknowledge: 'client' }).createProducer(mail)
  await producer.send({ to: 'ada' })
  // @ts-expect-error: not a body of its queue
  await producer.send(1)

  mq.on('blocked', (name, reason) => void [name.length, reason.length])
  // @ts-expect-error: there is no such event
  mq.on('exploded', () => {})
  void [to, at, price]
}

/** Never called. */
export async function contents(mq: Context, reply: Destination, message: Message): Promise<void> {
  await mq.send(reply, { n: typed('long', 1n) }, { kind: 'map', properties: { price: typed('double', 1) } })
  // @ts-expect-error: there is no such kind
  await mq.send(reply, 'x', { kind: 'object' })
  // @ts-expect-error: a character is no byte
  typed('byte', 'x')
  const [raw, number, text]: [PropertyValue | undefined, number | undefined, string | undefined] = [
    message.property('n'),
    message.property('n', 'number'),
    message.property('n', 'string'),
  ]
  // @ts-expect-error: there is no such conversion
  message.property('n', 'int')
  void [raw, number, text]
}

test('destinations are frozen values that can be compared and sent', () => {
  assert.deepEqual(JSON.parse(JSON.stringify(mail)), { kind: 'queue', name: 'mail' })
  assert.deepEqual(JSON.parse(JSON.stringify(prices)), { kind: 'topic', name: 'prices.eur' })
  assert.throws(() => Object.assign(mail, { name: 'other' }), TypeError)
})

test('names and policies that cannot be used are refused when they are written down', () => {
  for (const name of ['', 'x'.repeat(256), '水'.repeat(86), 1 as never]) {
    assert.throws(() => queue(name), { code: 'destination-invalid' })
  }
  // A page of text is no place to look for what is wrong with it.
  assert.throws(
    () => queue('x'.repeat(9999)),
    ({ message }) => message.length < 200,
  )
  const wrong = [
    { maxMessages: 0 },
    { maxBytes: 1.5 },
    { overflow: 'explode' as never },
    { backoff: { jitter: 2 } },
    { maxDelivery: 5 } as never,
    { backoff: { multiplyer: 3 } as never },
    { deduplication: { windows: '5s' } as never },
    { deadLetter: 5 as never },
    { expired: '' },
  ]
  for (const policy of wrong) assert.throws(() => queue('q', { policy }), { code: 'argument-invalid' })
  assert.throws(() => queue('q', { policy: { ttl: '5 years' } }), { code: 'duration-invalid' })
  assert.deepEqual(queue('q', { policy: { ttl: '5s', maxDeliveries: Infinity, deadLetter: false } }).policy, {
    ttl: 5000,
    maxDeliveries: undefined,
    deadLetter: undefined,
  })
})
