import { type Layers, matchesAny } from './layers.ts'
import type { Source, Violation } from './source.ts'

/** Rules about files taken together: files that do not exist, that nobody reaches, and circles. */
export function checkGraph(sources: readonly Source[], layers: Layers): Violation[] {
  const known = new Map(sources.map((source) => [source.path, source]))
  return [
    ...missingTargets(sources, known),
    ...deadFiles(sources, known, layers),
    ...deadExports(sources, layers),
    ...findCircles(sources, { types: false }).map((circle) => ({
      rule: 'circles',
      path: circle[0]!,
      line: 1,
      message: `imports itself through ${[...circle.slice(1), circle[0]].join(' → ')}`,
    })),
  ]
}

function missingTargets(sources: readonly Source[], known: ReadonlyMap<string, Source>): Violation[] {
  return sources.flatMap((source) =>
    source.imports
      .filter(({ target }) => target?.endsWith('.ts') && !known.has(target))
      .map(({ target, line }) => ({
        rule: 'graph',
        path: source.path,
        line,
        message: `'${target}' does not exist`,
      })),
  )
}

/** Published files must be reached from what is published; the others from a program or a test. */
function deadFiles(
  sources: readonly Source[],
  known: ReadonlyMap<string, Source>,
  layers: Layers,
): Violation[] {
  const published = reach(layers.entries, known)
  const programs = sources.map(({ path }) => path).filter((path) => matchesAny(path, layers.programs))
  const alive = reach([...layers.entries, ...programs], known)
  const dead = (path: string) => (path.startsWith('src/') ? !published.has(path) : !alive.has(path))
  return sources
    .filter(({ path }) => dead(path))
    .map(({ path }) => ({
      rule: 'dead-file',
      path,
      line: 1,
      message: `nothing reaches it from ${path.startsWith('src/') ? layers.entries.join(', ') : 'a program or a test'}`,
    }))
}

function reach(entries: readonly string[], known: ReadonlyMap<string, Source>): Set<string> {
  const reached = new Set<string>()
  const waiting = [...entries]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = known.get(path)
    if (!source || reached.has(path)) continue
    reached.add(path)
    for (const { target } of source.imports) if (target !== undefined) waiting.push(target)
  }
  return reached
}

/** Values that a file of src/ exports and no other file takes. Types may stand in the signature of what is taken. */
function deadExports(sources: readonly Source[], layers: Layers): Violation[] {
  const taken = new Map<string, Set<string>>()
  for (const { imports } of sources) {
    for (const { target, names } of imports) {
      if (target === undefined) continue
      const of = taken.get(target) ?? new Set()
      for (const name of names) of.add(name)
      taken.set(target, of)
    }
  }
  const isTaken = (path: string, name: string) => taken.get(path)?.has(name) || taken.get(path)?.has('*')
  return sources
    .filter(({ path }) => path.startsWith('src/') && !layers.entries.includes(path))
    .flatMap(({ path, exports }) =>
      exports
        .filter(({ name, typeOnly }) => !typeOnly && !isTaken(path, name))
        .map(({ name, line }) => ({
          rule: 'dead-export',
          path,
          line,
          message: `nobody imports '${name}'`,
        })),
    )
}

/** Circles of imports, each once, as paths. Imports of types are erased and make none unless asked for. */
export function findCircles(sources: readonly Source[], { types }: { types: boolean }): string[][] {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      source.imports
        .filter(({ typeOnly, asUrl }) => (types || !typeOnly) && !asUrl)
        .map(({ target }) => target),
    ]),
  )
  const circles: string[][] = []
  const finished = new Set<string>()
  const trail: string[] = []
  const follow = (path: string) => {
    const seenAt = trail.indexOf(path)
    if (seenAt >= 0) circles.push(trail.slice(seenAt))
    if (seenAt >= 0 || finished.has(path)) return
    trail.push(path)
    for (const target of edges.get(path) ?? []) if (target !== undefined) follow(target)
    trail.pop()
    finished.add(path)
  }
  for (const path of edges.keys()) follow(path)
  return circles
}
