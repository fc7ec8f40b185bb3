import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { queue } from '../../src/index.ts'
import { fromSqlite, openOutbox } from '../../src/patterns/index.ts'
import { Shell } from './support.ts'

test('outbox: from tables to a report, a resend and a message that is given up', async (t) => {
  const shell = new Shell(t)
  const file = join(shell.folder, 'app.db')
  const connection = new DatabaseSync(file)
  t.after(() => connection.close())
  const at = `--database=sqlite:${file}`
  const outbox = (...args: string[]) => shell.here(shell.at, 'outbox', at, ...args)
  const missing = await outbox('report')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^millrace: schema-missing: /)
  assert.match((await outbox('migrate')).stdout, /brought to version 1/)
  assert.match((await outbox('migrate')).stdout, /have version 1/)
  const nothing = await outbox('report')
  assert.deepEqual([nothing.code, /everything committed is confirmed/.test(nothing.stdout)], [3, true])

  const database = fromSqlite(connection)
  const app = await openOutbox({ database })
  const wanted = queue('taken', { policy: { maxMessages: 6 } })
  const { messageId } = await app.send(database, wanted, 'sick', { key: 'k' })
  await app.send(database, queue('orders'), 'behind', { key: 'k' })
  await app.send(database, queue('orders'), 'well')
  const waiting = await outbox('report', '--count', '1')
  assert.equal(waiting.code, 0)
  assert.match(
    waiting.stdout,
    /^3 messages \(.*\) not confirmed, the oldest for .*; 0 on their way, 0 failing, 0 poison\n/,
  )
  assert.equal(waiting.stdout.trimEnd().split('\n').length, 3)

  await shell.okHere('create', 'taken', '--capacity', '5')
  const sent = await outbox('resend')
  assert.deepEqual([sent.code, sent.stdout], [0, '1 message sent, 0 expired, 1 refused, 2 left\n'])
  const { poison, entries } = JSON.parse((await outbox('report', '--json')).stdout)
  assert.deepEqual([poison, entries[0].messageId, entries[0].poison], [1, messageId, true])
  assert.match((await outbox('report')).stdout, new RegExp(`${messageId} .* poison .*destination-conflict`))

  assert.equal((await outbox('discard', messageId)).stdout, `message ${messageId} discarded\n`)
  assert.equal((await outbox('discard', messageId)).code, 3)
  const rest = await outbox('resend', '--json')
  assert.deepEqual([rest.code, JSON.parse(rest.stdout)], [0, { sent: 1, expired: 0, failed: 0, left: 0 }])
  assert.equal(await shell.okHere('receive', 'orders', '--count', '2'), 'well\nbehind\n')
})

test('outbox: what it cannot open or understand it says', async (t) => {
  const shell = new Shell(t)
  const outbox = (...args: string[]) => shell.here('outbox', ...args)
  const cases: [args: string[], code: number, message: RegExp][] = [
    [['report'], 2, /needs the database of the application: --database URL/],
    [['report', '--database=oracle:x'], 2, /sqlite:FILE, postgres:/],
    [['repair', '--database=sqlite:x'], 2, /usage: millrace outbox ACTION/],
    [['discard', '--database=sqlite:x'], 2, /usage: millrace outbox ACTION/],
    [['report', 'ID:1', '--database=sqlite:x'], 2, /usage: millrace outbox ACTION/],
    [
      ['report', `--database=sqlite:${join(shell.folder, 'none.db')}`],
      1,
      /database-unavailable: there is no file/,
    ],
    [['report', '--database=postgres://nobody@127.0.0.1:1/x'], 1, /database-unavailable: /],
    [['report', '--database=mysql://nobody@127.0.0.1:1/x'], 1, /database-unavailable: /],
  ]
  for (const [args, code, message] of cases) {
    const result = await outbox(...args)
    assert.equal(result.code, code, `${args.join(' ')}: ${result.stderr}`)
    assert.match(result.stderr, message)
  }
  // In a project that has no drivers.
  const foreign = await shell.run('outbox', 'report', '--database', 'postgres://x/y')
  assert.deepEqual([foreign.code, /driver-missing: .*npm install pg/.test(foreign.stderr)], [1, true])
})
