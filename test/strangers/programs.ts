import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('./', import.meta.url))
const built = fileURLToPath(new URL('../../node_modules/.cache/strangers/', import.meta.url))

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly directory?: string
  /** What a check is called in a line of output, and how it went, where the program is not one of ours. */
  readonly pattern?: RegExp
}

/** By name: builds the program, if it needs that, and answers how to run its parts. Throws when something is missing. */
export const programs: Readonly<Record<string, () => Command[]>> = {
  rhea: () => [{ file: process.execPath, args: [join(here, 'rhea/main.ts')] }],
  proton: () => [{ file: pythonWithProton(), args: [join(here, 'proton/main.py')] }],
  go: () => [...goAmqpsOwn(), goProgram()],
  jms: () => [javaProgram()],
}

/** The one of the distribution may stand behind another that has no proton. */
function pythonWithProton(): string {
  for (const python of ['python3', '/usr/bin/python3'])
    if (spawnSync(python, ['-c', 'import proton'], { stdio: 'ignore' }).status === 0) return python
  throw new Error('no python3 here has proton; install python3-qpid-proton')
}

function run(directory: string, file: string, ...args: string[]): string {
  return execFileSync(file, args, {
    cwd: directory,
    encoding: 'utf8',
    // Go would look for a C compiler, and no client needs one.
    env: { ...process.env, CGO_ENABLED: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function folder(name: string): string {
  const path = join(built, name)
  mkdirSync(path, { recursive: true })
  return path
}

function goProgram(): Command {
  const program = join(folder('go'), 'strangers')
  run(join(here, 'go'), 'go', 'build', '-o', program, '.')
  return { file: program, args: [] }
}

/** The tests of the module that need a broker. */
function goAmqpsOwn(): Command[] {
  run(join(here, 'go'), 'go', 'mod', 'download')
  const directory = run(
    join(here, 'go'),
    'go',
    'list',
    '-m',
    '-f',
    '{{.Dir}}',
    'github.com/Azure/go-amqp',
  ).trim()
  const file = join(folder('go'), 'integration')
  run(directory, 'go', 'test', '-c', '-o', file, '.')
  const source = readFileSync(join(directory, 'integration_test.go'), 'utf8')
  const tests = [...source.matchAll(/^func (Test\w+)/gm)].map(([, name]) => name)
  const args = ['-test.v', '-test.timeout', '4m', '-test.run', `^(${tests.join('|')})$`]
  return [{ file, args, directory, pattern: /^--- (PASS|FAIL|SKIP): (\w+)/ }]
}

function javaProgram(): Command {
  const classes = folder('jms/classes')
  const libraries = folder('jms/lib')
  const directory = join(here, 'jms')
  const target = `-DoutputDirectory=${libraries}`
  run(directory, 'mvn', '--batch-mode', '--quiet', 'dependency:copy-dependencies', target)
  const classPath = `${libraries}/*`
  const sources = readdirSync(directory).filter((name) => name.endsWith('.java'))
  run(directory, 'javac', '-Xlint:all', '-Werror', '-cp', classPath, '-d', classes, ...sources)
  return { file: 'java', args: ['-Xmx256m', '-cp', `${classes}:${classPath}`, 'Strangers'] }
}
