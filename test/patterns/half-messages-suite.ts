import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { connect, MillraceError, queue } from '../../src/index.ts'
import { type Database, type Outbox, openOutbox, type TransactionOptions } from '../../src/patterns/index.ts'
import { type TestBroker, testBroker } from '../../src/testing/index.ts'
import type { Subject } from './subjects.ts'

const orders = queue<number>('orders')
const producerGroup = 'shop'

interface Bench {
  readonly broker: TestBroker
  readonly database: Database
  readonly outbox: Outbox
  /** Another process of the group, which dies at `where` in each of its transactions. */
  dying(where: 'before the commit' | 'after the commit'): Promise<Outbox>
  /** How many rows the applications have committed. */
  rows(): Promise<number>
  received(): Promise<number[]>
}

/** The outbox on half messages, on one kind of database. */
export function testHalfMessages(subject: Subject): void {
  const bench = (work: (bench: Bench) => Promise<void>) => async () => {
    await using opened = await subject.open()
    const { database } = opened
    await using broker = await testBroker()
    const options = { mq: broker.mq, producerGroup, commitWithin: '20s' } as const
    await using outbox = await openOutbox({ database, halfMessages: options })
    const dying: Bench['dying'] = async (where) => {
      const mq = await broker.connect()
      const own = { mq, producerGroup: 'of its own' }
      const doomed = await openOutbox({ database: deadly(database, where), halfMessages: own })
      // It prepares for the group, and does not live to answer for it.
      Object.assign(doomed.halfMessages!, { producerGroup, decide: () => new Promise(() => {}) })
      return doomed
    }
    const rows = async () =>
      Number((await database.execute('SELECT COUNT(*) AS n FROM orders')).rows[0]!['n'])
    const received = async () => {
      const bodies: number[] = []
      for (;;) {
        const message = await broker.mq.receive(orders, { timeout: 0 })
        if (!message) return bodies
        bodies.push(message.body)
        await message.acknowledge()
      }
    }
    await work({ broker, database, outbox, dying, rows, received })
  }
  const insert = (database: Database) => database.dialect.statement('INSERT INTO orders (note) VALUES (?)')

  suite(`outbox on half messages and ${subject.name}`, () => {
    test(
      'what is committed is sent, with nothing in between; what is not is forgotten',
      bench(async ({ database, outbox, broker, rows, received }) => {
        const place = (id: number, fail: boolean) =>
          outbox.transaction(async ({ executor, send }) => {
            await executor.execute(insert(database), [`${id}`])
            await send(orders, id)
            await send(orders, id + 1)
            assert.deepEqual(await received(), [])
            if (fail) throw new Error('no stock')
            return 'placed'
          })
        assert.equal(await place(1, false), 'placed')
        assert.deepEqual([await rows(), await received()], [1, [1, 2]])
        await assert.rejects(place(3, true), { message: 'no stock' })
        assert.deepEqual([await rows(), await received()], [1, []])
        assert.deepEqual(await broker.mq.prepared.list(), [])
      }),
    )

    test(
      'pitfall 7: markers that nobody asks for any more are deleted, by statements of bounded size',
      bench(async ({ database, outbox }) => {
        const old = database.dialect.statement('INSERT INTO millrace_outbox_markers VALUES (?, 1, 1)')
        for (let i = 0; i < 600; i++) await database.execute(old, [`old ${i}`])
        const id = async () =>
          (await database.execute('SELECT transaction_id FROM millrace_outbox_markers')).rows
        await outbox.transaction(({ send }) => send(orders, 1))
        while ((await id()).length > 1) await new Promise((resolve) => setImmediate(resolve))
        assert.doesNotMatch(String((await id())[0]!['transaction_id']), /^old/, 'what is new stays')
      }),
    )

    test(
      'a process that dies after its commit: another one of the group finds the marker, and the message is sent',
      bench(async ({ database, broker, dying, rows, received }) => {
        const doomed = await dying('after the commit')
        const dead = doomed.transaction(async ({ executor, send }) => {
          await executor.execute(insert(database), ['1'])
          await send(orders, 1)
        })
        await assert.rejects(dead, { code: 'database-unavailable' })
        assert.equal(await rows(), 1)
        assert.deepEqual(await received(), [])
        await broker.advance('6s')
        await settled(broker)
        assert.deepEqual(await received(), [1])
      }),
    )

    test(
      'a process that dies before its commit: after commitWithin the message is given up, not before',
      bench(async ({ database, broker, dying, rows, received }) => {
        const doomed = await dying('before the commit')
        const dead = doomed.transaction(async ({ executor, send }) => {
          await executor.execute(insert(database), ['1'])
          await send(orders, 1)
        })
        await assert.rejects(dead, { code: 'database-unavailable' })
        await broker.advance('6s')
        assert.equal((await broker.mq.prepared.list()).length, 1)
        await broker.advance('30s')
        await settled(broker)
        assert.deepEqual([await rows(), await received()], [0, []])
      }),
    )

    test(
      'a transaction that is committed after it was given up fails, and has written nothing',
      { skip: !subject.concurrent && 'one transaction at a time' },
      bench(async ({ database, broker, outbox, rows, received }) => {
        const late = outbox.transaction(async ({ executor, send }) => {
          await executor.execute(insert(database), ['1'])
          await send(orders, 1)
          await broker.advance('36s')
          await settled(broker)
        })
        await assert.rejects(late, { code: 'superseded' })
        assert.deepEqual([await rows(), await received()], [0, []])
      }),
    )

    test(
      'a process that cannot ask its database says unknown, and is asked again',
      bench(async ({ database, broker, outbox, dying, received }) => {
        const doomed = await dying('after the commit')
        const dead = doomed.transaction(({ send }) => send(orders, 1))
        await assert.rejects(dead, { code: 'database-unavailable' })
        const unknown = once(broker.mq, 'error')
        const away = () => Promise.reject(new MillraceError('database-unavailable', 'gone'))
        Object.assign(outbox.halfMessages!, { database: { ...database, execute: away } })
        await broker.advance('6s')
        assert.equal(((await unknown)[0] as MillraceError).code, 'database-unavailable')
        assert.deepEqual(await received(), [])
        Object.assign(outbox.halfMessages!, { database })
        await broker.advance('30s')
        await settled(broker)
        assert.deepEqual(await received(), [1])
      }),
    )

    test(
      'without half messages there are no such transactions',
      bench(async ({ database }) => {
        const outbox = await openOutbox({ database })
        await assert.rejects(
          outbox.transaction(() => {}),
          { code: 'illegal-state' },
        )
        await using mq = await connect('memory:')
        await mq.close()
        const halfMessages = { mq, producerGroup }
        await assert.rejects(openOutbox({ database, halfMessages }), { code: 'closed' })
      }),
    )
  })
}

/** Resolves when every half message has been decided: the answers to checks take their time in the database. */
async function settled(broker: TestBroker): Promise<void> {
  while ((await broker.mq.prepared.list()).length > 0) await new Promise((resolve) => setImmediate(resolve))
  await broker.idle()
}

/** A database whose connection ends in the middle of a transaction. */
function deadly(database: Database, where: 'before the commit' | 'after the commit'): Database {
  const gone = new MillraceError('database-unavailable', 'the connection was lost')
  return {
    ...database,
    transaction: async <R>(work: (tx: never) => R | Promise<R>, options?: TransactionOptions): Promise<R> => {
      await database.transaction(async (tx) => {
        await work(tx as never)
        if (where === 'before the commit') throw gone
      }, options)
      throw gone
    },
  }
}
