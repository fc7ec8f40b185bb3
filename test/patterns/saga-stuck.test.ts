import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { connect } from '../../src/index.ts'
import { handled, openInbox, recorded, type SagaMessage, saga } from '../../src/patterns/index.ts'
import { testBroker } from '../../src/testing/index.ts'
import { CrashableBroker } from './crashable.ts'
import { sqlite } from './subjects.ts'
import { phase, refuse, type Trip, trip } from './trips.ts'

suite('a saga that is stuck', () => {
  test('is stuck when something cannot be undone, for everybody to see, and goes on when somebody says so', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    let isDown = true
    const { log, trips } = trip({
      hotel: { undo: async () => (isDown ? refuse() : undefined) },
      car: { run: refuse },
    })
    trips.work(mq)
    await trips.start(mq, "t'1", { to: 'Rome' })
    await trips.start(mq, 't2', { to: 'Oslo' })
    await broker.idle()
    const { status, step, direction, error } = (await trips.status(mq, "t'1"))!
    assert.deepEqual(
      { status, step, direction, error },
      { status: 'stuck', step: 'hotel', direction: 'back', error: 'PermanentError: sold out' },
    )
    const stuck: string[] = []
    for await (const { id } of trips.list(mq, { status: 'stuck' })) stuck.push(id)
    assert.deepEqual(stuck, ["t'1", 't2'])
    assert.equal((await broker.messages(trips.parked)).length, 2)
    assert.equal(await trips.forget(mq, 't2'), false, 'it is not over')

    assert.equal(await trips.resume(mq, "t'1"), true)
    await broker.idle()
    assert.equal(await phase(mq, trips, "t'1"), 'stuck', 'it is still down')
    isDown = false
    assert.equal(await trips.resume(mq, "t'1"), true)
    await broker.idle()
    assert.equal(await phase(mq, trips, "t'1"), 'undone')
    assert.equal(await trips.resume(mq, "t'1"), false, 'nothing is stuck any more')

    log.length = 0
    assert.equal(await trips.resume(mq, 't2', 'done'), true)
    await broker.idle()
    assert.deepEqual(log, ['-flight'])
    assert.equal(await phase(mq, trips, 't2'), 'undone')
    assert.equal(await trips.forget(mq, 't2'), true)
    assert.equal(await trips.status(mq, 't2'), undefined)
  })

  test('is stuck when a program of another time knew its step, and goes on in one that knows it', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { log, trips } = trip()
    const renamed = saga<Trip>('trip', [{ ...trips.steps[0]!, name: 'train' }])
    const worker = renamed.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    assert.equal(await phase(mq, trips, 't1'), 'stuck')
    await assert.rejects(renamed.resume(mq, 't1', 'done'), { code: 'argument-invalid' })
    await worker.close()
    trips.work(mq)
    await trips.resume(mq, 't1')
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
  })

  test('puts aside what is no message of it', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    const { log, trips } = trip()
    await trips.work(mq).ready
    await mq.send({ kind: 'queue', name: trips.queue.name }, { saga: 'trip', id: 't1' })
    await trips.start(mq, 't2', { to: 'Rome' })
    await broker.idle()
    assert.deepEqual(log, ['flight', 'hotel', 'car'])
    assert.equal((await broker.messages(trips.parked)).length, 1)
    assert.equal(await trips.resume(mq, 't1'), false, 'nobody can say whose it is')
  })

  test('is stuck when a handler puts its message aside, because nobody knows what it has done', async () => {
    await using broker = await testBroker()
    const { mq } = broker
    await using opened = await sqlite.open()
    const inbox = await openInbox({ database: opened.database, consumer: 'trip' })
    let attempts = 0
    const book = recorded<SagaMessage<Trip>>(
      () => {
        if (++attempts === 1) throw new Error('no answer')
      },
      { inbox, unknown: 'park' },
    )
    const { log, trips } = trip({ flight: { run: handled(book), retry: { after: () => 0 } } })
    trips.work(mq)
    await trips.start(mq, 't1', { to: 'Rome' })
    await broker.idle()
    const { status, error } = (await trips.status(mq, 't1'))!
    assert.deepEqual([status, attempts], ['stuck', 1])
    assert.match(error!, /did not end/)
    await trips.resume(mq, 't1')
    await broker.idle()
    assert.deepEqual([await phase(mq, trips, 't1'), attempts], ['done', 2])
    log.length = 0
    await trips.start(mq, 't2', { to: 'Oslo' })
    attempts = 0
    await broker.idle()
    await trips.resume(mq, 't2', 'back')
    await broker.idle()
    assert.deepEqual(log, ['flight', 'flight', '-flight'])
    assert.equal(await phase(mq, trips, 't2'), 'undone')
  })

  test('does the same over AMQP', async () => {
    const crashable = await CrashableBroker.start(1)
    const mq = await connect(await crashable.serve())
    let isDown = true
    const { log, trips } = trip({
      flight: { undo: async () => (isDown ? refuse() : undefined) },
      car: { run: refuse },
    })
    const becomes = async (status: string) => {
      while ((await phase(mq, trips, 't1')) !== status) await new Promise((resolve) => setImmediate(resolve))
    }
    await trips.start(mq, 't1', { to: 'Rome' })
    await trips.start(mq, 't1', { to: 'Oslo' })
    trips.work(mq, { concurrency: 2 })
    await becomes('stuck')
    isDown = false
    assert.equal(await trips.resume(mq, 't1'), true)
    await becomes('undone')
    assert.deepEqual(log, ['flight', 'hotel', 'car', '-hotel', '-flight', '-flight'])
    assert.equal(await trips.resume(mq, 't1'), false)
    assert.equal(await trips.forget(mq, 't1'), true)
    await mq.close()
    await crashable.stop()
  })
})
