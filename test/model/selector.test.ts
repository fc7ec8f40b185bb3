import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMillraceError } from '../../src/model/errors.ts'
import { equalityKey, parseSelector } from '../../src/model/selector/selector.ts'

type Values = Readonly<Record<string, unknown>>

/** Whether the selector is true, false or unknown of a message with these values; its opposite is not true either when unknown. */
function truth(text: string, values: Values = {}): boolean | undefined {
  const lookup = (name: string): unknown => values[name]
  if (parseSelector(text).matches(lookup)) return true
  return parseSelector(`NOT (${text})`).matches(lookup) ? false : undefined
}

function holds(table: readonly (readonly [string, Values, boolean | undefined])[]): void {
  for (const [text, values, expected] of table)
    assert.equal(
      truth(text, values),
      expected,
      `${text} of ${JSON.stringify(values, (_, value) => (typeof value === 'bigint' ? `${value}n` : value))}`,
    )
}

function problem(text: string): string {
  try {
    parseSelector(text)
  } catch (error) {
    assert(isMillraceError(error) && error.code === 'selector-invalid', String(error))
    return error.message
  }
  return 'accepted'
}

function refuses(table: readonly (readonly [string, position: number, RegExp])[]): void {
  for (const [text, position, why] of table) {
    const message = problem(text)
    assert.match(message, why, text)
    assert.match(message, new RegExp(`at position ${position}:`), `${text}: ${message}`)
  }
}

test('string literals stand in single quotes, which are doubled within (3.8.1.1)', () => {
  holds([
    ["a = 'literal''s'", { a: "literal's" }, true],
    ["a = ''", { a: '' }, true],
    ["a = ''''", { a: "'" }, true],
    ["a = 'Grüße, 世界 🌍'", { a: 'Grüße, 世界 🌍' }, true],
    ["a = 'AND'", { a: 'AND' }, true],
    ["a = 'b'", { a: 'B' }, false],
  ])
  refuses([
    ["a = 'open", 5, /no closing quote/],
    ['a = "b"', 5, /single quotes/],
  ])
})

test('exact numeric literals follow the Java syntax in the range of a long (3.8.1.1)', () => {
  holds([
    ['a = 57 AND b = -957 AND c = +62', { a: 57, b: -957, c: 62 }, true],
    ['a = 0x1F AND b = 0XffL AND c = 017 AND d = 12l', { a: 31, b: 255, c: 15, d: 12 }, true],
    ['a = 9223372036854775807', { a: 9223372036854775807n }, true],
    ['a = -9223372036854775808', { a: -9223372036854775808n }, true],
  ])
  refuses([
    ['a = 9223372036854775808', 5, /64 bits/],
    ['a = +9223372036854775808', 6, /64 bits/],
    ['a = -9223372036854775809', 6, /64 bits/],
    ['a = 089', 5, /octal/],
    ['a = 57b', 5, /blank or an operator/],
    ['a = 0x', 5, /blank or an operator/],
    ['a = 1_000', 5, /blank or an operator/],
  ])
})

test('approximate numeric literals follow the Java syntax (3.8.1.1)', () => {
  holds([
    ['a = 7E3 AND b = -57.9E2 AND c = 7. AND d = .5', { a: 7000, b: -5790, c: 7, d: 0.5 }, true],
    ['a = 1e-3 AND b = 7d AND c = 2.5D AND d = 1E+2', { a: 0.001, b: 7, c: 2.5, d: 100 }, true],
    ['a = 0.1f', { a: Math.fround(0.1) }, true],
    ['a = 0.1', { a: Math.fround(0.1) }, false],
  ])
  refuses([
    ['a = 1e400', 5, /too large/],
    ['a = 1e', 5, /blank or an operator/],
    ['a = 1.5.2', 8, /expected/],
  ])
})

test('identifiers are those of Java, with case, and the reserved words are none in any case (3.8.1.1)', () => {
  holds([
    ['$a_1 = 1 AND _b = 2 AND größe = 3 AND 价格 = 4', { $a_1: 1, _b: 2, größe: 3, 价格: 4 }, true],
    ['a = 1', { A: 1 }, undefined],
    ['TRUE and true AND TruE', {}, true],
    ['not (FALSE or false)', {}, true],
  ])
  for (const word of ['NULL', 'NOT', 'and', 'Or', 'BETWEEN', 'like', 'IN', 'is', 'Escape'])
    assert.match(problem(`${word} = 1`), /position 1:|position 5:/, word)
  refuses([
    ['a.b = 1', 2, /"\." has no meaning/],
    ['a-1b = 1', 3, /blank or an operator/],
    ['#a = 1', 1, /no meaning/],
  ])
})

test('headers other than the six that may be selected by are refused; JMSX and JMS_ names are properties (3.8.1.1)', () => {
  for (const header of [
    'JMSDestination',
    'JMSReplyTo',
    'JMSExpiration',
    'JMSRedelivered',
    'JMSDeliveryTime',
    'JMSFoo',
  ])
    assert.match(problem(`a = 1 AND ${header} = 2`), /position 11: .* is not a header/, header)
  for (const name of [
    'JMSDeliveryMode',
    'JMSPriority',
    'JMSMessageID',
    'JMSTimestamp',
    'JMSCorrelationID',
    'JMSType',
  ])
    assert.deepEqual(parseSelector(`${name} IS NULL`).identifiers, [name])
  holds([
    ['JMSXGroupSeq = 1 AND JMS_Vendor = 2', { JMSXGroupSeq: 1, JMS_Vendor: 2 }, true],
    ['JMSXDeliveryCount > 0', {}, undefined],
  ])
})

test('blanks are space, tab, form feed and line ends, and separate what would run together (3.8.1.1)', () => {
  holds([
    ['\t a\r\n=\f1 ', { a: 1 }, true],
    ["a='x'AND(b=1)OR(NOT(c))", { a: 'x', b: 1 }, true],
  ])
  refuses([['a =\u00a01', 4, /no meaning/]])
})

test('NOT binds tighter than AND, AND tighter than OR, and all of them looser than comparisons (3.8.1.1)', () => {
  holds([
    ['a = 1 OR b = 1 AND c = 1', { a: 1, b: 0, c: 0 }, true],
    ['(a = 1 OR b = 1) AND c = 1', { a: 1, b: 0, c: 0 }, false],
    ['NOT a = 1 AND b = 1', { a: 0, b: 0 }, false],
    ['NOT (a = 1 AND b = 1)', { a: 0, b: 0 }, true],
    ['NOT NOT a', { a: true }, true],
    ['a OR NOT b AND c', { a: false, b: false, c: true }, true],
  ])
})

test('signs, then products, then sums, from left to right (3.8.1.1)', () => {
  holds([
    ['2 + 3 * 4 = 14 AND (2 + 3) * 4 = 20', {}, true],
    ['10 - 4 - 3 = 3 AND 16 / 4 / 2 = 2 AND 7 - -2 = 9', {}, true],
    ['-a + 5 = 2 AND +a = 3 AND - - a = 3', { a: 3n }, true],
  ])
})

test('exact division cuts off; an approximate operand makes the result approximate (3.8.1.2, Java promotion)', () => {
  holds([
    ['7 / 2 = 3 AND -7 / 2 = -3 AND 7 / 2.0 = 3.5', {}, true],
    ['a / 2 = 3', { a: 7n }, true],
    ['a / 2 = 3.5', { a: 7 }, true],
    ['a + 1 > a AND a * a > a', { a: 9223372036854775807n }, true],
    ['a / 0 = 1', { a: 1n }, undefined],
    ['a / 0 > 5', { a: 1.5 }, true],
    ['0.0 / 0 = 0.0 / 0', {}, false],
    ['0.0 / 0 <> 0.0 / 0', {}, true],
  ])
})

test('a long and a double are compared by what they are, not rounded to one another (3.8.1.2)', () => {
  holds([
    ['a = b', { a: 9007199254740993n, b: 9007199254740992 }, false],
    ['a > b', { a: 9007199254740993n, b: 9007199254740992 }, true],
    ['a = 57.0 AND a = 57', { a: 57n }, true],
    ['a < 0.5 AND a >= -0.0', { a: 0n }, true],
  ])
})

test('values of unlike types compare false, for <> as well, and only numbers are in order (3.8.1.2)', () => {
  holds([
    ['a = 5', { a: '5' }, false],
    ['a <> 5', { a: '5' }, false],
    ['a = TRUE', { a: 'true' }, false],
    ["a <> 'x'", { a: true }, false],
    ['a < b', { a: 'a', b: 'b' }, false],
    ['a > 1', { a: '2' }, false],
    ['a = TRUE AND b <> FALSE', { a: true, b: true }, true],
    ['a + 1 = 2', { a: '1' }, undefined],
    ['-a = 1', { a: true }, undefined],
  ])
  refuses([
    ["a > 'x'", 5, /number was expected/],
    ['TRUE >= a', 1, /number was expected/],
    ["a + 'x' = 1", 5, /number was expected/],
    ['(a = 1) + 2 = 3', 1, /number was expected/],
  ])
})

test('NULL makes comparisons and arithmetic unknown, and NOT of unknown is unknown (3.8.1.2)', () => {
  const nulls = { missing: undefined, none: null, bytes: new Uint8Array(1), date: new Date(0) }
  holds([
    ['missing = 1', nulls, undefined],
    ['none <> 1', nulls, undefined],
    ['bytes = 1', nulls, undefined],
    ['missing = missing', nulls, undefined],
    ['missing + 1 > 0', nulls, undefined],
    ['missing', nulls, undefined],
    ['NOT missing', nulls, undefined],
    ['word OR FALSE', { word: 'true' }, undefined],
  ])
})

test('AND and OR by the tables of three-valued logic (3.8.1.2)', () => {
  const values = { t: true, f: false }
  const of = { t: true, f: false, u: undefined } as const
  const and = { tt: 't', tf: 'f', tu: 'u', ft: 'f', ff: 'f', fu: 'f', ut: 'u', uf: 'f', uu: 'u' } as const
  const or = { tt: 't', tf: 't', tu: 't', ft: 't', ff: 'f', fu: 'u', ut: 't', uf: 'u', uu: 'u' } as const
  holds(Object.entries(and).map(([[left, right], result]) => [`${left} AND ${right}`, values, of[result]]))
  holds(Object.entries(or).map(([[left, right], result]) => [`${left} OR ${right}`, values, of[result]]))
})

test('BETWEEN includes its bounds; NOT BETWEEN is below or above (3.8.1.1)', () => {
  holds([
    ['age BETWEEN 15 AND 19', { age: 15 }, true],
    ['age BETWEEN 15 AND 19', { age: 19n }, true],
    ['age BETWEEN 15 AND 19', { age: 20 }, false],
    ['age NOT BETWEEN 15 AND 19', { age: 20 }, true],
    ['age NOT BETWEEN 15 AND 19', { age: 17 }, false],
    ['age BETWEEN low AND 19', { age: 17 }, undefined],
    ['age BETWEEN low AND 19', { age: 27 }, false],
    ['age BETWEEN 1 + 1 AND 2 * 3 AND b = 1', { age: 6, b: 1 }, true],
    ['age BETWEEN 1 AND 2', { age: 'x' }, false],
    ['age NOT BETWEEN 1 AND 2', { age: 'x' }, false],
  ])
  refuses([["age BETWEEN 'a' AND 'b'", 13, /number was expected/]])
})

test('IN compares with each of a list and is unknown of NULL; NOT IN is its opposite (3.8.1.1)', () => {
  holds([
    ["country IN ('UK', 'US')", { country: 'US' }, true],
    ["country IN ('UK', 'US')", { country: 'Peru' }, false],
    ["country NOT IN ('UK', 'US')", { country: 'Peru' }, true],
    ["country IN ('UK')", {}, undefined],
    ["country NOT IN ('UK')", {}, undefined],
    ['size IN (1, 2.0, -3)', { size: 2n }, true],
    ['size IN (1, 2.0, -3)', { size: '1' }, false],
  ])
  refuses([
    ['size IN ()', 10, /texts or numbers/],
    ['size IN (1, 2', 14, /\) was expected/],
    ['size IN (a)', 10, /texts or numbers/],
    ["'a' IN ('b')", 1, /identifier on its left/],
  ])
})

test('LIKE: _ is one character, % any number of them, the escape character makes both plain (3.8.1.1)', () => {
  holds([
    ["phone LIKE '12%3'", { phone: '123' }, true],
    ["phone LIKE '12%3'", { phone: '12993' }, true],
    ["phone LIKE '12%3'", { phone: '1234' }, false],
    ["word LIKE 'l_se'", { word: 'lose' }, true],
    ["word LIKE 'l_se'", { word: 'loose' }, false],
    ["underscored LIKE '\\_%' ESCAPE '\\'", { underscored: '_foo' }, true],
    ["underscored LIKE '\\_%' ESCAPE '\\'", { underscored: 'bar' }, false],
    ["phone NOT LIKE '12%3'", { phone: '1234' }, true],
    ["phone LIKE '%'", {}, undefined],
    ["phone NOT LIKE '%'", {}, undefined],
    ["phone LIKE '%'", { phone: 12n }, false],
    ["a LIKE '_'", { a: '🌍' }, true],
    ["a LIKE '.*'", { a: 'xx' }, false],
    ["a LIKE '%b%a%'", { a: 'aabbab' }, true],
    ["a LIKE 'a\n%'", { a: 'a\nb' }, true],
    ["a LIKE ''", { a: '' }, true],
    ["a LIKE '%%_%%'", { a: '' }, false],
  ])
  refuses([
    ["a LIKE 'x' ESCAPE 'ab'", 19, /one character/],
    ["a LIKE 'x!' ESCAPE '!'", 8, /ends with its escape/],
    ['a LIKE b', 8, /single quotes/],
    ["a + 1 LIKE 'x'", 1, /identifier on its left/],
  ])
})

test('IS NULL is true of what is absent and of what the language has no type for (3.8.1.1)', () => {
  holds([
    ['a IS NULL', {}, true],
    ['a IS NULL', { a: 0 }, false],
    ['a IS NOT NULL', { a: '' }, true],
    ['a IS NOT NULL', { a: new Uint8Array(0) }, false],
  ])
  refuses([
    ['a = NULL', 5, /IS NULL/],
    ['a IS 5', 6, /NULL was expected/],
    ['5 IS NULL', 1, /identifier on its left/],
  ])
})

test('a selector is one condition: anything else is refused with its position', () => {
  refuses([
    ['', 1, /expected, not the end/],
    ['   ', 4, /expected, not the end/],
    ['5', 1, /condition was expected/],
    ["'a' OR b", 1, /condition was expected/],
    ['b AND a + 1', 7, /condition was expected/],
    ['a = 1 b', 7, /operator or the end/],
    ['a = 1 AND', 10, /not the end/],
    ['(a = 1', 7, /\) was expected/],
    ['a = 1)', 6, /operator or the end/],
    ['a == 1', 4, /expected, not =/],
    ['a != 1', 3, /<> is the operator/],
    ['a NOT 5', 7, /BETWEEN, IN or LIKE/],
    ['a = b = c', 7, /operator or the end/],
    ['a = 1;', 6, /no meaning/],
  ])
})

test('length and nesting are bounded, and up to the bounds nothing overflows or takes long', () => {
  assert.match(problem(`a = '${'x'.repeat(8192)}'`), /8198 characters; the limit is 8192/)
  for (const nested of ['('.repeat(8000), 'NOT '.repeat(2000), '- '.repeat(4000)])
    assert.match(problem(nested), /nests deeper than 100/)
  assert.equal(truth(`${'('.repeat(90)}a = 1${')'.repeat(90)}`, { a: 1 }), true)
  assert.equal(
    truth(Array(200).fill('(NOT (a = 1))').join(' OR '), { a: 2 }),
    true,
    'side by side is not within',
  )
  const sum = `a${' + a'.repeat(2000)} = 2001`
  assert.equal(truth(sum, { a: 1n }), true)
  assert.equal(truth(Array.from({ length: 700 }, (_, i) => `a = ${i}`).join(' OR '), { a: 699 }), true)
  assert.equal(parseSelector(Array.from({ length: 800 }, () => 'a = 1').join(' AND ')).canonical, 'a = 1')
})

test('no pattern of LIKE takes more than a little time: what backtracks in a regular expression does not here', () => {
  const pattern = '%a'.repeat(2000)
  const text = `${'a'.repeat(1999)}b`.repeat(3)
  const started = process.cpuUsage().user
  assert.equal(
    parseSelector(`t LIKE '${pattern}b_'`).matches(() => text),
    false,
  )
  assert(process.cpuUsage(undefined).user - started < 1_000_000)
})

test('equality that a hash decides is found: comparisons, lists, flags, alternatives of one identifier, parts of AND', () => {
  const equality = (text: string): unknown => {
    const { equality: found, equalityOnly } = parseSelector(text)
    return found && [found.identifier, [...found.values], equalityOnly]
  }
  assert.deepEqual(equality("a = 'x'"), ['a', ['x'], true])
  assert.deepEqual(equality("'x' = a"), ['a', ['x'], true])
  assert.deepEqual(equality('a = -5'), ['a', [-5n], true])
  assert.deepEqual(equality("(a IN ('x', 'y'))"), ['a', ['x', 'y'], true])
  assert.deepEqual(equality('flag'), ['flag', [true], true])
  assert.deepEqual(equality("a = 'x' OR a IN ('y')"), ['a', ['x', 'y'], true])
  assert.deepEqual(equality("a = 'x' AND b > 5"), ['a', ['x'], false])
  assert.deepEqual(equality("a IN ('x', 'y') AND b = 5"), ['b', [5n], false])
  assert.deepEqual(equality("a = 'x' AND b > 5 OR a = 'y'"), ['a', ['x', 'y'], false])
  for (const linear of [
    "a <> 'x'",
    'a > 5',
    "a = 'x' OR b = 'x'",
    'a = b',
    "NOT a = 'x'",
    "a NOT IN ('x')",
    'a IS NULL',
  ])
    assert.equal(equality(linear), undefined, linear)
})

test('values that are equal in the language have one key, and no others', () => {
  for (const same of [
    [1, 1n, 1.0],
    [0, -0, 0n],
    [1e21, 10n ** 21n],
    [2 ** 53, 9007199254740992n],
  ])
    assert.equal(new Set(same.map(equalityKey)).size, 1, String(same))
  const unlike = [1, '1', true, 'true', 1.5, 9007199254740993n, 9007199254740992, '', 'n1', 's']
  assert.equal(new Set(unlike.map(equalityKey)).size, unlike.length)
  for (const nothing of [null, undefined, Number.NaN, new Date(0), {}])
    assert.equal(equalityKey(nothing), undefined)
})

test('the canonical form is one for spellings of one selector, and no other selector has it', () => {
  const same = ["a='x' and B>5", "(B > 5) AND a = 'x'", "'x' = a\nAND 5 < B AND B > 5"]
  assert.equal(new Set(same.map((text) => parseSelector(text).canonical)).size, 1)
  const unlike = [
    "a = 'x'",
    "A = 'x'",
    "a = 'X'",
    'a = 1',
    'a = 1.0',
    "a = 'x' OR b",
    'a - (b - c) = 1',
    'a - b - c = 1',
  ]
  assert.equal(new Set(unlike.map((text) => parseSelector(text).canonical)).size, unlike.length)
  // Of a number, n AND n is unknown, and n is not.
  assert.equal(parseSelector('(n AND n) <> flag').canonical, '(n AND n) <> flag')
})
