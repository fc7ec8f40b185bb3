import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Deque } from '../../src/client/deque.ts'
import type { ProviderReceiver } from '../../src/client/provider.ts'
import { Settler, toRanges } from '../../src/client/settler.ts'
import { type PendingSend, PendingSends } from '../../src/embedded/pending-sends.ts'
import { IdSeries } from '../../src/model/message.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

test(`ranges cover exactly the tags, in as few runs as there are (SEED=${seed})`, () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (tags) => {
      const ranges = toRanges([...tags])
      const covered: number[] = []
      for (let i = 0; i < ranges.length; i += 2) {
        for (let tag = ranges[i]!; tag <= ranges[i + 1]!; tag++) covered.push(tag)
        if (i > 0) assert.ok(ranges[i]! > ranges[i - 1]! + 1, 'neighbours are one run')
      }
      assert.deepEqual(
        covered,
        tags.toSorted((a, b) => a - b),
      )
    }),
    { seed },
  )
})

test(`the ids of a series are its stem and the number in base 36, in whatever order they are asked for (SEED=${seed})`, () => {
  const series = new IdSeries('ID:stem-')
  const number = fc.oneof(fc.nat(3 * 36 ** 2), fc.maxSafeNat())
  fc.assert(
    fc.property(fc.array(number, { minLength: 1 }), (numbers) => {
      for (const each of numbers) assert.equal(series.idOf(each), `ID:stem-${each.toString(36)}`)
    }),
    { seed },
  )
})

test('acknowledgements of one turn are one settlement and one promise; a failure is told once', async () => {
  const calls: (readonly number[])[] = []
  let outcome = () => Promise.resolve()
  const settle = (ranges: readonly number[]) => {
    calls.push(ranges)
    return outcome()
  }
  const receiver = { settle }
  const failures: unknown[] = []
  const settler = new Settler(receiver as unknown as ProviderReceiver, (error) => failures.push(error))
  const first = [settler.accept(1), settler.accept(2), settler.accept(5)]
  assert.equal(new Set(first).size, 1)
  await first[0]
  assert.deepEqual(calls, [[1, 2, 5, 5]])
  outcome = () => Promise.reject(new Error('gone'))
  const second = settler.accept(7)
  void settler.accept(8)
  await assert.rejects(second, { message: 'gone' })
  await settler.idle()
  assert.equal(failures.length, 1)
})

test(`a deque is an array with two ends (SEED=${seed})`, () => {
  const step = fc.oneof(
    fc.array(fc.nat(), { maxLength: 40 }).map((items) => ['push', items] as const),
    fc.nat(60).map((count) => ['shift', count] as const),
    fc.array(fc.nat(), { maxLength: 5 }).map((items) => ['unshift', items] as const),
    fc.nat(5).map((divisor) => ['shiftFirst', divisor] as const),
    fc.nat(5).map((divisor) => ['remove', divisor] as const),
    fc.constant(['clear'] as const),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [deque, model] = [new Deque<number>(), [] as number[]]
      for (const [name, argument] of steps) {
        if (name === 'push') for (const item of argument) [deque.push(item), model.push(item)]
        if (name === 'shift') for (let i = 0; i < argument; i++) assert.equal(deque.shift(), model.shift())
        if (name === 'unshift') [deque.unshift(argument), model.unshift(...argument)]
        if (name === 'clear') assert.deepEqual(deque.clear(), model.splice(0))
        if (name === 'shiftFirst') {
          const fits = (item: number) => item % (argument + 1) === 0
          const at = model.findIndex(fits)
          assert.equal(deque.shiftFirst(fits), at < 0 ? undefined : model.splice(at, 1)[0])
        }
        if (name === 'remove') {
          const isMeant = (item: number) => item % (argument + 1) === 0
          const removed = model.filter(isMeant)
          model.splice(0, model.length, ...model.filter((item) => !isMeant(item)))
          assert.deepEqual(deque.remove(isMeant), removed)
        }
        assert.equal(deque.length, model.length)
      }
      assert.deepEqual(deque.clear(), model)
    }),
    { seed },
  )
})

test('pending sends: many at once, ever so many one after the other, and after all were taken', () => {
  const pending = new PendingSends()
  const add = (messageId: string) => pending.add({ messageId } as PendingSend)
  for (const inFlight of [1, 10, 5_000, 40_000]) {
    const tags: number[] = []
    for (let i = 0; i < 100_000; i++) {
      tags.push(add(`${i}`))
      if (i >= inFlight) assert.equal(pending.take(tags[i - inFlight]!)?.messageId, `${i - inFlight}`)
    }
    assert.equal(pending.takeAll().length, inFlight)
    const tag = add('next')
    assert.deepEqual([tag, pending.take(tag + 1)], [tags.at(-1)! + 1, undefined])
    assert.equal(pending.take(tag)?.messageId, 'next')
  }
})

test(`pending sends are found by their tag in any order, once (SEED=${seed})`, () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(200), fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 40 }),
      (rounds) => {
        const pending = new PendingSends()
        const model = new Map<number, PendingSend>()
        for (const [adds, at] of rounds) {
          for (let i = 0; i < adds; i++) {
            const send = { messageId: String(i) } as PendingSend
            model.set(pending.add(send), send)
          }
          for (let i = 0; i < adds; i++) {
            const tags = [...model.keys()]
            const tag = i % 3 === 0 ? tags[Math.floor(at * (tags.length - 1))] : tags[0]
            if (tag === undefined) break
            assert.equal(pending.take(tag), model.get(tag))
            assert.equal(pending.take(tag), undefined)
            model.delete(tag)
            if (i % 5 === 4) break
          }
          assert.equal(pending.size, model.size)
        }
        assert.deepEqual(pending.takeAll(), [...model.values()])
        const send = {} as PendingSend
        assert.equal(pending.take(pending.add(send)), send)
      },
    ),
    { seed, numRuns: 50 },
  )
})
