/**
 * A process sends a file of orders through a durable queue and is killed on the way; started again it carries on. Another
 * process takes the orders out. Nothing that was confirmed may be missing or doubled, and the order is that of the file.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Report, Scenario, Stage } from '../support/scenario.ts'
import { type Order, parseOrder, readLines } from './order.ts'

const file = fileURLToPath(new URL('./orders.csv', import.meta.url))
const lines = readLines(file)

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

function start(program: URL, ...args: string[]): Run {
  const child = spawn(process.execPath, [fileURLToPath(program), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pieces: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal }))
  })
  return { child, ended, output: () => Buffer.concat(pieces).toString() }
}

function confirmedLines(logFile: string): number[] {
  return existsSync(logFile) ? readFileSync(logFile, 'utf8').split('\n').filter(Boolean).map(Number) : []
}

async function killAfter(line: number, run: Run, logFile: string): Promise<void> {
  const ended = run.ended.then(() => true)
  // Numbers have up to five bytes with their line end; reading the whole log each time would slow the producer down.
  while (!existsSync(logFile) || statSync(logFile).size < 5 * line) {
    if (await Promise.race([ended, pause(2, false)])) break
  }
  run.child.kill('SIGKILL')
  const { signal } = await run.ended
  if (signal !== 'SIGKILL') throw new Error('the producer had ended before it was killed; try again')
}

async function succeed(name: string, run: Run): Promise<string> {
  const { code, signal } = await run.ended
  if (code !== 0) throw new Error(`the ${name} ended with ${signal ?? code}`)
  return run.output()
}

/** What is wrong with what arrived, in words. */
function findViolations(arrived: readonly string[], confirmed: readonly number[]): string[] {
  const times = new Map<string, number>()
  for (const line of arrived) times.set(line, (times.get(line) ?? 0) + 1)
  const missing = confirmed.filter((number) => !times.has(lines[number - 1]!))
  const doubled = [...times.values()].filter((count) => count > 1).length
  const strange = [...times.keys()].filter((line) => !lines.includes(line)).length
  const inOrder = arrived.every((line, index) => index === 0 || arrived[index - 1]! < line)
  return [
    missing.length > 0 ? `${missing.length} confirmed lines are missing, the first is ${missing[0]}` : '',
    doubled > 0 ? `${doubled} lines arrived more than once` : '',
    strange > 0 ? `${strange} lines arrived that are not in the file` : '',
    inOrder ? '' : 'the order is not that of the file',
    confirmed.length === lines.length ? '' : 'not every line was confirmed in the end',
  ].filter(Boolean)
}

function digest(texts: readonly string[]): string {
  const hash = createHash('sha256')
  for (const text of texts) hash.update(`${text}\n`)
  return hash.digest('hex').slice(0, 16)
}

function describe({ order, customer, city, item, quantity }: Order): string {
  return `${order}  ${quantity} × ${item}, ${customer}, ${city}`
}

function describeArrivals(arrived: readonly string[]): string[] {
  const all = arrived.map(parseOrder)
  const worth = all.reduce((sum, { cents }) => sum + cents, 0) / 100
  const amount = worth.toLocaleString('en', { minimumFractionDigits: 2 })
  return [
    `   ${all.length} orders arrived, worth € ${amount}:`,
    ...all.slice(0, 2).map((order) => `     ${describe(order)}`),
    ...(all.length > 3 ? ['     …'] : []),
    ...all
      .slice(2)
      .slice(-1)
      .map((order) => `     ${describe(order)}`),
    `   SHA-256 of the file's lines   ${digest(lines)}…`,
    `   SHA-256 of what arrived       ${digest(arrived)}…`,
  ]
}

/** Lines that were stored when the producer was killed, and that it had not noted. */
function doubt(lines: number): string {
  if (lines === 0) return ' None was in doubt.'
  return `\n   The ${lines} in doubt were sent again, and stored once.`
}

export const scenario: Scenario = {
  title: `${lines.length} orders through a durable queue, with a kill -9 on the way`,
  run,
}

async function run({ folder, view }: Stage): Promise<Report> {
  const url = `file:${join(folder, 'data')}`
  const logFile = join(folder, 'confirmed.log')
  const startProducer = (): Run => start(new URL('./producer.ts', import.meta.url), url, file, logFile)

  const victim = startProducer()
  view.note(`1. Process ${victim.child.pid} sends orders.csv and notes each line once it is confirmed.`)
  await killAfter(Math.floor(lines.length * (0.3 + 0.4 * Math.random())), victim, logFile)
  const noted = confirmedLines(logFile).length
  view.note(`   Killed with SIGKILL after it had noted line ${noted}.\n`)

  const successor = startProducer()
  view.note(`2. Process ${successor.child.pid} is started in its place.`)
  const { noted: before, stored } = JSON.parse(await succeed('producer', successor))
  view.note(
    `   It carried on after line ${before}; the broker had ${stored} lines on disk.${doubt(stored - before)}`,
  )
  view.note(`   All ${lines.length} lines are confirmed.\n`)

  const consumer = start(new URL('./consumer.ts', import.meta.url), url)
  view.note(`3. Process ${consumer.child.pid} takes the orders out of the queue.`)
  const arrived = (await succeed('consumer', consumer)).split('\n').filter(Boolean)
  for (const line of describeArrivals(arrived)) view.note(line)

  const violations = findViolations(arrived, confirmedLines(logFile))
  const ok = violations.length === 0
  return {
    ok,
    figures: { orders: lines.length, arrived: arrived.length, inDoubt: stored - before, violations },
    summary: ok ? praise : violations,
  }
}

const praise = [
  'Nothing confirmed is missing, nothing is doubled, and the order is that of the file.',
  '',
  'Now with messages of your own:',
  "  npm run -s millrace -- send hello 'first message' 'second message'",
  '  npm run -s millrace -- receive hello',
  'The five lines that do it in a program are in README.md; npm test runs the proofs.',
]
