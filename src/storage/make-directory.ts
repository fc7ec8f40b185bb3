import * as fs from 'node:fs'
import * as path from 'node:path'

/**
 * Creates a directory with those above it that are missing, for its owner only. Node's own recursive mkdir goes round for
 * ever where a file system answers ENOENT for a parent that exists, as /proc does. Throws what the file system says.
 */
export function makeDirectory(directory: string): void {
  try {
    makeOne(directory)
  } catch (error) {
    const parent = path.dirname(directory)
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory || fs.existsSync(parent))
      throw error
    makeDirectory(parent)
    makeOne(directory)
  }
}

function makeOne(directory: string): void {
  try {
    fs.mkdirSync(directory, { mode: 0o700 })
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST'
    if (!exists || !fs.statSync(directory).isDirectory()) throw error
  }
}
