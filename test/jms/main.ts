/**
 * The Joram tests of JMS conformance with Qpid JMS against `millrace serve`: npm run test:jms [-- TEST…].
 * Needs a JDK and Maven. The last line is `N passed, M failed`.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { javaProgram } from '../strangers/java.ts'
import type { Result } from '../strangers/results.ts'
import { Run } from '../strangers/run.ts'

/** As many as the suite has: were one not found any more, nobody would miss it. */
const JORAM_TESTS = 196

const asked = process.argv.slice(2)

requireTools()
const run = await Run.start(console.log)
await runJoram()
await run.stop()
const joram = run.results.filter(({ program }) => program === 'joram')
for (const { program, check, reason } of run.failures) console.log(`FAILED ${program}: ${check}: ${reason}`)
console.log(sumOf(joram))
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

async function runJoram(): Promise<void> {
  const directory = fileURLToPath(new URL('./joram/', import.meta.url))
  await run.program('joram', () => [javaProgram({ name: 'joram', directory, main: 'Joram' })], asked)
  const ran = run.results.length
  if (asked.length === 0 && ran !== JORAM_TESTS)
    run.failed('joram', 'the whole suite', `${ran} of its ${JORAM_TESTS} tests were run`)
}

function sumOf(results: readonly Result[]): string {
  const passed = results.filter(({ verdict }) => verdict === 'ok').length
  return `${passed} passed, ${results.length - passed} failed`
}
