import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { composite, connect, MillraceError, queue, topic, typed } from '../../src/index.ts'
import { Outbox, type OutboxSendOptions, openOutbox } from '../../src/patterns/index.ts'
import { bench, bodies, orders, quickly, take } from './outbox-bench.ts'
import { testRelay } from './relay-suite.ts'
import type { Subject } from './subjects.ts'

/** Everything that the outbox promises, on one kind of database. */
export function testOutbox(subject: Subject): void {
  suite(`outbox on ${subject.name}`, () => {
    testSending(subject)
    testOrder(subject)
    testRelay(subject)
    testBadInput(subject)
  })
}

function testSending(subject: Subject): void {
  test(
    'what is committed arrives, what is rolled back never does',
    bench(subject, async ({ database, mq, outbox, empty, relay }) => {
      const working = await relay(quickly)
      const insert = database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
      const place = (id: number, fail: boolean) =>
        database.transaction(async (tx) => {
          await tx.execute(insert, [`order ${id}`])
          const sent = await outbox.send(tx, orders, id)
          if (fail) throw new Error('no stock')
          return sent
        })
      await assert.rejects(place(1, true), { message: 'no stock' })
      const { messageId } = await place(2, false)
      const [message] = await take(mq, orders, 1)
      assert.equal(message!.body, 2)
      assert.equal(message!.messageId, messageId)
      await empty()
      assert.equal(await mq.receive(orders, { timeout: 0 }), undefined)
      assert.equal(working.statistics.sent, 1)
    }),
  )

  test(
    'a message arrives as it was sent, whatever it is',
    bench(subject, async ({ database, mq, outbox }) => {
      const any = queue<unknown>('any')
      const cases: [body: unknown, options: OutboxSendOptions, expected?: unknown][] = [
        ['text with \u0000 and 🌊', {}],
        [new Uint8Array([0, 1, 255]), { contentType: 'application/x' }],
        [{ a: [1, null, { $b: 'c' }] }, {}],
        [undefined, {}],
        [{ n: 7n, at: new Date(5), raw: new Uint8Array([9]) }, { kind: 'map' }],
        [[1, 'x', -0, Number.NaN, 2 ** 60], { kind: 'stream' }],
      ]
      const properties = {
        region: 'eu',
        big: 2n ** 60n,
        at: new Date(1_700_000_000_000),
        price: typed('double', 1),
        none: null,
        raw: new Uint8Array([1, 2]),
      }
      const options: OutboxSendOptions = {
        properties,
        priority: 7,
        correlationId: new Uint8Array([1, 2, 3]),
        replyTo: queue('answers'),
        type: 'OrderPlaced',
        groupSequence: 3,
        key: 'customer 1',
        ttl: '1h',
      }
      await database.transaction(async (tx) => {
        for (const [body, own] of cases) await outbox.send(tx, any, body, { ...options, ...own })
      })
      assert.deepEqual((await outbox.resend(mq)).sent, cases.length)
      for (const [body, own] of cases) {
        const [message] = await take(mq, any, 1)
        assert.deepEqual(message!.body, body)
        assert.equal(message!.kind, own.kind ?? message!.kind)
        assert.deepEqual({ ...message!.properties }, { ...properties, price: 1 })
        assert.equal(message!.priority, 7)
        assert.deepEqual(message!.correlationIdBytes, options.correlationId)
        assert.deepEqual(message!.replyTo, { kind: 'queue', name: 'answers' })
        assert.equal(message!.type, 'OrderPlaced')
        assert.equal(message!.groupId, 'customer 1')
        assert.equal(message!.groupSequence, 3)
        assert.equal(message!.expiration, message!.timestamp! + 3_600_000)
      }
    }),
  )

  test(
    'topics, several destinations and queues with a policy are sent to as such',
    bench(subject, async ({ database, mq, outbox }) => {
      const [prices, audit] = [
        topic<number>('prices'),
        queue<number>('audit', { policy: { maxMessages: 7 } }),
      ]
      const shop = await mq.subscribe(prices, { name: 'shop', shared: true })
      await database.transaction(async (tx) => {
        await outbox.send(tx, prices, 1)
        await outbox.send(tx, composite(prices, audit), 2)
      })
      await outbox.resend(mq)
      assert.equal((await mq.receive(shop))!.body, 1)
      assert.equal((await mq.receive(shop))!.body, 2)
      assert.deepEqual(bodies(await take(mq, audit, 1)), [2])
      const report = (await mq.management.queues()).find(({ name }) => name === 'audit')
      assert.equal(report?.policy.maxMessages, 7)
    }),
  )

  test(
    'a message that has expired in the outbox is not sent, and is counted',
    bench(subject, async ({ mq, outbox, send }) => {
      await send(orders, 1, { ttl: 1 })
      await send(orders, 2, { ttl: '1h' })
      await pause(2)
      assert.deepEqual(await outbox.resend(mq), { sent: 1, expired: 1, failed: 0, left: 0 })
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
    }),
  )

  test(
    'a delay counts from the send',
    bench(subject, async ({ mq, outbox, send }) => {
      await send(orders, 1, { delay: '1h' })
      await outbox.resend(mq)
      const { messages } = await mq.management.scheduled()
      assert.ok(Math.abs(messages[0]!.due - (Date.now() + 3_600_000)) < 600_000)
    }),
  )

  test(
    'pitfall 14: messages outlive the process that has sent them without a relay',
    bench(subject, async ({ database, mq, send, relay }) => {
      await send(orders, 1)
      const next = await openOutbox({ database })
      const working = await relay(quickly, next)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
      assert.ok(working.statistics.polls >= 1)
    }),
  )
}

function testOrder(subject: Subject): void {
  test(
    'pitfall 2: three relays keep the order within each key',
    bench(subject, async ({ database, mq, outbox, empty, relay }) => {
      const options = { ...quickly, batch: 7 }
      const relays = await Promise.all([1, 2, 3].map(() => relay(options)))
      const last = new Map<string, number>()
      const inTurn: string[] = []
      for (let i = 0; i < 60; i++)
        await database.transaction(async (tx) => {
          for (const key of ['a', 'b', 'c', 'Ä'])
            await outbox.send(tx, queue<number>('keyed'), i, { key, group: `${key}` })
        })
      await empty()
      for (const { body, groupId } of await take(mq, queue<number>('keyed'), 240)) {
        if (body !== (last.get(groupId!) ?? -1) + 1)
          inTurn.push(`${groupId}: ${body} after ${last.get(groupId!)}`)
        last.set(groupId!, body)
      }
      assert.deepEqual(inTurn, [])
      assert.equal(
        relays.reduce((sum, { statistics }) => sum + statistics.sent, 0),
        240,
      )
    }),
  )

  test(
    'pitfall 1: a transaction that commits late is not passed over',
    { skip: !subject.concurrent && 'one transaction at a time' },
    bench(subject, async ({ database, mq, outbox, relay }) => {
      await relay(quickly)
      await database.transaction(async (early) => {
        await outbox.send(early, orders, 1)
        await database.transaction((late) => outbox.send(late, orders, 2))
        assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
      })
      assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
    }),
  )

  test(
    'transactions that send under one key wait for each other, others do not',
    { skip: !subject.concurrent && 'one transaction at a time' },
    bench(subject, async ({ database, mq, outbox }) => {
      const order: string[] = []
      let second: Promise<unknown> = Promise.resolve()
      await database.transaction(async (first) => {
        await outbox.send(first, orders, 1, { key: 'same' })
        second = database
          .transaction((tx) => outbox.send(tx, orders, 2, { key: 'same' }))
          .then(() => order.push('second'))
        await database.transaction((tx) => outbox.send(tx, orders, 3, { key: 'another' }))
        order.push('first')
      })
      await second
      assert.deepEqual(order, ['first', 'second'])
      await outbox.resend(mq)
      const arrived = bodies(await take(mq, orders, 3))
      assert.deepEqual(
        arrived.filter((body) => body !== 3),
        [1, 2],
      )
    }),
  )
}

function testBadInput(subject: Subject): void {
  test(
    'what cannot be sent is refused before it is stored',
    bench(subject, async ({ database, mq, rows }) => {
      const outbox = new Outbox({ database, maxMessageBytes: 2_000 })
      const send = (body: never, options: OutboxSendOptions, to = orders) =>
        database.transaction((tx) => outbox.send(tx, to, body, options))
      await assert.rejects(send('x'.repeat(2_000) as never, {}), { code: 'message-too-large' })
      await assert.rejects(send(1 as never, { key: 'k'.repeat(256) }), { code: 'argument-invalid' })
      await assert.rejects(send(1 as never, { messageId: '' }), { code: 'argument-invalid' })
      await assert.rejects(send((() => {}) as never, {}), { code: 'message-invalid' })
      await assert.rejects(send(1 as never, {}, 'orders' as never), { code: 'destination-invalid' })
      const temporary = await mq.createTemporaryQueue<number>()
      await assert.rejects(send(1 as never, {}, temporary), { code: 'destination-invalid' })
      assert.equal(await rows(), 0)
    }),
  )

  test(
    'an id that is there is database-duplicate, and sends nothing',
    bench(subject, async ({ send, rows }) => {
      await send(orders, 1, { messageId: 'ID:order-1' })
      await assert.rejects(send(orders, 2, { messageId: 'ID:order-1' }), { code: 'database-duplicate' })
      assert.equal(await rows(), 1)
    }),
  )

  test(
    'without its tables the outbox is not opened',
    bench(subject, async ({ database }) => {
      await database.execute("UPDATE millrace_schema SET version = 99 WHERE component = 'outbox'")
      await assert.rejects(openOutbox({ database }), { code: 'schema-newer' })
      await database.execute("UPDATE millrace_schema SET version = 0 WHERE component = 'outbox'")
      await assert.rejects(openOutbox({ database }), { code: 'schema-missing' })
      await database.execute('DROP TABLE millrace_schema')
      await assert.rejects(openOutbox({ database }), { code: 'schema-missing' })
    }),
  )

  test(
    'a database that is away is told of once, asked with growing pauses, and nothing is lost',
    bench(subject, async ({ database, mq, send, empty, relay }) => {
      await send(orders, 1)
      database.failure = new MillraceError('database-unavailable', 'gone')
      const working = await relay(quickly)
      const errors: string[] = []
      working.on('error', ({ code }) => errors.push(code))
      const { polls } = working.statistics
      const begun = performance.now()
      await pause(400)
      const asked = working.statistics.polls - polls
      assert.ok(asked <= Math.log2((performance.now() - begun) / 100) + 3, `asked ${asked} times`)
      assert.deepEqual(errors, ['database-unavailable'])
      database.failure = undefined
      await empty()
      assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
    }),
  )

  test(
    'pitfall 15: a clock that was set back neither holds claims nor delays messages for longer',
    bench(subject, async ({ database, mq, send, empty, relay }) => {
      const { now } = database.dialect
      await send(orders, 1)
      await send(orders, 2)
      const later = `${now} + 3600000`
      await database.execute(
        `UPDATE millrace_outbox SET claim = 'dead', claimed_at = ${later}, claimed_for = 60000`,
      )
      await database.execute(
        `UPDATE millrace_outbox SET failures = 1, failed_at = ${later}, retry_after = 60000`,
      )
      await relay(quickly)
      await empty()
      assert.deepEqual(bodies(await take(mq, orders, 2)), [1, 2])
    }),
  )

  test(
    'a relay whose broker is closed under it ends by itself, and says so',
    bench(subject, async ({ outbox, send, rows }) => {
      const mq = await connect('memory:')
      const relay = await outbox.relay(mq, quickly)
      const told = once(relay, 'error')
      await mq.close()
      await send(orders, 1)
      assert.equal(((await told)[0] as MillraceError).code, 'closed')
      await relay.close()
      assert.equal(await rows(), 1)
    }),
  )

  test(
    'options that make no sense are refused',
    bench(subject, async ({ mq, outbox }) => {
      for (const options of [{ batch: 0 }, { batch: 513 }, { lease: 1 }, { poll: { min: 5, max: 1 } }])
        await assert.rejects(outbox.relay(mq, options), { code: 'argument-invalid' })
    }),
  )
}
