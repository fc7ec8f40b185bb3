import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { convert, type TypeName, typed } from '../../src/index.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)

test('JMS 3.5.4: the table of conversions', () => {
  const when = new Date(0)
  const table: [value: unknown, string: unknown, number: unknown, bigint: unknown, boolean: unknown][] = [
    [true, 'true', 'no', 'no', true],
    [7, '7', 7, 7n, 'no'],
    [0.5, '0.5', 0.5, 'no', 'no'],
    [7n, '7', 7, 7n, 'no'],
    [2n ** 60n, String(2n ** 60n), 'no', 2n ** 60n, 'no'],
    ['-12', '-12', -12, -12n, 'no'],
    ['+1.5e3', '+1.5e3', 1500, 'no', 'no'],
    ['Infinity', 'Infinity', Infinity, 'no', 'no'],
    ['TRUE', 'TRUE', 'no', 'no', true],
    ['false', 'false', 'no', 'no', false],
    ['', '', 'no', 'no', 'no'],
    [' 1', ' 1', 'no', 'no', 'no'],
    ['0x10', '0x10', 'no', 'no', 'no'],
    ['many', 'many', 'no', 'no', 'no'],
    [Uint8Array.of(1), 'no', 'no', 'no', 'no'],
    [when, 'no', 'no', 'no', 'no'],
    [null, undefined, undefined, undefined, undefined],
    [undefined, undefined, undefined, undefined, undefined],
  ]
  const targets = ['string', 'number', 'bigint', 'boolean'] as const
  for (const [value, ...expected] of table) {
    for (const [i, target] of targets.entries()) {
      const what = `${String(value)} as ${target}`
      if (expected[i] !== 'no') assert.equal(convert(value, target), expected[i], what)
      else assert.throws(() => convert(value, target), { code: 'message-format-invalid' }, what)
    }
  }
  assert.throws(() => convert(1, 'int' as never), { code: 'argument-invalid' })
})

test(`JMS 3.5.4: what became text is read back as what it was (SEED=${seed})`, () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.boolean(),
      (n, big, yes) => {
        assert.equal(convert(convert(n, 'string'), 'number'), n === 0 ? 0 : n)
        assert.equal(convert(convert(big, 'string'), 'bigint'), big)
        assert.equal(convert(convert(yes, 'string'), 'boolean'), yes)
      },
    ),
    { seed, numRuns: 200 },
  )
})

test('JMS 3.11.3: a typed value that does not fit its type is refused where it is made', () => {
  const limits: [TypeName, (number | bigint | string)[], (number | bigint | string)[]][] = [
    ['byte', [-128, 127], [-129, 128, 0.5]],
    ['short', [-32768, 32767], [-32769, 32768]],
    ['int', [-(2 ** 31), 2 ** 31 - 1], [2 ** 31]],
    ['long', [7, -(2n ** 63n), 2n ** 63n - 1n], [2n ** 63n, 0.5, 2 ** 60]],
    ['float', [0.5], [1n, '1']],
    ['double', [1, Infinity], [1n]],
    ['char', ['x', '水', '🚀'], ['', 'xy', 1]],
  ]
  const make = typed as (type: TypeName, value: unknown) => unknown
  for (const [type, good, bad] of limits) {
    for (const value of good) assert.deepEqual({ ...(make(type, value) as object) }, { type, value })
    for (const value of bad)
      assert.throws(() => make(type, value), { code: 'argument-invalid' }, `${type} ${value}`)
  }
  assert.throws(() => make('decimal' as never, 1), { code: 'argument-invalid' })
})
