import peggy from 'peggy'
import { grammar, helpers } from './grammar.ts'

/** What the grammar makes of a selector: the name of a rule and what belongs to it. */
type Tree = readonly [string, ...unknown[]]
type Values = Readonly<Record<string, unknown>>

const parser = peggy.generate(helpers + grammar, { cache: true })

/** The selector as a tree; undefined when it is none. */
export function parseByGrammar(text: string): Tree | undefined {
  try {
    return parser.parse(text) as Tree
  } catch (error) {
    if ((error as Error).name === 'SyntaxError') return undefined
    throw error
  }
}

/** True, false, or null: unknown. */
export function evaluate(tree: Tree, values: Values): boolean | null {
  const value = evaluateAny(tree, values)
  return typeof value === 'boolean' ? value : null
}

function evaluateAny(tree: Tree, values: Values): unknown {
  const [kind, ...parts] = tree
  const part = (index: number): unknown => evaluateAny(parts[index] as Tree, values)
  const truth = (index: number): boolean | null => evaluate(parts[index] as Tree, values)
  switch (kind) {
    case 'or':
      return not(conjunction(not(truth(0)), not(truth(1))))
    case 'and':
      return conjunction(truth(0), truth(1))
    case 'not':
      return not(truth(0))
    case 'between':
      return parts[0]
        ? not(conjunction(not(compare('<', part(1), part(2))), not(compare('>', part(1), part(3)))))
        : conjunction(compare('>=', part(1), part(2)), compare('<=', part(1), part(3)))
    case 'in': {
      const value = propertyOf(values, parts[1])
      const found = (parts[2] as unknown[]).map((element) => compare('=', value, element))
      return value === null ? null : found.includes(true) !== parts[0]
    }
    case 'like': {
      const value = propertyOf(values, parts[1])
      if (value === null) return null
      const pattern = likeExpression(parts[2] as string, parts[3] as string | null)
      return (typeof value === 'string' && pattern.test(value)) !== parts[0]
    }
    case 'null':
      return (propertyOf(values, parts[1]) === null) !== parts[0]
    case 'compare':
      return compare(parts[0] as string, part(1), part(2))
    case 'calculate':
      return calculate(parts[0] as string, part(1), part(2))
    case 'minus':
      // Of zero there are two, but only among approximate numbers.
      return typeof part(0) === 'number' ? -(part(0) as number) : calculate('-', 0n, part(0))
    case 'plus':
      return isNumber(part(0)) ? part(0) : null
    case 'name':
      return propertyOf(values, parts[0])
    default:
      return parts[0]
  }
}

function propertyOf(values: Values, name: unknown): unknown {
  const value = values[name as string]
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? value : null
}

function not(value: boolean | null): boolean | null {
  return value === null ? null : !value
}

function conjunction(left: boolean | null, right: boolean | null): boolean | null {
  if (left === false || right === false) return false
  return left === null || right === null ? null : true
}

function isNumber(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint'
}

function compare(operator: string, left: unknown, right: unknown): boolean | null {
  if (left === null || right === null) return null
  if (isNumber(left) && isNumber(right)) {
    const order = orderOf(left, right)
    const holds: Record<string, boolean> = {
      '=': order === 0,
      '<>': order !== 0,
      '<': order < 0,
      '<=': order <= 0,
      '>': order > 0,
      '>=': order >= 0,
    }
    return holds[operator]!
  }
  if (typeof left !== typeof right) return false
  if (operator === '=') return left === right
  return operator === '<>' ? left !== right : false
}

/** The order of two numbers as fractions of whole ones, so that nothing is rounded; NaN when there is none. */
function orderOf(left: number | bigint, right: number | bigint): number {
  if (typeof left === 'number' && typeof right === 'number') return left === right ? 0 : left - right
  const [a, b] = [left, right].map(Number) as [number, number]
  if (!Number.isFinite(a) || !Number.isFinite(b)) return a === b ? 0 : a - b
  const [x, y] = [fraction(left), fraction(right)]
  const difference = x.over * y.under - y.over * x.under
  return difference === 0n ? 0 : difference < 0n ? -1 : 1
}

function fraction(value: number | bigint): { over: bigint; under: bigint } {
  if (typeof value === 'bigint') return { over: value, under: 1n }
  let under = 1n
  let rest = value
  while (!Number.isInteger(rest)) {
    rest *= 2
    under *= 2n
  }
  return { over: BigInt(rest), under }
}

function calculate(operator: string, left: unknown, right: unknown): number | bigint | null {
  if (!isNumber(left) || !isNumber(right)) return null
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (operator === '/' && right === 0n) return null
    const results: Record<string, () => bigint> = {
      '+': () => left + right,
      '-': () => left - right,
      '*': () => left * right,
      '/': () => left / right,
    }
    const result = results[operator]!()
    return result >= -(2n ** 63n) && result < 2n ** 63n ? result : Number(result)
  }
  const [a, b] = [Number(left), Number(right)]
  return { '+': a + b, '-': a - b, '*': a * b, '/': a / b }[operator]!
}

function likeExpression(pattern: string, escapedBy: string | null): RegExp {
  let expression = ''
  let escaped = false
  for (const character of pattern) {
    if (!escaped && character === escapedBy) {
      escaped = true
      continue
    }
    const plain = character.replace(/[\\^$.*+?()[\]{}|/-]/, String.raw`\$&`)
    expression += escaped ? plain : character === '_' ? '.' : character === '%' ? '.*' : plain
    escaped = false
  }
  return new RegExp(`^(?:${expression})$`, 'su')
}
