import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HostClock, hostRandom } from '../../src/embedded/host.ts'

test('wall time never runs back, whatever the clock of the machine does', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const clock = new HostClock()
  assert.equal(clock.wall(), 1_000_000)
  t.mock.timers.setTime(2_000_000)
  assert.equal(clock.wall(), 2_000_000)
  t.mock.timers.reset()
  t.mock.timers.enable({ apis: ['Date'], now: 5 })
  assert.equal(clock.wall(), 2_000_000)
})

test('a delay beyond what timers can hold is waited for, and can be cancelled on the way', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const clock = new HostClock()
  const days = 24 * 3_600_000
  let calls = 0
  clock.after(60 * days, () => calls++)
  const cancel = clock.after(60 * days, () => assert.fail('it was cancelled'))
  for (let day = 0; day < 59; day++) t.mock.timers.tick(days)
  assert.equal(calls, 0)
  cancel()
  t.mock.timers.tick(2 * days)
  assert.equal(calls, 1)
})

test('deferred work runs in order of call, after the turn, and lets the event loop go on', async () => {
  const clock = new HostClock()
  const order: number[] = []
  const third = Promise.withResolvers<number>()
  clock.defer(() => {
    order.push(1)
    clock.defer(() => third.resolve(order.push(3)))
  })
  clock.defer(() => order.push(2))
  assert.deepEqual(order, [])
  const fired = new Promise((resolve) => setTimeout(resolve, 1))
  let going = true
  const forever = () => {
    if (going) clock.defer(forever)
  }
  forever()
  await Promise.all([fired, third.promise])
  going = false
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(order, [1, 2, 3])
})

test('what deferred work defers comes after the continuations that it made ready', async () => {
  const clock = new HostClock()
  const order: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const continued = promise.then(() => order.push('continuation'))
  const done = new Promise<void>((end) => {
    clock.defer(() => {
      order.push('first')
      resolve()
      clock.defer(() => {
        order.push('second')
        end()
      })
    })
  })
  await Promise.all([continued, done])
  assert.deepEqual(order, ['first', 'continuation', 'second'])
})

test('deferred work that takes its time lets the event loop go on sooner', async () => {
  const clock = new HostClock()
  let going = true
  let done = 0
  const fired = new Promise((resolve) => setTimeout(resolve, 1))
  const slow = () => {
    const begun = performance.now()
    while (performance.now() - begun < 2) done += 0
    done++
    if (going) clock.defer(slow)
  }
  clock.defer(slow)
  await fired
  going = false
  assert.ok(done <= 8, `${done} deferrals of 2 ms went before a timer of 1 ms`)
})

test('randomness is uniform in [0, 1), and not what Math.random gives: names that nobody guesses are made of it', (t) => {
  t.mock.method(Math, 'random', () => 0.5)
  const drawn = Array.from({ length: 4096 }, () => hostRandom.next())
  assert.ok(drawn.every((value) => value >= 0 && value < 1))
  assert.equal(new Set(drawn).size, drawn.length)
  for (const quarter of [0, 1, 2, 3]) {
    const share = drawn.filter((value) => Math.floor(value * 4) === quarter).length
    assert.ok(share > 800 && share < 1250, `${share} of 4096 lie in quarter ${quarter}`)
  }
})
