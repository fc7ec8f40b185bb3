import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { queue } from '../../src/index.ts'
import { Backpressure, type ShapedProducer, shapedProducer } from '../../src/patterns/index.ts'
import { VirtualBroker } from './virtual.ts'

/** Room for five messages. A send to it waits for room, or is refused. */
const five = (overflow: 'block' | 'reject') =>
  queue<number>('five', { policy: { maxMessages: 5, overflow, blockTimeout: '1h' } })

/** What has become of each send, in the order in which it was known. */
function watch(producer: ShapedProducer<number>, bodies: readonly number[], deadline?: number): string[] {
  const outcomes: string[] = []
  for (const body of bodies) {
    producer.send(body, { deadline }).then(
      () => outcomes.push(`${body}`),
      (error: unknown) => outcomes.push(`${body} ${(error as Backpressure).reason ?? error}`),
    )
  }
  return outcomes
}

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

suite('a shaped producer', () => {
  test('has so many sends in flight, and the others wait in order', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<number>('q'), { maxInFlight: 3 })
    const outcomes = watch(producer, numbers(1, 10))
    assert.deepEqual([producer.status.inFlight, producer.status.waiting], [3, 7])
    assert.equal(producer.pressure?.reason, 'in-flight')
    let isRelieved = false
    void producer.pressure?.relieved.then(() => {
      isRelieved = true
    })
    await v.rest()
    assert.deepEqual(outcomes, numbers(1, 10).map(String))
    assert.deepEqual([isRelieved, producer.pressure], [true, undefined])
    assert.equal((await v.report('q')).messages, 10)
  })

  test('says why it waits, goes on when there is room, and refuses at the deadline with nothing sent', async () => {
    await using v = await VirtualBroker.start()
    const full = five('block')
    const producer = await shapedProducer(v.mq, full, { maxInFlight: 2, deadline: '10s' })
    const reasons: string[] = []
    producer.on('pressure', (reason) => reasons.push(reason))
    producer.on('relieved', () => reasons.push('relieved'))
    const outcomes = watch(producer, numbers(1, 9))
    await v.rest()
    assert.deepEqual(outcomes, ['1', '2', '3', '4', '5'], 'two are held by the broker, two wait here')
    assert.equal(producer.pressure?.reason, 'queue-full')
    await assert.rejects(
      producer.ready({ deadline: 0 }),
      (error) => error instanceof Backpressure && error.reason === 'queue-full',
    )
    await v.mq.receive(full).then((message) => message?.acknowledge())
    await v.rest()
    assert.deepEqual(outcomes.slice(5), ['6'])
    await v.pass(10_001, 1_000)
    assert.deepEqual(outcomes.slice(6), ['9 queue-full'])
    const ready = producer.ready()
    await v.mq.management.purge('five')
    await v.rest()
    await ready
    assert.deepEqual(outcomes.slice(7), ['7', '8'])
    assert.equal((await v.report('five')).published, 8)
    assert.deepEqual([reasons[0], reasons.at(-1)], ['in-flight', 'relieved'])
    assert.ok(reasons.includes('queue-full'))
  })

  test('tries again what the broker refuses for want of room, one at a time, until it fits', async () => {
    await using v = await VirtualBroker.start()
    const full = five('reject')
    const producer = await shapedProducer(v.mq, full, { maxInFlight: 100 })
    const outcomes = watch(producer, numbers(1, 20))
    await v.rest()
    assert.equal(outcomes.length, 5)
    const { refusals } = producer.status
    assert.deepEqual([refusals, producer.pressure?.reason], [15, 'queue-full'])
    await v.pass(5_000, 10)
    const tries = producer.status.refusals - refusals
    assert.ok(tries >= 5 && tries <= 10, `${tries} tries in 5 s`)
    for (let i = 0; i < 3; i++) {
      await v.mq.management.purge('five')
      await v.pass(1_100, 10)
    }
    assert.deepEqual(outcomes, numbers(1, 20).map(String), 'each once, in their order')
    assert.equal((await v.report('five')).published, 20)
  })

  test('a send that does not want to wait is refused at once; more than may wait are, too', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<number>('q'), { maxInFlight: 1, maxWaiting: 2 })
    const first = watch(producer, [1])
    const impatient = watch(producer, [2], 0)
    const rest = watch(producer, [3, 4, 5])
    await Promise.resolve()
    await v.rest()
    assert.deepEqual([first, impatient, rest.toSorted()], [['1'], ['2 in-flight'], ['3', '4', '5 in-flight']])
  })

  test('keeps to its rate', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<number>('q'), { rate: { perSecond: 10, burst: 2 } })
    const outcomes = watch(producer, numbers(1, 30))
    await v.pass(1_000, 10)
    assert.equal(outcomes.length, 12)
    assert.equal(producer.pressure?.reason, 'rate')
  })

  test('what was abandoned by its signal before it was begun is not sent', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<number>('q'), { maxInFlight: 1 })
    const aborter = new AbortController()
    const first = producer.send(1)
    const second = producer.send(2, { signal: aborter.signal })
    aborter.abort(new Error('enough'))
    await assert.rejects(second, { message: 'enough' })
    await first
    await v.rest()
    assert.equal((await v.report('q')).published, 1)
    assert.equal(producer.status.waiting, 0)
  })

  test('what is refused for another reason is told, and nobody waits for it', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<unknown>('q'), { maxInFlight: 1 })
    await assert.rejects(producer.send(1, { priority: 99 }), { code: 'argument-invalid' })
    await producer.send(2)
  })

  test('closing refuses those that wait, and waits for those that are under way', async () => {
    await using v = await VirtualBroker.start()
    const producer = await shapedProducer(v.mq, queue<number>('q'), { maxInFlight: 2 })
    const outcomes = watch(producer, numbers(1, 4))
    await producer.close()
    assert.deepEqual(outcomes.toSorted(), ['1', '2', '3 in-flight', '4 in-flight'])
    await assert.rejects(producer.send(5), { code: 'closed' })
  })
})
