/**
 * `npm test`: all tests, or the files given. Most of their time is starting a process and compiling the same sources, so the
 * files of a folder whose tests need no process of their own share one, and two run at once.
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Their tests can share a process: they leave nothing behind in it. Those that take longest come first. */
const together: readonly string[] = [
  'cli',
  'server',
  'patterns',
  'client-amqp',
  'client',
  'engine',
  'storage',
  'gateway',
  'wire',
  'house',
  'model',
  'testing',
].map((name) => `test/${name}`)
const AT_ONCE = 2
const PATIENCE = 300_000

const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache') }

interface Job {
  readonly files: readonly string[]
  readonly options: readonly string[]
}

const given = process.argv.slice(2)
const files = globSync(given.length > 0 ? given : ['test/**/*.test.ts']).sort()
const jobs = plan(files)
const counts = { tests: 0, pass: 0, fail: 0, skipped: 0 }
let failed = files.length === 0
const began = performance.now()

await Promise.all(Array.from({ length: AT_ONCE }, work))
const seconds = ((performance.now() - began) / 1000).toFixed(0)
console.log(
  `\n${counts.tests} tests: ${counts.pass} passed, ${counts.skipped} skipped, ${counts.fail} failed, after ${seconds} s`,
)
process.exitCode = failed ? 1 : 0

/** The long ones first, so that both hands are busy to the end. */
function plan(all: readonly string[]): Job[] {
  const shared = together
    .map((folder) => all.filter((file) => dirname(file) === folder))
    .filter((group) => group.length > 0)
    .map((group) => ({ files: group, options: ['--test-isolation=none'] }))
  const alone = all
    .filter((file) => !together.includes(dirname(file)))
    .map((file) => ({ files: [file], options: [] }))
  const simulated = alone.filter(({ files: [file] }) => file!.startsWith('test/simulation/'))
  return [...simulated, ...shared, ...alone.filter((job) => !simulated.includes(job))]
}

async function work(): Promise<void> {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await run(job)
}

/** What it prints is shown in one piece when it has ended. */
function run({ files: group, options }: Job): Promise<void> {
  const args = ['--test', `--test-timeout=${PATIENCE}`, '--test-reporter=spec', ...options, ...group]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => output.push(bytes))
  return new Promise((resolve) => {
    child.on('close', (status) => {
      const text = Buffer.concat(output).toString()
      if (status !== 0) failed = true
      for (const [, name, count] of text.matchAll(/^ℹ (tests|pass|fail|skipped) (\d+)$/gm))
        counts[name as keyof typeof counts] += Number(count)
      process.stdout.write(
        text.replace(/^ℹ (?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gm, ''),
      )
      resolve()
    })
  })
}
