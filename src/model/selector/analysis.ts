import type { Comparison, Junction, Node, SelectorValue } from './tree.ts'

/** An identifier and the constants of which it must equal one; `alone` when nothing else decides. */
export interface Equality {
  readonly identifier: string
  readonly values: readonly SelectorValue[]
  readonly alone: boolean
}

/** A condition that every matching message fulfils and that a hash can decide; undefined when there is none. */
export function equalityOf(node: Node): Equality | undefined {
  switch (node.kind) {
    case 'identifier':
      return { identifier: node.name, values: [true], alone: true }
    case 'comparison':
      return ofComparison(node)
    case 'in':
      return node.negated ? undefined : { identifier: node.identifier.name, values: node.values, alone: true }
    case 'and':
      return ofAll(node)
    case 'or':
      return ofAny(node)
    default:
      return undefined
  }
}

function ofComparison({ operator, left, right }: Comparison): Equality | undefined {
  if (operator !== '=' || left.kind !== 'identifier' || right.kind !== 'literal') return undefined
  return { identifier: left.name, values: [right.value], alone: true }
}

/** The one with the fewest constants tells most messages apart. */
function ofAll({ operands }: Junction): Equality | undefined {
  let best: Equality | undefined
  for (const operand of operands) {
    const equality = equalityOf(operand)
    if (equality !== undefined && (best === undefined || equality.values.length < best.values.length))
      best = equality
  }
  return best && { ...best, alone: false }
}

/** Alternatives of one identifier are one list of constants. */
function ofAny({ operands }: Junction): Equality | undefined {
  const equalities = operands.map(equalityOf)
  const [first] = equalities
  if (first === undefined) return undefined
  const values: SelectorValue[] = []
  let alone = true
  for (const equality of equalities) {
    if (equality?.identifier !== first.identifier) return undefined
    values.push(...equality.values)
    alone &&= equality.alone
  }
  return { identifier: first.identifier, values, alone }
}

/** A spelling that is the same for selectors that differ in blanks, case of keywords and order of conditions. */
export function canonicalOf(node: Node): string {
  switch (node.kind) {
    case 'literal':
      return literal(node.value)
    case 'identifier':
      return node.name
    case 'chain':
      return [inner(node.first), ...node.rest.flatMap((part) => [part.operator, inner(part.operand)])].join(
        ' ',
      )
    case 'sign':
      return `${node.negative ? '-' : '+'} ${inner(node.operand)}`
    case 'comparison':
      return `${inner(node.left)} ${node.operator} ${inner(node.right)}`
    case 'between':
      return `${inner(node.operand)} ${not(node)}BETWEEN ${inner(node.low)} AND ${inner(node.high)}`
    case 'in':
      return `${node.identifier.name} ${not(node)}IN (${unique(node.values.map(literal)).join(', ')})`
    case 'like':
      return `${node.identifier.name} ${not(node)}LIKE ${literal(node.pattern)}${node.escape === undefined ? '' : ` ESCAPE ${literal(node.escape)}`}`
    case 'is-null':
      return `${node.identifier.name} IS ${not(node)}NULL`
    case 'not':
      return `NOT ${inner(node.operand)}`
    case 'and':
    case 'or':
      return junction(node)
  }
}

function junction(node: Junction): string {
  const operands = new Map(flat(node, node.kind).map((operand) => [inner(operand), operand]))
  const [only] = operands.values()
  const texts = [...operands.keys()].sort()
  if (only !== undefined && texts.length === 1) {
    if (!isValue(only)) return canonicalOf(only)
    // A number joined to itself is unknown, and not the number.
    texts.push(texts[0]!)
  }
  return texts.join(node.kind === 'and' ? ' AND ' : ' OR ')
}

/** It may come to something else than true, false and unknown. */
function isValue({ kind }: Node): boolean {
  return kind === 'literal' || kind === 'identifier' || kind === 'chain' || kind === 'sign'
}

/** AND within AND is one AND. */
function flat(node: Node, kind: 'and' | 'or'): Node[] {
  return node.kind === kind ? node.operands.flatMap((operand) => flat(operand, kind)) : [node]
}

function inner(node: Node): string {
  const text = canonicalOf(node)
  return node.kind === 'literal' || node.kind === 'identifier' ? text : `(${text})`
}

function not({ negated }: { readonly negated: boolean }): string {
  return negated ? 'NOT ' : ''
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)].sort()
}

/** As it can be read back: an approximate number keeps its point. */
function literal(value: SelectorValue): string {
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`
  if (typeof value === 'boolean') return value ? 'TRUE' : 'FALSE'
  const text = Object.is(value, -0) ? '-0' : String(value)
  return typeof value === 'bigint' || /[.e]/.test(text) ? text : `${text}.0`
}

export function identifiersOf(node: Node, into: Set<string> = new Set()): Set<string> {
  switch (node.kind) {
    case 'literal':
      return into
    case 'identifier':
      return into.add(node.name)
    case 'chain':
      for (const part of node.rest) identifiersOf(part.operand, into)
      return identifiersOf(node.first, into)
    case 'sign':
    case 'not':
      return identifiersOf(node.operand, into)
    case 'comparison':
      return identifiersOf(node.right, identifiersOf(node.left, into))
    case 'between':
      return identifiersOf(node.high, identifiersOf(node.low, identifiersOf(node.operand, into)))
    case 'in':
    case 'like':
    case 'is-null':
      return into.add(node.identifier.name)
    case 'and':
    case 'or':
      for (const operand of node.operands) identifiersOf(operand, into)
      return into
  }
}
