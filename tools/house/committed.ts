import type { Violation } from './source.ts'

/** What a committed file must not tell: written with a bracket each, so that this file does not tell it either. */
const secrets: readonly { readonly pattern: RegExp; readonly message: string }[] = [
  { pattern: /(?<![\w.-])\/(?:hom[e]|User[s])\/\w/, message: 'names a home folder' },
  { pattern: /(?<![\w.-])\/(?:roo[t]|wor[k])\//, message: 'names a path of one machine' },
  { pattern: /[A-Z]:\\User[s]\\/, message: 'names a home folder' },
  {
    pattern: /https?:\/\/[\w.-]*(?:registr[y]|artifactor[y]|verdacci[o])/i,
    message: 'names a registry host',
  },
  {
    pattern: /^\s*"resolve[d]": "http/,
    message: 'names where a package came from; omit it from the lockfile',
  },
]

/** Paths of a machine and hosts of a registry have no place in a file that everybody gets. */
export function checkCommitted(path: string, text: string): Violation[] {
  return text
    .split('\n')
    .flatMap((line, index) =>
      secrets
        .filter(({ pattern }) => pattern.test(line))
        .map(({ message }) => ({ rule: 'committed', path, line: index + 1, message })),
    )
}
