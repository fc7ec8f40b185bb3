/** The parser and evaluator of selectors against a second implementation, made by peggy from a grammar. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { isMillraceError } from '../../src/model/errors.ts'
import { parseSelector, type Selector } from '../../src/model/selector/selector.ts'
import { seed } from '../engine/seed.ts'
import { evaluate, parseByGrammar } from './oracle/oracle.ts'

/** A selector as tokens, so that it can be spelled in many ways, and damaged. */
type Tokens = readonly string[]

const names = ['n', 'm', 's', 't', 'flag', 'none', '$x_1', 'JMSPriority', 'JMSType']
const numbers = [
  '0',
  '1',
  '2',
  '7',
  '2.5',
  '.5',
  '7.',
  '1e2',
  '0x1F',
  '017',
  '3L',
  '2.5f',
  '9007199254740993',
]
const texts = ["''", "'x'", "'abc'", "'it''s'", "'a_c'", "'%'"]
const patterns = ["'a%'", "'%c'", "'_b_'", "'!%'", "'%'", "'a!_c'", "'%!'", "''"]
const keywords = ['NOT', 'AND', 'OR', 'IN', 'IS', 'NULL', 'LIKE', 'BETWEEN', 'ESCAPE', 'TRUE', 'FALSE']
const symbols = ['(', ')', ',', '=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/']
const others = ['JMSExpiration', '"x"', '!=', '5x', '089', '9223372036854775808', "'open", '.']

const one = (...tokens: readonly string[]): fc.Arbitrary<Tokens> =>
  fc.constantFrom(...tokens).map((token) => [token])
const row = (...parts: readonly (string | fc.Arbitrary<Tokens>)[]): fc.Arbitrary<Tokens> =>
  fc
    .tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant([part]) : part)))
    .map((each) => each.flat())

const not = fc.constantFrom<Tokens>([], [], ['NOT'])
const list = fc
  .array(one(...numbers, ...texts), { minLength: 1, maxLength: 4 })
  .map((elements) => elements.flatMap((element, index) => (index === 0 ? element : [',', ...element])))

const { condition } = fc.letrec<{ number: Tokens; condition: Tokens }>((tie) => {
  const name = one(...names)
  const number = tie('number')
  const inner = tie('condition')
  return {
    number: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      one(...names, ...numbers),
      row(number, one('+', '-', '*', '/'), number),
      row(one('-', '+'), number),
      row('(', number, ')'),
    ),
    condition: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.oneof(
        row(number, one('=', '<>', '<', '<=', '>', '>='), number),
        row(name, one('=', '<>'), one(...texts, 'TRUE', 'FALSE')),
        row(name, 'IS', not, 'NULL'),
        row(name, not, 'LIKE', one(...patterns)),
        row(name, not, 'LIKE', one(...patterns.slice(0, 6)), 'ESCAPE', one("'!'")),
        row(name, not, 'IN', '(', list, ')'),
        row(number, not, 'BETWEEN', number, 'AND', number),
        one('flag', 'none', 's', 'TRUE', 'FALSE'),
      ),
      row(inner, one('AND', 'OR'), inner),
      row('NOT', inner),
      row('(', inner, ')'),
      row('(', inner, ')', one('=', '<>'), one('flag', 'TRUE')),
    ),
  }
})

/** Blanks between tokens, and the case of keywords. */
const spelling = fc.array(fc.record({ blank: fc.constantFrom(' ', '\n', '\t', '  '), low: fc.boolean() }), {
  minLength: 1,
  maxLength: 5,
})

function spell(tokens: Tokens, style: readonly { blank: string; low: boolean }[]): string {
  return tokens
    .map((token, index) => {
      const { blank, low } = style[index % style.length]!
      return (low && keywords.includes(token) ? token.toLowerCase() : token) + blank
    })
    .join('')
}

const values = fc.record(
  Object.fromEntries(
    names.map((name) => [
      name,
      fc.oneof(
        fc.constantFrom<unknown>(0n, 1n, 2n, 7n, -3n, 0, 1, 2.5, -0.5, 9007199254740992, 9007199254740993n),
        fc.constantFrom<unknown>('', 'x', 'abc', 'a_c', "it's", '%', true, false, true, false),
        fc.constantFrom<unknown>(
          null,
          undefined,
          new Date(0),
          2n ** 63n - 1n,
          -(2n ** 63n),
          Number.NaN,
          1e300,
        ),
      ),
    ]),
  ),
)

function read(text: string): Selector | undefined {
  try {
    return parseSelector(text)
  } catch (error) {
    assert(isMillraceError(error) && error.code === 'selector-invalid', `${text}: ${String(error)}`)
    assert.match(error.message, /at position \d+:/)
    return undefined
  }
}

/** Both find it to be a selector, or both do not, and it is true of the same messages, and false of the same. */
function agree(text: string, messages: readonly Readonly<Record<string, unknown>>[]): boolean {
  const tree = parseByGrammar(text)
  const selector = read(text)
  assert.equal(selector !== undefined, tree !== undefined, text)
  if (selector === undefined || tree === undefined) return false
  const opposite = parseSelector(`NOT (${text})`)
  const again = parseSelector(selector.canonical)
  for (const message of messages) {
    const lookup = (name: string): unknown => message[name]
    const expected = evaluate(tree, message)
    const found: boolean | null = selector.matches(lookup) ? true : opposite.matches(lookup) ? false : null
    assert.equal(found, expected, text)
    assert.equal(again.matches(lookup), expected === true, `${selector.canonical}, canonical of ${text}`)
    checkEquality(selector, lookup)
  }
  return true
}

/** No message is selected whose value is none of those that `equality` names; alone, it is all there is to it. */
function checkEquality(selector: Selector, lookup: (name: string) => unknown): void {
  const { equality, equalityOnly } = selector
  if (equality === undefined) return assert.equal(equalityOnly, false)
  const list = equality.values.map((value) =>
    typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value).toUpperCase(),
  )
  const tests = list.map((value) => `${equality.identifier} = ${value}`)
  const meets = parseSelector(tests.join(' OR ')).matches(lookup)
  assert(meets || !selector.matches(lookup), `${selector.text}: equality misses a match`)
  if (equalityOnly) assert.equal(meets, selector.matches(lookup), selector.text)
}

suite('selectors agree with a grammar', () => {
  test('well-formed ones, of messages with numbers, texts, booleans and NULL', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const property = fc.property(
      condition,
      spelling,
      fc.array(values, { minLength: 2 }),
      (tokens, style, messages) => {
        assert(agree(spell(tokens, style), messages), `the grammar takes ${tokens.join(' ')}`)
      },
    )
    fc.assert(property, { seed, numRuns: 600 })
  })

  test('damaged ones are refused by both, or read alike', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const token = fc.constantFrom(...names, ...numbers, ...texts, ...keywords, ...symbols, ...others)
    const damage = fc.record({ at: fc.nat(), drop: fc.nat(2), put: fc.array(token, { maxLength: 2 }) })
    let read = 0
    let runs = 0
    const property = fc.property(
      condition,
      spelling,
      damage,
      fc.array(values),
      (tokens, style, { at, drop, put }, messages) => {
        const damaged = tokens.toSpliced(at % tokens.length, drop, ...put)
        if (agree(spell(damaged, style), messages)) read++
        runs++
      },
    )
    fc.assert(property, { seed, numRuns: 900 })
    assert(read > 0 && read < runs, `${read} of ${runs} damaged ones were still selectors`)
  })

  test('whatever is given is a selector or selector-invalid, and soon', (t) => {
    t.diagnostic(`SEED=${seed}`)
    const started = process.cpuUsage().user
    const pieces = fc.constantFrom(
      ...names,
      ...numbers,
      ...texts,
      ...keywords,
      ...symbols,
      ...others,
      ' ',
      "'",
      '\0',
    )
    const text = fc.oneof(
      fc.string({ maxLength: 60, unit: 'binary' }),
      fc.array(pieces, { maxLength: 40 }).map((each) => each.join('')),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    )
    fc.assert(
      fc.property(text, (each) => void read(each)),
      { seed, numRuns: 1_000 },
    )
    for (const piece of [
      ...symbols,
      ...keywords.map((word) => ` ${word} `),
      "'",
      'a',
      '1',
      '0x',
      '.',
      'a=',
      "a IN('",
    ])
      read(piece.repeat(Math.floor(8192 / piece.length)))
    read('('.repeat(65_536))
    assert(process.cpuUsage().user - started < 5_000_000, 'it takes far less than 5 s of one core')
  })
})
