import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Streams } from '../../src/cli/command.ts'
import { runCommandLine } from '../../src/cli/run.ts'

/** A hundred processes compile the same sources. */
export const env: NodeJS.ProcessEnv = {
  ...process.env,
  NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
}

const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface Result {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder of the test's own in which commands run, so that the default directory is in it. */
export class Shell {
  readonly folder: string

  constructor(t: TestContext) {
    this.folder = mkdtempSync(join(tmpdir(), 'millrace-cli-'))
    t.after(() => rmSync(this.folder, { recursive: true, force: true }))
  }

  start(...args: string[]): Running {
    return new Running(spawn(process.execPath, [program, ...args], { cwd: this.folder, env }), this.folder)
  }

  run(...args: string[]): Promise<Result> {
    return this.feed('', ...args)
  }

  /** Runs with this as standard input. */
  feed(input: string | Uint8Array, ...args: string[]): Promise<Result> {
    const running = this.start(...args)
    running.child.stdin!.end(input)
    return running.ended
  }

  /** Runs in this process, which is faster, and in the working directory of the tests. */
  async here(...args: string[]): Promise<Result> {
    const texts = { stdout: '', stderr: '' }
    const collect = (name: keyof typeof texts): Writable =>
      new Writable({
        write(chunk, _, done) {
          texts[name] += chunk
          done()
        },
      })
    const streams = { stdin: Readable.from([]), stdout: collect('stdout'), stderr: collect('stderr') }
    const { signal } = new AbortController()
    const code = await runCommandLine(args, signal, streams as unknown as Streams)
    return { code, signal: null, ...texts }
  }

  /** `here`, on the default directory, with success expected. */
  async okHere(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.here(this.at, ...args)
    if (code !== 0) throw new Error(`millrace ${args.join(' ')} ended with ${code}: ${stderr}`)
    return stdout
  }

  /** The default directory, as an option. */
  get at(): string {
    return `--url=file:${join(this.folder, 'millrace-data')}`
  }

  /** Runs and expects success; answers what was printed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(...args)
    if (code !== 0) throw new Error(`millrace ${args.join(' ')} ended with ${code}: ${stderr}`)
    return stdout
  }
}

export class Running {
  readonly child: ChildProcess
  readonly ended: Promise<Result>
  private readonly folder: string
  private stdout = ''
  private stderr = ''

  constructor(child: ChildProcess, folder: string) {
    this.child = child
    this.folder = folder
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    // It may end without reading all of its input.
    child.stdin!.on('error', () => {})
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        resolve({ code, signal, stdout: this.stdout, stderr: this.stderr })
      })
    })
  }

  /** Resolves when it owns the default directory. */
  async started(): Promise<void> {
    const owner = join(this.folder, 'millrace-data', 'owner.json')
    const ended = this.ended.then(({ code, stderr }) => {
      throw new Error(`it ended with ${code}: ${stderr}`)
    })
    while (!existsSync(owner)) await Promise.race([ended, pause(5)])
    ended.catch(() => {})
  }

  /** Resolves when it has printed so many lines; rejects when it ends before. */
  printed(lines: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.stdout.split('\n').length > lines) resolve()
      }
      this.child.stdout!.on('data', look)
      this.ended.then(({ code, stderr }) => reject(new Error(`it ended with ${code}: ${stderr}`)), reject)
      look()
    })
  }
}

/** The JSON documents of an output, one a line. */
export function documents(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}
