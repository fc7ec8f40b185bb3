import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { age, sparkline } from '../../src/cli/watch.ts'
import type { ConnectionSink, Engine, PublishOutcome } from '../../src/engine/api.ts'
import { connect, queue, topic } from '../../src/index.ts'
import type { QueuePolicy } from '../../src/model/policy.ts'
import { documents, Shell } from './support.ts'

/** As a producer's end sends it. */
const half = {
  exchange: '',
  key: 'orders',
  durability: 'disk',
  priority: 4,
  format: 1,
  payload: Buffer.from('an order'),
  expiry: 0,
  producer: 0,
  sequence: 0,
  mandatory: true,
  prepare: { group: 'billing' },
} as const

suite('looking at a broker and changing what it holds', { concurrency: 2 }, () => {
  test('dead letters are redriven to the queue where they failed, moved elsewhere, purged', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'orders', 'a', 'b', 'c')
    const mq = await connect(shell.at.slice('--url='.length))
    for (let i = 0; i < 3; i++) await (await mq.receive(queue('orders')))!.reject()
    await mq.close()
    const [first] = documents(await shell.okHere('browse', 'orders.dlq', '--json')) as [{ id: string }]
    const one = ['--id', first.id, '--rate', '1000']
    assert.equal(await shell.okHere('redrive', 'orders.dlq', ...one), '1 message moved\n')
    assert.equal(await shell.okHere('redrive', 'orders.dlq', ...one), '0 messages moved\n')
    await shell.okHere('create', 'parked')
    assert.equal(await shell.okHere('move', 'orders.dlq', 'parked', '--json'), '{"moved":2}\n')
    assert.equal(await shell.okHere('receive', 'orders'), 'a\n')
    assert.equal(await shell.okHere('purge', 'parked'), '2 messages purged\n')
    assert.equal(await shell.okHere('delete', 'parked'), '0 messages deleted\n')
    const { code, stderr } = await shell.here(shell.at, 'purge', 'orders.dlqq')
    assert.equal(code, 1)
    assert.match(stderr, /destination-not-found.*did you mean 'orders.dlq'/s)
  })

  test('a selector says which messages are looked at, moved and purged; a wrong one is refused', async (t) => {
    const shell = new Shell(t)
    for (const size of ['1', '2', '3'])
      await shell.okHere('send', 'parcels', `p${size}`, '--property', `size=${size}`)
    await shell.okHere('create', 'large')
    assert.match(await shell.okHere('browse', 'parcels', '--selector', 'size = 2'), /^\S+ +ready +p2\n$/)
    assert.equal(
      await shell.okHere('move', 'parcels', 'large', '--selector', 'size > 1', '--count', '1'),
      '1 message moved\n',
    )
    assert.equal(await shell.okHere('purge', 'parcels', '--selector', 'size > 1'), '1 message purged\n')
    assert.equal(await shell.okHere('redrive', 'large', '--selector', 'size > 1'), '0 messages moved\n')
    assert.equal(await shell.okHere('receive', 'parcels'), 'p1\n')
    const { code, stderr } = await shell.here(shell.at, 'purge', 'large', '--selector', 'size >')
    assert.equal(code, 1)
    assert.match(stderr, /selector-invalid.*position 7/s)
  })

  test('create gives a queue its policy, and refuses to give it another', async (t) => {
    const shell = new Shell(t)
    const policy = ['--capacity', '1', '--when-full', 'reject', '--ttl', '1h', '--dead-letter', 'letters']
    await shell.okHere('create', 'small', ...policy)
    await shell.okHere('create', 'small', ...policy)
    const [{ queues }] = documents(await shell.okHere('queues', '--json')) as [
      { queues: [{ policy: unknown }] },
    ]
    const { maxMessages, overflow, ttl, deadLetter } = queues[0].policy as Record<string, unknown>
    assert.deepEqual([maxMessages, overflow, ttl, deadLetter], [1, 'reject', 3_600_000, 'letters'])
    await shell.okHere('send', 'small', 'x')
    assert.match((await shell.here(shell.at, 'send', 'small', 'y')).stderr, /queue-full/)
    assert.match(
      (await shell.here(shell.at, 'create', 'small', '--capacity', '2')).stderr,
      /destination-conflict/,
    )
  })

  test('create says how failed and expired messages fare', async (t) => {
    const shell = new Shell(t)
    const rest = ['--max-deliveries', '4', '--expired', '{queue}.late', '--redelivery-jitter', '0']
    await shell.okHere('create', 'listed', '--redelivery-delays', '1s, 10s,1m', ...rest)
    const growing = [
      '--redelivery-delay',
      '2s',
      '--redelivery-multiplier',
      '1.5',
      '--redelivery-max-delay',
      '1h',
    ]
    await shell.okHere('create', 'grown', ...growing)
    await shell.okHere(
      'create',
      'once',
      '--deduplication-count',
      '5',
      '--single-active-consumer',
      '--last-value',
      'k',
    )
    type Policies = [{ queues: { name: string; policy: QueuePolicy }[] }]
    const [{ queues }] = documents(await shell.okHere('queues', '--json')) as Policies
    const [grown, listed] = ['grown', 'listed'].map(
      (name) => queues.find((queue) => queue.name === name)!.policy,
    )
    assert.deepEqual(grown!.backoff, { delay: 2_000, multiplier: 1.5, maxDelay: 3_600_000, jitter: 0.2 })
    const { deduplication, singleActiveConsumer, lastValue } = queues.find(
      ({ name }) => name === 'once',
    )!.policy
    assert.deepEqual(
      [deduplication, singleActiveConsumer, lastValue],
      [{ window: 600_000, count: 5 }, true, 'k'],
    )
    const { delays, jitter } = listed!.backoff
    assert.deepEqual([delays, jitter, listed!.expired], [[1_000, 10_000, 60_000], 0, '{queue}.late'])
    for (const [wrong, says] of [
      [['--redelivery-delays', '1s,soon'], /--redelivery-delays is a time such as .*, not soon/],
      [['--redelivery-delays', '1s', ...growing], /lists all waits/],
      [['--redelivery-multiplier', '0.5'], /--redelivery-multiplier is a number from 1, not 0.5/],
    ] as const) {
      const { code, stderr } = await shell.here(shell.at, 'create', 'x', ...wrong)
      assert.equal(code, 2)
      assert.match(stderr, says)
    }
  })

  test('prepared lists half messages, commits and discards them', async (t) => {
    const shell = new Shell(t)
    const mq = await connect(shell.at.slice('--url='.length))
    const { engine } = mq.connection.provided as unknown as { engine: Engine }
    const ids = await new Promise<string[]>((resolve) => {
      const sink = {
        published: (outcomes: readonly PublishOutcome[]) => resolve(outcomes.map((o) => o.prepared!)),
      }
      const connection = engine.connect(sink as unknown as ConnectionSink)
      for (const tag of [1, 2]) engine.publish(connection, { ...half, tag })
    })
    await mq.close()
    const lines = (await shell.okHere('prepared')).split('\n')
    assert.match(lines[1]!, new RegExp(`${ids[0]} +billing +orders +\\d+ B +\\d+ m?s +0 +undecided`))
    type Document = [{ prepared: { id: string; group: string; parked: boolean }[] }]
    const [{ prepared }] = documents(await shell.okHere('prepared', '--json')) as Document
    assert.deepEqual(
      prepared.map(({ id, group, parked }) => [id, group, parked]),
      ids.map((id) => [id, 'billing', false]),
    )
    assert.equal(await shell.okHere('prepared', 'commit', ids[0]!), `half message ${ids[0]} committed\n`)
    assert.deepEqual(documents(await shell.okHere('prepared', 'discard', ids[1]!, '--json')), [
      { discarded: ids[1] },
    ])
    assert.match(await shell.okHere('prepared'), /^no undecided half messages/)
    assert.match(await shell.okHere('queues'), /orders +1 +1/)
    const again = await shell.here(shell.at, 'prepared', 'commit', ids[0]!)
    assert.deepEqual([again.code, /prepared-not-found/.test(again.stderr)], [1, true])
    assert.equal((await shell.here(shell.at, 'prepared', 'commit')).code, 2)
  })

  test('topics lists subscriptions and what they hold; connections lists this one', async (t) => {
    const shell = new Shell(t)
    const mq = await connect(shell.at.slice('--url='.length))
    await mq.subscribe(topic('news.*'), { name: 'reader', shared: true })
    await mq.send(topic('news.sport'), 'goal')
    await mq.close()
    const [{ topics }] = documents(await shell.okHere('topics', '--json')) as [{ topics: unknown }]
    assert.deepEqual(topics, [
      { name: 'news.*', subscriptions: [{ queue: 'sub::reader:shared', messages: 1, consumers: 0 }] },
    ])
    assert.match(await shell.okHere('topics'), /news\.\*\s+sub::reader:shared\s+1\s+0/)
    assert.match(await shell.okHere('connections'), /in process/)
  })

  test('watch tells of arrivals, depth and age, a view an interval', async (t) => {
    const shell = new Shell(t)
    await shell.okHere('send', 'q', 'a', 'b')
    const views = documents(await shell.okHere('watch', 'q', '--every', '10ms', '--count', '2', '--json'))
    assert.equal(views.length, 2)
    const [row] = (views[1] as { queues: [Record<string, unknown>] }).queues
    assert.deepEqual([row.name, row['messages'], row['ready'], row['arrivals']], ['q', 2, 2, 0])
    assert.ok((row['oldest'] as number) >= 0)
    assert.match(await shell.okHere('watch', '--count', '1'), /QUEUE +IN\/s.*\nq +0 +0 +2/)
  })

  test('ages and depths are drawn for people', () => {
    assert.deepEqual([999, 1_000, 119_999, 120_000, 7_199_999, 7_200_000].map(age), [
      '999 ms',
      '1 s',
      '119 s',
      '2 min',
      '119 min',
      '2 h',
    ])
    assert.equal(sparkline([0, 1, 4, 8]), ' ▁▄█')
  })
})
