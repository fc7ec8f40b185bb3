import { readFileSync } from 'node:fs'
import { matchesGlob } from 'node:path'

/** tools/layers.json: the house as data. */
export interface Layers {
  /** What the package publishes, and what people and scripts run: everything else must be reached from one of them. */
  readonly entries: readonly string[]
  readonly programs: readonly string[]
  readonly rooms: Readonly<Record<string, Room>>
  /** Name of a banned global or member, and what to use instead. */
  readonly bans: { readonly pure: Bans; readonly quiet: Bans }
  /** Where console is the way to talk. */
  readonly loud: readonly string[]
  readonly limits: { readonly fileLines: number; readonly functionLines: number }
}

export type Bans = Readonly<Record<string, string>>

export interface Room {
  /** Rooms, or folders of rooms, that it may import; '*' for all. */
  readonly imports: readonly string[]
  /** Time, randomness and I/O only through ports. */
  readonly pure?: boolean
  /** In a pure room: built-in modules that a file, or every file ('*'), may import all the same. */
  readonly node?: Readonly<Record<string, readonly string[]>>
}

export function readLayers(): Layers {
  return JSON.parse(readFileSync(new URL('../layers.json', import.meta.url), 'utf8'))
}

/** The room of a file under src/: its first folder, or its name when it lies directly there. */
export function roomOf(path: string): string | undefined {
  return path.startsWith('src/') ? path.split('/')[1] : undefined
}

/** Whether a path is one of the folders (with a closing '/') or matches one of the globs. */
export function matchesAny(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('/') ? path.startsWith(pattern) : matchesGlob(path, pattern),
  )
}
