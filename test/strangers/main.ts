/**
 * Other people's clients against `millrace serve`: npm run test:strangers [-- --only rhea,proton,go,jms] [CHECK…].
 *
 * Every program finds the broker in its environment: BROKER_HOST, BROKER_PORT, BROKER_TLS_PORT, BROKER_CA (a file),
 * BROKER_USER and BROKER_PASSWORD (may do everything), BROKER_LIMITED_USER and BROKER_LIMITED_PASSWORD (public.# only).
 * It prints a line per check, `ok NAME`, `FAIL NAME: reason` or `skip NAME: reason`, and exits with 1 if one failed.
 * When it prints `restart`, the broker is killed with -9 and started again on the same ports; then `restarted` comes on
 * its standard input. Programs that are not ours get the broker in AMQP_BROKER_ADDR.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Broker } from './broker.ts'
import { type Command, programs } from './programs.ts'
import { parseLine, type Result, table } from './results.ts'

const PROGRAM_MS = 300_000

const { values, positionals } = parseArgs({
  options: { only: { type: 'string' } },
  allowPositionals: true,
})
const asked = values.only?.split(',') ?? Object.keys(programs)
const unknown = asked.find((name) => !Object.hasOwn(programs, name))
if (unknown !== undefined)
  throw new Error(`--only takes some of ${Object.keys(programs).join(',')}, not ${unknown}`)

const folder = mkdtempSync(join(tmpdir(), 'millrace-strangers-'))

// Nothing that was started outlives this.
const children = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  broker?.kill()
  rmSync(folder, { recursive: true, force: true })
})
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code))

const results: Result[] = []
let broker: Broker | undefined

function failed(program: string, check: string, reason: string): void {
  results.push({ program, check, verdict: 'FAIL', reason })
}

function launch(command: Command, broker: Broker): ChildProcess {
  const { environment } = broker
  const { BROKER_HOST, BROKER_PORT, BROKER_USER, BROKER_PASSWORD } = environment
  const login = `${BROKER_USER}:${encodeURIComponent(BROKER_PASSWORD!)}`
  return spawn(command.file, [...command.args, ...(command.pattern ? [] : positionals)], {
    cwd: command.directory ?? folder,
    env: {
      ...process.env,
      ...environment,
      AMQP_BROKER_ADDR: `amqp://${login}@${BROKER_HOST}:${BROKER_PORT}`,
    },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}

/** Reads what the program says until it has ended. */
async function drive(name: string, command: Command, broker: Broker): Promise<void> {
  const child = launch(command, broker)
  children.add(child)
  // A program that has ended reads nothing more.
  child.stdin!.on('error', () => {})
  const late = setTimeout(() => child.kill('SIGKILL'), PROGRAM_MS)
  const ended = once(child, 'exit')
  const before = results.length
  for await (const line of createInterface({ input: child.stdout! })) {
    const result = parseLine(name, line, command.pattern)
    if (result) results.push(result)
    if (!command.pattern || result?.verdict !== 'ok') console.log(`${name}: ${line}`)
    if (line !== 'restart') continue
    await broker.restart()
    child.stdin!.write('restarted\n')
  }
  const [code, signal] = await ended
  clearTimeout(late)
  children.delete(child)
  const own = results.slice(before)
  if (own.length === 0) failed(name, 'the program', 'said nothing')
  if (code !== 0 && !own.some(({ verdict }) => verdict === 'FAIL'))
    failed(name, 'the program', `ended with ${signal ?? code}`)
}

async function runAll(broker: Broker): Promise<void> {
  for (const name of asked)
    try {
      for (const command of programs[name]!()) await drive(name, command, broker)
    } catch (error) {
      failed(name, 'the program', (error as Error).message.replaceAll('\n', ' '))
    }
}

broker = await Broker.start(folder)
await runAll(broker)
const problem = await broker.stop()
if (problem) failed('broker', 'a good end', problem)
console.log(`\n${table(results)}`)
const passed = results.length > 0 && results.every(({ verdict }) => verdict !== 'FAIL')
if (!passed)
  console.log(`\nThe log of the broker ends with:\n${readFileSync(broker.log, 'utf8').slice(-4000)}`)
process.exit(passed ? 0 : 1)
