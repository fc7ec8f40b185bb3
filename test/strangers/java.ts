import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { built, type Command, run } from './command.ts'

export interface JavaSources {
  /** Of what is built of them. */
  readonly name: string
  /** Sources, perhaps properties, and the pom.xml that names what they are compiled against. */
  readonly directory: string
  /** Where other sources are that belong to the program, and then the pom.xml. */
  readonly shared?: string | undefined
  readonly main: string
}

/** Has Maven fetch what the program needs, compiles it, and answers how to run it. */
export function javaProgram({ name, directory, shared, main }: JavaSources): Command {
  const libraries = join(built, name, 'lib')
  const classes = join(built, name, 'classes')
  // What an older state of the sources left would hide that something is missing.
  for (const folder of [libraries, classes]) {
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
  }
  const target = `-DoutputDirectory=${libraries}`
  run(shared ?? directory, 'mvn', '--batch-mode', '--quiet', 'dependency:copy-dependencies', target)
  const folders = shared === undefined ? [directory] : [directory, shared]
  const sources = folders.flatMap((folder) => filesOf(folder, '.java'))
  const classPath = `${libraries}/*`
  run(directory, 'javac', '-Xlint:all', '-Werror', '-cp', classPath, '-d', classes, ...sources)
  for (const file of filesOf(directory, '.properties'))
    cpSync(file, join(classes, file.slice(directory.length)))
  return { file: 'java', args: ['-Xmx256m', '-cp', `${classes}:${classPath}`, main] }
}

function filesOf(folder: string, extension: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(extension))
    .map((name) => join(folder, name))
}
