import { strict as assert } from 'node:assert'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { type Level, MULTI, SINGLE, splitKey, splitPattern } from '../../src/engine/routing/levels.ts'
import { TopicTrie } from '../../src/engine/routing/trie.ts'
import type { KeySyntax } from '../../src/model/policy.ts'
import { seed } from './seed.ts'

/** What a pattern means, said as plainly as possible. */
function matches(pattern: readonly Level[], key: readonly string[]): boolean {
  const [level, ...rest] = pattern
  if (level === undefined) return key.length === 0
  if (level === MULTI) return matches(rest, key) || (key.length > 0 && matches(pattern, key.slice(1)))
  return key.length > 0 && (level === SINGLE || level === key[0]) && matches(rest, key.slice(1))
}

const word = fc.constantFrom('a', 'b', '', 'ab')
const syntax = fc.constantFrom<KeySyntax>('dotted', 'slashed')
const wildcard = fc.constantFrom('*', '+', '#')
const levels = (level: fc.Arbitrary<string>): fc.Arbitrary<string[]> =>
  fc.array(level, { minLength: 1, maxLength: 6 })

suite('the routing trie', () => {
  test('finds exactly the patterns that match, in both syntaxes, also after some were taken out', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const pattern = fc.record({ levels: levels(fc.oneof(word, wildcard)), syntax, stays: fc.boolean() })
    const property = fc.property(
      fc.array(pattern, { maxLength: 12 }),
      fc.array(fc.record({ levels: levels(word), syntax }), { minLength: 1, maxLength: 4 }),
      (patterns, keys) => {
        const trie = new TopicTrie<number>()
        const split = patterns.map((one) =>
          splitPattern(one.levels.join(one.syntax === 'dotted' ? '.' : '/'), one.syntax),
        )
        for (const [index, one] of split.entries()) trie.add(one, index)
        for (const [index, one] of split.entries()) if (!patterns[index]!.stays) trie.remove(one, index)
        for (const key of keys) {
          const parts = splitKey(key.levels.join(key.syntax === 'dotted' ? '.' : '/'), key.syntax)
          const found = new Set<number>()
          trie.match(parts, found)
          const expected = split.flatMap((one, index) =>
            patterns[index]!.stays && matches(one, parts) ? [index] : [],
          )
          assert.deepEqual([...found].sort(byNumber), expected)
        }
      },
    )
    fc.assert(property, { seed, numRuns: 1_000 })
  })

  test('a wildcard of one syntax is a word in the other', () => {
    assert.deepEqual(splitPattern('a.+.*', 'dotted'), ['a', '+', SINGLE])
    assert.deepEqual(splitPattern('a/+/*', 'slashed'), ['a', SINGLE, '*'])
    assert.deepEqual(splitKey('a/b.c', 'slashed'), ['a', 'b.c'])
  })

  test('a pattern of many # against a long key does not take time that grows with their combinations', () => {
    const trie = new TopicTrie<string>()
    const hostile = splitPattern(`${'#.a.'.repeat(20)}#.b`, 'dotted')
    trie.add(hostile, 'hostile')
    trie.add(splitPattern('#.c', 'dotted'), 'plain')
    const found = new Set<string>()
    trie.match([...new Array<string>(60).fill('a'), 'c'], found)
    assert.deepEqual([...found], ['plain'])
    trie.match([...new Array<string>(60).fill('a'), 'b'], found)
    assert.deepEqual([...found], ['plain', 'hostile'])
  })
})

function byNumber(a: number, b: number): number {
  return a - b
}
