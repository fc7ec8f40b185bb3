import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Probed } from './probe.ts'
import { askProbe, probing, type Surroundings } from './programs.ts'

const command = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url))

interface Listener {
  readonly host: string
  readonly port: number
}

interface Listeners {
  readonly amqp: Listener
  readonly amqps?: Listener
  readonly http: Listener
}

export interface ServerOptions extends Surroundings {
  /** Listens with TLS, too. */
  readonly tls?: boolean
  /** Further options of the command. */
  readonly flags?: readonly string[]
}

/** `millrace serve` in a process of its own, on a directory of its own. */
export class Server implements AsyncDisposable {
  readonly pid: number
  readonly version: string
  private readonly child: ChildProcess
  private readonly directory: string
  private readonly listeners: Listeners

  private constructor(child: ChildProcess, directory: string, listeners: Listeners, version: string) {
    this.pid = child.pid!
    this.child = child
    this.version = version
    this.directory = directory
    this.listeners = listeners
  }

  static async start(parent: string, options: ServerOptions = {}): Promise<Server> {
    const directory = mkdtempSync(join(parent, 'served-'))
    const data = join(directory, 'data')
    const flags = ['--data', data, '--port', '0', '--log-format', 'json', ...(options.flags ?? [])]
    if (options.tls) {
      makeCertificate(directory)
      flags.push('--tls-cert', 'server.pem', '--tls-key', 'server.key', '--tls-port', '0')
    }
    const { execArgv, env } = probing(options)
    const child = spawn(process.execPath, [...execArgv, command, 'serve', ...flags], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      cwd: directory,
      env,
    })
    for await (const line of createInterface({ input: child.stdout! })) {
      const { event, listeners, version } = JSON.parse(line)
      if (event === 'ready') return new Server(child, directory, listeners, version)
    }
    throw new Error('the server ended before it was ready')
  }

  get amqp(): Listener {
    return this.listeners.amqp
  }

  get url(): string {
    return `amqp://${this.amqp.host}:${this.amqp.port}`
  }

  /** With TLS. */
  get secureUrl(): string {
    return `amqps://localhost:${this.listeners.amqps!.port}`
  }

  /** The certificate that it shows, which has signed itself. */
  get certificate(): string {
    return readFileSync(join(this.directory, 'server.pem'), 'utf8')
  }

  /** Processor time that it has used. Microseconds. */
  async cpu(): Promise<number> {
    return (await this.metric('process_cpu_seconds_total')) * 1e6
  }

  async metric(name: string): Promise<number> {
    const { host, port } = this.listeners.http
    const response = await fetch(`http://${host}:${port}/metrics`)
    const found = new RegExp(`^millrace_${name} (\\S+)$`, 'm').exec(await response.text())
    if (found === null) throw new Error(`the metrics say nothing of ${name}`)
    return Number(found[1])
  }

  /** What its probe says since it was last asked. */
  probe(): Promise<Probed> {
    return askProbe(this.child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit')
      this.child.kill()
      await exited
    }
    rmSync(this.directory, { recursive: true, force: true })
  }
}

function makeCertificate(folder: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
  const files = ['-keyout', 'server.key', '-out', 'server.pem']
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  execFileSync('openssl', ['req', '-x509', ...key, ...files, ...names], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
}
