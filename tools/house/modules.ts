import { posix } from 'node:path'
import { isNode, type Node, nameOf, type Syntax, walk } from './syntax.ts'

export interface Import {
  readonly specifier: string
  /** Path from the repository's root, for relative specifiers. */
  readonly target: string | undefined
  readonly line: number
  /** Erased when the program runs. */
  readonly typeOnly: boolean
  /** Named by `new URL(…)`, as the program of a worker or child process. */
  readonly asUrl: boolean
  /** Names taken; '*' for all. */
  readonly names: readonly string[]
}

export interface Export {
  readonly name: string
  readonly line: number
  readonly typeOnly: boolean
}

/** Static and dynamic imports, re-exports, import types, and files named by URL. */
export function findImports(path: string, syntax: Syntax): Import[] {
  const imports: Import[] = []
  walk(syntax.program, (node) => {
    const found = importOf(node)
    if (!found) return
    const relative = found.specifier.startsWith('.')
    if (found.asUrl && !/^\.{1,2}\/.*\.ts$/.test(found.specifier)) return
    const target = relative ? posix.normalize(posix.join(posix.dirname(path), found.specifier)) : undefined
    imports.push({ ...found, target, line: node.loc.start.line })
  })
  return imports
}

type FoundImport = Pick<Import, 'specifier' | 'typeOnly' | 'asUrl' | 'names'>

function importOf(node: Node): FoundImport | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return declared(node)
    case 'ImportExpression':
      return whole(node['source'], false, false)
    case 'TSImportType':
      return whole(node['argument'], true, false)
    case 'NewExpression':
      if (nameOf(node['callee']) !== 'URL') return undefined
      return whole((node['arguments'] as Node[])[0], false, true)
    default:
      return undefined
  }
}

function declared(node: Node): FoundImport | undefined {
  const specifier = nameOf(node['source'])
  if (specifier === undefined) return undefined
  const specifiers = (node['specifiers'] ?? []) as Node[]
  const kinds = [node['importKind'], node['exportKind']]
  const eachIsType = specifiers.length > 0 && specifiers.every((s) => s['importKind'] === 'type')
  return {
    specifier,
    typeOnly: kinds.includes('type') || eachIsType,
    asUrl: false,
    names: node.type === 'ExportAllDeclaration' ? ['*'] : specifiers.map(takenName),
  }
}

/** What a specifier takes from the other module, whatever it is called here. */
function takenName(specifier: Node): string {
  if (specifier.type === 'ImportDefaultSpecifier') return 'default'
  if (specifier.type === 'ExportSpecifier') return nameOf(specifier['local']) ?? '*'
  return nameOf(specifier['imported']) ?? '*'
}

function whole(argument: unknown, typeOnly: boolean, asUrl: boolean): FoundImport | undefined {
  const specifier = isNode(argument) && argument.type === 'StringLiteral' ? nameOf(argument) : undefined
  return specifier === undefined ? undefined : { specifier, typeOnly, asUrl, names: ['*'] }
}

const typeDeclarations = new Set(['TSInterfaceDeclaration', 'TSTypeAliasDeclaration'])

/** What the file itself declares and exports; re-exports of other files are imports. */
export function findExports(syntax: Syntax): Export[] {
  const exports: Export[] = []
  const add = (name: string | undefined, node: Node, typeOnly: boolean) => {
    if (name !== undefined) exports.push({ name, line: node.loc.start.line, typeOnly })
  }
  for (const node of syntax.program['body'] as Node[]) {
    if (node.type === 'ExportDefaultDeclaration') add('default', node, false)
    if (node.type !== 'ExportNamedDeclaration' || node['source']) continue
    for (const specifier of node['specifiers'] as Node[]) add(nameOf(specifier['exported']), node, false)
    const declaration = node['declaration']
    if (!isNode(declaration)) continue
    const typeOnly = typeDeclarations.has(declaration.type)
    const declarators = (declaration['declarations'] as Node[] | undefined) ?? [declaration]
    for (const declarator of declarators) add(nameOf(declarator['id']), node, typeOnly)
  }
  return exports
}
