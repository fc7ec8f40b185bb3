import { canonical, directoryOf } from './data-directory.ts'

/** What a URL of an embedded broker names. */
export interface Whereabouts {
  /** Connections of a process to the same name share a broker. */
  readonly name: string
  /** Undefined: it is in memory. */
  readonly directory: string | undefined
}

let anonymous = 0

/** Each `memory:` is another one. Throws `url-invalid`. */
export function whereabouts(url: string): Whereabouts {
  const scheme = url.slice(0, url.indexOf(':')).toLowerCase()
  const rest = url.slice(scheme.length + 1)
  if (scheme === 'memory') {
    return { name: `memory:${rest === '' ? `#${++anonymous}` : rest}`, directory: undefined }
  }
  const directory = canonical(directoryOf(url))
  return { name: `file:${directory}`, directory }
}
