import { readFileSync } from 'node:fs'

/** The same place relative to the sources and to what is published. */
export function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
