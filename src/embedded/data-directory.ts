import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MillraceError } from '../model/errors.ts'
import { makeDirectory } from '../storage/make-directory.ts'

/**
 * The directory that a `file:` URL names: `file:DIR` relative to the working directory or absolute, or `file:///DIR` with
 * percent-encoding. Throws `url-invalid`.
 */
export function directoryOf(url: string): string {
  const path = url.slice('file:'.length)
  if (path === '')
    throw new MillraceError('url-invalid', 'file: names no directory; write for example file:./data')
  if (!path.startsWith('//')) return resolve(path)
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw new MillraceError('url-invalid', `${url} names no directory of this machine`, { cause })
  }
}

/** One name for a directory, however it is reached; it is created, because what does not exist has no such name. */
export function canonical(directory: string): string {
  try {
    makeDirectory(directory)
    return realpathSync(directory)
  } catch {
    // Locking it will say what is wrong with it.
    return directory
  }
}
