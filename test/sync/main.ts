/**
 * No confirm overtakes its sync: a child is watched by strace, which delays or fails its fdatasync, and every answer that it
 * gives is held against the system calls before it: npm run test:sync. Needs strace.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkOrder, type Verdict } from './order.ts'
import { type Call, parseTrace } from './trace.ts'

const program = fileURLToPath(new URL('./child.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-sync-'))
const violations: string[] = []
const DELAY_MICROSECONDS = 20_000

/** strace counts calls per thread: with one thread for files, the N-th sync is the N-th of the process. */
const env = {
  ...process.env,
  UV_THREADPOOL_SIZE: '1',
  UV_USE_IO_URING: '0',
  NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
}

/** Runs a program; answers what it wrote. Rejects when it cannot be started or does not end with 0. */
function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    const pieces: Buffer[] = []
    child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve(Buffer.concat(pieces).toString())
      else reject(new Error(`${command} ended with ${signal ?? code}`))
    })
  })
}

async function assertStrace(): Promise<void> {
  try {
    await run('strace', ['-V'])
  } catch (cause) {
    throw new Error('strace is not to be run here; install it, on Debian: apt-get install strace', { cause })
  }
}

/** The calls of a child that sends into a directory, with `injection` done to its fdatasync. */
async function watch(directory: string, injection: string): Promise<Call[]> {
  // The reserve is made now, so that all syncs that are watched are of the journal.
  await run(process.execPath, [program, directory, 'look'])
  const output = join(folder, 'trace')
  const traced = 'fdatasync,fsync,openat,write,writev,pwritev,pwritev2,pwrite64'
  const inject = `inject=fdatasync:${injection}`
  const options = [
    '-f',
    '-y',
    '-ttt',
    '-T',
    '-s',
    '1048576',
    '-o',
    output,
    '-e',
    `trace=${traced}`,
    '-e',
    inject,
  ]
  await run('strace', [...options, process.execPath, program, directory, 'send'])
  return parseTrace(readFileSync(output, 'latin1'))
}

/** What a later process finds must hold what was answered and not acknowledged. Answers how many there were. */
async function checkKept(directory: string, { confirmed, written, accepting }: Verdict): Promise<number> {
  const lines = (await run(process.execPath, [program, directory, 'look'])).split('\n')
  const found = new Set(
    lines.filter((line) => line.startsWith('found ')).map((line) => Number(line.slice(6))),
  )
  for (const number of [...confirmed, ...written]) {
    if (!accepting.has(number) && !found.has(number)) violations.push(`${number} is lost after the restart`)
  }
  return found.size
}

function describe({ writes, syncs, confirms, written, accepted }: Verdict): string {
  const answers = `${confirms} confirms, ${written.size} of level 'os', ${accepted} acknowledgements`
  return `${writes} journal writes, ${syncs} syncs; ${answers}`
}

/** With every sync delayed. Answers the number of the first sync of a message, among those of the process. */
async function delayed(): Promise<number> {
  const directory = join(folder, 'delayed')
  const calls = await watch(directory, `delay_exit=${DELAY_MICROSECONDS}`)
  const verdict = checkOrder(calls, DELAY_MICROSECONDS / 1e6)
  violations.push(...verdict.violations)
  const slow = calls.filter(({ isDelayed }) => isDelayed).length
  if (verdict.confirms === 0 || verdict.accepted === 0) violations.push('nothing was confirmed or accepted')
  if (slow < verdict.syncs) violations.push(`only ${slow} of ${verdict.syncs} syncs were delayed`)
  const found = await checkKept(directory, verdict)
  console.log(
    `delayed by ${DELAY_MICROSECONDS / 1000} ms: ${describe(verdict)}; ${found} kept over a restart`,
  )
  const ready = calls.find(({ name, text }) => name === 'write' && text.includes('"ready'))!
  return calls.filter((c) => c.name === 'fdatasync' && c.enteredLine < ready.enteredLine).length + 1
}

/** With the N-th sync failed, and all others good. */
async function failedAt(number: number): Promise<void> {
  const directory = join(folder, `failed-${number}`)
  const verdict = checkOrder(await watch(directory, `error=EIO:when=${number}`), 0)
  violations.push(...verdict.violations.map((text) => `sync ${number} failed: ${text}`))
  const paths = verdict.failedSyncs.map(({ path }) => path.slice(directory.length))
  if (paths.length !== 1 || !paths[0]!.endsWith('.segment')) {
    violations.push(`sync ${number} should have failed alone, and on a segment, not ${paths.join(', ')}`)
  }
  const refused = verdict.rejected.get('journal-failed') ?? 0
  // At least one was waiting for the sync, and three came later.
  if (refused < 4 || verdict.rejected.size !== 1) {
    violations.push(
      `sync ${number} failed and sends were rejected with ${JSON.stringify([...verdict.rejected])}`,
    )
  }
  const found = await checkKept(directory, verdict)
  console.log(`sync ${number} failed with EIO: ${describe(verdict)};`)
  console.log(`  ${refused} sends rejected with journal-failed; ${found} kept over a restart`)
}

try {
  await assertStrace()
  const first = await delayed()
  for (const number of [first, first + 1, first + 4, first + 9]) await failedAt(number)
  console.log(`violations=${violations.length}`)
  for (const violation of violations.slice(0, 20)) console.log(`  ${violation}`)
} catch (error) {
  violations.push(String(error))
  console.error(`FAILED: ${(error as Error).message}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = violations.length > 0 ? 1 : 0
