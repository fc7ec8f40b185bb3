import { isNode, type Node, nameOf, type Syntax, walk } from './syntax.ts'

export interface FunctionSize {
  /** Empty for a function that is written where it is used. */
  readonly name: string
  readonly line: number
  /** Lines from first to last; the cases that it registers with a test runner are counted by themselves. */
  readonly lines: number
}

const functionTypes = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'ClassPrivateMethod',
  'ObjectMethod',
])
/** Functions of node:test that take a case, and `contract` of our own contract suites. */
const registrars = new Set([
  'test',
  'it',
  'describe',
  'suite',
  'before',
  'after',
  'beforeEach',
  'afterEach',
  'contract',
])

export function functionSizes(syntax: Syntax): FunctionSize[] {
  const sizes: FunctionSize[] = []
  walk(syntax.program, (node, ancestors) => {
    if (!functionTypes.has(node.type)) return
    const lines = span(node) - registeredLines(node)
    sizes.push({ name: functionName(node, ancestors.at(-1)), line: node.loc.start.line, lines })
  })
  return sizes
}

function span(node: Node): number {
  return node.loc.end.line - node.loc.start.line + 1
}

/** Lines of the outermost test cases inside `outer`. */
function registeredLines(outer: Node): number {
  let lines = 0
  const cases: Node[] = []
  walk(outer, (node, ancestors) => {
    if (node === outer || !isRegistration(node)) return
    if (cases.some((known) => ancestors.includes(known))) return
    cases.push(node)
    lines += span(node)
  })
  return lines
}

/** `test(…)`, `test.skip(…)` and `t.test(…)`; not `clock.after(…)`. */
function isRegistration(node: Node): boolean {
  if (node.type !== 'CallExpression') return false
  const callee = node['callee'] as Node
  if (callee.type !== 'MemberExpression') return registrars.has(nameOf(callee) ?? '')
  const object = nameOf(callee['object']) ?? ''
  return registrars.has(object) || (object === 't' && registrars.has(nameOf(callee['property']) ?? ''))
}

function functionName(node: Node, parent: Node | undefined): string {
  const own = nameOf(node['id'] ?? node['key'])
  if (own !== undefined) return own
  if (parent && ['VariableDeclarator', 'ClassProperty', 'ObjectProperty'].includes(parent.type)) {
    const value = parent['init'] ?? parent['value']
    if (isNode(value) && value === node) return nameOf(parent['id'] ?? parent['key']) ?? ''
  }
  return ''
}
