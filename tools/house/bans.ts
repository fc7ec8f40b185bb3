import { type Bans, type Layers, matchesAny, roomOf } from './layers.ts'
import type { Source, Violation } from './source.ts'
import { type Node, nameOf, walk } from './syntax.ts'

/** Calls that have a better place, marks that were left over, and types that say nothing. */
export function checkBans(source: Source, layers: Layers): Violation[] {
  const violations: Violation[] = []
  const add = (line: number, message: string) =>
    violations.push({ rule: 'bans', path: source.path, line, message })
  const bans = bansFor(source.path, layers)
  const declared = declaredNames(source)
  walk(source.syntax.program, (node, ancestors) => {
    if (node.type === 'TSAnyKeyword')
      add(node.loc.start.line, "'any' says nothing; use 'unknown' or the real type")
    if (isSilentCatch(node)) add(node.loc.start.line, 'an empty catch needs a comment that says why')
    const name = reference(node, ancestors.at(-1))
    if (name === undefined || declared.has(name)) return
    const instead = Object.hasOwn(bans, name) ? bans[name] : undefined
    if (instead !== undefined) add(node.loc.start.line, `'${name}' is banned here; use ${instead}`)
  })
  for (const comment of source.syntax.comments) {
    const mark = /\b(TODO|FIXME|XXX|HACK)\b|@ts-(ignore|nocheck)/.exec(comment.value)
    if (mark) add(comment.line, `'${mark[0]}' was left in a comment; do it, or write it down as an issue`)
    if (comment.value.includes('@ts-expect-error') && !source.path.startsWith('test/'))
      add(comment.line, "'@ts-expect-error' is for tests of types; make the types fit")
  }
  return violations
}

function isSilentCatch(node: Node): boolean {
  if (node.type !== 'CatchClause') return false
  const body = node['body'] as Node
  return (body['body'] as Node[]).length === 0 && !body['innerComments']
}

function bansFor(path: string, layers: Layers): Bans {
  const room = layers.rooms[roomOf(path) ?? '']
  // The files that implement a port are where time and I/O come in.
  const file = path.split('/').slice(2).join('/')
  const pure = room?.pure && !Object.hasOwn(room.node ?? {}, file)
  return { ...(pure ? layers.bans.pure : {}), ...(matchesAny(path, layers.loud) ? {} : layers.bans.quiet) }
}

/** Names that the file itself declares or imports hide the globals of the same name. */
function declaredNames(source: Source): Set<string> {
  const names = new Set<string>()
  walk(source.syntax.program, (node, ancestors) => {
    const parent = ancestors.at(-1)
    if (node.type === 'Identifier' && parent && isDeclaration(node, parent, ancestors.at(-2)))
      names.add(nameOf(node)!)
  })
  return names
}

function isDeclaration(node: Node, parent: Node, grandparent: Node | undefined): boolean {
  if (parent.type.startsWith('Import')) return parent['local'] === node
  if (grandparent?.type === 'ObjectPattern') return parent['value'] === node
  if (parent['params'] && (parent['params'] as Node[]).includes(node)) return true
  return (
    ['VariableDeclarator', 'FunctionDeclaration', 'ClassDeclaration'].includes(parent.type) &&
    parent['id'] === node
  )
}

/** The name by which an expression reaches for a global: `name`, `object.name`, or `new Date()`. */
function reference(node: Node, parent: Node | undefined): string | undefined {
  if (node.type === 'NewExpression')
    return nameOf(node['callee']) === 'Date' && (node['arguments'] as Node[]).length === 0
      ? 'new Date()'
      : undefined
  if (node.type === 'MemberExpression' && !node['computed'])
    return `${nameOf(node['object'])}.${nameOf(node['property'])}`
  if (node.type !== 'Identifier' || !parent || isKey(node, parent)) return undefined
  return nameOf(node)
}

/** Names of properties and of things in types are not references to values. */
function isKey(node: Node, parent: Node): boolean {
  if (parent.type.startsWith('TS'))
    return !(parent.type.endsWith('Expression') && parent['expression'] === node)
  if (parent['computed']) return false
  return parent['property'] === node || parent['key'] === node
}
