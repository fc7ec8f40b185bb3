import assert from 'node:assert/strict'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { type Context, connect, queue } from '../../src/index.ts'
import { Fence, type HeldLock, lock } from '../../src/patterns/index.ts'
import { SeededRandom } from '../../src/testing/random.ts'
import { CrashableBroker } from './crashable.ts'
import { VirtualBroker } from './virtual.ts'

const briefly = { initial: 5, max: 20 }

suite('a lock', () => {
  test('is held by one at a time, and every holder has a higher token', async () => {
    await using mq = await connect('memory:')
    let holders = 0
    const tokens: number[] = []
    const work = async ({ token }: { token: number }) => {
      assert.equal(++holders, 1)
      tokens.push(token)
      await new Promise((resolve) => setImmediate(resolve))
      holders--
      return token
    }
    const returned = await Promise.all(Array.from({ length: 20 }, () => lock(mq, 'billing').run(work)))
    assert.deepEqual(
      tokens,
      returned.toSorted((a, b) => a - b),
    )
    assert.equal(new Set(tokens).size, 20)
    const [report] = (await mq.management.queues()).filter(({ name }) => name === 'millrace.lock.billing')
    assert.equal(report?.messages, 1, 'nothing piles up')
  })

  test('is not given to two; whoever does not wait is told at once, whoever waits gets it when it is free', async () => {
    await using mq = await connect('memory:')
    const billing = lock(mq, 'billing')
    const first = await billing.acquire()
    assert.equal(await billing.tryAcquire(), undefined)
    await assert.rejects(billing.acquire({ timeout: 20 }), { code: 'timeout' })
    const aborter = new AbortController()
    const given = billing.acquire({ signal: aborter.signal })
    aborter.abort(new Error('enough'))
    await assert.rejects(given, { message: 'enough' })
    const second = billing.acquire()
    await first.release()
    assert.equal(first.signal.aborted, false, 'it was not lost')
    const { token } = await second
    assert.ok(token > first.token)
    assert.notEqual(await lock(mq, 'mails').tryAcquire(), undefined, 'another lock is another matter')
  })

  test('passes on when what was done under it has failed', async () => {
    await using mq = await connect('memory:')
    const failing = lock(mq, 'x').run(() => {
      throw new Error('out of paper')
    })
    await assert.rejects(failing, { message: 'out of paper' })
    await lock(mq, 'x').run(() => {})
  })

  test('is lost with its connection: its signal says so, and its token is refused', async () => {
    const broker = await CrashableBroker.start(1)
    const url = await broker.serve()
    const [one, other] = [
      await connect(url, { reconnect: briefly }),
      await connect(url, { reconnect: briefly }),
    ]
    const fence = new Fence()
    const held = await lock(one, 'billing').acquire()
    fence.check(held.token)
    const next = lock(other, 'billing').acquire()
    const lost = once(held.signal, 'abort')
    await broker.crash()
    await lost
    assert.equal(held.signal.reason.code, 'lock-lost')
    assert.equal(held.signal.reason.cause.code, 'connection-lost')
    const { token } = await next
    assert.ok(token > held.token, `${token} after ${held.token}`)
    fence.check(token)
    fence.check(token)
    assert.throws(() => fence.check(held.token), { code: 'token-stale' })
    await held.release()
    await Promise.all([one.close(), other.close()])
    await broker.stop()
  })

  test('tells who waits for it that the connection was closed', async () => {
    await using keeper = await connect('memory:closed-lock')
    await lock(keeper, 'stock').acquire()
    const mq = await connect('memory:closed-lock')
    const waiting = lock(mq, 'stock').acquire()
    const told = assert.rejects(waiting, { code: 'closed' })
    // It has knocked, and waits for its turn.
    while ((await keeper.management.queues()).every(({ consumers }) => consumers < 2))
      await new Promise((resolve) => setImmediate(resolve))
    await mq.close()
    await told
  })

  test('is lost with its queue', async () => {
    await using mq = await connect('memory:')
    const held = await lock(mq, 'billing').acquire()
    const lost = once(held.signal, 'abort')
    await mq.management.delete('millrace.lock.billing')
    await lost
    assert.equal(held.signal.reason.code, 'lock-lost')
  })

  test('comes to whoever waits, also when an operator has purged its queue', async () => {
    await using v = await VirtualBroker.start()
    const billing = lock(v.mq, 'billing')
    const held = await billing.acquire()
    const waiting = billing.acquire()
    await v.rest()
    await v.mq.management.purge('millrace.lock.billing')
    await held.release()
    await v.mq.management.purge('millrace.lock.billing')
    let next: HeldLock | undefined
    void waiting.then((got) => {
      next = got
    })
    await v.pass(31_000, 1_000)
    assert.ok(next && next.token > held.token)
  })

  test('has a queue that nobody else has made otherwise', async () => {
    await using mq = await connect('memory:')
    await mq.declare(queue('millrace.lock.x', { policy: { maxMessages: 1 } }))
    await assert.rejects(lock(mq, 'x').acquire(), { code: 'destination-conflict' })
  })
})

/** Programs that take the lock, write something, and let it go, or are cut off. */
async function writeUnderLock(
  mq: Context,
  fence: Fence,
  written: [token: number, holder: HeldLock][],
  until: AbortSignal,
  random: SeededRandom,
): Promise<void> {
  while (!until.aborted) {
    const held = await lock(mq, 'paper')
      .acquire({ timeout: 500, signal: until })
      .catch(() => undefined)
    if (!held) continue
    for (let i = 0; i < 3; i++) {
      try {
        fence.check(held.token)
        written.push([held.token, held])
      } catch {
        // Somebody else holds it: this one has lost it, and will hear of that.
        if (!held.signal.aborted) await once(held.signal, 'abort')
        break
      }
      await new Promise((resolve) => setTimeout(resolve, random.next() * 4))
    }
    await held.release().catch(() => {})
  }
}

test('through crashes of the broker nobody writes with a token that has been superseded', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const random = new SeededRandom(seed)
  const broker = await CrashableBroker.start(seed, 4)
  const url = await broker.serve()
  const programs = await Promise.all(Array.from({ length: 4 }, () => connect(url, { reconnect: briefly })))
  for (const program of programs) program.on('error', () => {})
  const fence = new Fence()
  const written: [token: number, holder: HeldLock][] = []
  const end = new AbortController()
  const writing = programs.map((mq) => writeUnderLock(mq, fence, written, end.signal, random))
  for (let crashes = 0; crashes < 5; crashes++) {
    const before = written.length
    // Also in the very moment in which somebody has got it.
    while (written.length < before + 10 + (crashes % 3)) await new Promise((resolve) => setImmediate(resolve))
    await broker.crash()
  }
  end.abort()
  await Promise.all(writing)
  await Promise.all(programs.map((mq) => mq.close()))
  await broker.stop()
  const tokens = written.map(([token]) => token)
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
    `SEED=${seed}`,
  )
  const holders = new Map(written)
  for (const [token, holder] of written) assert.equal(holders.get(token), holder, `${token}, SEED=${seed}`)
  assert.ok(holders.size >= 10, `${holders.size} holders, SEED=${seed}`)
})
