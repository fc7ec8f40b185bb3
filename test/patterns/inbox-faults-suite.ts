import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import {
  type Handler,
  type HandlerContext,
  isMillraceError,
  type Message,
  MillraceError,
  queue,
} from '../../src/index.ts'
import { Sweeper } from '../../src/patterns/database/sweeper.ts'
import type { Undoing } from '../../src/patterns/inbox/handling.ts'
import {
  EffectNotDone,
  type IdempotentHandler,
  type Inbox,
  idempotent,
  inboxSchema,
  migrate,
  openInbox,
  recorded,
} from '../../src/patterns/index.ts'
import { type TestBroker, testBroker } from '../../src/testing/index.ts'
import { prepare, type Subject } from './subjects.ts'
import { WatchedDatabase } from './watched-database.ts'

interface Job {
  readonly n: number
}

const jobs = queue<Job>('jobs', { policy: { maxDeliveries: 4, backoff: { delay: '1s' } } })
/** What a delivery has that nobody takes back. */
const held = { signal: new AbortController().signal }

interface Bench {
  readonly database: WatchedDatabase
  /** Time is in the test's hands. */
  readonly broker: TestBroker
  readonly inbox: Inbox
  readonly errors: string[]
  /** Numbers and fences of the jobs that had an effect, in order. */
  effects(): Promise<string[]>
  handler(inbox?: Inbox): Handler<Job>
  /** Two deliveries of one message, to be handled as the test likes. */
  twoDeliveries(): Promise<[Message<Job>, Message<Job>]>
  /** Messages in the queue and among its dead letters. */
  left(): Promise<number>
}

function bench(subject: Subject, work: (bench: Bench) => Promise<void>): () => Promise<void> {
  return async () => {
    await using opened = await subject.open()
    await using broker = await testBroker()
    const database = new WatchedDatabase(opened.database)
    const errors: string[] = []
    broker.mq.on('error', (error) => errors.push(error.code))
    const inbox = await openInbox({ database, consumer: 'c' })
    const insert = database.dialect.statement('INSERT INTO orders (note) VALUES (?)')
    const write: IdempotentHandler<Job, unknown> = ({ body }, { executor, fence }) =>
      executor.execute(insert, [`${body.n}/${fence}`])
    await work({
      database,
      broker,
      inbox,
      errors,
      effects: async () => {
        const { rows } = await opened.database.execute('SELECT note FROM orders ORDER BY id')
        return rows.map(({ note }) => String(note))
      },
      handler: (through = inbox) => idempotent(write, { inbox: through }),
      twoDeliveries: async () => {
        const found: Message<Job>[] = []
        for (let i = 0; i < 2; i++) await broker.mq.send(jobs, { n: 1 }, { messageId: 'ID:one' })
        for (let i = 0; i < 2; i++) found.push((await broker.mq.receive(jobs))!)
        return found as [Message<Job>, Message<Job>]
      },
      left: async () => (await broker.messages(jobs)).length + (await broker.deadLetters(jobs)).length,
    })
  }
}

/** What goes wrong around an inbox, and the bugs that these tests would find in it. */
export function testInboxFaults(subject: Subject): void {
  suite(`faults of an inbox on ${subject.name}`, () => {
    testCrashes(subject)
    testLateCommits(subject)
    testClocks(subject)
    testOutages(subject)
    testBodies(subject)
  })
}

type Plant = (handler: Handler<Job>) => Handler<Job>

/** Runs a program that ends at its n-th step, and then another one to the end. Answers the steps that were taken. */
async function crashAt(
  b: Bench,
  at: number,
  plant: Plant = (handler) => handler,
): Promise<{ steps: string[]; effects: string[] }> {
  await prepare(b.database)
  const steps: string[] = []
  await b.broker.mq.send(jobs, { n: 1 }, { messageId: 'ID:one' })
  if (await program(b, steps, at, plant)) await program(b, [], 0, plant)
  assert.equal(await b.left(), 0, `crash at step ${at}: ${steps.at(-1)}`)
  return { steps, effects: await b.effects() }
}

async function program(b: Bench, steps: string[], at: number, plant: Plant): Promise<boolean> {
  const mq = await b.broker.connect()
  mq.on('error', () => {})
  const inner = b.handler(await openInbox({ database: b.database, consumer: 'c' }))
  let dead = false
  const step = async (what: string) => {
    if (!dead) steps.push(what)
    if (!dead && steps.length !== at) return
    dead = true
    // As if the process were gone: what it holds goes back, and nothing it still says is heard.
    await mq.close({ drain: 0 })
    throw new Error('it ends here')
  }
  b.database.onStep = step
  const worker = mq.consume(
    jobs,
    plant(async (message, context) => {
      await inner(message, context)
      b.database.onStep = () => {}
      await step('before acknowledge')
    }),
  )
  try {
    while (!dead && (await b.left()) > 0) await setImmediate()
    await worker.stop()
    await mq.close({ drain: 0 })
    await b.broker.idle()
  } finally {
    b.database.onStep = () => {}
  }
  return dead
}

function testCrashes(subject: Subject): void {
  test(
    'pitfall 13: a crash before or after any step, commit and acknowledgement too: the effect happens once',
    bench(subject, async (b) => {
      const { steps } = await crashAt(b, 0)
      for (const step of ['before INSERT INTO orders', 'after INSERT INTO millrace_inbox', 'after COMMIT'])
        assert.ok(steps.includes(step), step)
      for (let at = 1; at <= steps.length; at++)
        assert.equal((await crashAt(b, at)).effects.length, 1, `crash at step ${at}: ${steps[at - 1]}`)
    }),
  )

  test(
    'they find a planted bug: acknowledged before the commit',
    bench(subject, async (b) => {
      const early: Plant = (handler) => async (message, context) => {
        await message.acknowledge()
        await handler(message, context)
      }
      assert.deepEqual((await crashAt(b, 1, early)).effects, [])
    }),
  )

  test(
    'many consumers that have the same message at once: one effect',
    bench(subject, async (b) => {
      for (let i = 0; i < 3; i++) b.broker.mq.consume(jobs, { concurrency: 2, prefetch: 2 }, b.handler())
      for (let i = 0; i < 6; i++) await b.broker.mq.send(jobs, { n: 1 }, { messageId: 'ID:a' })
      await b.broker.idle()
      await b.broker.advance('1h')
      assert.equal((await b.effects()).length, 1)
      assert.equal(await b.left(), 0)
    }),
  )
}

/** An attempt that has begun and stands still, another one that is done meanwhile; then the first goes on. */
async function ghost(b: Bench): Promise<{ effects: string[]; late: unknown }> {
  // Both are redelivered, so that each has a fence of its own.
  for (const message of await b.twoDeliveries()) await message.fail()
  await b.broker.advance('1m')
  const [first, second] = [(await b.broker.mq.receive(jobs))!, (await b.broker.mq.receive(jobs))!]
  const [stands, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let transactions = 0
  b.database.onStep = (step) => {
    // The first one takes the fence.
    if (step !== 'before BEGIN' || ++transactions < 2) return undefined
    b.database.onStep = () => {}
    stands.resolve()
    return goOn.promise
  }
  const late = Promise.resolve(b.handler()(first, held)).then(
    () => 'accepted',
    (error: unknown) => error,
  )
  await stands.promise
  const failing = idempotent<Job, unknown>(() => Promise.reject(new Error('not this one')), b)
  await assert.rejects(async () => failing(second, held), /not this one/)
  goOn.resolve()
  return { late: await late, effects: await b.effects() }
}

function testLateCommits(subject: Subject): void {
  test(
    'pitfall 11: an attempt does not commit after another one has begun, and nothing of it stays',
    bench(subject, async (b) => {
      const { effects, late } = await ghost(b)
      assert.deepEqual(effects, [])
      assert.ok(isMillraceError(late) && late.code === 'superseded', String(late))
    }),
  )

  test(
    'whoever was paused over a message writes nothing after it was undone, wherever he stood',
    bench(subject, async (b) => {
      const inTransaction = subject.concurrent ? ['before INSERT INTO millrace_inbox'] : []
      for (const point of ['before SELECT fence, state,', 'before BEGIN', ...inTransaction]) {
        await prepare(b.database)
        const [stands, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
        await b.broker.mq.send(jobs, { n: 1 }, { messageId: 'ID:one' })
        const first = (await b.broker.mq.receive(jobs))!
        b.database.onStep = (step) => {
          if (step !== point) return undefined
          b.database.onStep = () => {}
          stands.resolve()
          return goOn.promise
        }
        const late = Promise.resolve(b.handler()(first, held))
        await stands.promise
        await b.broker.mq.send(jobs, { n: 2 }, { messageId: 'ID:one/undo' })
        const undo = (await b.broker.mq.receive(jobs))!
        const undoing: HandlerContext & Undoing = { ...held, undoes: 'ID:one', outcome: 'unknown' }
        await b.handler()(undo, undoing)
        goOn.resolve()
        await late
        assert.deepEqual(await b.effects(), ['2/1'], point)
        for (const message of [first, undo]) await message.acknowledge()
      }
    }),
  )

  test(
    'it finds a planted bug: a commit that does not ask for the fence',
    bench(subject, async (b) => {
      b.database.rewrite = (sql) =>
        /^UPDATE millrace_inbox SET state = 1/.test(sql) ? sql.replace('fence =', '0 <') : sql
      assert.deepEqual((await ghost(b)).effects, ['1/2'])
    }),
  )

  test(
    'an effect outside of the database that has happened stays so, though a later attempt ends without one',
    bench(subject, async (b) => {
      const [first, second] = await b.twoDeliveries()
      const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      let done = 0
      const slow = recorded<Job>(
        async () => {
          begun.resolve()
          await goOn.promise
          done++
        },
        { inbox: b.inbox, unknown: 'again' },
      )(first, held)
      await begun.promise
      const declined = recorded<Job>(
        async () => {
          goOn.resolve()
          await slow
          throw new EffectNotDone('declined')
        },
        { inbox: b.inbox, unknown: 'again' },
      )
      await assert.rejects(async () => declined(second, held), EffectNotDone)
      await recorded<Job>(() => done++, { inbox: b.inbox, unknown: 'again' })(second, held)
      assert.equal(done, 1)
    }),
  )
}

/** The clock of the database says what the test sets it to. */
async function clocked({ database }: Bench): Promise<(wall: number) => Promise<unknown>> {
  const { dialect } = database
  await database.execute('DROP TABLE IF EXISTS test_clock')
  await database.execute(
    `CREATE TABLE test_clock (wall ${dialect.types.integer} NOT NULL) ${dialect.tableOptions}`,
  )
  await database.execute('INSERT INTO test_clock (wall) VALUES (0)')
  database.dialect = { ...dialect, now: '(SELECT wall FROM test_clock)' }
  const set = dialect.statement('UPDATE test_clock SET wall = ?')
  return (wall) => database.execute(set, [wall])
}

function testClocks(subject: Subject): void {
  const hour = 3_600_000

  test(
    'pitfall 9: a message is remembered for the retention, and not for ever',
    bench(subject, async (b) => {
      const set = await clocked(b)
      await set(24 * hour)
      const inbox = await openInbox({
        database: b.database,
        consumer: 'c',
        retention: '2h',
        redriveWithin: 0,
      })
      const sweep = () => new Sweeper(inbox.records, inbox.retention, () => {}).sweep()
      const [first, second] = await b.twoDeliveries()
      await b.handler(inbox)(first, held)
      await set(25.9 * hour)
      await sweep()
      await b.handler(inbox)(second, held)
      assert.deepEqual(await b.effects(), ['1/1'])
      await set(26.1 * hour)
      await sweep()
      await b.handler(inbox)(second, held)
      assert.deepEqual(await b.effects(), ['1/1', '1/1'])
    }),
  )

  test(
    'pitfall 15: what is processed while the clock of the database is set back is not forgotten too early',
    bench(subject, async (b) => {
      const set = await clocked(b)
      await set(100 * hour)
      const open = () => openInbox({ database: b.database, consumer: 'c', retention: '2h', redriveWithin: 0 })
      const inbox = await open()
      const sweep = () => new Sweeper(inbox.records, inbox.retention, () => {}).sweep()
      await set(10 * hour)
      const [first, second] = await b.twoDeliveries()
      await b.handler(inbox)(first, held)
      // A process that is started only now knows from what is there.
      await b.broker.mq.send(jobs, { n: 2 }, { messageId: 'ID:two' })
      const another = (await b.broker.mq.receive(jobs))!
      await b.handler(await open())(another, held)
      await set(101 * hour)
      await sweep()
      await b.handler(inbox)(second, held)
      await b.handler(inbox)(another, held)
      assert.deepEqual(await b.effects(), ['1/1', '2/1'])
    }),
  )
}

function testOutages(subject: Subject): void {
  for (const code of ['database-unavailable', 'database-read-only'] as const)
    test(
      `${code}: the message waits with the broker, the database is not asked meanwhile, nothing is lost`,
      bench(subject, async (b) => {
        let asked = 0
        b.database.onStep = () => {
          asked++
          throw new MillraceError(code, 'no')
        }
        b.broker.mq.consume(jobs, b.handler())
        await b.broker.mq.send(jobs, { n: 1 })
        await b.broker.idle()
        await b.broker.advance('1s')
        // Once for each delivery, and once to see whether there is something to be forgotten.
        assert.equal(asked, 3)
        assert.deepEqual(
          (await b.broker.messages(jobs)).map(({ state }) => state),
          ['waiting'],
        )
        b.database.onStep = () => {}
        await b.broker.advance('10s')
        assert.deepEqual(await b.effects(), ['1/2'])
        assert.equal(await b.left(), 0)
      }),
    )

  test(
    'tables that are dropped under it: the message stays, and is processed when they are back',
    bench(subject, async (b) => {
      b.broker.mq.consume(jobs, b.handler())
      await b.database.execute('DROP TABLE millrace_inbox')
      await b.broker.mq.send(jobs, { n: 1 })
      await b.broker.idle()
      assert.deepEqual(
        (await b.broker.messages(jobs)).map(({ state }) => state),
        ['waiting'],
      )
      await b.database.execute("DELETE FROM millrace_schema WHERE component = 'inbox'")
      await migrate(b.database, inboxSchema)
      await b.broker.advance('10s')
      assert.deepEqual(await b.effects(), ['1/2'])
      assert.equal(await b.left(), 0)
    }),
  )

  test(
    'a commit of which nobody knows whether it happened: the next delivery finds out',
    bench(subject, async (b) => {
      b.database.onStep = (step) => {
        if (step !== 'after COMMIT') return
        b.database.onStep = () => {}
        throw new MillraceError('database-unavailable', 'lost in the commit')
      }
      b.broker.mq.consume(jobs, b.handler())
      await b.broker.mq.send(jobs, { n: 1 })
      await b.broker.idle()
      await b.broker.advance('10s')
      assert.deepEqual(await b.effects(), ['1/1'])
      assert.equal(await b.left(), 0)
    }),
  )
}

function testBodies(subject: Subject): void {
  test(
    'pitfall 8: the id is what the producer chose, not the content: the same body under two ids is two messages',
    bench(subject, async (b) => {
      b.broker.mq.consume(jobs, b.handler())
      for (const messageId of ['ID:a', 'ID:b', 'ID:a']) await b.broker.mq.send(jobs, { n: 1 }, { messageId })
      await b.broker.idle()
      assert.deepEqual(await b.effects(), ['1/1', '1/1'])
      assert.deepEqual(b.errors, [])
    }),
  )

  test(
    'the order in which the members of a body were written makes it no other',
    bench(subject, async (b) => {
      const loose = queue<unknown>('jobs')
      await b.broker.mq.declare(jobs)
      b.broker.mq.consume(jobs, b.handler())
      await b.broker.mq.send(loose, { n: 1, x: [{ a: 1, b: null }] }, { messageId: 'ID:a' })
      await b.broker.mq.send(loose, { x: [{ b: null, a: 1 }], n: 1 }, { messageId: 'ID:a' })
      await b.broker.mq.send(loose, { x: [{ b: null, a: 2 }], n: 1 }, { messageId: 'ID:a' })
      await b.broker.idle()
      assert.deepEqual(await b.effects(), ['1/1'])
      assert.deepEqual(b.errors, ['message-id-conflict'])
    }),
  )
}
