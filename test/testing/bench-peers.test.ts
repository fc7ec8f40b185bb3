import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Driver } from '../../bench/peers/driver.ts'
import { gather } from '../../bench/peers/gather.ts'
import { Loads } from '../../bench/peers/loads.ts'
import { figuresOf } from '../../bench/peers/perf-client.ts'

/** A broker that hands on what it is sent in the next turn of the event loop, unless it has something against it. */
function broker(deliver: (number: number, handler: (number: number) => void) => void): Driver {
  let handle: (number: number) => void = () => {}
  return {
    send: async (number) => {
      await new Promise(setImmediate)
      deliver(number, handle)
    },
    consume: async (handler) => {
      handle = handler
    },
    close: async () => {},
  }
}

suite('what is done to a broker', () => {
  test('all that was sent is counted, load after load', async () => {
    let delivered = 0
    const driver = broker((number, handler) => {
      delivered++
      handler(number)
    })
    const loads = await Loads.on(driver)
    const [first, second] = [await loads.throughput(0.02), await loads.throughput(0.02)]
    assert.equal(first.messages + second.messages, delivered)
    assert.equal(second.duplicates, 0)
  })

  test('a message that comes again is told apart and not counted twice, also in a later load', async () => {
    let sent = 0
    const driver = broker((number, handler) => {
      sent++
      for (const each of number === 7 ? [7, 7] : [number, 3]) handler(each)
    })
    const loads = await Loads.on(driver)
    const { messages, duplicates } = await loads.throughput(0.02)
    assert.equal(messages, sent)
    assert.ok(duplicates >= sent - 2, `${duplicates} duplicates of ${sent}`)
  })

  test('a refused send fails the load', async () => {
    const refusing: Driver = { ...broker(() => {}), send: () => Promise.reject(new Error('full')) }
    await assert.rejects((await Loads.on(refusing)).throughput(0.02), /full/)
    await assert.rejects((await Loads.on(refusing)).latency(1_000, 0.02), /full/)
  })

  test('a rate that is held has its latency, one that is not has none', async () => {
    const prompt = await Loads.on(
      broker((number, handler) => handler(number)),
      60_000,
    )
    const { p50, p99 } = (await prompt.latency(1_000, 0.05))!
    assert.ok(p50 > 0 && p50 <= p99, `${p50}, ${p99}`)
    const slow = await Loads.on(
      broker((number, handler) => setTimeout(handler, 20, number)),
      5,
    )
    assert.equal(await slow.latency(1_000, 0.05), undefined)
    const atTheEnd = await Loads.on(
      broker((number, handler) => setTimeout(handler, number === 6 ? 60 : 0, number)),
      30,
    )
    assert.equal(await atTheEnd.latency(100, 0.05), undefined)
  })
})

suite('sends that are gathered', () => {
  test('go out together while as many as may be are in flight, and settle together', async () => {
    const batches: (readonly number[])[] = []
    const answers: PromiseWithResolvers<void>[] = []
    const send = gather(
      (numbers) => {
        batches.push(numbers)
        const answer = Promise.withResolvers<void>()
        answers.push(answer)
        return answer.promise
      },
      { sends: 2, messages: 3 },
    )
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    const sends = [1, 2, 3, 4, 5, 6, 7, 8].map(send)
    await turn()
    assert.deepEqual(batches, [
      [1, 2, 3],
      [4, 5, 6],
    ])
    answers[1]!.resolve()
    await Promise.all(sends.slice(3, 6))
    await turn()
    assert.deepEqual(batches[2], [7, 8])
    const refused = assert.rejects(Promise.all(sends.slice(0, 3)), /no/)
    answers[0]!.reject(new Error('no'))
    answers[2]!.resolve()
    await Promise.all([refused, ...sends.slice(6)])
    const last = send(9)
    await turn()
    answers[3]!.resolve()
    await last
    assert.deepEqual(batches[3], [9])
  })
})

suite('what artemis perf client reports', () => {
  const interval = (time: number, received: number, warmup: boolean) =>
    ({ sampleType: 'interval', time, received, warmup }) as const
  const summary = { sampleType: 'summary', time: 9_000, result: 'success', totalReceived: 900 } as const

  test('the rate is that after the warm-up, the messages are all', () => {
    const samples = [interval(1_000, 100, true), interval(2_000, 200, true), interval(3_000, 400, false)]
    const all = [...samples, interval(4_500, 200, false), summary]
    assert.deepEqual(figuresOf(all), { rate: 240, messages: 900 })
  })

  test('without a sample after the warm-up there is no rate, and a failure is none', () => {
    assert.deepEqual(figuresOf([interval(1_000, 100, true), summary]), { rate: undefined, messages: 900 })
    assert.throws(() => figuresOf([{ ...summary, result: 'error' }]), /reports error/)
    assert.throws(() => figuresOf([]), /reports nothing/)
  })
})
