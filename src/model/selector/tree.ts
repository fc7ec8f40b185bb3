/** What an identifier or a literal may stand for: exact numbers are bigint, approximate ones number. */
export type SelectorValue = string | number | bigint | boolean

/** Answers what an identifier stands for; undefined, null or a value of another type is NULL. */
export type PropertyLookup = (identifier: string) => unknown

export type ArithmeticOperator = '+' | '-' | '*' | '/'
export type ComparisonOperator = '=' | '<>' | '<' | '<=' | '>' | '>='

export interface Literal {
  readonly kind: 'literal'
  readonly value: SelectorValue
}

export interface Identifier {
  readonly kind: 'identifier'
  readonly name: string
}

/** Operations of one precedence, from left to right: as a list, so that a long one does not nest. */
export interface Chain {
  readonly kind: 'chain'
  readonly first: Node
  readonly rest: readonly { readonly operator: ArithmeticOperator; readonly operand: Node }[]
}

export interface Sign {
  readonly kind: 'sign'
  readonly negative: boolean
  readonly operand: Node
}

export interface Comparison {
  readonly kind: 'comparison'
  readonly operator: ComparisonOperator
  readonly left: Node
  readonly right: Node
}

export interface Between {
  readonly kind: 'between'
  readonly negated: boolean
  readonly operand: Node
  readonly low: Node
  readonly high: Node
}

export interface In {
  readonly kind: 'in'
  readonly negated: boolean
  readonly identifier: Identifier
  readonly values: readonly SelectorValue[]
}

export interface Like {
  readonly kind: 'like'
  readonly negated: boolean
  readonly identifier: Identifier
  readonly pattern: string
  readonly escape: string | undefined
}

export interface IsNull {
  readonly kind: 'is-null'
  readonly negated: boolean
  readonly identifier: Identifier
}

export interface Not {
  readonly kind: 'not'
  readonly operand: Node
}

export interface Junction {
  readonly kind: 'and' | 'or'
  readonly operands: readonly Node[]
}

/** An expression of the selector language, as parsed. */
export type Node =
  | Literal
  | Identifier
  | Chain
  | Sign
  | Comparison
  | Between
  | In
  | Like
  | IsNull
  | Not
  | Junction

/** What a node yields, as far as it can be known without a message. */
export function typeOf(node: Node): 'text' | 'number' | 'condition' | 'any' {
  switch (node.kind) {
    case 'identifier':
      return 'any'
    case 'literal':
      if (typeof node.value === 'string') return 'text'
      return typeof node.value === 'boolean' ? 'condition' : 'number'
    case 'chain':
    case 'sign':
      return 'number'
    default:
      return 'condition'
  }
}
