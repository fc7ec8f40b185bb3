import type { Violation } from './source.ts'

export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>
}

interface LockedPackage {
  readonly resolved?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/**
 * A lockfile for everybody: it names no place where packages came from, and it holds the binaries of all platforms.
 * `npm ci` refuses a lockfile that lacks one, and `npm install` leaves out those that the registry in use does not have.
 */
export function checkLockfile({ packages }: Lockfile): Violation[] {
  const violations: Violation[] = []
  const add = (message: string) =>
    violations.push({ rule: 'lockfile', path: 'package-lock.json', line: 1, message })
  for (const [path, { resolved, optionalDependencies }] of Object.entries(packages)) {
    if (resolved?.startsWith('http'))
      add(`${path} has a 'resolved' field; npm config omit-lockfile-registry-resolved`)
    for (const name of Object.keys(optionalDependencies ?? {})) {
      const found = [`${path}/node_modules/${name}`, `node_modules/${name}`].some((place) => packages[place])
      if (!found) add(`'${name}' of ${path} has no entry; add one with its version, os, cpu and libc`)
    }
  }
  return violations
}
