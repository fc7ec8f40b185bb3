import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { EmbeddedConnection } from '../../src/embedded/connection.ts'
import { HostClock, hostRandom } from '../../src/embedded/host.ts'
import { SharedBroker } from '../../src/embedded/shared-brokers.ts'
import { MemoryStore } from '../../src/engine/memory/store.ts'
import type { RecoveryReport, StoreClient } from '../../src/engine/ports/store.ts'
import { type Context, connect, MillraceError, type Provider, queue } from '../../src/index.ts'

/** A store whose disk fails, or is full, when the test says so. */
class FailingStore extends MemoryStore {
  private engine: StoreClient | undefined
  private broken = false

  override open(client: StoreClient): Promise<RecoveryReport> {
    this.engine = client
    return super.open(whileWhole(client, () => this.broken))
  }

  fail(): void {
    this.broken = true
    this.engine!.failed(new MillraceError('journal-failed', 'fdatasync answered EIO'))
  }

  space(available: boolean): void {
    this.engine!.space(available)
  }
}

/** Passes on what a store tells, but that something has become durable only while it is not broken. */
function whileWhole(client: StoreClient, broken: () => boolean): StoreClient {
  return {
    restore: (section) => client.restore(section),
    apply: (lsn, type, bytes, start, end) => client.apply(lsn, type, bytes, start, end),
    pages: () => client.pages(),
    snapshot: () => client.snapshot(),
    lost: (first, last) => client.lost(first, last),
    written: (lsn) => client.written(lsn),
    durable: (lsn) => (broken() ? undefined : client.durable(lsn)),
    space: (available) => client.space(available),
    failed: (error) => client.failed(error),
  }
}

async function open(): Promise<{ mq: Context; store: FailingStore; broker: SharedBroker }> {
  const clock = new HostClock()
  const store = new FailingStore(clock)
  const parts = { store, clock, random: hostRandom, options: {}, release: () => {} }
  const broker = await SharedBroker.open(parts, () => {})
  const provider: Provider = {
    schemes: ['failing'],
    connect: async (_url, { clientId, events }) => {
      broker.join(clientId)
      return new EmbeddedConnection(broker, clientId, events)
    },
  }
  return { mq: await connect('failing:', { provider }), store, broker }
}

const texts = queue<string>('texts')

test('when the journal fails, everybody who waits is told, and everybody who comes later', {
  timeout: 5000,
}, async () => {
  const { mq, store } = await open()
  await mq.send(texts, 'a')
  await mq.send(texts, 'b')
  const message = (await mq.receive(texts))!
  const worker = mq.consume(queue('other'), () => {})
  await worker.ready
  const waiting = mq.receive(queue('empty'))
  const told = once(mq, 'error')
  const unconfirmed = mq.send(texts, 'c')
  store.fail()
  await assert.rejects(unconfirmed, { code: 'journal-failed' })
  await assert.rejects(waiting, { code: 'journal-failed' })
  await assert.rejects(worker.closed, { code: 'journal-failed' })
  await assert.rejects(message.acknowledge(), { code: 'delivery-settled' })
  await assert.rejects(mq.send(texts, 'd'), { code: 'journal-failed' })
  assert.equal((await told)[0].code, 'journal-failed')
  await mq.close()
})

test('an acknowledgement that was under way when the journal failed is not confirmed', {
  timeout: 5000,
}, async () => {
  const { mq, store } = await open()
  mq.on('error', () => {})
  await mq.send(texts, 'a')
  const message = (await mq.receive(texts))!
  const settled = message.reject('late')
  store.fail()
  await assert.rejects(settled, { code: 'journal-failed' })
  await mq.close()
})

test('a full disk refuses sends, says so, and lets acknowledgements through', { timeout: 5000 }, async () => {
  const { mq, store } = await open()
  await mq.send(texts, 'a')
  const blocked = once(mq, 'blocked')
  store.space(false)
  assert.deepEqual(await blocked, ['', 'disk-full'])
  await assert.rejects(mq.send(texts, 'b'), { code: 'disk-full', retryable: true })
  await (await mq.receive(texts))!.acknowledge()
  const unblocked = once(mq, 'unblocked')
  store.space(true)
  await unblocked
  await mq.send(texts, 'c')
  await mq.close()
})

test('a large body with a damaged part is reported and dead-lettered, the next message comes', {
  timeout: 5000,
}, async () => {
  const { mq, broker } = await open()
  const read = broker.engine.readChunk.bind(broker.engine)
  let reads = 0
  broker.engine.readChunk = (lsn, done) => (++reads === 2 ? done(null) : read(lsn, done))
  await mq.send(texts, 'x'.repeat(1024 * 1024))
  await mq.send(texts, 'next')
  const told = once(mq, 'error')
  assert.equal((await mq.receive(texts))?.body, 'next')
  assert.equal((await told)[0].code, 'message-damaged')
  const letter = await mq.receive(queue<string>('texts.dlq'))
  assert.equal(letter?.body.length, 1024 * 1024)
  assert.match(letter!.deadLetter!.description, /damaged/)
  await mq.close()
})

test('a large body that is being fetched for a consumer that closes goes to another', {
  timeout: 5000,
}, async () => {
  const { mq, broker } = await open()
  const read = broker.engine.readChunk
  const fetching = Promise.withResolvers<void>()
  broker.engine.readChunk = () => fetching.resolve()
  await mq.send(texts, 'x'.repeat(1024 * 1024))
  const consumer = await mq.createConsumer(texts)
  await fetching.promise
  broker.engine.readChunk = read
  await consumer.close()
  assert.equal((await mq.receive(texts))?.body.length, 1024 * 1024)
  await mq.close()
})

test('an error that no promise reports and nobody listens to becomes a warning', {
  timeout: 5000,
}, async () => {
  const { mq, broker } = await open()
  const worker = mq.consume(texts, () => {})
  await worker.ready
  const warned = once(process, 'warning')
  broker.engine.deleteQueue(texts.name, {}, () => {})
  assert.equal((await warned)[0].code, 'destination-not-found')
  await mq.close()
})
