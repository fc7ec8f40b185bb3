import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { built, type Command, run } from './command.ts'
import { javaProgram } from './java.ts'

const here = fileURLToPath(new URL('./', import.meta.url))

/** By name: builds the program, if it needs that, and answers how to run its parts. Throws when something is missing. */
export const programs: Readonly<Record<string, () => Command[]>> = {
  rhea: () => [{ file: process.execPath, args: [join(here, 'rhea/main.ts')] }],
  proton: () => [{ file: pythonWithProton(), args: [join(here, 'proton/main.py')] }],
  go: () => [...goAmqpsOwn(), goProgram()],
  jms: () => [javaProgram({ name: 'jms', directory: join(here, 'jms'), main: 'Strangers' })],
}

/** The one of the distribution may stand behind another that has no proton. */
function pythonWithProton(): string {
  for (const python of ['python3', '/usr/bin/python3'])
    if (spawnSync(python, ['-c', 'import proton'], { stdio: 'ignore' }).status === 0) return python
  throw new Error('no python3 here has proton; install python3-qpid-proton')
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
