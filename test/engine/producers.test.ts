import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { Producers } from '../../src/engine/producers.ts'
import { seed } from './seed.ts'

suite('producer identities: a resend is stored once, at a cost that grows with producers (DESIGN §3)', () => {
  test('what was stored is a duplicate and nothing else is, in any order, also after a restart', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const property = fc.property(
      fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 80 }),
      fc.nat(80),
      (sequences, restartAt) => {
        let producers = new Producers(10)
        producers.add('p', 7, 0)
        const stored = new Set<number>()
        for (const [index, sequence] of sequences.entries()) {
          if (index === restartAt) producers = restarted(producers)
          assert.equal(producers.isDuplicate(7, sequence), stored.has(sequence))
          if (stored.has(sequence)) continue
          producers.stored(7, sequence, index)
          stored.add(sequence)
        }
        for (let sequence = 1; sequence <= 61; sequence++) {
          assert.equal(producers.isDuplicate(7, sequence), stored.has(sequence))
        }
        assert.equal(producers.find('p')!.last, Math.max(0, ...stored))
      },
    )
    fc.assert(property, { seed, numRuns: 500 })
  })

  test('a producer that leaves holes without end costs a bounded number of them; the newest are kept', () => {
    const producers = new Producers(10)
    producers.add('p', 1, 0)
    for (let sequence = 2; sequence <= 60_000; sequence += 2) producers.stored(1, sequence, 0)
    producers.stored(1, 10_000_000, 0)
    const [entry] = [...producers.entries()]
    assert.equal(entry!.missing.length, 10_000)
    assert.equal(producers.isDuplicate(1, 9_999_999), false)
    assert.equal(producers.isDuplicate(1, 10_000_000 - 10_001), true, 'too old: taken as stored')
  })

  test('beyond the limit the longest unused identity is forgotten, and its handle is not given again', () => {
    const producers = new Producers(2)
    for (const name of ['a', 'b']) producers.add(name, producers.newHandle(), 1)
    producers.stored(2, 1, 1)
    producers.stored(1, 1, 2)
    assert.equal(producers.isDuplicate(2, 1), true)
    producers.add('c', producers.newHandle(), 3)
    assert.equal(producers.find('b'), undefined)
    assert.deepEqual(
      [...producers.entries()].map(({ id, handle }) => [id, handle]),
      [
        ['a', 1],
        ['c', 3],
      ],
    )
    assert.equal(producers.isDuplicate(2, 1), false)
  })
})

function restarted(producers: Producers): Producers {
  const after = new Producers(10)
  for (const entry of producers.entries()) after.restore(entry, 0)
  return after
}
