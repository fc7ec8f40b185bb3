import assert from 'node:assert/strict'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { suite, test } from 'node:test'
import rhea from 'rhea'
import { connect, MillraceError, queue } from '../../src/index.ts'
import { Sweeper } from '../../src/patterns/database/sweeper.ts'
import { redeliveryHorizon } from '../../src/patterns/inbox/retention.ts'
import { fromSqlite, idempotent, inboxSchema, migrate, openInbox } from '../../src/patterns/index.ts'
import { LocalBroker } from '../client-amqp/local-broker.ts'
import { testInboxFaults } from './inbox-faults-suite.ts'
import { testInbox } from './inbox-suite.ts'
import { sqlite } from './subjects.ts'

testInbox(sqlite)
testInboxFaults(sqlite)

test('pitfall 9: a retention that is shorter than a message may come again is warned of', async () => {
  const database = fromSqlite(new DatabaseSync(':memory:'))
  await migrate(database, inboxSchema)
  const warnings: string[] = []
  const warned = (warning: Error & { code?: string }) =>
    void warnings.push(`${warning.code}: ${warning.message}`)
  process.on('warning', warned)
  const patient = queue('patient', {
    policy: { maxDeliveries: 100, backoff: { maxDelay: '6h', delay: '1h' } },
  })
  const for7days = { database, redriveWithin: '1d' } as const
  await openInbox({ ...for7days, consumer: 'by default' })
  await openInbox({ ...for7days, consumer: 'short', retention: '1d' })
  await openInbox({ ...for7days, consumer: 'patient', from: patient })
  await openInbox({ ...for7days, consumer: 'patient and long', from: patient, retention: '40d' })
  const endless = queue('endless', { policy: { maxDeliveries: Number.POSITIVE_INFINITY } })
  process.emitWarning('the last one')
  await openInbox({ ...for7days, consumer: 'endless', from: endless, retention: '400d' })
  await once(process, 'warning')
  process.off('warning', warned)
  assert.deepEqual(
    warnings
      .filter((text) => text.startsWith('inbox-retention'))
      .map((text) => /inbox of (.*?) forgets/.exec(text)?.[1]),
    ['short', 'patient', 'endless'],
  )
})

test('a clean-up that will not succeed later either is told of, once', async () => {
  let tries = 0
  const records = {
    clock: async () => {
      tries++
      throw new MillraceError(tries === 1 ? 'database-unavailable' : 'database-failed', 'no')
    },
  }
  const told: string[] = []
  const warned = (warning: Error & { code?: string }) => void told.push(warning.code ?? warning.message)
  process.on('warning', warned)
  const sweepers = [1, 2].map(() => new Sweeper(records as never, 5_000, () => {}))
  for (const sweeper of sweepers) {
    sweeper.turn()
    sweeper.turn()
    await new Promise((resolve) => setImmediate(resolve))
  }
  process.emitWarning('the last one')
  while (!told.includes('the last one')) await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', warned)
  assert.deepEqual([tries, told], [2, ['millrace-sweep', 'the last one']])
})

test('a clock that was set forward makes nobody forget', async () => {
  let time = 1_000_000
  const sweeps: number[] = []
  const records = {
    clock: async () => time,
    sweep: async (retention: number) => {
      sweeps.push(retention)
      return 0
    },
  }
  const sweeper = () => new Sweeper(records as never, 5_000, () => {})
  const watching = sweeper()
  watching.turn()
  while (sweeps.length < 1) await new Promise((resolve) => setImmediate(resolve))
  time += 86_400_000
  // The one that has seen it go wrong forgets nothing, a new one takes the time as it is.
  await watching.sweep()
  assert.equal(sweeps.length, 1)
  await sweeper().sweep()
  assert.equal(sweeps.length, 2)
})

suite('pitfall 9: the retention beside what the broker is configured to', () => {
  const policy = {
    maxDeliveries: 4,
    backoff: { delays: ['1s', '10s'], jitter: 0 },
    deliveryTimeout: '5s',
    ttl: '1h',
  } as const
  const open = async (retention: number) => {
    const database = fromSqlite(new DatabaseSync(':memory:'))
    await migrate(database, inboxSchema)
    return openInbox({ database, consumer: 'billing', retention, redriveWithin: 0 })
  }

  test('waits, deliveries and the age of dead letters have to fit into it', async () => {
    await using mq = await connect('memory:')
    const orders = queue<number>('orders', { policy })
    await mq.declare(orders)
    await mq.declare(queue('orders.dlq', { policy: { ttl: '1m' } }))
    // 1 s, 10 s and 10 s, four times 5 s, and 1 min.
    assert.equal(await (await open(101_001)).check(mq, orders), undefined)
    const short = await open(101_000)
    const told = once(process, 'warning')
    assert.match((await short.check(mq, queue('orders')))!, /orders may be redelivered for 41 s, .* 1 min/)
    assert.equal((await told)[0].code, 'inbox-retention')
    const { until, text } = await short.explain(mq, queue('orders'))
    assert.deepEqual(until.slice(1), [
      'The broker delivers a message that fails again for at most 41 s.',
      'A dead letter expires after 1 min.',
    ])
    assert.match(text, /not within 1\.7 min/)
  })

  test('what has no bound is said', async () => {
    await using mq = await connect('memory:')
    const plain = queue<number>('plain')
    await mq.declare(plain)
    const inbox = await open(86_400_000)
    assert.equal(await inbox.check(mq, plain), undefined)
    const { until } = await inbox.explain(mq, plain)
    for (const what of [/no deliveryTimeout/, /plain has no ttl/, /plain\.dlq has no ttl/])
      assert.ok(
        until.some((sentence) => what.test(sentence)),
        `${what}`,
      )
    const kept = queue('kept', { policy: { deadLetter: false } })
    await mq.declare(kept)
    assert.match((await inbox.explain(mq, kept)).text, /There is no dead-letter queue/)
  })

  test('any limit of deliveries is reckoned with at once', async () => {
    const many = { maxDeliveries: Number.MAX_SAFE_INTEGER, backoff: { delay: 10, multiplier: 1, jitter: 0 } }
    const { redelivery } = redeliveryHorizon(queue('many', { policy: many }).policy)
    assert.ok(redelivery > Number.MAX_SAFE_INTEGER)
  })
})

test('a message of another program that has given it no id is dead-lettered at once, and named', async () => {
  const broker = await LocalBroker.start()
  try {
    await using mq = await connect(broker.url)
    const jobs = queue<string>('jobs')
    await mq.declare(jobs)
    const connection = rhea
      .create_container()
      .connect({ host: '127.0.0.1', port: broker.port, username: 'anonymous', reconnect: false })
    const sender = connection.open_sender({ target: { address: 'jobs', capabilities: ['queue'] } })
    await once(sender, 'sendable')
    sender.send({ body: 'nameless' })
    await once(sender, 'accepted')
    connection.close()
    await using opened = await sqlite.open()
    const inbox = await openInbox({ database: opened.database, consumer: 'c' })
    const named = once(mq, 'error')
    mq.consume(
      jobs,
      idempotent<string, unknown>(() => assert.fail('handled'), { inbox }),
    )
    assert.equal(((await named)[0] as MillraceError).code, 'message-invalid')
    const dead = (await mq.receive(queue('jobs.dlq')))!
    assert.match(dead.deadLetter!.description, /this one has none/)
  } finally {
    await broker.stop()
  }
})
