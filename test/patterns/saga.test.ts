import assert from 'node:assert/strict'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import { connect, type MillraceError } from '../../src/index.ts'
import {
  fromSqlite,
  handled,
  idempotent,
  migrate,
  openInbox,
  openOutbox,
  outboxSchema,
  RetryLater,
  type SagaFailure,
  type SagaMessage,
  type SagaStep,
  saga,
} from '../../src/patterns/index.ts'
import { testBroker } from '../../src/testing/index.ts'
import { CrashableBroker } from './crashable.ts'
import { sqlite } from './subjects.ts'
import { phase, refuse, type Trip, trip } from './trips.ts'
import { VirtualBroker } from './virtual.ts'

suite('a saga', () => {
  test('goes from step to step, the state with it, and says where it stands', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const seen: unknown[] = []
    const { log, trips } = trip({
      hotel: {
        run: async (state, { id, attempt, idempotencyKey }) => {
          seen.push(id, attempt, idempotencyKey, state.at, (await trips.status(mq, 't1'))?.step)
          return undefined
        },
      },
    })
    assert.equal(await trips.status(mq, 't1'), undefined, 'not started')
    const at = new Date(86_400_000)
    await trips.start(mq, 't1', { to: 'Rome', at })
    const { since, ...waiting } = (await trips.status(mq, 't1'))!
    assert.deepEqual(waiting, {
      saga: 'trip',
      id: 't1',
      step: 'flight',
      direction: 'forward',
      status: 'running',
      state: { to: 'Rome', at },
    })
    assert.ok(since > 0)
    trips.work(mq)
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
    assert.deepEqual(seen, ['t1', 1, 'trip/t1/hotel', at, 'hotel'])
    const { status, step, state } = (await trips.status(mq, 't1'))!
    assert.deepEqual({ status, step }, { status: 'done', step: 'car' })
    assert.deepEqual(state, { to: 'Rome', at, booked: ['flight', 'hotel', 'car'] })
    const left = (await mq.management.queues()).map(({ name, messages }) => [name, messages])
    assert.deepEqual(Object.fromEntries(left), {
      'millrace.saga.trip': 0,
      'millrace.saga.trip.status': 1,
      'millrace.saga.trip.stuck': 0,
    })
  })

  test('goes back over what was done, in reverse order, when a step cannot be done', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const undoing: unknown[] = []
    const { log, trips } = trip({
      hotel: {
        undo: async (_, { outcome, error, undoes }) => {
          assert.equal(undoes, 'trip/t1/hotel')
          undoing.push(outcome, error)
        },
      },
      car: { run: refuse },
    })
    await trips.start(mq, 't1', { to: 'Rome' })
    const failures: SagaFailure[] = []
    trips.work(mq).on('failed', (failure) => failures.push(failure))
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car', '-hotel', '-flight'])
    assert.deepEqual(undoing, ['done', 'PermanentError: sold out'])
    const { status, step, state, error } = (await trips.status(mq, 't1'))!
    assert.deepEqual({ status, step, error }, { status: 'undone', step: 'flight', error: undoing[1] })
    assert.deepEqual(state.booked, [])
    assert.deepEqual(
      failures.map(({ step, direction, next }) => [step, direction, next]),
      [['car', 'forward', 'back']],
    )
  })

  test('passes over steps that have no undo', async () => {
    await using broker = await testBroker()
    const { log, trips } = trip({
      flight: { undo: undefined },
      hotel: { undo: undefined },
      car: { run: refuse },
    })
    const bare = saga<Trip>(
      'bare',
      trips.steps.map(({ undo, ...step }) => (step.name === 'flight' ? { ...step, undo } : step)),
    )
    await bare.start(broker.mq, 't1', { to: 'Rome' })
    bare.work(broker.mq)
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car', '-flight'])
    assert.equal((await bare.status(broker.mq, 't1'))?.status, 'undone')
  })

  test('repeats a step by the schedule of the broker, and goes back when its attempts are used up', async () => {
    await using broker = await VirtualBroker.start()
    const { mq, clock } = broker
    const times: number[] = []
    const outcomes: string[] = []
    const { log, trips } = trip({
      hotel: {
        run: () => {
          times.push(Math.round(clock.monotonic() / 1000))
          throw new RetryLater('busy', { after: '10s' })
        },
        undo: async (_, { outcome }) => {
          outcomes.push(outcome)
        },
        retry: { attempts: 3 },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.rest()
    assert.deepEqual(log, ['flight', 'hotel'])
    assert.equal((await broker.report('millrace.saga.trip')).acquired, 0, 'nobody holds it while it waits')
    await broker.pass(25_000, 1_000)
    assert.deepEqual(
      times.map((time) => time - times[0]!),
      [0, 10, 20],
    )
    // It was not said not to have been done: it is undone too.
    assert.deepEqual(log, ['flight', 'hotel', 'hotel', 'hotel', '-hotel', '-flight'])
    assert.deepEqual(outcomes, ['unknown'])
    assert.equal(await phase(mq, trips, 't1'), 'undone')
  })

  test('undoes a step too of which an attempt before may have been more than its last one knows', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { log, trips } = trip({
      flight: {
        run: (_, { attempt }) => {
          if (attempt > 1) refuse()
          throw new RetryLater('no answer', { after: 0 })
        },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'flight', '-flight'])
    assert.equal(await phase(mq, trips, 't1'), 'undone')
  })

  test('is not tried by one more process when as many as it has attempts have ended over it', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { log, trips } = trip({ flight: { retry: { attempts: 2 } } })
    await trips.start(mq, 't1', { to: 'Rome' })
    for (let deaths = 0; deaths < 2; deaths++) {
      const message = await mq.receive(trips.queue, { timeout: 0 })
      await message!.fail('as when a process dies', { after: 0 })
    }
    trips.work(mq)
    await broker.idle()
    assert.deepEqual(log, ['-flight'])
    assert.match((await trips.status(mq, 't1'))!.error!, /begun 2 times/)
  })

  test('does not wait for a step longer than its timeout', async () => {
    await using broker = await VirtualBroker.start()
    const { mq } = broker
    const reasons: unknown[] = []
    const { log, trips } = trip({
      flight: {
        run: (_, { signal }) => {
          signal.addEventListener('abort', () => reasons.push(signal.reason.code))
          return new Promise(() => {})
        },
        timeout: '5s',
        retry: { attempts: 1 },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.pass(4_000, 1_000)
    assert.equal(await phase(mq, trips, 't1'), 'running')
    await broker.pass(2_000, 1_000)
    assert.deepEqual(reasons, ['timeout'])
    assert.deepEqual(log, ['flight', '-flight'])
    assert.equal(await phase(mq, trips, 't1'), 'undone')
  })

  test('begins once, however often it is started, and with a message that another transaction may send', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { log, trips } = trip()
    await trips.start(mq, 't1', { to: 'Rome' })
    trips.work(mq)
    await broker.idle()
    await trips.start(mq, 't1', { to: 'Oslo' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
    const { status, state } = (await trips.status(mq, 't1'))!
    assert.deepEqual([status, state.to], ['done', 'Rome'], 'the second start has not touched its status')

    await assert.rejects(
      mq.transaction(async (tx) => {
        await trips.start(tx, 't2', { to: 'Oslo' })
        throw new Error('changed my mind')
      }),
    )
    await broker.idle()
    assert.equal(await trips.status(mq, 't2'), undefined)
  })

  test('is started by an outbox in the transaction of the application', async () => {
    await using mq = await connect('memory:')
    const { log, trips } = trip()
    const database = fromSqlite(new DatabaseSync(':memory:'))
    await migrate(database, outboxSchema)
    await using outbox = await openOutbox({ database })
    await outbox.relay(mq)
    await database.transaction(async (tx) => {
      const { destination, body, options } = trips.message('t1', { to: 'Rome' })
      await outbox.send(tx, destination, body, options)
    })
    trips.work(mq)
    while ((await phase(mq, trips, 't1')) !== 'done') await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
  })

  test('has its status forgotten after its time', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { trips } = trip({}, { keep: '1h' })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    await broker.advance('59m')
    assert.equal(await phase(mq, trips, 't1'), 'done')
    await broker.advance('2m')
    assert.equal(await phase(mq, trips, 't1'), undefined)
  })

  test('keeps what a step does to its state without returning it from everybody', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const states: unknown[] = []
    const steps: SagaStep<{ n: number }>[] = [
      {
        name: 'one',
        run: async (state) => {
          state.n++
        },
      },
      {
        name: 'two',
        run: async ({ n }) => {
          states.push(n)
        },
      },
    ]
    const counting = saga('counting', steps)
    counting.work(mq)
    await counting.start(mq, 'c1', { n: 1 })
    await broker.idle()
    assert.deepEqual(states, [1])
  })

  test('goes back, and says why, when a step has returned more than one message takes', async () => {
    await using broker = await testBroker({ broker: { maxMessageBytes: 10_000 } })
    const { mq } = broker
    const reported: unknown[] = []
    mq.on('error', ({ code }) => reported.push(code))
    const { log, trips } = trip({ hotel: { run: async () => ({ to: 'x'.repeat(20_000) }) } })
    const failures: unknown[] = []
    trips
      .work(mq)
      .on('failed', ({ step, next, error }) => failures.push([step, next, (error as MillraceError).code]))
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', '-hotel', '-flight'], 'it is not done again in vain')
    assert.deepEqual(failures, [['hotel', 'back', 'message-too-large']])
    assert.deepEqual(reported, [])
    const { status, error } = (await trips.status(mq, 't1'))!
    assert.equal(status, 'undone')
    assert.match(error!, /message/)
  })

  test('is stuck, and says why, when an undo has returned more than one message takes', async () => {
    await using broker = await testBroker({ broker: { maxMessageBytes: 10_000 } })
    const { mq } = broker
    const { log, trips } = trip({
      hotel: { undo: async () => ({ to: 'x'.repeat(20_000) }) },
      car: { run: refuse },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car', '-hotel'])
    assert.equal(await phase(mq, trips, 't1'), 'stuck')
    assert.match((await trips.status(mq, 't1'))!.error!, /message/)
  })

  test('goes back when what a step returned cannot be written down, and undoes that step too', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const circle: { to: string; self?: unknown } = { to: 'Rome' }
    circle.self = circle
    const { log, trips } = trip({ hotel: { run: async () => circle } })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', '-hotel', '-flight'])
    assert.equal(await phase(mq, trips, 't1'), 'undone')
  })

  test('tells a step that its delivery is lost, and another worker repeats it', async () => {
    const crashable = await CrashableBroker.start(1)
    const url = await crashable.serve()
    await using mq = await connect(url, { reconnect: { initial: 5, max: 20 } })
    const begun = Promise.withResolvers<AbortSignal>()
    const { log, trips } = trip({
      flight: {
        run: (_, { attempt, signal }) => {
          begun.resolve(signal)
          return attempt > 1 || log.length > 1 ? undefined : new Promise(() => {})
        },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    const signal = await begun.promise
    const lost = once(signal, 'abort')
    await crashable.crash()
    await lost
    assert.equal(signal.reason.code, 'connection-lost')
    while ((await phase(mq, trips, 't1').catch(() => '')) !== 'done')
      await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(log, ['flight', 'flight', 'hotel', 'car'])
    await mq.close()
    await crashable.stop()
  })

  test('does nothing any more of a step that was undone while its process stood still, through one inbox', async () => {
    const crashable = await CrashableBroker.start(1)
    const url = await crashable.serve()
    await using mq = await connect(url, { reconnect: { initial: 5, max: 20 } })
    mq.on('error', () => {})
    await using opened = await sqlite.open()
    const { database } = opened
    const inbox = await openInbox({ database, consumer: 'trip' })
    const writing = (sql: string) =>
      handled(idempotent<SagaMessage<Trip>, unknown>((_, { executor }) => executor.execute(sql), { inbox }))
    const book = writing("INSERT INTO orders (note) VALUES ('flight')")
    const [begun, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    // It stands still, and hears nothing.
    const signal = new AbortController().signal
    let late: Promise<unknown> | undefined
    const { log, trips } = trip({
      flight: {
        run: (state, context) => {
          late = goOn.promise.then(() => book(state, Object.create(context, { signal: { value: signal } })))
          begun.resolve()
          return late as Promise<undefined>
        },
        undo: writing('DELETE FROM orders'),
        retry: { attempts: 1 },
      },
    })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await begun.promise
    crashable.cut()
    while ((await phase(mq, trips, 't1').catch(() => '')) !== 'undone')
      await new Promise((resolve) => setImmediate(resolve))
    goOn.resolve()
    await late
    assert.deepEqual(log, ['flight', '-flight'])
    assert.deepEqual((await database.execute('SELECT note FROM orders')).rows, [])
    await mq.close()
    await crashable.stop()
  })

  test('runs beside others of its kind, each in its order', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    let running = 0
    let most = 0
    const { trips } = trip({
      hotel: {
        run: async () => {
          most = Math.max(most, ++running)
          await new Promise((resolve) => setImmediate(resolve))
          running--
          return undefined
        },
      },
    })
    trips.work(mq, { concurrency: 4 })
    await Promise.all(Array.from({ length: 20 }, (_, n) => trips.start(mq, `t${n}`, { to: 'Rome' })))
    await broker.idle()
    let done = 0
    for await (const { status, state } of trips.list(mq)) {
      assert.deepEqual([status, state.booked], ['done', ['flight', 'hotel', 'car']])
      done++
    }
    assert.equal(done, 20)
    assert.ok(most > 1 && most <= 4, `${most} at once`)
  })

  test('says what it promises', async () => {
    await using broker = await testBroker()
    const { trips } = trip({ hotel: { retry: { attempts: 3 }, timeout: '5s' } }, { keep: '1h' })
    const { lost, duplicated, order, until } = await trips.explain(broker.mq)
    assert.ok(lost.some((line) => line.includes('expires after 1 h')))
    assert.ok(lost.some((line) => line.includes('keeps everything in memory')))
    assert.ok(duplicated.some((line) => line.includes('within 1 d and among the last 100000')))
    assert.ok(order.some((line) => line.includes('forward flight, hotel, car')))
    assert.ok(until.includes('hotel is tried 3 times, then the saga goes back.'))
    assert.ok(until.some((line) => line.includes('flight, car may take for ever')))
  })

  test('refuses what describes none', () => {
    const step: SagaStep<number> = { name: 'a', run: () => undefined }
    assert.throws(() => saga('x', []), { code: 'argument-invalid' })
    assert.throws(() => saga('x', [step, step]), { code: 'argument-invalid' })
    assert.throws(() => saga('x', [{ ...step, retry: { attempts: 0 } }]), { code: 'argument-invalid' })
    assert.throws(() => saga('x', [{ ...step, timeout: 'soon' as never }]), { code: 'duration-invalid' })
    assert.throws(() => saga('', [step]), { code: 'argument-invalid' })
    assert.throws(() => saga('x', [step]).message('', 1), { code: 'argument-invalid' })
    assert.throws(() => saga('x', [step]).message('i'.repeat(260), 1), { code: 'argument-invalid' })
  })
})
