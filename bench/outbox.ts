import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Pool } from 'pg'
import { type Context, connect, type Handler, queue } from '../src/index.ts'
import {
  type Database,
  fromPg,
  idempotent,
  inboxSchema,
  migrate,
  openInbox,
  openOutbox,
  outboxSchema,
} from '../src/patterns/index.ts'
import { startPostgres } from '../test/databases/servers.ts'
import { Figures } from './figures.ts'
import type { Row } from './rows.ts'
import { describeMachine, round3, summarize } from './statistics.ts'

const usage = `npm run bench:outbox -- [--rounds N] [--messages N] [--only TEXT] [--json FILE]

Measures outbox and inbox on a PostgreSQL of its own, which syncs every commit, beside the same work without them. All rows
take turns, --rounds times (7), with --messages (600) each. Figures are medians with [lowest, highest].
--only TEXT  rows whose name contains TEXT
--json FILE  writes the figures of every round as JSON`

const { values: given } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    messages: { type: 'string', default: '600' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** Transactions, or handlers, at once. */
const AT_ONCE = 8
/** Rows, or messages, of one transaction in rows that have many. */
const MANY = 20
const KEYS = 100
const body = { customer: 4711, total: 99.5, note: 'x'.repeat(60) }
type Order = typeof body
const orders = queue<Order>('orders')
const insert = 'INSERT INTO orders (customer, total, note) VALUES ($1, $2, $3)'
const values = [body.customer, body.total, body.note]

interface Bench {
  readonly database: Database
  /** Messages of a row in a round. */
  readonly messages: number
  /** Work on a broker with a journal, which starts empty. */
  broker<R>(work: (mq: Context) => Promise<R>): Promise<R>
}

/** A row whose figure is told as a share of that of another one, too. */
interface ComparedRow extends Row {
  readonly beside?: string
}

/** How many of the messages are done in a second. */
async function rate(count: number, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const begun = performance.now()
  await work()
  return { '': (count / (performance.now() - begun)) * 1000 }
}

/** So many transactions, some of them at once. */
async function transactions(
  { database }: Bench,
  count: number,
  work: Parameters<Database['transaction']>[0],
): Promise<void> {
  let left = count
  const loop = async (): Promise<void> => {
    while (left-- > 0) await database.transaction(work)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, loop))
}

/** What an application stores, without and with a message; `each`: orders of a transaction. */
function storingRows(bench: Bench, each: number): ComparedRow[] {
  const { database, messages } = bench
  const times = each === 1 ? '' : `, ${each} in a transaction`
  const plain = `plain insert${times}`
  const many = async (work: () => Promise<unknown>): Promise<void> => {
    for (let i = 0; i < each; i++) await work()
  }
  let keys = 0
  // Of a transaction one: those that take several in any order would now and then wait for each other in a circle.
  const store = async (keyed = false): Promise<void> => {
    const outbox = await openOutbox({ database })
    await transactions(bench, messages / each, async (tx) => {
      const key = keyed ? `key ${keys++ % KEYS}` : undefined
      await many(async () => {
        await tx.execute(insert, values)
        await outbox.send(tx, orders, body, { key })
      })
    })
  }
  const row = (name: string, measure: Row['measure']): ComparedRow => ({
    name: `${name}${times}`,
    unit: 'msg/s',
    beside: plain,
    measure,
  })
  return [
    {
      name: plain,
      unit: 'msg/s',
      measure: () =>
        rate(messages, () =>
          transactions(bench, messages / each, (tx) => many(() => tx.execute(insert, values))),
        ),
    },
    row('insert and outbox.send, no relay', () => rate(messages, () => store())),
    row('insert and outbox.send, keys, no relay', () => rate(messages, () => store(true))),
    row('insert and outbox.send, until the broker has confirmed the last one', () =>
      bench.broker((mq) => rate(messages, () => relayed(bench, mq, store))),
    ),
    row('relay alone: what is stored, until the last one is confirmed', async () => {
      await store()
      return bench.broker((mq) => rate(messages, () => relayed(bench, mq, async () => {})))
    }),
  ]
}

/** Resolves when the outbox has been emptied, of what was there and of what `work` stores. */
async function relayed({ database, messages }: Bench, mq: Context, work: () => Promise<void>): Promise<void> {
  await using outbox = await openOutbox({ database })
  const relay = await outbox.relay(mq, { poll: { min: 1, max: 5 } })
  await work()
  while (relay.statistics.sent < messages) await pause(1)
  await relay.close()
  const { messages: left } = await outbox.report({ limit: 0 })
  if (left !== 0) throw new Error(`${left} messages are left in the outbox`)
}

/** What a consumer does with messages that are there, each in a transaction of its own. */
function consumingRows(bench: Bench): ComparedRow[] {
  const { database, messages } = bench
  const plain = 'consumer, plain insert'
  const consume = (handler: () => Promise<Handler<Order>>): Promise<Record<string, number>> =>
    bench.broker(async (mq) => {
      await Promise.all(Array.from({ length: messages }, () => mq.send(orders, body)))
      const handle = await handler()
      const done = Promise.withResolvers<void>()
      let count = 0
      return rate(messages, async () => {
        const worker = mq.consume(orders, { concurrency: AT_ONCE }, async (message, context) => {
          await handle(message, context)
          if (++count === messages) done.resolve()
        })
        await done.promise
        await worker.close()
      })
    })
  return [
    {
      name: plain,
      unit: 'msg/s',
      measure: () => consume(async () => () => database.transaction((tx) => tx.execute(insert, values))),
    },
    {
      name: 'consumer, idempotent insert',
      unit: 'msg/s',
      beside: plain,
      measure: () =>
        consume(async () => {
          const inbox = await openInbox({ database, consumer: 'bench' })
          return idempotent((_, { executor }) => executor.execute(insert, values), { inbox })
        }),
    },
  ]
}

async function main(): Promise<void> {
  if (given.help) {
    console.log(usage)
    return
  }
  const server = await startPostgres({ durable: true })
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  // Connections that are idle tell of the end of the server by an event.
  const pool = new Pool({
    host: server.socket,
    port: server.port,
    user: 'millrace',
    database: 'postgres',
    max: 20,
  }).on('error', () => {})
  const database = fromPg(pool)
  try {
    await migrate(database, outboxSchema)
    await migrate(database, inboxSchema)
    await database.execute(
      'CREATE TABLE orders (id BIGSERIAL PRIMARY KEY, customer INT, total FLOAT, note TEXT)',
    )
    const { rows: version } = await database.execute('SHOW server_version')
    const where = `PostgreSQL ${version[0]!['server_version']} with fsync, ${describeMachine()}`
    report(await measured(database, directory), where)
  } finally {
    await pool.end()
    await server.stop()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function measured(
  database: Database,
  directory: string,
): Promise<{ figures: Figures; rows: ComparedRow[] }> {
  const broker: Bench['broker'] = async (work) => {
    const data = mkdtempSync(join(directory, 'data-'))
    await using mq = await connect(`file:${data}`)
    return await work(mq)
  }
  const rowsOf = (messages: number): ComparedRow[] => {
    const bench = { database, messages, broker }
    return [...storingRows(bench, 1), ...storingRows(bench, MANY), ...consumingRows(bench)]
  }
  const measure = async (row: Row): Promise<Readonly<Record<string, number>>> => {
    await database.execute('TRUNCATE orders, millrace_outbox, millrace_inbox')
    return row.measure()
  }
  // Code that is being compiled is nobody's figure.
  for (const row of rowsOf(5 * MANY)) await measure(row)
  const rows = rowsOf(Math.ceil(Number(given.messages) / MANY) * MANY)
  const figures = new Figures()
  for (let round = 0; round < Number(given.rounds); round++) {
    process.stderr.write(`round ${round + 1} of ${given.rounds}\r`)
    for (const row of rows.filter(({ name }) => name.includes(given.only)))
      figures.note(row, await measure(row))
  }
  return { figures, rows }
}

function report({ figures, rows }: { figures: Figures; rows: readonly ComparedRow[] }, where: string): void {
  console.log(where)
  figures.print()
  const shares = rows.flatMap(({ name, beside }) => {
    const [own, other] = [figures.values({ name }), figures.values({ name: beside ?? '' })]
    const each = own.flatMap((value, round) => (other[round] === undefined ? [] : [value / other[round]]))
    return each.length === 0 ? [] : [{ name, beside, ...summarize(each), values: each }]
  })
  const width = Math.max(0, ...shares.map(({ name }) => name.length))
  if (shares.length > 0) console.log('\nas a share of the plain insert of the same round')
  for (const { name, median, min, max } of shares)
    console.log(`${name.padEnd(width)}  ${round3(median)}  [${round3(min)}, ${round3(max)}]`)
  if (given.json)
    writeFileSync(given.json, `${JSON.stringify({ ...figures.report(), machine: where, shares }, null, 2)}\n`)
}

await main()
