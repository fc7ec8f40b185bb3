import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { parseLine, table } from './results.ts'

test('lines that are no verdict are passed over', () => {
  for (const line of ['restart', 'okay', 'ok', 'FAIL', '--- PASS: TestOther (0.00s)'])
    assert.equal(parseLine('p', line), undefined, line)
})

test('a verdict has a name, and a reason unless it is ok', () => {
  assert.deepEqual(parseLine('p', 'ok TLS: yes'), {
    program: 'p',
    check: 'TLS: yes',
    verdict: 'ok',
    reason: '',
  })
  const failed = parseLine('p', 'FAIL modified, delivery failed: the count is 0: not 1')
  assert.deepEqual(failed, {
    program: 'p',
    check: 'modified, delivery failed',
    verdict: 'FAIL',
    reason: 'the count is 0: not 1',
  })
  assert.equal(parseLine('p', 'skip browse: cannot')?.verdict, 'skip')
})

test('lines of another program are read by its pattern', () => {
  const pattern = /^--- (PASS|FAIL|SKIP): (\w+)/
  assert.equal(parseLine('go', '--- FAIL: TestDrain (0.01s)', pattern)?.verdict, 'FAIL')
  assert.equal(parseLine('go', '    --- PASS: TestDrain/part (0.01s)', pattern), undefined)
  assert.equal(parseLine('go', 'ok TLS', pattern), undefined)
})

test('the table shows who passed what, why not, and the sums', () => {
  const lines = [
    parseLine('a', 'ok one')!,
    parseLine('a', 'FAIL two: too few')!,
    parseLine('b', 'skip two: cannot')!,
  ]
  assert.deepEqual(table(lines).split('\n'), [
    '     a      b',
    'one  ok',
    'two  FAIL   skip',
    '',
    'FAIL a: two: too few',
    'skip b: two: cannot',
    '',
    'a: 1 ok, 1 failed, 0 left out',
    'b: 0 ok, 0 failed, 1 left out',
  ])
})
