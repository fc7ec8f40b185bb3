import { compilePattern } from './like.ts'
import type {
  ArithmeticOperator,
  Between,
  Chain,
  ComparisonOperator,
  In,
  Junction,
  Like,
  Node,
  PropertyLookup,
  SelectorValue,
  Sign,
} from './tree.ts'

/** A value of the language; null is NULL, or of a condition, unknown. */
type Value = SelectorValue | null
type Evaluation = (lookup: PropertyLookup) => Value
type Condition = (lookup: PropertyLookup) => boolean | null

/** Makes a function of a condition: true, false, or null when it is unknown. */
export function compileCondition(node: Node): Condition {
  const evaluate = compile(node)
  // A property that is no boolean is neither true nor false.
  return (lookup) => {
    const value = evaluate(lookup)
    return typeof value === 'boolean' ? value : null
  }
}

function compile(node: Node): Evaluation {
  switch (node.kind) {
    case 'literal':
      return () => node.value
    case 'identifier':
      return (lookup) => usable(lookup(node.name))
    case 'chain':
      return chain(node)
    case 'sign':
      return sign(node)
    case 'comparison': {
      const left = compile(node.left)
      const right = compile(node.right)
      return (lookup) => compare(node.operator, left(lookup), right(lookup))
    }
    case 'between':
      return between(node)
    case 'in':
      return within(node)
    case 'like':
      return like(node)
    case 'is-null': {
      const { name } = node.identifier
      return (lookup) => (usable(lookup(name)) === null) !== node.negated
    }
    case 'not': {
      const operand = compileCondition(node.operand)
      return (lookup) => negate(operand(lookup))
    }
    case 'and':
    case 'or':
      return junction(node)
  }
}

function usable(value: unknown): Value {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return value
    default:
      return null
  }
}

/** AND is decided by a false, OR by a true; otherwise anything unknown makes the whole unknown. */
function junction(node: Junction): Condition {
  const operands = node.operands.map(compileCondition)
  const decisive = node.kind === 'or'
  return (lookup) => {
    let result: boolean | null = !decisive
    for (const operand of operands) {
      const value = operand(lookup)
      if (value === decisive) return decisive
      if (value === null) result = null
    }
    return result
  }
}

function negate(value: boolean | null): boolean | null {
  return value === null ? null : !value
}

/** `x NOT BETWEEN a AND b` is `x < a OR x > b` (3.8.1.2), so that a text is in neither. */
function between(node: Between): Condition {
  const operand = compile(node.operand)
  const low = compile(node.low)
  const high = compile(node.high)
  return (lookup) => {
    const value = operand(lookup)
    const above = compare(node.negated ? '<' : '>=', value, low(lookup))
    const below = compare(node.negated ? '>' : '<=', value, high(lookup))
    if (above === node.negated || below === node.negated) return node.negated
    return above === null || below === null ? null : !node.negated
  }
}

/** A set serves any number of elements. */
function within(node: In): Condition {
  const keys = new Set(node.values.map(equalityKey))
  const { name } = node.identifier
  return (lookup) => {
    const value = usable(lookup(name))
    return value === null ? null : keys.has(equalityKey(value)) !== node.negated
  }
}

function like(node: Like): Condition {
  const fits = compilePattern(node.pattern, node.escape)
  const { name } = node.identifier
  return (lookup) => {
    const value = usable(lookup(name))
    if (value === null || fits === undefined) return null
    return (typeof value === 'string' && fits(value)) !== node.negated
  }
}

/** Values of unlike types are neither equal nor unequal nor in order: every comparison of them is false (3.8.1.2). */
function compare(operator: ComparisonOperator, left: Value, right: Value): boolean | null {
  if (left === null || right === null) return null
  if (isNumber(left)) return isNumber(right) && compareNumbers(operator, left, right)
  if (typeof left !== typeof right) return false
  if (operator === '=') return left === right
  return operator === '<>' && left !== right
}

/** JavaScript compares bigint and number by what they are, so a large whole number is not rounded on the way. */
function compareNumbers(
  operator: ComparisonOperator,
  left: number | bigint,
  right: number | bigint,
): boolean {
  switch (operator) {
    case '=':
      return left <= right && left >= right
    case '<>':
      return !(left <= right && left >= right)
    case '<':
      return left < right
    case '<=':
      return left <= right
    case '>':
      return left > right
    case '>=':
      return left >= right
  }
}

function isNumber(value: Value): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function chain(node: Chain): Evaluation {
  const first = compile(node.first)
  const rest = node.rest.map(({ operator, operand }) => ({ operator, operand: compile(operand) }))
  return (lookup) => {
    let result = first(lookup)
    for (const { operator, operand } of rest) result = calculate(operator, result, operand(lookup))
    return result
  }
}

function sign(node: Sign): Evaluation {
  const operand = compile(node.operand)
  return (lookup) => {
    const value = operand(lookup)
    if (!isNumber(value)) return null
    if (!node.negative) return value
    return typeof value === 'bigint' ? calculateExactly('-', 0n, value) : -value
  }
}

/** What is no number has no sum: NULL. An approximate operand makes the result approximate (Java's promotion). */
function calculate(operator: ArithmeticOperator, left: Value, right: Value): number | bigint | null {
  if (!isNumber(left) || !isNumber(right)) return null
  if (typeof left === 'bigint' && typeof right === 'bigint') return calculateExactly(operator, left, right)
  return calculateApproximately(operator, Number(left), Number(right))
}

/** Division cuts off the fraction, and by zero it has no result. What leaves 64 bits goes on as an approximate number. */
function calculateExactly(operator: ArithmeticOperator, left: bigint, right: bigint): number | bigint | null {
  if (operator === '/' && right === 0n) return null
  const result =
    operator === '+'
      ? left + right
      : operator === '-'
        ? left - right
        : operator === '*'
          ? left * right
          : left / right
  return BigInt.asIntN(64, result) === result ? result : Number(result)
}

function calculateApproximately(operator: ArithmeticOperator, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return left / right
  }
}

/**
 * The key under which values meet that are equal in the language: 1, 1.0 and 1n have one. Undefined for what is equal to
 * nothing: NULL, NaN, and types that the language does not have.
 */
export function equalityKey(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return `s${value}`
    case 'bigint':
      return `n${value}`
    case 'number':
      if (Number.isNaN(value)) return undefined
      return Number.isSafeInteger(value) || !Number.isInteger(value) ? `n${value}` : `n${BigInt(value)}`
    case 'boolean':
      return `b${value}`
    default:
      return undefined
  }
}
