import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Where what is built is kept. */
export const built: string = fileURLToPath(new URL('../../node_modules/.cache/strangers/', import.meta.url))

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly directory?: string
  /** What a check is called in a line of output, and how it went, where the program is not one of ours. */
  readonly pattern?: RegExp
}

/** Answers what the program prints; throws when it fails. */
export function run(directory: string, file: string, ...args: string[]): string {
  return execFileSync(file, args, {
    cwd: directory,
    encoding: 'utf8',
    // Go would look for a C compiler, and no client needs one.
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}
