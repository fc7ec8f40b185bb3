import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Arrivals } from '../../src/engine/arrivals.ts'
import { Queue } from '../../src/engine/queue.ts'
import { defaultPolicy } from '../../src/model/policy.ts'

function named(name: string): Queue {
  const definition = {
    name,
    lifetime: { kind: 'forever' },
    policy: defaultPolicy,
    durability: 'disk',
  } as const
  return new Queue(1, definition, { filled: () => {}, emptied: () => {}, abandoned: () => {} })
}

function looks(arrivals: Arrivals, lsn: number): string {
  let names = ''
  arrivals.reached(lsn, (queue) => {
    names += queue.name
  })
  return names
}

suite('arrivals: a queue is looked at when the store takes the step that its own messages wait for', () => {
  const a = named('a')
  const b = named('b')

  test('once for all its messages of a step, and not at the steps of others', () => {
    const arrivals = new Arrivals()
    for (const lsn of [1, 2, 3]) arrivals.note(a, lsn, 0)
    arrivals.note(b, 4, 3)
    arrivals.note(b, 5, 3)
    assert.equal(looks(arrivals, 2), '')
    assert.equal(looks(arrivals, 3), 'a')
    assert.equal(looks(arrivals, 3), '')
    assert.equal(looks(arrivals, 9), 'b')
    assert.equal(looks(arrivals, 9), '')
  })

  test('again for what comes while the store is under way, or after all was reached', () => {
    const arrivals = new Arrivals()
    arrivals.note(a, 1, 0)
    arrivals.note(a, 2, 1)
    assert.equal(looks(arrivals, 1), 'a')
    arrivals.note(b, 3, 1)
    assert.equal(looks(arrivals, 3), 'ab')
    arrivals.note(a, 4, 1)
    assert.equal(looks(arrivals, 4), 'a')
  })
})
