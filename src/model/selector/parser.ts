import { Lexer, type Token } from './lexer.ts'
import { compilePattern } from './like.ts'
import {
  type ArithmeticOperator,
  type ComparisonOperator,
  type Identifier,
  type Literal,
  type Node,
  type SelectorValue,
  typeOf,
} from './tree.ts'

/** Parentheses, NOT and signs within each other: enough for anything that people or programs write. */
const MAX_DEPTH = 100

const selectableHeaders: ReadonlySet<string> = new Set([
  'JMSDeliveryMode',
  'JMSPriority',
  'JMSMessageID',
  'JMSTimestamp',
  'JMSCorrelationID',
  'JMSType',
])

const flipped: Readonly<Record<ComparisonOperator, ComparisonOperator>> = {
  '=': '=',
  '<>': '<>',
  '<': '>',
  '<=': '>=',
  '>': '<',
  '>=': '<=',
}

/** Parses a selector (Jakarta Messaging 3.8.1). Throws `selector-invalid` with the position. */
export function parse(text: string): Node {
  return new Parser(text).parse()
}

/** Recursive descent, one method a precedence: OR, AND, NOT, predicates, sums, products, signs. */
class Parser {
  private readonly lexer: Lexer
  private token: Token
  private depth = 0

  constructor(text: string) {
    this.lexer = new Lexer(text)
    this.token = this.lexer.next()
  }

  parse(): Node {
    const node = this.condition()
    if (this.token.kind !== 'end') this.expected('an operator or the end')
    return node
  }

  /** An expression that is true, false or unknown. */
  private condition(): Node {
    const { at } = this.token
    return this.asCondition(this.or(), at)
  }

  private or(): Node {
    return this.junction('or', 'OR', () => this.and())
  }

  private and(): Node {
    return this.junction('and', 'AND', () => this.not())
  }

  private junction(kind: 'and' | 'or', keyword: string, operand: () => Node): Node {
    let { at } = this.token
    const first = operand()
    if (!this.isKeyword(keyword)) return first
    const operands = [this.asCondition(first, at)]
    while (this.takeKeyword(keyword)) {
      ;({ at } = this.token)
      operands.push(this.asCondition(operand(), at))
    }
    return { kind, operands }
  }

  private not(): Node {
    if (!this.takeKeyword('NOT')) return this.predicate()
    const { at } = this.token
    return {
      kind: 'not',
      operand: this.asCondition(
        this.deeper(() => this.not()),
        at,
      ),
    }
  }

  private predicate(): Node {
    const { at } = this.token
    const left = this.sum()
    if (this.token.kind === 'symbol' && this.token.text in flipped) return this.comparison(left, at)
    if (this.takeKeyword('IS')) {
      const negated = this.takeKeyword('NOT')
      if (!this.takeKeyword('NULL')) this.expected('NULL')
      return { kind: 'is-null', negated, identifier: this.asIdentifier(left, at, 'IS NULL') }
    }
    const negated = this.takeKeyword('NOT')
    if (this.takeKeyword('BETWEEN')) return this.between(left, at, negated)
    if (this.takeKeyword('IN')) return this.in(this.asIdentifier(left, at, 'IN'), negated)
    if (this.takeKeyword('LIKE')) return this.like(this.asIdentifier(left, at, 'LIKE'), negated)
    if (negated) this.expected('BETWEEN, IN or LIKE')
    return left
  }

  /** The variable side first, so that equal comparisons look the same. */
  private comparison(left: Node, at: number): Node {
    const operator = this.advance().text as ComparisonOperator
    const rightAt = this.token.at
    const right = this.sum()
    if (operator !== '=' && operator !== '<>') {
      this.asNumber(left, at)
      this.asNumber(right, rightAt)
    }
    return left.kind === 'literal' && right.kind !== 'literal'
      ? { kind: 'comparison', operator: flipped[operator], left: right, right: left }
      : { kind: 'comparison', operator, left, right }
  }

  private between(operand: Node, at: number, negated: boolean): Node {
    this.asNumber(operand, at)
    const low = this.number(() => this.sum())
    if (!this.takeKeyword('AND')) this.expected('AND')
    return { kind: 'between', negated, operand, low, high: this.number(() => this.sum()) }
  }

  private in(identifier: Identifier, negated: boolean): Node {
    this.takeSymbol('(')
    const values: SelectorValue[] = [this.element()]
    while (this.isSymbol(',')) {
      this.advance()
      values.push(this.element())
    }
    this.takeSymbol(')')
    return { kind: 'in', negated, identifier, values }
  }

  private element(): SelectorValue {
    const { at } = this.token
    const negative = this.isSymbol('-')
    if (negative || this.isSymbol('+')) this.advance()
    const isNumber = this.token.kind === 'number'
    if (!isNumber && (this.token.kind !== 'text' || this.token.at !== at))
      this.lexer.fail(at, 'a list has texts or numbers')
    const { value } = this.primary(negative) as Literal
    return negative ? -(value as number | bigint) : value
  }

  private like(identifier: Identifier, negated: boolean): Node {
    const { at } = this.token
    const pattern = this.text()
    let escapedBy: string | undefined
    if (this.takeKeyword('ESCAPE')) {
      const escapeAt = this.token.at
      escapedBy = this.text()
      if ([...escapedBy].length !== 1) this.lexer.fail(escapeAt, 'ESCAPE takes a text of one character')
    }
    if (compilePattern(pattern, escapedBy) === undefined)
      this.lexer.fail(at, 'the pattern ends with its escape character')
    return { kind: 'like', negated, identifier, pattern, escape: escapedBy }
  }

  private sum(): Node {
    return this.chain(['+', '-'], () => this.product())
  }

  private product(): Node {
    return this.chain(['*', '/'], () => this.sign())
  }

  private chain(operators: readonly string[], operand: () => Node): Node {
    const { at } = this.token
    const first = operand()
    const rest: { operator: ArithmeticOperator; operand: Node }[] = []
    while (this.token.kind === 'symbol' && operators.includes(this.token.text)) {
      const operator = this.advance().text as ArithmeticOperator
      rest.push({ operator, operand: this.number(operand) })
    }
    if (rest.length === 0) return first
    this.asNumber(first, at)
    return { kind: 'chain', first, rest }
  }

  private sign(): Node {
    if (!this.isSymbol('+') && !this.isSymbol('-')) return this.primary(false)
    const negative = this.advance().text === '-'
    const { at } = this.token
    const isNumber = this.token.kind === 'number'
    const operand = isNumber ? this.primary(negative) : this.deeper(() => this.sign())
    this.asNumber(operand, at)
    if (operand.kind !== 'literal') return { kind: 'sign', negative, operand }
    const value = operand.value as number | bigint
    return { kind: 'literal', value: negative ? -value : value }
  }

  private primary(negative: boolean): Node {
    const { kind, at, text, value } = this.token
    if (kind === 'number' || kind === 'text') {
      if (typeof value === 'bigint' && !negative) this.lexer.checkRange(at, value)
      this.advance()
      return { kind: 'literal', value }
    }
    if (kind === 'identifier') return this.identifier()
    if (this.isSymbol('(')) return this.parentheses()
    if (this.isKeyword('TRUE') || this.isKeyword('FALSE')) {
      this.advance()
      return { kind: 'literal', value: text === 'TRUE' }
    }
    if (this.isKeyword('NULL')) this.lexer.fail(at, 'nothing can be compared with NULL; write IS NULL')
    return this.expected('an identifier, a text, a number, TRUE, FALSE or (')
  }

  private parentheses(): Node {
    this.takeSymbol('(')
    const node = this.deeper(() => this.or())
    this.takeSymbol(')')
    return node
  }

  /** Names that begin with JMS are headers, but for JMSX and JMS_, and few headers may be selected by (3.8.1.1). */
  private identifier(): Identifier {
    const { at, text } = this.advance()
    if (text.startsWith('JMS') && !/^JMS[X_]/.test(text) && !selectableHeaders.has(text)) {
      this.lexer.fail(
        at,
        `${text} is not a header that messages can be selected by; these are ${[...selectableHeaders].join(', ')}`,
      )
    }
    return { kind: 'identifier', name: text }
  }

  private deeper<T>(read: () => T): T {
    if (++this.depth > MAX_DEPTH) this.lexer.fail(this.token.at, `it nests deeper than ${MAX_DEPTH}`)
    const node = read()
    this.depth--
    return node
  }

  private number(read: () => Node): Node {
    const { at } = this.token
    const node = read()
    this.asNumber(node, at)
    return node
  }

  private text(): string {
    if (this.token.kind !== 'text') this.expected('a text in single quotes')
    return this.advance().value as string
  }

  private asCondition(node: Node, at: number): Node {
    const type = typeOf(node)
    if (type === 'text' || type === 'number')
      this.lexer.fail(at, `a condition was expected, and this is a ${type}`)
    return node
  }

  private asNumber(node: Node, at: number): void {
    const type = typeOf(node)
    if (type === 'text' || type === 'condition')
      this.lexer.fail(
        at,
        `a number was expected, and this is a ${type} (texts and conditions have only = and <>)`,
      )
  }

  private asIdentifier(node: Node, at: number, operator: string): Identifier {
    return node.kind === 'identifier'
      ? node
      : this.lexer.fail(at, `${operator} takes an identifier on its left`)
  }

  private isKeyword(text: string): boolean {
    return this.token.kind === 'keyword' && this.token.text === text
  }

  private takeKeyword(text: string): boolean {
    if (!this.isKeyword(text)) return false
    this.advance()
    return true
  }

  private isSymbol(text: string): boolean {
    return this.token.kind === 'symbol' && this.token.text === text
  }

  private takeSymbol(text: string): void {
    if (!this.isSymbol(text)) this.expected(text)
    this.advance()
  }

  private advance(): Token {
    const { token } = this
    this.token = this.lexer.next()
    return token
  }

  private expected(what: string): never {
    return this.lexer.fail(this.token.at, `${what} was expected, not ${this.token.text}`)
  }
}
