import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import { type Ticked, TickWheel } from '../../src/server/tick-wheel.ts'

class Timed implements Ticked {
  slot = -1
  readonly ticks: number[] = []
  /** From one look to the next. */
  readonly period: number

  constructor(period: number) {
    this.period = period
  }
  tick(now: number): number {
    this.ticks.push(now)
    return now + this.period
  }
}

function turn(wheel: TickWheel, from: number, to: number, step = 50): void {
  for (let now = from; now <= to; now += step) wheel.turn(now)
}

suite('the wheel of those who keep time', () => {
  test('looks when the time has come, within the width of a slot', () => {
    const wheel = new TickWheel(50, 0)
    const timed = [40, 100, 120, 1_000].map((period) => new Timed(period))
    for (const one of timed) wheel.add(one, one.period)
    turn(wheel, 50, 2_000)
    assert.deepEqual(
      timed.map(({ ticks }) => ticks.slice(0, 3)),
      [
        [50, 100, 150],
        [100, 200, 300],
        [150, 300, 450],
        [1_000, 2_000],
      ],
    )
  })

  test('looks once a turn at what is further ahead, and never again at what says so', () => {
    const wheel = new TickWheel(50, 0)
    const far = new Timed(1_000_000)
    const gone = new Timed(Number.POSITIVE_INFINITY)
    wheel.add(far, far.period)
    wheel.add(gone, 100)
    turn(wheel, 50, 10_000)
    assert.deepEqual(far.ticks.slice(0, 2), [1_550, 3_100])
    assert.deepEqual(gone.ticks, [100])
  })

  test('who hurries is looked at with the next turn, once, and then as it says', () => {
    const wheel = new TickWheel(50, 0)
    const one = new Timed(1_000)
    wheel.add(one, 1_000)
    turn(wheel, 50, 200)
    wheel.hurry(one)
    wheel.hurry(one)
    turn(wheel, 250, 3_000)
    assert.deepEqual(one.ticks, [250, 1_250, 2_250])
  })

  test('turns that come late leave nobody out, and nobody waits longer for it', () => {
    for (const late of [130, 1_000, 1_600, 100_000]) {
      const wheel = new TickWheel(50, 0)
      const timed = [60, 400, 900, 1_500].map((period) => new Timed(period))
      for (const one of timed) wheel.add(one, one.period)
      wheel.turn(late)
      for (const { ticks, period } of timed)
        assert.equal(ticks.length, period <= late - 50 ? 1 : 0, `${period}`)
      turn(wheel, late + 50, late + 1_600)
      for (const { ticks, period } of timed) {
        const first = ticks[0]!
        assert.ok(first <= Math.max(late, period + 50), `${period} at ${first}`)
        if (ticks[1]) assert.ok(Math.abs(ticks[1] - first - period) <= 50, `${period}: ${ticks}`)
      }
    }
  })
})
