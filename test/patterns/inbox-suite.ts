import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Context, connect, type Message, MillraceError, type Queue, queue } from '../../src/index.ts'
import {
  type Database,
  type IdempotentContext,
  type Inbox,
  idempotent,
  openInbox,
  openOutbox,
} from '../../src/patterns/index.ts'
import { testEffects } from './effects-suite.ts'
import type { Subject } from './subjects.ts'
import { WatchedDatabase } from './watched-database.ts'

interface Bench {
  readonly database: WatchedDatabase
  readonly mq: Context
  readonly inbox: Inbox
  readonly jobs: Queue<string>
  /** What the connection has reported that no promise has. */
  readonly errors: MillraceError[]
  /** Writes the text in the transaction of the handler. */
  write(note: string, context: IdempotentContext<unknown>): Promise<unknown>
  /** What has been written for good, in its order. */
  written(): Promise<string[]>
  /** Resolves when nothing is in the queue any more. */
  drained(): Promise<void>
}

const policy = { backoff: { delay: 1, multiplier: 1, jitter: 0 } } as const

/** Everything that the inbox promises, on one kind of database. */
export function testInbox(subject: Subject): void {
  suite(`inbox on ${subject.name}`, () => {
    testOnce(subject)
    testLateHandlers(subject)
    testForgetting(subject)
    testBadInput(subject)
    testEffects(subject)
  })
}

function bench(
  subject: Subject,
  work: (bench: Bench) => Promise<void>,
  queuePolicy: Parameters<typeof queue>[1] = {},
): () => Promise<void> {
  return async () => {
    await using opened = await subject.open()
    const database = new WatchedDatabase(opened.database)
    const mq = await connect('memory:')
    const errors: MillraceError[] = []
    mq.on('error', (error) => errors.push(error))
    const inbox = await openInbox({ database, consumer: 'billing' })
    const insert = database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
    const jobs = queue<string>('jobs', { policy: { ...policy, ...queuePolicy.policy } })
    const written = async () => {
      const { rows } = await opened.database.execute('SELECT note FROM orders ORDER BY id')
      return rows.map(({ note }) => String(note))
    }
    const drained = async () => {
      const left = async () => (await mq.management.queues()).find(({ name }) => name === 'jobs')?.messages
      while ((await left()) !== 0) await pause(1)
    }
    const write: Bench['write'] = (note, { executor }) => executor.execute(insert, [note])
    try {
      await work({ database, mq, inbox, jobs, errors, write, written, drained })
    } finally {
      await mq.close({ drain: 0 })
    }
  }
}

function testOnce(subject: Subject): void {
  test(
    'a message that is sent and delivered again and again has one effect',
    bench(subject, async ({ mq, inbox, jobs, write, written, drained }) => {
      for (let copy = 0; copy < 3; copy++)
        for (const body of ['a', 'b']) await mq.send(jobs, body, { messageId: `ID:${body}` })
      const handler = idempotent<string, unknown>(({ body }, context) => write(body, context), { inbox })
      mq.consume(jobs, { concurrency: 4 }, handler)
      await drained()
      assert.deepEqual((await written()).toSorted(), ['a', 'b'])
      const { processed, duplicates } = inbox.statistics
      assert.deepEqual([processed, duplicates], [2, 4])
    }),
  )

  test(
    'a handler that throws has no effect, and gets the message again',
    bench(subject, async ({ mq, inbox, jobs, write, written, drained }) => {
      const fences: number[] = []
      const handler = idempotent<string, unknown>(
        async ({ body }, context) => {
          fences.push(context.fence)
          await write(`${body} ${context.fence}`, context)
          if (context.fence < 3) throw new Error('not yet')
        },
        { inbox },
      )
      mq.consume(jobs, handler)
      await mq.send(jobs, 'a')
      await drained()
      assert.deepEqual(fences, [1, 2, 3])
      assert.deepEqual(await written(), ['a 3'])
    }),
  )

  test(
    'pitfall 13: a crash between commit and acknowledgement repeats nothing',
    bench(subject, async ({ mq, inbox, jobs, write, written }) => {
      const handler = idempotent<string, unknown>(({ body }, context) => write(body, context), { inbox })
      const { signal } = new AbortController()
      const dying = await mq.createContext()
      await mq.send(jobs, 'a')
      await handler((await dying.receive(jobs)) as Message<string>, { signal })
      assert.deepEqual(await written(), ['a'])
      await dying.close()
      const again = (await mq.receive(jobs)) as Message<string>
      await handler(again, { signal })
      assert.deepEqual(await written(), ['a'])
      assert.equal(inbox.statistics.duplicates, 1)
    }),
  )

  test(
    'pitfall 8: another consumer of the same message has an effect of its own',
    bench(subject, async ({ database, mq, inbox, jobs, write, written }) => {
      const shipping = await openInbox({ database, consumer: 'shipping' })
      await mq.send(jobs, 'a')
      const message = (await mq.receive(jobs)) as Message<string>
      const { signal } = new AbortController()
      for (const each of [inbox, shipping, inbox, shipping])
        await idempotent<string, unknown>((_, context) => write(each.consumer, context), { inbox: each })(
          message,
          { signal },
        )
      assert.deepEqual(await written(), ['billing', 'shipping'])
    }),
  )

  test(
    'what a handler sends through an outbox is sent if its effect counts',
    bench(subject, async ({ database, mq, inbox, jobs, write, drained, written }) => {
      const outbox = await openOutbox({ database })
      const bills = queue<string>('bills')
      const handler = idempotent<string, unknown>(
        async ({ body, deliveryCount }, context) => {
          await write(body, context)
          await outbox.send(context.executor, bills, `bill ${body}`)
          if (deliveryCount === 1) throw new Error('once more')
        },
        { inbox },
      )
      mq.consume(jobs, handler)
      await mq.send(jobs, 'a', { messageId: 'ID:a' })
      await mq.send(jobs, 'a', { messageId: 'ID:a' })
      await drained()
      assert.equal((await outbox.resend(mq)).sent, 1)
      assert.equal((await mq.receive(bills))!.body, 'bill a')
      assert.deepEqual(await written(), ['a'])
    }),
  )

  test(
    'two copies that are processed at once have one effect',
    { skip: !subject.concurrent && 'one transaction at a time' },
    bench(subject, async ({ mq, inbox, jobs, write, written }) => {
      for (let copy = 0; copy < 2; copy++) await mq.send(jobs, 'a', { messageId: 'ID:a' })
      const both = Promise.withResolvers<void>()
      let begun = 0
      const handler = idempotent<string, unknown>(
        async ({ body }, context) => {
          await write(`${body} ${context.fence}`, context)
          if (++begun === 2) both.resolve()
          await both.promise
        },
        { inbox },
      )
      const { signal } = new AbortController()
      const copies = [(await mq.receive(jobs))!, (await mq.receive(jobs))!]
      await Promise.all(copies.map((copy) => handler(copy, { signal })))
      assert.deepEqual(await written(), ['a 1'])
      const { processed, duplicates } = inbox.statistics
      assert.deepEqual([processed, duplicates], [1, 1])
    }),
  )
}

function testLateHandlers(subject: Subject): void {
  const held = { policy: { deliveryTimeout: 50, maxDeliveries: 50 } }
  test(
    'pitfall 11: a handler whose delivery is taken back has no effect, whatever it still does',
    bench(
      subject,
      async ({ mq, inbox, jobs, errors, write, written, drained }) => {
        const ghosts: Promise<unknown>[] = []
        const handler = idempotent<string, unknown>(
          async ({ body }, context) => {
            await write(`${body} ${context.fence}`, context)
            if (context.fence > 1) return
            await once(context.signal, 'abort')
            const late = pause(5).then(() => write('late', context))
            ghosts.push(late.catch((error: MillraceError) => error.code))
            // It takes no notice, and does not return.
            await new Promise(() => {})
          },
          { inbox },
        )
        mq.consume(jobs, { concurrency: 2 }, handler)
        await mq.send(jobs, 'a')
        await drained()
        assert.deepEqual(await Promise.all(ghosts), ['illegal-state'])
        const effects = await written()
        assert.equal(effects.length, 1)
        assert.match(effects[0]!, /^a [2-9]/)
        assert.ok(errors.every(({ code }) => code === 'delivery-settled'))
      },
      held,
    ),
  )

  test(
    'pitfall 11: a process that was paused, and has noticed nothing, does not commit after another has begun',
    { skip: !subject.concurrent && 'one transaction at a time' },
    bench(subject, async ({ mq, inbox, jobs, write, written }) => {
      const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const handler = idempotent<string, unknown>(
        async ({ body }, context) => {
          await write(`${body} ${context.fence}`, context)
          if (context.fence > 1) throw new Error('not this one either')
          begun.resolve()
          await goOn.promise
        },
        { inbox },
      )
      // Its signal is aborted by nobody: the process would have to run for that.
      const { signal } = new AbortController()
      await mq.send(jobs, 'a')
      const first = (await mq.receive(jobs))!
      const paused = handler(first, { signal }) as Promise<void>
      await begun.promise
      await first.fail()
      const second = (await mq.receive(jobs))!
      await assert.rejects(handler(second, { signal }) as Promise<void>, { message: 'not this one either' })
      goOn.resolve()
      await assert.rejects(paused, { code: 'superseded' })
      assert.deepEqual(await written(), [])
      assert.equal(inbox.statistics.superseded, 1)
    }),
  )

  test(
    'a handler that never returns fails after its time; others go on, and nothing is lost',
    bench(subject, async ({ mq, inbox, jobs, write, written, drained }) => {
      const handler = idempotent<string, unknown>(
        async ({ body, deliveryCount }, context) => {
          if (body === 'stuck' && deliveryCount === 1) await new Promise(() => {})
          await write(body, context)
        },
        { inbox, timeout: 300 },
      )
      mq.consume(jobs, { concurrency: 3 }, handler)
      await mq.send(jobs, 'stuck')
      await mq.send(jobs, 'other')
      await drained()
      assert.deepEqual((await written()).toSorted(), ['other', 'stuck'])
    }),
  )
}

function testForgetting(subject: Subject): void {
  test(
    'what is older than the retention is forgotten, in batches; what is younger, or of others, is not',
    bench(subject, async ({ database, mq, jobs, inbox }) => {
      const { now } = database.dialect
      const insert = database.dialect.statement(
        `INSERT INTO millrace_inbox (consumer, message_id, fence, state, digest, changed_at) VALUES (?, ?, 1, 1, 'd', ${now} - ?)`,
      )
      const day = 86_400_000
      await database.transaction(async (tx) => {
        for (let i = 0; i < 1_100; i++) await tx.execute(insert, ['billing', `old ${i}`, 8 * day])
        await tx.execute(insert, ['billing', 'young', 6 * day])
        await tx.execute(insert, ['shipping', 'old', 8 * day])
      })
      await mq.send(jobs, 'a')
      const { signal } = new AbortController()
      await idempotent<string, unknown>(() => {}, { inbox })((await mq.receive(jobs))!, { signal })
      while (inbox.statistics.swept < 1_100) await pause(1)
      const { rows } = await database.execute('SELECT message_id AS id FROM millrace_inbox')
      const left = rows.map(({ id }) => String(id)).filter((id) => !id.startsWith('ID:'))
      assert.deepEqual(left.toSorted(), ['old', 'young'])
      assert.equal(rows.length, 3)
    }),
  )
}

function testBadInput(subject: Subject): void {
  test(
    'a known id with another body is dead-lettered and named, and has no effect',
    bench(subject, async ({ mq, inbox, jobs, errors, write, written, drained }) => {
      const handler = idempotent<string, unknown>(({ body }, context) => write(body, context), { inbox })
      mq.consume(jobs, handler)
      await mq.send(jobs, 'one', { messageId: 'ID:1' })
      await mq.send(jobs, 'another', { messageId: 'ID:1' })
      await drained()
      assert.deepEqual(await written(), ['one'])
      // It is told after the message has left.
      while (errors.length === 0) await pause(1)
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['message-id-conflict'],
      )
      const dead = await mq.receive(queue('jobs.dlq'))
      assert.equal(dead?.body, 'another')
      assert.match(dead!.deadLetter!.description, /another body/)
    }),
  )

  test(
    'a message without an id that can be kept is dead-lettered at once and named, and holds up nobody',
    bench(subject, async ({ mq, inbox, jobs, errors, write, written, drained }) => {
      const handler = idempotent<string, unknown>(({ body }, context) => write(body, context), { inbox })
      mq.consume(jobs, handler)
      await mq.send(jobs, 'nameless', { messageId: 'x'.repeat(256) })
      await mq.send(jobs, 'other')
      await drained()
      while (errors.length === 0) await pause(1)
      assert.deepEqual(await written(), ['other'])
      assert.deepEqual(
        errors.map(({ code }) => code),
        ['message-invalid'],
      )
      const dead = (await mq.receive(queue('jobs.dlq')))!
      assert.equal(dead.body, 'nameless')
      assert.match(dead.deadLetter!.description, /ids of 1 to 255 bytes/)
    }),
  )

  test(
    'while the database is away messages come again, with growing pauses, and nothing is lost',
    bench(subject, async ({ database, mq, inbox, jobs, write, written, drained }) => {
      let calls = 0
      const handler = idempotent<string, unknown>(
        async ({ body }, context) => {
          calls++
          await write(body, context)
        },
        { inbox },
      )
      database.failure = new MillraceError('database-unavailable', 'gone')
      mq.consume(jobs, handler)
      await mq.send(jobs, 'a')
      while (database.statements.length < 3) await pause(1)
      assert.equal(calls, 0)
      database.failure = undefined
      await drained()
      assert.deepEqual(await written(), ['a'])
    }),
  )

  test(
    'without its tables an inbox is not opened, nor without a consumer',
    bench(subject, async ({ database }) => {
      const open = (consumer: string) => openInbox({ database: database as Database, consumer })
      await assert.rejects(open(''), { code: 'argument-invalid' })
      await database.execute("UPDATE millrace_schema SET version = 2 WHERE component = 'inbox'")
      await assert.rejects(open('a'), { code: 'schema-newer' })
      await database.execute("DELETE FROM millrace_schema WHERE component = 'inbox'")
      await assert.rejects(open('a'), { code: 'schema-missing' })
    }),
  )
}
