import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { isMillraceError } from '../../model/errors.ts'
import { type Database, optionalText, text, wholeNumber } from '../../patterns/database/database.ts'

/** A database to be tested, and how to get to it and away. */
export interface DatabaseSubject {
  readonly name: string
  /** Connected; the table that the contract makes is not there, or may be dropped. */
  open(): Promise<{ readonly database: Database; close(): Promise<void> }>
  /** Transactions can be open side by side. Default true. */
  readonly concurrent?: boolean | undefined
}

/** The contract of the port in patterns/database as tests of node:test: every adapter passes it. */
export function testDatabase(subject: DatabaseSubject): void {
  suite(`database: ${subject.name}`, () => {
    testStatements(subject)
    testTransactions(subject)
    testAbandoning(subject)
  })
}

async function fresh(
  subject: DatabaseSubject,
  work: (database: Database, sql: (text: string) => string) => Promise<void>,
): Promise<void> {
  const { database, close } = await subject.open()
  const { types, tableOptions } = database.dialect
  try {
    await database.execute('DROP TABLE IF EXISTS contract')
    await database.execute(
      `CREATE TABLE contract (id ${types.counter}, name ${types.name} UNIQUE, note ${types.text}, size ${types.integer}, body ${types.bytes}) ${tableOptions}`,
    )
    await work(database, (sql) => database.dialect.statement(sql))
  } finally {
    await close()
  }
}

const code = (expected: string) => (error: unknown) => isMillraceError(error) && error.code === expected

function testStatements(subject: DatabaseSubject): void {
  const add = 'INSERT INTO contract (name, note, size, body) VALUES (?, ?, ?, ?)'

  test('values come back as they were given', () =>
    fresh(subject, async (database, sql) => {
      const body = new Uint8Array([0, 255, 39, 92, 0])
      const large = 2 ** 52 + 1
      const { affected } = await database.execute(sql(add), ["o'Brien \\ ?", 'Grüße 水 🌊', large, body])
      assert.equal(affected, 1)
      const { rows } = await database.execute('SELECT id, name, note, size, body FROM contract')
      const row = rows[0]!
      assert.equal(wholeNumber(row['id']), 1)
      assert.equal(text(row['name']), "o'Brien \\ ?")
      assert.equal(text(row['note']), 'Grüße 水 🌊')
      assert.equal(wholeNumber(row['size']), large)
      assert.deepEqual(new Uint8Array(row['body'] as Uint8Array), body)
    }))

  test('a part of a buffer is that part', () =>
    fresh(subject, async (database, sql) => {
      await database.execute(sql(add), ['part', null, null, new Uint8Array([1, 2, 3, 4]).subarray(1, 3)])
      const { rows } = await database.execute('SELECT note, size, body FROM contract')
      assert.deepEqual([...(rows[0]!['body'] as Uint8Array)], [2, 3])
      assert.equal(optionalText(rows[0]!['note']), undefined)
      assert.equal(rows[0]!['size'], null)
    }))

  test('names are compared byte by byte', () =>
    fresh(subject, async (database, sql) => {
      for (const name of ['key', 'Key', 'key ', 'kéy'])
        await database.execute(sql(add), [name, null, null, null])
      const { rows } = await database.execute(sql('SELECT name FROM contract WHERE name = ?'), ['key'])
      assert.deepEqual(
        rows.map((row) => text(row['name'])),
        ['key'],
      )
    }))

  test('affected counts the rows that a condition takes', () =>
    fresh(subject, async (database, sql) => {
      for (const size of [1, 2, 3]) await database.execute(sql(add), [`${size}`, null, size, null])
      const changed = await database.execute(
        sql('UPDATE contract SET size = size + ? WHERE size > ?'),
        [10, 1],
      )
      assert.equal(changed.affected, 2)
      const deleted = await database.execute(sql('DELETE FROM contract WHERE size = ?'), [4])
      assert.equal(deleted.affected, 0)
    }))

  test('a key that exists is database-duplicate, or left out where the dialect can', () =>
    fresh(subject, async (database, sql) => {
      await database.execute(sql(add), ['once', null, 1, null])
      await assert.rejects(database.execute(sql(add), ['once', null, 2, null]), code('database-duplicate'))
      if (database.dialect.orNothing === '') return
      const again = `${sql(add)} ${database.dialect.orNothing}`
      assert.equal((await database.execute(again, ['once', null, 3, null])).affected, 0)
    }))

  test('a statement that is wrong is database-failed, a missing table schema-missing', () =>
    fresh(subject, async (database) => {
      await assert.rejects(database.execute('SELECT FROM WHERE'), code('database-failed'))
      // SQLite has one code for both.
      if (database.dialect.name === 'sqlite') return
      await assert.rejects(database.execute('SELECT 1 FROM no_such_table'), code('schema-missing'))
    }))

  test('the clock of the database is about ours', () =>
    fresh(subject, async (database) => {
      const { rows } = await database.execute(`SELECT ${database.dialect.now} AS at`)
      assert.ok(Math.abs(wholeNumber(rows[0]!['at']) - Date.now()) < 3_600_000)
    }))
}

function testTransactions(subject: DatabaseSubject): void {
  const add = 'INSERT INTO contract (name) VALUES (?)'
  const names = async (database: Database) =>
    (await database.execute('SELECT name FROM contract ORDER BY id')).rows.map((row) => text(row['name']))

  test('what resolves is committed, what rejects is not', () =>
    fresh(subject, async (database, sql) => {
      let committed = 0
      const answer = await database.transaction(async (tx) => {
        tx.onCommit?.(() => committed++)
        await tx.execute(sql(add), ['kept'])
        assert.equal(committed, 0)
        return 'answer'
      })
      assert.equal(answer, 'answer')
      assert.equal(committed, 1)
      const failure = new Error('no')
      const failing = database.transaction(async (tx) => {
        tx.onCommit?.(() => committed++)
        await tx.execute(sql(add), ['forgotten'])
        throw failure
      })
      await assert.rejects(failing, failure)
      assert.deepEqual(await names(database), ['kept'])
      assert.equal(committed, 1)
    }))

  test('a failed statement fails the transaction when it is not caught', () =>
    fresh(subject, async (database, sql) => {
      const failing = database.transaction(async (tx) => {
        await tx.execute(sql(add), ['a'])
        await tx.execute(sql(add), ['a'])
      })
      await assert.rejects(failing, code('database-duplicate'))
      assert.deepEqual(await names(database), [])
    }))

  test('a transaction that has ended takes no more statements', () =>
    fresh(subject, async (database, sql) => {
      const kept = await database.transaction((tx) => tx)
      await assert.rejects(kept.execute(sql(add), ['late']), code('illegal-state'))
      assert.deepEqual(await names(database), [])
    }))

  test('transactions that are begun at once all happen', () =>
    fresh(subject, async (database, sql) => {
      const each = (name: string) => database.transaction((tx) => tx.execute(sql(add), [name]))
      await Promise.all(['a', 'b', 'c', 'd'].map(each))
      assert.deepEqual((await names(database)).sort(), ['a', 'b', 'c', 'd'])
    }))

  const alone = subject.concurrent === false && 'one transaction at a time'
  test('nobody sees what is not committed', { skip: alone }, () =>
    fresh(subject, async (database, sql) => {
      await database.transaction(async (tx) => {
        await tx.execute(sql(add), ['a'])
        assert.deepEqual(await names(database), [])
      })
      assert.deepEqual(await names(database), ['a'])
    }),
  )

  test('rows that others have locked are passed over', { skip: alone }, () =>
    fresh(subject, async (database, sql) => {
      await database.execute(sql(add), ['a'])
      await database.execute(sql(add), ['b'])
      const first = `SELECT name FROM contract ORDER BY id LIMIT 1 ${database.dialect.skipLocked}`
      await database.transaction(async (one) => {
        assert.equal(text((await one.execute(first)).rows[0]!['name']), 'a')
        await database.transaction(async (other) => {
          assert.equal(text((await other.execute(first)).rows[0]!['name']), 'b')
        })
      })
    }),
  )
}

const interruptions = {
  postgresql: {
    self: 'SELECT pg_backend_pid() AS id',
    kill: (id: number) => `SELECT pg_terminate_backend(${id})`,
  },
  mysql: { self: 'SELECT CONNECTION_ID() AS id', kill: (id: number) => `KILL ${id}` },
  sqlite: undefined,
}

function testAbandoning(subject: DatabaseSubject): void {
  test('an aborted transaction is rolled back under the work that does not end, and holds up nobody', () =>
    fresh(subject, async (database, sql) => {
      const add = sql('INSERT INTO contract (name) VALUES (?)')
      const aborter = new AbortController()
      const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const ghost = Promise.withResolvers<unknown>()
      const work = database.transaction(
        async (tx) => {
          await tx.execute(add, ['ghost'])
          begun.resolve()
          await goOn.promise
          ghost.resolve(await tx.execute(add, ['late']).catch((error: unknown) => error))
        },
        { signal: aborter.signal },
      )
      await begun.promise
      const reason = new Error('delivery lost')
      aborter.abort(reason)
      await assert.rejects(work, reason)
      await database.transaction((tx) => tx.execute(add, ['after']))
      goOn.resolve()
      assert.ok(code('illegal-state')(await ghost.promise))
      const { rows } = await database.execute('SELECT name FROM contract')
      assert.deepEqual(
        rows.map((row) => text(row['name'])),
        ['after'],
      )
    }))

  const alone = subject.concurrent === false && 'there is no connection that could be lost'
  test(
    'a transaction whose connection is lost is database-unavailable, and has not happened',
    { skip: alone },
    () =>
      fresh(subject, async (database, sql) => {
        const { self, kill } = interruptions[database.dialect.name]!
        const cut = database.transaction(async (tx) => {
          await tx.execute(sql('INSERT INTO contract (name) VALUES (?)'), ['cut'])
          const { rows } = await tx.execute(self)
          await database.execute(kill(wholeNumber(rows[0]!['id'])))
          // The first one may still be answered with why.
          await tx.execute('SELECT 1 AS one').catch(() => {})
          await tx.execute('SELECT 1 AS one')
        })
        await assert.rejects(cut, code('database-unavailable'))
        const { rows } = await database.execute('SELECT name FROM contract')
        assert.deepEqual(rows, [])
      }),
  )

  test('one that is aborted before does not begin', () =>
    fresh(subject, async (database) => {
      const reason = new Error('too late')
      const work = database.transaction(() => assert.fail('it has begun'), {
        signal: AbortSignal.abort(reason),
      })
      await assert.rejects(work, reason)
      await database.transaction((tx) => tx.execute('SELECT 1 AS one'))
    }))
}
