import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { type Context, connect, type MillraceError, type Queue, queue } from '../../src/index.ts'
import {
  checkSchema,
  type Database,
  idempotent,
  inboxSchema,
  migrate,
  type Outbox,
  type OutboxSendOptions,
  openInbox,
  openOutbox,
  outboxSchema,
  type Schema,
} from '../../src/patterns/index.ts'
import type { CuttingProxy } from '../faults/cutting-proxy.ts'
import { bodies, orders, quickly, take } from '../patterns/outbox-bench.ts'
import { prepare } from '../patterns/subjects.ts'

/** A real server, and what an administrator can do to it. */
export interface Harsh {
  readonly name: string
  /** As an administrator sees it. */
  readonly database: Database
  /** As the application does, as a user like others, through something that can go down. */
  readonly application: Database
  readonly proxy: CuttingProxy
  readOnly(on: boolean): Promise<void>
  /** Makes a column of the outbox smaller than messages may be: that of bodies where they can have a size, or else of headers. */
  readonly shrink: string
}

const jobs = queue<number>('jobs', {
  policy: { backoff: { delay: 20, maxDelay: 200 }, maxDeliveries: 1_000 },
})

interface Bench {
  readonly mq: Context
  readonly outbox: Outbox
  /** What relay and consumer have told. */
  readonly told: { readonly relay: string[]; readonly deliveries: number[] }
  polls(): number
  /** In a transaction of the application's. */
  send(body: unknown, to?: Queue<never>, options?: OutboxSendOptions): Promise<unknown>
  rows(): Promise<number>
  effects(): Promise<string[]>
}

/** A relay and a consumer with an inbox, at work on the server. */
async function atWork(harsh: Harsh, work: (bench: Bench) => Promise<void>): Promise<void> {
  await prepare(harsh.database)
  await using mq = await connect('memory:')
  const { application } = harsh
  await using outbox = await openOutbox({ database: application })
  const inbox = await openInbox({ database: application, consumer: 'c' })
  const told: Bench['told'] = { relay: [], deliveries: [] }
  const relay = await outbox.relay(mq, quickly)
  relay.on('error', ({ code }) => told.relay.push(code))
  const insert = application.dialect.statement('INSERT INTO orders (note) VALUES (?)')
  const handler = idempotent<number, unknown>(
    ({ body }, { executor }) => executor.execute(insert, [`${body}`]),
    { inbox },
  )
  mq.consume(jobs, (message, context) => {
    told.deliveries.push(message.body)
    return handler(message, context)
  })
  const select = async (sql: string) => (await harsh.database.execute(sql)).rows
  await work({
    mq,
    outbox,
    told,
    polls: () => relay.statistics.polls,
    send: (body, to = orders as unknown as Queue<never>, options = {}) =>
      application.transaction((tx) => outbox.send(tx, to, body as never, options)),
    rows: async () => Number((await select('SELECT COUNT(*) AS n FROM millrace_outbox'))[0]!['n']),
    effects: async () =>
      (await select('SELECT note FROM orders ORDER BY id')).map(({ note }) => String(note)),
  })
}

/** While something is away: each side is told once by name, nobody asks without pauses, and afterwards nothing is missing. */
async function outage(
  harsh: Harsh,
  code: string,
  begin: () => Promise<void>,
  end: () => Promise<void>,
): Promise<void> {
  await atWork(harsh, async ({ mq, outbox, told, polls, send, rows, effects }) => {
    await send(1)
    assert.deepEqual(bodies(await take(mq, orders, 1)), [1])
    while ((await rows()) > 0) await pause(1)
    await begin()
    try {
      await assert.rejects(send(0), { code })
      // Committed by somebody who can.
      await harsh.database.transaction((tx) => outbox.send(tx, orders, 2))
      await mq.send(jobs, 7)
      while (told.relay.length === 0 || told.deliveries.length === 0) await pause(1)
      const [before, begun] = [polls(), performance.now()]
      await pause(500)
      // It asks after 100, 200, 400 ms, and so on; the message comes after 20, 40, 80, and so on.
      const passed = performance.now() - begun
      assert.ok(polls() - before <= Math.log2(passed / 100) + 3, `asked ${polls() - before} times`)
      assert.ok(
        told.deliveries.length <= Math.log2(passed / 20) + passed / 100 + 3,
        `${told.deliveries.length}`,
      )
      assert.deepEqual(told.relay, [code])
      assert.deepEqual(await effects(), [])
    } finally {
      await end()
    }
    assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
    await send(3)
    assert.deepEqual(bodies(await take(mq, orders, 1)), [3])
    while ((await effects()).length === 0) await pause(1)
    assert.deepEqual(await effects(), ['7'])
  })
}

/** What people and machines do to databases, on a real one. */
export function testBadInput(open: () => Promise<Harsh>, name: string): void {
  suite(`bad input and outages on ${name}`, () => {
    testOutages(open)
    testSchemas(open)
    testSizes(open)
  })
}

function testOutages(open: () => Promise<Harsh>): void {
  test('a server that cannot be reached: opening fails by name, relay and consumer go on when it is back', async () => {
    const harsh = await open()
    const { proxy, application } = harsh
    await outage(
      harsh,
      'database-unavailable',
      async () => {
        await proxy.down()
        const unreachable = { code: 'database-unavailable' }
        await assert.rejects(openOutbox({ database: application }), unreachable)
        await assert.rejects(openInbox({ database: application, consumer: 'c' }), unreachable)
        await assert.rejects(migrate(application, outboxSchema), unreachable)
      },
      () => proxy.up(),
    )
  })

  test('a server that takes no writes', async () => {
    const harsh = await open()
    await outage(
      harsh,
      'database-read-only',
      () => harsh.readOnly(true),
      () => harsh.readOnly(false),
    )
  })
}

function testSchemas(open: () => Promise<Harsh>): void {
  test('tables that are dropped under a relay: told once, nothing busy, and it goes on when they are back', async () => {
    const harsh = await open()
    await atWork(harsh, async ({ mq, told, polls, send }) => {
      for (const table of ['millrace_outbox', 'millrace_outbox_markers', 'millrace_outbox_lanes'])
        await harsh.database.execute(`DROP TABLE IF EXISTS ${table}`)
      while (told.relay.length === 0) await pause(1)
      const before = polls()
      await pause(300)
      assert.ok(polls() - before <= 4, `asked ${polls() - before} times`)
      assert.deepEqual(told.relay, ['schema-missing'])
      await assert.rejects(send(1), { code: 'schema-missing' })
      await harsh.database.execute("DELETE FROM millrace_schema WHERE component = 'outbox'")
      await migrate(harsh.database, outboxSchema)
      await send(2)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
    })
  })

  test('older tables are schema-older until they are migrated, and keep what they hold', async () => {
    const { database } = await open()
    await prepare(database)
    const later: Schema = {
      ...inboxSchema,
      versions: [
        ...inboxSchema.versions,
        ({ types }) => [`ALTER TABLE millrace_inbox ADD COLUMN hint ${types.integer}`],
      ],
    }
    await database.execute(
      "INSERT INTO millrace_inbox (consumer, message_id, fence, state, digest, changed_at) VALUES ('c', 'ID:1', 1, 1, 'd', 1)",
    )
    await checkSchema(database, inboxSchema)
    await assert.rejects(checkSchema(database, later), { code: 'schema-older' })
    assert.equal(await migrate(database, later), 1)
    await checkSchema(database, later)
    const { rows } = await database.execute('SELECT hint, fence FROM millrace_inbox')
    assert.deepEqual([rows.length, rows[0]!['hint'], Number(rows[0]!['fence'])], [1, null, 1])
    // A program of before finds out, too.
    await assert.rejects(openInbox({ database, consumer: 'c' }), { code: 'schema-newer' })
    await database.execute('DROP TABLE millrace_inbox')
  })
}

function testSizes(open: () => Promise<Harsh>): void {
  const large = (size: number) => queue<Uint8Array>(`large ${size}`) as unknown as Queue<never>

  test('a body that is larger than the table takes is refused by name, stores nothing, and keeps nobody else', async () => {
    const harsh = await open()
    await atWork(harsh, async ({ mq, told, send, rows }) => {
      await harsh.database.execute(harsh.shrink)
      const options = { properties: { note: 'x'.repeat(30_000) } }
      await assert.rejects(send(new Uint8Array(100_000), large(1), options), { code: 'message-too-large' })
      assert.equal(await rows(), 0)
      await send(2)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
      assert.deepEqual(told.relay, [])
      await harsh.database.execute('DROP TABLE millrace_outbox')
    })
  })

  test('a body that is larger than the server, or the outbox, takes is refused by name, and keeps nobody else', async () => {
    const harsh = await open()
    await atWork(harsh, async ({ mq, told, send, rows }) => {
      // The server of the tests has max_allowed_packet = 4 MiB.
      const limit = harsh.database.dialect.name === 'mysql' ? 4 : 8
      for (const size of [limit * 2 ** 20 + 1_000, 9 * 2 ** 20])
        await assert.rejects(send(new Uint8Array(size), large(2)), (error: MillraceError) => {
          assert.equal(error.code, 'message-too-large')
          return true
        })
      assert.equal(await rows(), 0)
      const fits = new Uint8Array((limit - 1) * 2 ** 20).fill(7)
      await send(fits, large(2))
      await send(2)
      assert.deepEqual(bodies(await take(mq, orders, 1)), [2])
      const message = await mq.receive(large(2) as unknown as Queue<Uint8Array>)
      assert.ok(Buffer.from(message!.body).equals(fits))
      assert.deepEqual(told.relay, [])
    })
  })
}
