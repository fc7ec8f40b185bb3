/** The management node: requests and answers as messages (docs/spec/amqp.md). */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Operation } from '../../src/gateway/permissions.ts'
import type { Client, TestReceiver, TestSender } from './support.ts'
import { GatewayBench, source } from './support.ts'

class Manager {
  private readonly requests: TestSender
  private readonly answers: TestReceiver
  readonly address: string
  private count = 0

  private constructor(requests: TestSender, answers: TestReceiver) {
    this.requests = requests
    this.answers = answers
    this.address = answers.attach!.source!.address!
  }

  static async of(client: Client): Promise<Manager> {
    const answers = await client.receiver({ source: source({ dynamic: true }), credit: 100 })
    return new Manager(await client.sender({ address: '$management' }), answers)
  }

  /** The outcome of the request itself. */
  send(operation: unknown, body: unknown, replyTo: string = this.address): Promise<string | undefined> {
    return this.requests.send({
      messageId: `ID:${++this.count}`,
      replyTo: { kind: 'queue', name: replyTo },
      properties: operation === undefined ? {} : { operation: operation as string },
      body: { kind: 'value', value: body },
    })
  }

  /** The body of the answer, or status and code of an error. */
  async call(operation: string, body: object = {}): Promise<unknown> {
    assert.equal(await this.send(operation, body), 'accepted')
    const answer = await this.answers.takeOne()
    assert.equal(answer.view.correlationId, `ID:${this.count}`)
    await this.answers.settle(answer)
    const { statusCode, errorCode } = answer.view.properties
    return statusCode === 200 ? plain(answer.text) : `${statusCode} ${errorCode}`
  }
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!(value instanceof Map)) return value
  return Object.fromEntries([...value].map(([key, entry]) => [key, plain(entry)]))
}

async function started(
  permits?: (user: string, operation: Operation, kind: string, name: string) => boolean,
): Promise<{ bench: GatewayBench; client: Client; manager: Manager }> {
  const bench = await GatewayBench.start(permits ? { permissions: { permits } } : {})
  const client = await bench.client({ containerId: 'c' })
  return { bench, client, manager: await Manager.of(client) }
}

test('queues are declared with their policy, reported, purged and deleted', async () => {
  const { bench, client, manager } = await started()
  const policy = {
    maxMessages: 10,
    overflow: 'reject',
    deadLetter: null,
    backoff: { delay: 1, multiplier: 2, maxDelay: 3, jitter: 0 },
  }
  await manager.call('declare', { queue: 'q', policy })
  const { definition } = bench.bench.status('q')
  assert.equal(definition.policy.maxMessages, 10)
  assert.equal(definition.policy.deadLetter, undefined)
  assert.equal(definition.policy.backoff.maxDelay, 3)
  assert.equal(
    await manager.call('create', { queue: 'q', policy: { maxMessages: 11 } }),
    '409 destination-conflict',
  )
  const sender = await client.sender({ address: 'q' })
  for (let i = 0; i < 3; i++) await sender.send(`${i}`)
  const report = (await manager.call('queue', { queue: 'q' })) as {
    messages: number
    policy: { maxMessages: number }
  }
  assert.deepEqual([report.messages, report.policy.maxMessages], [3, 10])
  const queues = (await manager.call('queues')) as { name: string }[]
  assert.ok(queues.some(({ name }) => name === 'q'))
  assert.equal(await manager.call('purge', { queue: 'q' }), 3)
  await sender.send('again')
  assert.equal(await manager.call('delete', { queue: 'q' }), 1)
  assert.equal(await manager.call('queue', { queue: 'q' }), '404 destination-not-found')
})

test('a page shows messages as they would be delivered', async () => {
  const { client, manager } = await started()
  const sender = await client.sender({ address: 'q' })
  const value = Buffer.alloc(300_000, 'z')
  await sender.send('small')
  await sender.send({ body: { kind: 'bytes', value } })
  await sender.send('last')
  type Page = { messages: { state: string; destination: object; message: Uint8Array }[]; next: string | null }
  const first = (await manager.call('browse', { queue: 'q', limit: 2 })) as Page
  assert.deepEqual(
    first.messages.map(({ state, destination }) => ({ state, destination })),
    [
      { state: 'ready', destination: { kind: 'queue', name: 'q' } },
      { state: 'ready', destination: { kind: 'queue', name: 'q' } },
    ],
  )
  assert.ok(Buffer.from(first.messages[1]!.message).includes(value))
  const second = (await manager.call('browse', { queue: 'q', after: first.next, limit: 2 })) as Page
  assert.equal(second.messages.length, 1)
  assert.equal(second.next, null)
  assert.ok(Buffer.from(second.messages[0]!.message).includes('last'))
})

test('messages are moved, dead letters go back where they failed, and why says where one is', async () => {
  const { bench, client, manager } = await started()
  const sender = await client.sender({ address: 'q' })
  await sender.send('1')
  await sender.send('2')
  await manager.call('declare', { queue: 'other' })
  assert.equal(await manager.call('move', { from: 'q', to: 'other', limit: 1 }), 1)
  assert.deepEqual([bench.bench.status('q').messages, bench.bench.status('other').messages], [1, 1])
  const receiver = await client.receiver({ address: 'q', credit: 1, desiredCapabilities: ['millrace'] })
  await receiver.settle(await receiver.takeOne(), { kind: 'rejected' })
  const dead = await client.receiver({
    source: source({ address: 'q.dlq', distributionMode: 'copy' }),
    credit: 1,
    desiredCapabilities: ['millrace'],
  })
  const brokerId = String((await dead.takeOne()).annotations.get('x-opt-lsn'))
  const [location] = (await manager.call('why', { brokerId })) as { queue: string; state: string }[]
  assert.deepEqual([location?.queue, location?.state], ['q.dlq', 'ready'])
  assert.equal(await manager.call('redrive', { queue: 'q.dlq' }), 1)
  assert.equal(bench.bench.status('q').ready, 1)
  assert.equal(await manager.call('move', { from: 'q', to: 'nowhere' }), '404 destination-not-found')
})

test('subscriptions are made and ended without a receiver', async () => {
  const { bench, client, manager } = await started()
  await manager.call('subscribe', { name: 's', topic: 'news', shared: false })
  const sender = await client.sender({ address: 'topic://news' })
  await sender.send('m')
  const [topic] = (await manager.call('topics')) as { name: string; subscriptions: { messages: number }[] }[]
  assert.deepEqual([topic?.name, topic?.subscriptions[0]?.messages], ['news', 1])
  const wanted = source({
    address: 'news',
    durable: 'unsettled-state',
    expiryPolicy: 'never',
    capabilities: ['topic'],
  })
  const receiver = await client.receiver({ name: 's', source: wanted, credit: 1 })
  assert.deepEqual(await receiver.take(), ['m'], 'the same that a link of the name means')
  assert.equal(await manager.call('unsubscribe', { name: 's' }), '409 destination-in-use')
  await receiver.leave(false)
  assert.equal(await manager.call('unsubscribe', { name: 's' }), 1)
  assert.equal(bench.bench.broker.bindings().length, 0)
})

test('connections and statistics', async () => {
  const { client, manager } = await started()
  const sender = await client.sender({ address: 'q' })
  await sender.send('m')
  const [connection] = (await manager.call('connections')) as { containerId: string; links: number }[]
  assert.deepEqual([connection?.containerId, connection?.links], ['c', 3])
  const statistics = (await manager.call('statistics')) as { published: number; connections: number }
  assert.ok(statistics.published >= 1)
  assert.equal(statistics.connections, 1)
})

test('what a request gets wrong is said in its answer, or where it has no address, in its outcome', async () => {
  const { client, manager } = await started()
  assert.equal(await manager.call('explode'), '501 unsupported')
  assert.equal(await manager.call('toString'), '501 unsupported')
  assert.equal(await manager.call('purge'), '400 argument-invalid')
  assert.equal(await manager.call('purge', { queue: 7 }), '400 argument-invalid')
  assert.equal(await manager.call('move', { from: 'a', to: 'b', limit: -1 }), '400 argument-invalid')
  for (const policy of [
    { maxMessage: 1 },
    { overflow: 'never' },
    { backoff: { delay: 1 } },
    { ttl: 'long' },
    { constructor: 1 },
    7,
  ]) {
    assert.equal(
      await manager.call('declare', { queue: 'q', policy }),
      '400 argument-invalid',
      JSON.stringify(policy),
    )
  }
  assert.equal(await manager.send(undefined, {}), 'amqp:decode-error')
  assert.equal(await manager.send('queues', {}, 'temp-queue:gone'), 'accepted', 'nobody is there to be told')
  const nobody = await client.sender({ address: '$management' })
  assert.equal(
    await nobody.send({ properties: { operation: 'queues' }, body: { kind: 'value', value: null } }),
    'amqp:not-found',
  )
  const bytes = Uint8Array.from([1, 2, 3])
  const id = nobody.link.send(false, 0, null, null, bytes, 0, 3)
  await client.receiver({ address: 'q' })
  assert.equal(nobody.outcomes.get(id), 'amqp:decode-error')
  assert.deepEqual(client.faults, [])
})

test('half messages are listed, and decided by whoever may manage their queues', async () => {
  const { bench, manager } = await started((_user, _operation, _kind, name) => name !== 'yours')
  const peer = bench.bench.connect()
  for (const queue of ['mine', 'mine', 'yours']) {
    bench.bench.declare(queue)
    peer.send(queue, '{}', { prepare: { group: 'g' } })
  }
  await bench.bench.idle()
  const [first, second, yours] = [...peer.prepared.values()]
  const listed = (await manager.call('prepared')) as { id: string; parked: boolean; queues: string[] }[]
  assert.deepEqual(
    listed.map(({ id, parked, queues }) => [id, parked, queues]),
    [
      [first, false, ['mine']],
      [second, false, ['mine']],
      [yours, false, ['yours']],
    ],
  )
  assert.equal(await manager.call('decide', { id: first, decision: 'commit' }), null)
  assert.equal(await manager.call('decide', { id: second, decision: 'rollback' }), null)
  assert.equal(await manager.call('decide', { id: yours, decision: 'commit' }), '403 not-permitted')
  assert.equal(await manager.call('decide', { id: first, decision: 'commit' }), '404 prepared-not-found')
  assert.equal(await manager.call('decide', { id: first, decision: 'maybe' }), '400 argument-invalid')
  assert.deepEqual(await bench.bench.texts('mine'), ['{}'])
})

test('operations are permitted one by one, and lists show what may be seen', async () => {
  const { bench, manager } = await started(
    (_user, operation, _kind, name) => operation === 'browse' && name === 'mine',
  )
  bench.bench.declare('mine')
  bench.bench.declare('yours')
  assert.deepEqual(
    ((await manager.call('queues')) as { name: string }[]).map(({ name }) => name),
    ['mine'],
  )
  for (const [operation, body] of Object.entries({
    queue: { queue: 'yours' },
    connections: {},
    statistics: {},
    declare: { queue: 'new' },
    delete: { queue: 'mine' },
    purge: { queue: 'mine' },
    move: { from: 'mine', to: 'mine' },
    redrive: { queue: 'mine' },
    browse: { queue: 'yours' },
    subscribe: { name: 's', topic: 't' },
  })) {
    assert.equal(await manager.call(operation, body), '403 not-permitted', operation)
  }
  const elsewhere = await manager.send('queues', {}, 'yours')
  assert.equal(elsewhere, 'amqp:unauthorized-access', 'an answer is not a way to send where one may not')
})
