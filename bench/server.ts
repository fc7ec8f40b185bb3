import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const command = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

interface Listener {
  readonly host: string
  readonly port: number
}

/** `millrace serve` in a process of its own, on a directory of its own. */
export class Server implements AsyncDisposable {
  readonly amqp: Listener
  private readonly http: Listener
  private readonly child: ChildProcess
  private readonly directory: string

  private constructor(
    child: ChildProcess,
    directory: string,
    listeners: Readonly<Record<'amqp' | 'http', Listener>>,
  ) {
    this.child = child
    this.directory = directory
    this.amqp = listeners.amqp
    this.http = listeners.http
  }

  static async start(parent: string): Promise<Server> {
    const directory = mkdtempSync(join(parent, 'served-'))
    const args = [command, 'serve', '--data', directory, '--port', '0', '--log-format', 'json']
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: directory })
    for await (const line of createInterface({ input: child.stdout! })) {
      const { event, listeners } = JSON.parse(line)
      if (event === 'ready') return new Server(child, directory, listeners)
    }
    throw new Error('the server ended before it was ready')
  }

  get url(): string {
    return `amqp://${this.amqp.host}:${this.amqp.port}`
  }

  /** Processor time that it has used. Microseconds. */
  async cpu(): Promise<number> {
    const response = await fetch(`http://${this.http.host}:${this.http.port}/metrics`)
    const seconds = /^millrace_process_cpu_seconds_total (\S+)$/m.exec(await response.text())
    if (seconds === null) throw new Error('the metrics say nothing of processor time')
    return Number(seconds[1]) * 1e6
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill()
    await once(this.child, 'exit')
    rmSync(this.directory, { recursive: true, force: true })
  }
}
