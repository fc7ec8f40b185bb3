import { MillraceError } from '../errors.ts'
import type { SelectorValue } from './tree.ts'

/** Longer ones are refused, so that whoever sends a selector cannot make the broker work for long. */
const MAX_SELECTOR_LENGTH = 8192

const MAX_LONG = 2n ** 63n - 1n

export interface Token {
  readonly kind: 'identifier' | 'keyword' | 'text' | 'number' | 'symbol' | 'end'
  /** Position of its first character, from 0. */
  readonly at: number
  /** As written; keywords in capitals. */
  readonly text: string
  readonly value: SelectorValue
}

const keywords = new Set('NULL TRUE FALSE NOT AND OR BETWEEN LIKE IN IS ESCAPE'.split(' '))

const blank = /[ \t\f\r\n]+/y
/** What Java takes for an identifier, but for the invisible characters it ignores in one. */
const word = /[\p{L}\p{Nl}\p{Sc}\p{Pc}][\p{L}\p{Nl}\p{Sc}\p{Pc}\p{Nd}\p{Mn}\p{Mc}]*/uy
const quoted = /'(?:[^']|'')*'/y
const approximate = /(?:\d+\.\d*|\.\d+|\d+(?=[eEfFdD]))(?:[eE][+-]?\d+)?[fFdD]?/y
const exact = /(?:0[xX][0-9a-fA-F]+|\d+)[lL]?/y
const symbol = /<>|<=|>=|[=<>+\-*/(),]/y

/** Cuts a selector into tokens, one at a time, and says what is wrong with it. */
export class Lexer {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
    if (text.length > MAX_SELECTOR_LENGTH)
      this.fail(MAX_SELECTOR_LENGTH, `it has ${text.length} characters; the limit is ${MAX_SELECTOR_LENGTH}`)
  }

  /** Throws `selector-invalid` for position `at`, counted from 0 here and from 1 in the message. */
  fail(at: number, problem: string): never {
    const before = at > 20 ? `…${this.text.slice(at - 20, at)}` : this.text.slice(0, at)
    const after = this.text.slice(at, at + 20) + (this.text.length > at + 20 ? '…' : '')
    throw new MillraceError(
      'selector-invalid',
      `the selector is wrong at position ${at + 1}: ${problem} (here: ${before}▸${after})`,
    )
  }

  next(): Token {
    this.match(blank)
    const at = this.at
    if (at >= this.text.length) return { kind: 'end', at, text: 'the end', value: '' }
    const name = this.match(word)
    if (name !== '') return wordToken(at, name)
    const inQuotes = this.match(quoted)
    if (inQuotes !== '')
      return { kind: 'text', at, text: inQuotes, value: inQuotes.slice(1, -1).replaceAll("''", "'") }
    const number = this.number(at)
    if (number !== undefined) return number
    const operator = this.match(symbol)
    if (operator !== '') return { kind: 'symbol', at, text: operator, value: operator }
    return this.fail(at, this.unknown(at))
  }

  private unknown(at: number): string {
    const found = String.fromCodePoint(this.text.codePointAt(at)!)
    if (found === "'") return 'the text that begins here has no closing quote'
    if (found === '"') return 'texts are written in single quotes'
    if (found === '!') return '<> is the operator for unequal, and NOT the one for the opposite'
    return `${JSON.stringify(found)} has no meaning here`
  }

  private number(at: number): Token | undefined {
    const fraction = this.match(approximate)
    const digits = fraction === '' ? this.match(exact) : fraction
    if (digits === '') return undefined
    if (this.match(word) !== '') this.fail(at, 'a number must be followed by a blank or an operator')
    const value = fraction === '' ? this.exact(at, digits) : this.approximate(at, fraction)
    return { kind: 'number', at, text: digits, value }
  }

  /** Java: 0x begins a hexadecimal number, 0 an octal one, and L may follow. */
  private exact(at: number, digits: string): bigint {
    const plain = digits.replace(/[lL]$/, '')
    const isOctal = /^0\d/.test(plain)
    if (isOctal && /[89]/.test(plain))
      this.fail(at, 'a number that begins with 0 is octal and has no digit above 7')
    const value = BigInt(isOctal ? `0o${plain.slice(1)}` : plain)
    // One more than the largest, which only a minus makes possible: the parser looks after it.
    if (value > MAX_LONG + 1n) this.outOfRange(at)
    return value
  }

  /** A whole number must fit into 64 bits, as a long does. */
  checkRange(at: number, value: bigint): void {
    if (value > MAX_LONG) this.outOfRange(at)
  }

  private outOfRange(at: number): never {
    return this.fail(at, 'a whole number must fit into 64 bits; write it with a decimal point')
  }

  private approximate(at: number, digits: string): number {
    const value = Number.parseFloat(digits)
    const rounded = /[fF]$/.test(digits) ? Math.fround(value) : value
    if (!Number.isFinite(rounded)) this.fail(at, 'the number is too large')
    return rounded
  }

  /** What matches at the present position, which moves behind it; '' when nothing does. */
  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0] ?? ''
    this.at += found.length
    return found
  }
}

function wordToken(at: number, name: string): Token {
  const capitals = name.toUpperCase()
  return keywords.has(capitals)
    ? { kind: 'keyword', at, text: capitals, value: capitals }
    : { kind: 'identifier', at, text: name, value: name }
}
