/** Transactions of our client whose connection is lost (JMS 6.2.12): what is known of them, and what is not. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type Context, connect, isMillraceError, queue } from '../../src/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { seed } from '../engine/seed.ts'
import { LocalBroker } from './local-broker.ts'
import { Wire } from './wire.ts'

const numbers = queue<number>('numbers')
const outputs = queue<number>('outputs')
const transacted = { acknowledge: 'transacted' } as const
const rolledBack = { code: 'transaction-rolled-back' } as const

async function bench(t: TestContext): Promise<{ wire: Wire; mq: Context; direct: Context }> {
  const broker = await LocalBroker.start({}, { checkBack: { first: 20, interval: 20 } })
  const wire = await Wire.start(() => broker.port)
  const mq = await connect(wire.url, { reconnect: { initial: 1, max: 20 } })
  const direct = await connect(broker.url)
  t.after(async () => {
    await Promise.all([mq.close({ drain: 0 }), direct.close()])
    wire.stop()
    await broker.stop()
  })
  return { wire, mq, direct }
}

async function cut({ wire, mq }: { wire: Wire; mq: Context }): Promise<void> {
  const back = once(mq, 'reconnected')
  wire.cut()
  await back
}

async function bodiesIn(mq: Context, from: typeof numbers): Promise<number[]> {
  const bodies: number[] = []
  for await (const { body } of mq.browse(from)) bodies.push(body)
  return bodies
}

test('a link that its connection is lost under is attached over the next', { timeout: 10_000 }, async (t) => {
  const { wire, mq, direct } = await bench(t)
  await direct.send(numbers, 1)
  for (const bytes of [0, 150, 300]) {
    wire.cutAfter(bytes)
    const consumer = await mq.createConsumer(numbers, { prefetch: 0 })
    const message = await consumer.receive({ timeout: '5s' })
    assert.equal(message!.body, 1)
    await message!.release()
    await consumer.close()
  }
})

test('what was sent before the connection was lost is not committed after it', {
  timeout: 10_000,
}, async (t) => {
  const { wire, mq, direct } = await bench(t)
  await direct.declare(numbers)
  const tx = await mq.createContext(transacted)
  await tx.send(numbers, 1)
  await cut({ wire, mq })
  await assert.rejects(tx.send(numbers, 2), rolledBack)
  await assert.rejects(tx.commit(), rolledBack)
  assert.deepEqual(await bodiesIn(direct, numbers), [])
  await tx.send(numbers, 3)
  await tx.commit()
  assert.deepEqual(await bodiesIn(direct, numbers), [3])
})

test('what was received before the connection was lost is not acknowledged after it', {
  timeout: 10_000,
}, async (t) => {
  const { wire, mq, direct } = await bench(t)
  await direct.send(numbers, 1)
  const tx = await mq.createContext(transacted)
  assert.equal((await tx.receive(numbers))!.body, 1)
  await cut({ wire, mq })
  await assert.rejects(tx.commit(), rolledBack)
  const again = (await tx.receive(numbers))!
  assert.deepEqual([again.body, again.redelivered], [1, true])
  await tx.commit()
  assert.deepEqual(await bodiesIn(direct, numbers), [])
})

test('a rollback that finds its connection lost has come about', { timeout: 10_000 }, async (t) => {
  const { wire, mq, direct } = await bench(t)
  await direct.declare(numbers)
  const tx = await mq.createContext(transacted)
  await tx.send(numbers, 1)
  await cut({ wire, mq })
  await tx.rollback()
  assert.deepEqual(await bodiesIn(direct, numbers), [])
})

test('a commit that its connection is lost under says so, or has been told', {
  timeout: 20_000,
}, async (t) => {
  t.diagnostic(`SEED=${seed}`)
  const { wire, mq, direct } = await bench(t)
  const random = new SeededRandom(seed)
  const total = 60
  await Promise.all(Array.from({ length: total }, (_, i) => direct.send(numbers, i)))
  const tx = await mq.createContext(transacted)
  const codes: Record<string, number> = {}
  const known: number[] = []
  for (let i = 0; i < 40; i++) {
    wire.cutAfter(Math.floor(random.next() * 1_500))
    try {
      const message = await tx.receive(numbers, { timeout: '2s' })
      if (!message) break
      const { body } = message
      void tx.send(outputs, body).catch(() => {})
      await tx.commit()
      known.push(body)
    } catch (error) {
      assert.ok(isMillraceError(error), String(error))
      codes[error.code] = (codes[error.code] ?? 0) + 1
      await tx.rollback()
    }
  }
  wire.cutAfter(Number.POSITIVE_INFINITY)
  await mq.close({ drain: 0 })
  const [left, done] = [await bodiesIn(direct, numbers), await bodiesIn(direct, outputs)]
  // Each is in exactly one of the two: received and sent on, or neither.
  assert.deepEqual(new Set([...left, ...done]), new Set(Array.from({ length: total }, (_, i) => i)))
  assert.equal(left.length + done.length, total)
  for (const body of known) assert.ok(done.includes(body), `the commit of ${body} was confirmed`)
  const expected = ['transaction-rolled-back', 'connection-lost']
  assert.deepEqual(
    Object.keys(codes).filter((code) => !expected.includes(code)),
    [],
  )
  assert.ok(Object.keys(codes).length > 0, 'nothing was cut off')
})

test('half messages outlive their connection, and their producers are asked on another', {
  timeout: 10_000,
}, async (t) => {
  const { wire, mq, direct } = await bench(t)
  const half = await mq.prepare(numbers, 7, { producerGroup: 'g' })
  await cut({ wire, mq })
  await half.commit()
  assert.deepEqual(await bodiesIn(direct, numbers), [7])
})

test('producers answer for half messages over the network, also on another line, small and large', {
  timeout: 10_000,
}, async (t) => {
  const { wire, mq, direct } = await bench(t)
  const blobs = queue<Uint8Array>('blobs')
  const large = new Uint8Array(300_000).map((_, i) => i >> 7)
  const sizes: number[] = []
  const checks = await mq.answerChecks<Uint8Array>('g', ({ body }) => {
    sizes.push(body.length)
    if (sizes.length === 1) return 'unknown'
    return body.length === large.length ? 'commit' : 'rollback'
  })
  await cut({ wire, mq })
  await direct.prepare(blobs, new Uint8Array(1), { producerGroup: 'g' })
  await direct.prepare(blobs, large, { producerGroup: 'g' })
  const message = await direct.receive(blobs, { timeout: '5s' })
  assert.deepEqual(message!.body, large)
  while ((await direct.prepared.list()).length > 0) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(new Set(sizes), new Set([1, large.length]))
  await checks.close()
})
