import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { connect } from '../../src/index.ts'
import { testBroker } from '../../src/testing/index.ts'
import { CrashableBroker } from './crashable.ts'
import { phase, trip } from './trips.ts'

suite('a worker of sagas that is closed', () => {
  test('hands a step over that runs while its connection is closed in good order, and tells nobody of it', async () => {
    await using keeper = await connect('memory:handed-over')
    const reported: unknown[] = []
    const program = async () =>
      (await connect('memory:handed-over')).on('error', (error) => reported.push(error))
    const mq = await program()
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const { log, trips } = trip({
      flight: {
        run: async () => {
          begun.resolve()
          await goOn.promise
          return undefined
        },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await begun.promise
    const closing = mq.close()
    goOn.resolve()
    await closing
    assert.equal((await trips.status(keeper, 't1'))?.step, 'hotel')
    const next = await program()
    trips.work(next)
    while ((await phase(keeper, trips, 't1')) !== 'done')
      await new Promise((resolve) => setImmediate(resolve))
    // It waits for another one.
    await next.close()
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
    assert.deepEqual(reported, [])
  })

  test('tells nobody that what comes next was on its way to a lane that does not begin it any more', async () => {
    const reported: unknown[] = []
    const turn = () => new Promise((resolve) => setImmediate(resolve))
    for (let turns = 0; turns < 8; turns++) {
      const mq = await connect('memory:')
      mq.on('error', (error) => reported.push(error))
      const begun = Promise.withResolvers<void>()
      const run = async () => {
        begun.resolve()
        await turn()
        return undefined
      }
      const { trips } = trip({ flight: { run }, hotel: { run }, car: { run } })
      trips.work(mq, { concurrency: 4 })
      await trips.start(mq, 't1', { to: 'Rome' })
      await begun.promise
      // From before the first step is handed over until after the last one was.
      for (let passed = 0; passed < turns; passed++) await turn()
      await mq.close()
      await turn()
    }
    assert.deepEqual(reported, [])
  })

  test('ends in the time that it is given, also when the broker was away before it was opened', async () => {
    const crashable = await CrashableBroker.start(1)
    const mq = await connect(await crashable.serve(), { reconnect: { initial: 5, max: 20 } })
    const reported: unknown[] = []
    mq.on('error', (error) => reported.push(error))
    const gone = once(mq, 'disconnected')
    await crashable.stop()
    await gone
    const worker = trip().trips.work(mq)
    await mq.close({ drain: 20 })
    await worker.closed
    await assert.rejects(worker.ready, { code: 'closed' })
    assert.deepEqual(reported, [])
  })

  test('gives a step back uncounted when its worker is closed and does not wait for it', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const attempts: number[] = []
    const { trips } = trip({
      flight: {
        run: (_, { attempt }) => {
          attempts.push(attempt)
          return attempts.length > 1 ? undefined : new Promise(() => {})
        },
      },
    })
    const worker = trips.work(mq)
    await worker.ready
    await trips.start(mq, 't1', { to: 'Rome' })
    while (attempts.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await worker.close({ drain: 0 })
    trips.work(mq)
    await broker.idle()
    assert.deepEqual(attempts, [1, 1])
    assert.equal(await phase(mq, trips, 't1'), 'done')
  })
})
