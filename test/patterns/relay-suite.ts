import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connect, MillraceError, queue } from '../../src/index.ts'
import { type Executor, Outbox, type OutboxFailure } from '../../src/patterns/index.ts'
import { bench, blocked, bodies, orders, quickly, take } from './outbox-bench.ts'
import type { Subject } from './subjects.ts'
import { WatchedDatabase } from './watched-database.ts'

/** How what is in the outbox gets to the broker. */
export function testRelay(subject: Subject): void {
  testClaims(subject)
  testPoison(subject)
  testPace(subject)
  testRepair(subject)
}

function testClaims(subject: Subject): void {
  test(
    'pitfall 5: no transaction is open while a message waits for its confirm, and other keys flow',
    bench(subject, async ({ database, mq, send, rows, relay }) => {
      const full = await blocked(mq)
      const working = await relay(quickly)
      const held = once(mq, 'blocked')
      await send(full, 1, { key: 'held' })
      await held
      assert.equal(database.open, 0)
      await send(orders, 2, { key: 'free' })
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
      while ((await rows()) > 1) await pause(1)
      assert.deepEqual(bodies(await take(mq, full, 2)), [0, 1])
      await working.close()
      assert.equal(await rows(), 0)
    }),
  )

  test(
    'a claim is renewed for as long as its relay lives',
    bench(subject, async ({ database, mq, send, rows, relay }) => {
      const full = await blocked(mq)
      const working = await relay({ ...quickly, lease: 150 })
      const held = once(mq, 'blocked')
      await send(full, 1)
      await held
      const seen = new Set<string>()
      while (seen.size < 4) {
        const { rows } = await database.execute('SELECT claimed_at AS at FROM millrace_outbox')
        seen.add(String(rows[0]!['at']))
        await pause(10)
      }
      await take(mq, full, 2)
      await working.close()
      assert.equal(await rows(), 0)
    }),
  )

  test(
    'pitfall 8 and 13: what a relay that died may have sent is sent again under the same id, and stored once',
    bench(subject, async ({ database, mq, outbox, empty, relay }) => {
      const once = queue<number>('once', { policy: { deduplication: true } })
      const { messageId } = await database.transaction(async (tx) => {
        await outbox.send(tx, once, 1)
        return outbox.send(tx, orders, 2)
      })
      const dying = new WatchedDatabase(database)
      const first = await relay({ ...quickly, lease: 100 }, new Outbox({ database: dying }))
      first.on('error', () => {})
      const confirmed = await mq.receive(orders)
      // It has sent them, and does not get to say so.
      dying.failure = new MillraceError('database-unavailable', 'gone')
      await first.close({ drain: 0 })
      await confirmed!.acknowledge()
      const sentTwice = (await database.execute('SELECT COUNT(*) AS n FROM millrace_outbox')).rows[0]!['n']
      await relay(quickly)
      await empty()
      // The relay may have been quicker than its end; then there was nothing to be sent again.
      if (Number(sentTwice) > 0) {
        const [again] = await take(mq, orders, 1)
        assert.equal(again!.messageId, messageId)
      }
      assert.deepEqual(bodies(await take(mq, once, 1)), [1])
      assert.equal(await mq.receive(once, { timeout: 0 }), undefined)
    }),
  )

  test(
    'pitfall 6: each message is deleted when it is confirmed itself, not with its neighbours',
    bench(subject, async ({ database, mq, outbox }) => {
      const small = queue<number>('small', { policy: { maxMessages: 1, overflow: 'reject' } })
      await database.transaction(async (tx) => {
        for (const body of [1, 2]) await outbox.send(tx, small, body)
        for (const body of [3, 4]) await outbox.send(tx, orders, body)
      })
      assert.deepEqual(await outbox.resend(mq), { sent: 3, expired: 0, failed: 1, left: 1 })
      const { entries } = await outbox.report()
      assert.match(entries[0]!.error!, /^queue-full: /)
      await take(mq, small, 1)
      assert.deepEqual(await outbox.resend(mq), { sent: 1, expired: 0, failed: 0, left: 0 })
    }),
  )
}

function testPoison(subject: Subject): void {
  test(
    'pitfall 10: a poison message blocks its key and no other, is reported, and is tried again on demand',
    bench(subject, async ({ mq, outbox, send, rows, relay }) => {
      // The broker has this queue with another definition.
      await mq.declare(queue('taken', { policy: { maxMessages: 5 } }))
      const taken = queue<number>('taken', { policy: { maxMessages: 6 } })
      const poison = await send(taken, 1, { key: 'sick' })
      await send(orders, 2, { key: 'sick' })
      await send(orders, 3, { key: 'well' })
      await send(orders, 4)
      const working = await relay(quickly)
      const [failure] = (await once(working, 'failed')) as [OutboxFailure]
      assert.deepEqual(
        [failure.messageId, failure.key, failure.poison, failure.failures],
        [poison.messageId, 'sick', true, 1],
      )
      assert.equal(failure.error.code, 'destination-conflict')
      assert.deepEqual(new Set(bodies(await take(mq, orders, 2))), new Set([3, 4]))
      while ((await rows()) > 2) await pause(1)
      const report = await outbox.report()
      assert.deepEqual([report.messages, report.poison, report.failing], [2, 1, 1])
      assert.equal(report.entries[0]!.messageId, poison.messageId)
      assert.match(report.entries[0]!.error!, /^destination-conflict: /)
      await mq.management.delete('taken')
      assert.equal((await outbox.resend(mq, { messageId: poison.messageId })).failed, 0)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
      assert.equal(await rows(), 0)
    }),
  )

  test(
    'a row that nobody can read is poison, and holds up nobody else',
    bench(subject, async ({ database, mq, outbox, send }) => {
      const { messageId } = await send(orders, 1)
      await send(orders, 2)
      await database.execute(
        database.dialect.statement('UPDATE millrace_outbox SET headers = ? WHERE message_id = ?'),
        ['{', messageId],
      )
      assert.deepEqual(await outbox.resend(mq), { sent: 1, expired: 0, failed: 1, left: 1 })
      assert.equal((await outbox.report()).entries[0]!.poison, true)
      assert.equal(await outbox.discard(messageId), true)
      assert.equal(await outbox.discard(messageId), false)
    }),
  )

  test(
    'keys are found behind more blocked ones than one look takes',
    bench(subject, async ({ database, mq, outbox, relay }) => {
      const full = queue<number>('full', { policy: { maxMessages: 1, overflow: 'reject' } })
      await mq.send(full, 0)
      await database.transaction(async (tx) => {
        for (let i = 0; i < 25; i++) await outbox.send(tx, full, i, { key: `blocked ${i}` })
      })
      assert.equal((await outbox.resend(mq, { batch: 10 })).failed, 25)
      await database.transaction((tx) => outbox.send(tx, orders, 1, { key: 'z' }))
      const working = await relay({ ...quickly, batch: 4 })
      assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
      assert.equal(working.statistics.failed, 0)
    }),
  )
}

function testPace(subject: Subject): void {
  test(
    'pitfall 4: an idle relay asks ever more rarely, and at once after a commit',
    bench(subject, async ({ mq, send, relay }) => {
      const working = await relay({ poll: { min: 1, max: 60_000 } })
      const begun = performance.now()
      await pause(300)
      const { polls } = working.statistics
      const doublings = Math.ceil(Math.log2(performance.now() - begun))
      assert.ok(polls <= doublings + 1, `${polls} polls`)
      // The next look would be far away.
      while (working.statistics.polls < 10) await pause(10)
      await send(orders, 1)
      const [message] = await take(mq, orders, 1)
      assert.equal(message!.body, 1)
    }),
  )

  test(
    'a relay that is told nothing of the commit looks soon after the send',
    bench(subject, async ({ database, mq, outbox, relay }) => {
      const working = await relay({ poll: { min: 1, max: 60_000 } })
      while (working.statistics.polls < 10) await pause(10)
      await database.transaction(({ execute }) => outbox.send({ execute } as Executor, orders, 1))
      await take(mq, orders, 1)
    }),
  )

  test(
    'pitfall 3: what runs in a transaction of the application notifies nobody',
    bench(subject, async ({ database, send }) => {
      database.statements.length = 0
      await send(orders, 1, { key: 'a' })
      assert.ok(database.statements.length >= 1)
      assert.deepEqual(
        database.statements.filter((sql) => /NOTIFY|LISTEN/i.test(sql)),
        [],
      )
    }),
  )

  test(
    'pitfall 7: what is confirmed is deleted, by statements of bounded size',
    bench(subject, async ({ database, mq, outbox, rows }) => {
      await database.transaction(async (tx) => {
        for (let i = 0; i < 700; i++)
          await outbox.send(tx, orders, i, i % 2 === 0 ? {} : { key: `${i % 50}` })
      })
      database.statements.length = 0
      assert.equal((await outbox.resend(mq, { batch: 512 })).sent, 700)
      assert.equal(await rows(), 0)
      const placeholders = database.statements.map((sql) => (sql.match(/\?|\$\d+/g) ?? []).length)
      assert.ok(Math.max(...placeholders) <= 514, `${Math.max(...placeholders)}`)
      // Of each kind a power of two, so that a database keeps few of them prepared.
      assert.ok(new Set(database.statements).size < 30)
    }),
  )
}

function testRepair(subject: Subject): void {
  test(
    'the report tells what is committed and not confirmed',
    bench(subject, async ({ outbox, send }) => {
      assert.deepEqual(await outbox.report(), {
        messages: 0,
        bytes: 0,
        oldest: undefined,
        claimed: 0,
        failing: 0,
        poison: 0,
        entries: [],
      })
      const { messageId } = await send(orders, 1, { key: 'k' })
      await send(orders, 2)
      const { messages, bytes, oldest, entries } = await outbox.report({ limit: 1 })
      assert.equal(messages, 2)
      assert.ok(bytes > 0 && oldest !== undefined && oldest >= 0)
      const [{ age, size, ...entry }] = entries as [(typeof entries)[number]]
      assert.ok(age >= 0 && size > 0)
      assert.deepEqual(entry, {
        messageId,
        key: 'k',
        destination: 'orders',
        failures: 0,
        poison: false,
        error: undefined,
      })
      assert.equal(entries.length, 1)
    }),
  )

  test(
    'resend leaves alone what a relay is sending at this moment',
    bench(subject, async ({ mq, outbox, send, relay }) => {
      const full = await blocked(mq)
      await relay(quickly)
      const held = once(mq, 'blocked')
      await send(full, 1)
      await held
      assert.equal((await outbox.report()).claimed, 1)
      assert.deepEqual(await outbox.resend(mq), { sent: 0, expired: 0, failed: 0, left: 1 })
      await take(mq, full, 2)
    }),
  )

  test(
    'resend without a broker says so, and leaves everything as it was',
    bench(subject, async ({ outbox, send, rows }) => {
      const mq = await connect('memory:')
      await send(orders, 1)
      await mq.close()
      await assert.rejects(outbox.resend(mq), { code: 'closed' })
      assert.equal(await rows(), 1)
    }),
  )
}
