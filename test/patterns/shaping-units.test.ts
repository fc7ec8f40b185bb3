import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { AdaptiveLimit } from '../../src/patterns/shaping/adaptive-limit.ts'
import { CircuitBreaker } from '../../src/patterns/shaping/circuit-breaker.ts'
import { KeyRates } from '../../src/patterns/shaping/key-rates.ts'
import { TokenBucket } from '../../src/patterns/shaping/token-bucket.ts'
import { SeededRandom } from '../../src/testing/random.ts'

suite('token bucket', () => {
  test('so many a second in the long run, at whatever pace they are asked for', () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    const random = new SeededRandom(seed)
    const bucket = new TokenBucket({ perSecond: 50, burst: 20 }, 0)
    let now = 0
    let taken = 0
    while (now < 100_000) {
      const count = Math.min(bucket.available(now), 1 + Math.floor(random.next() * 5))
      if (count > 0) bucket.take(now, count)
      taken += count
      assert.ok(taken <= 20 + (now * 50) / 1_000 + 1e-6, `${taken} by ${now} ms, SEED=${seed}`)
      now += bucket.available(now) > 0 ? random.next() * 5 : bucket.waitFor(now, 1)
    }
    assert.ok(taken >= 50 * 99, `${taken} of 5,000 in 100 s, SEED=${seed}`)
  })

  test('after a quiet time a burst, and not more', () => {
    const bucket = new TokenBucket({ perSecond: 10, burst: 5 }, 0)
    assert.equal(bucket.available(3_600_000), 5)
    bucket.take(3_600_000, 5)
    assert.equal(bucket.waitFor(3_600_000, 1), 100)
    assert.equal(bucket.available(3_600_099), 0)
    assert.equal(bucket.available(3_600_100), 1)
  })

  test('what is put back is there again', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 2 }, 0)
    bucket.take(0, 2)
    bucket.putBack(1)
    assert.equal(bucket.available(0), 1)
    bucket.putBack(5)
    assert.equal(bucket.available(0), 2)
  })
})

suite('rates by key', () => {
  test('each key has its own, and messages of a key get rising times, kept for them', () => {
    const rates = new KeyRates({ perSecond: 10, burst: 2 })
    const waits = ['a1', 'a2', 'a3', 'a4', 'b1'].map((id) => rates.admit(id[0]!, id, 1_000))
    assert.deepEqual(waits, [0, 0, 100, 200, 0])
    assert.equal(rates.admit('a', 'a4', 1_050), 150, 'one that asks too early is told the rest')
    assert.equal(rates.admit('a', 'a3', 1_100), 0)
    assert.equal(rates.admit('a', 'a5', 1_100), 200, 'its neighbours have their times')
    assert.equal(rates.admit('a', 'a4', 1_200), 0)
    assert.equal(rates.admit('a', 'a5', 1_300), 0)
    assert.equal(rates.admit('a', 'a6', 10_000), 0)
    assert.equal(
      (rates as unknown as { kept: Map<string, number> }).kept.size,
      0,
      'no time is kept for nothing',
    )
  })

  test('however many keys and messages there are, a bounded number is remembered', () => {
    const rates = new KeyRates({ perSecond: 1, burst: 1 })
    for (let i = 0; i < 30_000; i++) rates.admit(`key${i}`, `id${i}`, 0)
    for (let i = 0; i < 30_000; i++) rates.admit('hot', `hot${i}`, 0)
    const { next, kept } = rates as unknown as { next: Map<string, number>; kept: Map<string, number> }
    assert.ok(next.size <= 10_000 && kept.size <= 10_000, `${next.size} keys, ${kept.size} messages`)
    assert.equal(rates.admit('hot', 'late', 0), 10_001_000, 'without a place of its own: behind the others')
    assert.equal(rates.admit('hot', 'later', 0), 10_001_000)
    for (let i = 1; i < 5; i++) assert.equal(rates.admit('hot', `hot${i}`, i * 1_000), 0)
    for (let i = 0; i < 10; i++) rates.admit('hot', `tidy${i}`, 20_000_000)
    assert.ok(kept.size < 10, `${kept.size}: those that never came back are forgotten`)
  })
})

/** A service that serves `capacity` at once in `base` milliseconds each, and queues the others. */
function latencyOf(running: number, capacity: number, base: number): number {
  return base * Math.max(1, running / capacity)
}

/** Runs the limit against the service for so many handlers; answers the limits it had in the second half. */
function settle(limit: AdaptiveLimit, handlers: number, latency: (running: number) => number): number[] {
  const limits: number[] = []
  for (let i = 0; i < handlers; i++) {
    const running = limit.limit
    limit.observe(latency(running), true, running)
    if (i > handlers / 2) limits.push(limit.limit)
  }
  return limits
}

suite('adaptive limit', () => {
  test('it finds what a service bears, without being told', () => {
    const limit = new AdaptiveLimit({ max: 500 })
    const limits = settle(limit, 20_000, (running) => latencyOf(running, 20, 10))
    const [least, most] = [Math.min(...limits), Math.max(...limits)]
    assert.ok(least >= 12 && most <= 60, `between ${least} and ${most} for a capacity of 20`)
  })

  test('with a latency that is wanted, it stays about there', () => {
    const limit = new AdaptiveLimit({ max: 500, latency: '30ms' })
    const limits = settle(limit, 20_000, (running) => latencyOf(running, 20, 10))
    const latencies = limits.map((running) => latencyOf(running, 20, 10))
    const mean = latencies.reduce((sum, each) => sum + each, 0) / latencies.length
    assert.ok(mean > 20 && mean < 35, `${mean} ms`)
  })

  test('it does not grow when it is not used, and never leaves its bounds', () => {
    const limit = new AdaptiveLimit({ min: 4, max: 8 })
    for (let i = 0; i < 1_000; i++) limit.observe(5, true, 1)
    assert.equal(limit.limit, 4)
    for (let i = 0; i < 1_000; i++) limit.observe(5, true, limit.limit)
    assert.equal(limit.limit, 8)
    for (let i = 0; i < 1_000; i++) limit.observe(5, false, limit.limit)
    assert.equal(limit.limit, 4)
  })

  test('a failure shrinks it at once, many in one round not more than one', () => {
    const limit = new AdaptiveLimit({ max: 100 })
    settle(limit, 5_000, () => 10)
    assert.equal(limit.limit, 100)
    limit.observe(10, false, 100)
    assert.equal(limit.limit, 70)
    limit.observe(10, false, 100)
    assert.equal(limit.limit, 70)
  })

  test('a service that has become slower for good is used again', () => {
    const limit = new AdaptiveLimit({ max: 100 })
    settle(limit, 5_000, (running) => latencyOf(running, 50, 10))
    const limits = settle(limit, 60_000, (running) => latencyOf(running, 50, 100))
    assert.ok(limits.at(-1)! >= 30, `${limits.at(-1)} after a long time`)
  })

  test('bounds that make no sense are refused', () => {
    for (const bounds of [{ max: 0 }, { min: 5, max: 4 }, { max: 1.5 }])
      assert.throws(() => new AdaptiveLimit(bounds), { code: 'argument-invalid' })
  })
})

suite('circuit breaker', () => {
  test('so many failures in a row open it; one success between them does not let it', () => {
    const breaker = new CircuitBreaker({ failures: 3 })
    for (const outcome of ['failed', 'failed', 'succeeded', 'failed', 'failed'] as const) breaker[outcome](0)
    assert.equal(breaker.state, 'closed')
    assert.equal(breaker.failed(0), true)
    assert.equal(breaker.state, 'open')
    assert.equal(breaker.failed(1), false, 'what ran before says nothing new')
    breaker.succeeded(1)
    assert.equal(breaker.state, 'open')
  })

  test('one try decides; the pause doubles with each in vain, and begins anew after one that was not', () => {
    const breaker = new CircuitBreaker({ failures: 1, pause: '1s', maxPause: '3s' })
    const pauses: number[] = []
    for (let i = 0; i < 4; i++) {
      assert.equal(breaker.failed(0), true)
      pauses.push(breaker.pause)
      breaker.tryOne()
      assert.equal(breaker.state, 'half-open')
    }
    assert.deepEqual(pauses, [1_000, 2_000, 3_000, 3_000])
    breaker.succeeded(0)
    assert.deepEqual([breaker.state, breaker.pause], ['closed', 1_000])
  })

  test('a share of failures within the window opens it, if there was enough', () => {
    const options = { failures: 100, ratio: 0.5, window: '10s', minimum: 10 }
    const breaker = new CircuitBreaker(options)
    for (let i = 0; i < 8; i++) breaker[i % 2 ? 'failed' : 'succeeded'](i)
    assert.equal(breaker.state, 'closed', 'too few')
    for (let i = 0; i < 6; i++) breaker[i % 2 ? 'failed' : 'succeeded'](20_000 + i)
    assert.equal(breaker.state, 'closed', 'those from before the window do not count')
    for (let i = 0; i < 4; i++) breaker[i % 2 ? 'failed' : 'succeeded'](20_100 + i)
    assert.equal(breaker.state, 'open')
  })
})
