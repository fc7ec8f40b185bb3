import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Broker } from './broker.ts'
import type { Command } from './command.ts'
import { parseLine, type Result } from './results.ts'

const PROGRAM_MS = 300_000

/**
 * A broker, programs that use it, and what they found. Every program finds the broker in its environment: BROKER_HOST,
 * BROKER_PORT, BROKER_TLS_PORT, BROKER_CA (a file), BROKER_USER and BROKER_PASSWORD (may do everything), BROKER_LIMITED_USER
 * and BROKER_LIMITED_PASSWORD (public.# only). It prints a line per check, `ok NAME`, `FAIL NAME: reason` or
 * `skip NAME: reason`, and exits with 1 if one failed. When it prints `restart`, the broker is killed with -9 and started
 * again on the same ports; then `restarted` comes on its standard input. Programs that are not ours get the broker in
 * AMQP_BROKER_ADDR. Nothing that was started outlives this process.
 */
export class Run {
  readonly results: Result[] = []
  private readonly folder = mkdtempSync(join(tmpdir(), 'millrace-strangers-'))
  private readonly children: Set<ChildProcess> = new Set()
  private readonly say: (line: string) => void
  private broker: Broker | undefined

  private constructor(say: (line: string) => void) {
    this.say = say
    process.once('exit', () => {
      for (const child of this.children) child.kill('SIGKILL')
      this.broker?.kill()
      rmSync(this.folder, { recursive: true, force: true })
    })
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const)
      process.once(signal, () => process.exit(code))
  }

  /** `say` is told what the programs say while they run. */
  static async start(say: (line: string) => void): Promise<Run> {
    const run = new Run(say)
    run.broker = await Broker.start(run.folder)
    return run
  }

  /** The checks of a program that did not end well. */
  get failures(): readonly Result[] {
    return this.results.filter(({ verdict }) => verdict === 'FAIL')
  }

  failed(program: string, check: string, reason: string): void {
    this.results.push({ program, check, verdict: 'FAIL', reason })
  }

  /** Builds a program and runs its parts, which do the checks `asked` for, or all when that is empty. */
  async program(name: string, build: () => readonly Command[], asked: readonly string[]): Promise<void> {
    try {
      for (const command of build()) await this.drive(name, command, asked)
    } catch (error) {
      this.failed(name, 'the program', (error as Error).message.replaceAll('\n', ' '))
    }
  }

  /** Reads what the program says until it has ended. */
  private async drive(name: string, command: Command, asked: readonly string[]): Promise<void> {
    const child = this.launch(command, asked)
    this.children.add(child)
    // A program that has ended reads nothing more.
    child.stdin!.on('error', () => {})
    const late = setTimeout(() => child.kill('SIGKILL'), PROGRAM_MS)
    const ended = once(child, 'exit')
    const before = this.results.length
    for await (const line of createInterface({ input: child.stdout! })) {
      const result = parseLine(name, line, command.pattern)
      if (result) this.results.push(result)
      if (!command.pattern || result?.verdict !== 'ok') this.say(`${name}: ${line}`)
      if (line !== 'restart') continue
      await this.broker!.restart()
      child.stdin!.write('restarted\n')
    }
    const [code, signal] = await ended
    clearTimeout(late)
    this.children.delete(child)
    const own = this.results.slice(before)
    if (own.length === 0) this.failed(name, 'the program', 'said nothing')
    if (code !== 0 && !own.some(({ verdict }) => verdict === 'FAIL'))
      this.failed(name, 'the program', `ended with ${signal ?? code}`)
  }

  private launch(command: Command, asked: readonly string[]): ChildProcess {
    const { environment } = this.broker!
    const { BROKER_HOST, BROKER_PORT, BROKER_USER, BROKER_PASSWORD } = environment
    const login = `${BROKER_USER}:${encodeURIComponent(BROKER_PASSWORD!)}`
    return spawn(command.file, [...command.args, ...(command.pattern ? [] : asked)], {
      cwd: command.directory ?? this.folder,
      env: {
        ...process.env,
        ...environment,
        AMQP_BROKER_ADDR: `amqp://${login}@${BROKER_HOST}:${BROKER_PORT}`,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  }

  /** Stops the broker. A bad end of it is a failure too; then the end of its log is shown. */
  async stop(): Promise<void> {
    const problem = await this.broker!.stop()
    if (problem) this.failed('broker', 'a good end', problem)
    if (this.failures.length === 0) return
    this.say(`\nThe log of the broker ends with:\n${readFileSync(this.broker!.log, 'utf8').slice(-4000)}`)
  }
}
