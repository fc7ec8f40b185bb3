import { parse } from '@babel/parser'

/** A node of the syntax tree, reduced to what the house rules look at. */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly loc: { readonly start: { readonly line: number }; readonly end: { readonly line: number } }
  readonly [key: string]: unknown
}

export interface Comment {
  readonly value: string
  readonly line: number
}

export interface Syntax {
  readonly program: Node
  readonly comments: readonly Comment[]
}

/** Parses erasable TypeScript. Throws a SyntaxError that names the file. */
export function parseTypeScript(path: string, text: string): Syntax {
  const file = parse(text, {
    sourceFilename: path,
    sourceType: 'module',
    createImportExpressions: true,
    plugins: ['typescript', 'explicitResourceManagement'],
  })
  return {
    program: file.program as unknown as Node,
    comments: (file.comments ?? []).map(({ value, loc }) => ({ value, line: loc?.start.line ?? 0 })),
  }
}

const notSyntax = new Set(['loc', 'leadingComments', 'trailingComments', 'innerComments', 'extra'])

/** Visits every node in source order with its ancestors, nearest last. */
export function walk(
  node: Node,
  visit: (node: Node, ancestors: readonly Node[]) => void,
  ancestors: Node[] = [],
): void {
  visit(node, ancestors)
  ancestors.push(node)
  for (const key in node) {
    if (notSyntax.has(key)) continue
    const child = node[key]
    if (Array.isArray(child)) {
      for (const item of child) if (isNode(item)) walk(item, visit, ancestors)
    } else if (isNode(child)) {
      walk(child, visit, ancestors)
    }
  }
  ancestors.pop()
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'
}

/** The text of an identifier or string literal; undefined for anything else. */
export function nameOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined
  if (node.type === 'Identifier') return node['name'] as string
  if (node.type === 'StringLiteral') return node['value'] as string
  if (node.type === 'PrivateName') return `#${nameOf(node['id'])}`
  return undefined
}
