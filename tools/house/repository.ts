import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { readSource, type Source } from './source.ts'

export const root: string = fileURLToPath(new URL('../../', import.meta.url))

export function readText(path: string): string {
  return readFileSync(`${root}${path}`, 'utf8')
}

export function listFiles(pattern: string): string[] {
  return globSync(pattern, { cwd: root })
    .map((path) => path.replaceAll('\\', '/'))
    .sort()
}

/** Every TypeScript file of the repository, parsed; fixtures are programs of their own. */
export function readSources(): Source[] {
  return listFiles('{src,test,bench,tools,examples}/**/*.ts')
    .filter((path) => !path.includes('/fixtures/') && !path.includes('/node_modules/'))
    .map((path) => readSource(path, readText(path)))
}

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

export function readManifest(): Manifest {
  return JSON.parse(readText('package.json'))
}

/** Packages that somebody who installs millrace has, or is told to install. */
export function publishedPackages({ dependencies, peerDependencies }: Manifest): Set<string> {
  return new Set(Object.keys({ ...dependencies, ...peerDependencies }))
}
