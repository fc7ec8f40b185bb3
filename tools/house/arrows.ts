import { isBuiltin } from 'node:module'
import { type Layers, type Room, roomOf } from './layers.ts'
import type { Import } from './modules.ts'
import type { Source, Violation } from './source.ts'

/** Which room imports which, and which modules from outside. `packages` are the dependencies that users install. */
export function checkArrows(source: Source, layers: Layers, packages: ReadonlySet<string>): Violation[] {
  const name = roomOf(source.path)
  if (name === undefined) return []
  const room = layers.rooms[name]
  if (!room) return [violation(source, 1, `room '${name}' is not in tools/layers.json`)]
  const messages = source.imports.map((found) => ({
    found,
    message: objection(source.path, room, found, packages),
  }))
  return messages.flatMap(({ found, message }) => (message ? [violation(source, found.line, message)] : []))
}

function violation(source: Source, line: number, message: string): Violation {
  return { rule: 'arrows', path: source.path, line, message }
}

function objection(
  path: string,
  room: Room,
  found: Import,
  packages: ReadonlySet<string>,
): string | undefined {
  const { specifier, target } = found
  if (target !== undefined) return inside(path, room, target)
  if (isBuiltin(specifier)) {
    if (!specifier.startsWith('node:')) return `import 'node:${specifier}' instead of '${specifier}'`
    return room.pure && !allowsModule(path, room, specifier) ? `'${specifier}' only behind a port` : undefined
  }
  if (packages.has(packageOf(specifier))) return undefined
  return `'${specifier}' is not a dependency that users of the package have`
}

function inside(path: string, room: Room, target: string): string | undefined {
  const name = roomOf(path)
  if (!target.startsWith('src/')) return `src must not import '${target}' from outside src`
  if (roomOf(target) === name || room.imports.includes('*')) return undefined
  const below = target.slice('src/'.length)
  if (room.imports.some((allowed) => below === allowed || below.startsWith(`${allowed}/`))) return undefined
  const may = room.imports.length > 0 ? room.imports.join(', ') : 'no other room'
  return `'${name}' must not import '${target}'; it may import ${may}`
}

function allowsModule(path: string, room: Room, specifier: string): boolean {
  const file = path.split('/').slice(2).join('/')
  const allowed = [...(room.node?.['*'] ?? []), ...(room.node?.[file] ?? [])]
  return allowed.includes('*') || allowed.includes(specifier)
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}
