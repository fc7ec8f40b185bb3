/**
 * JMS conformance of `millrace serve` with Qpid JMS: npm run test:jms [-- TEST…]. First our own checks of JMS 2.0, with the
 * client of jakarta.jms, then the Joram tests, which are of JMS 1.1, with that of javax.jms. Needs a JDK and Maven. Each
 * program has its line of sums; the last line is that of the Joram tests, `N passed, M failed`.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { javaProgram } from '../strangers/java.ts'
import type { Result } from '../strangers/results.ts'
import { Run } from '../strangers/run.ts'

/** As many as the suite has: were one not found any more, nobody would miss it. */
const JORAM_TESTS = 196

const asked = process.argv.slice(2)
const all = asked.length === 0
// Joram's are called Class.test.
const [joram, own] = [asked.filter((name) => name.includes('.')), asked.filter((name) => !name.includes('.'))]

requireTools()
const run = await Run.start(console.log)
if (all || own.length > 0) await runOwn()
if (all || joram.length > 0) await runJoram()
await run.stop()
for (const { program, check, reason } of run.failures) console.log(`FAILED ${program}: ${check}: ${reason}`)
console.log(`JMS 2.0: ${sumOf('jms2')}`)
console.log(sumOf('joram'))
process.exit(run.failures.length === 0 ? 0 : 1)

function requireTools(): void {
  const packages = { java: 'default-jdk-headless', javac: 'default-jdk-headless', mvn: 'maven' }
  const missing = Object.entries(packages).filter(
    ([command]) => spawnSync(command, ['-version'], { stdio: 'ignore' }).error,
  )
  if (missing.length === 0) return
  for (const [command, name] of missing)
    console.error(`npm run test:jms needs ${command}, which is not here (Debian has it in ${name})`)
  process.exit(1)
}

async function runOwn(): Promise<void> {
  const [directory, shared] = [folder('./jms2/'), folder('../strangers/jms/')]
  await run.program('jms2', () => [javaProgram({ name: 'jms2', directory, shared, main: 'Jms2' })], own)
}

async function runJoram(): Promise<void> {
  const directory = folder('./joram/')
  await run.program('joram', () => [javaProgram({ name: 'joram', directory, main: 'Joram' })], joram)
  const ran = resultsOf('joram').length
  if (all && ran !== JORAM_TESTS)
    run.failed('joram', 'the whole suite', `${ran} of its ${JORAM_TESTS} tests were run`)
}

function folder(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url))
}

function resultsOf(program: string): readonly Result[] {
  return run.results.filter((result) => result.program === program)
}

function sumOf(program: string): string {
  const results = resultsOf(program)
  const passed = results.filter(({ verdict }) => verdict === 'ok').length
  return `${passed} passed, ${results.length - passed} failed`
}
