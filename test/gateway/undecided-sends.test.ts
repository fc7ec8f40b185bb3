import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { type Sender, UndecidedSends } from '../../src/gateway/amqp10/undecided-sends.ts'
import { Window } from '../../src/gateway/amqp10/window.ts'
import { SeededRandom } from '../../src/testing/random.ts'

class Told implements Sender {
  readonly log: string[] = []
  isTold = false
  decided(id: number, size: number): void {
    this.log.push(`${id} of ${size}`)
  }
  decidedAll(): void {
    this.log.push('all')
  }
}

const plain = { error: undefined, prepared: undefined, scheduled: undefined }

test('each sender hears of its own sends, then once of the end of the turn', () => {
  const sends = new UndecidedSends()
  const [one, other] = [new Told(), new Told()]
  const [first, second] = [sends.join(one), sends.join(other)]
  for (let turn = 0; turn < 2; turn++) {
    const tag = sends.add(first, 7, 70, false)
    sends.add(second, 8, 80, false)
    const last = sends.add(first, 9, 90, false)
    sends.published([{ tag, last, ...plain }])
    assert.deepEqual(one.log.splice(0), ['7 of 70', '9 of 90', 'all'])
    assert.deepEqual(other.log.splice(0), ['8 of 80', 'all'])
  }
})

test('one that was alone is answered as the others are, whichever comes first', () => {
  const sends = new UndecidedSends()
  const sender = new Told()
  const number = sends.join(sender)
  const publish = (tag: number) => sends.published([{ tag, last: tag, ...plain }])
  for (const order of [[0], [0, 1], [1, 0], [2, 0, 1], [1, 2, 0]]) {
    const tags = order.map((_, id) => sends.add(number, id, id * 10, false))
    assert.equal(sends.count, order.length)
    for (const id of order) {
      publish(tags[id]!)
      publish(tags[id]!)
    }
    assert.deepEqual(
      sender.log.splice(0),
      order.flatMap((id) => [`${id} of ${id * 10}`, 'all']),
    )
    assert.equal(sends.count, 0)
  }
  sends.undo(sends.add(number, 1, 10, false))
  assert.equal(sends.count, 0)
})

test('who has left hears nothing, and nobody of what is the broker’s own', () => {
  const sends = new UndecidedSends()
  const gone = new Told()
  const number = sends.join(gone)
  const publish = (tag: number) => sends.published([{ tag, last: tag, ...plain }])
  publish(sends.add(number, 1, 10, false))
  const late = sends.add(number, 2, 10, false)
  gone.log.length = 0
  sends.leave(number)
  publish(sends.addUnheard(5))
  publish(late)
  assert.deepEqual(gone.log, [])
  assert.equal(sends.count, 0)
})

test('a window keeps what is put in under rising keys, taken out in any order (SEED=1)', () => {
  const random = new SeededRandom(1)
  const dice = (sides: number) => Math.floor(random.next() * sides)
  const window = new Window()
  const kept = new Map<number, readonly [id: number, size: number, label: number]>()
  let key = 0
  let id = 0xffff_ff00
  for (let i = 0; i < 5_000; i++) {
    if (dice(2) === 0 || kept.size === 0) {
      key += 1 + (dice(10) === 0 ? dice(5) : 0)
      id = (id + 1) >>> 0
      kept.set(key, [id, dice(1_000), 1 + dice(9)])
      window.put(key, ...kept.get(key)!)
    } else {
      const taken = [...kept.keys()][dice(kept.size)]!
      assert.ok(window.take(taken))
      assert.deepEqual([window.id, window.size, window.label], kept.get(taken))
      kept.delete(taken)
      assert.ok(!window.take(taken))
    }
    assert.equal(window.count, kept.size)
    for (const [at, [sought]] of dice(20) === 0 ? kept : []) assert.ok(window.keyFrom(sought) <= at)
  }
})
