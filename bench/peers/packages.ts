import { fileURLToPath } from 'node:url'
import { Missing } from './peer.ts'

const directory = fileURLToPath(new URL('.', import.meta.url))

/**
 * A client of another broker, from the package of this folder, which nothing but this benchmark needs. The type is what we
 * use of it: its own would have to be installed for the sources to be checked.
 */
export async function load<T>(name: string): Promise<T> {
  try {
    const module = (await import(name)) as T & { default?: T }
    return { ...module.default, ...module }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Missing(`the npm package ${name}: npm install --prefix ${relative(directory)}`)
  }
}

function relative(path: string): string {
  const here = `${process.cwd()}/`
  return path.startsWith(here) ? path.slice(here.length) : path
}
