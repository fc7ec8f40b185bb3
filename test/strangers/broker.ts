import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { hashPassword } from '../../src/server/auth/credentials.ts'

const command = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const START_MS = 30_000
const STOP_MS = 30_000

interface Listener {
  readonly host: string
  readonly port: number
}

interface Ready {
  readonly event: 'ready'
  readonly listeners: { readonly amqp: Listener; readonly amqps: Listener; readonly http: Listener }
}

/** May do everything, and may only use public.#. rhea cuts passwords short that are not ASCII. */
const users = { strangers: 'pencil, with = and #', limited: 'only a little' }

/** `millrace serve` with users and TLS over a directory of its own; keeps its ports over restarts. */
export class Broker {
  private readonly folder: string
  private readonly ca: string
  private process: ChildProcess | undefined
  private ended: Promise<unknown> = Promise.resolve()
  private listeners: Ready['listeners'] | undefined

  private constructor(folder: string) {
    this.folder = folder
    this.ca = makeCertificates(folder)
  }

  static async start(folder: string): Promise<Broker> {
    mkdirSync(folder, { recursive: true })
    const broker = new Broker(folder)
    const [all, few] = await Promise.all(Object.values(users).map((password) => hashPassword(password)))
    writeFileSync(
      join(folder, 'millrace.yaml'),
      JSON.stringify({
        tls: { cert: 'server.pem', key: 'server.key' },
        users: [
          { name: 'strangers', password: all, permissions: [{ operations: 'all', destination: '#' }] },
          { name: 'limited', password: few, permissions: [{ operations: 'all', destination: 'public.#' }] },
        ],
      }),
    )
    await broker.start()
    return broker
  }

  get log(): string {
    return join(this.folder, 'broker.log')
  }

  /** What a program is told. */
  get environment(): Readonly<Record<string, string>> {
    const { amqp, amqps } = this.listeners!
    return {
      BROKER_HOST: amqp.host,
      BROKER_PORT: `${amqp.port}`,
      BROKER_TLS_PORT: `${amqps.port}`,
      BROKER_CA: this.ca,
      BROKER_USER: 'strangers',
      BROKER_PASSWORD: users.strangers,
      BROKER_LIMITED_USER: 'limited',
      BROKER_LIMITED_PASSWORD: users.limited,
    }
  }

  kill(): void {
    this.process?.kill('SIGKILL')
  }

  async restart(): Promise<void> {
    this.kill()
    await this.ended
    await this.start()
  }

  /** Answers what is wrong with how it ended, or nothing. */
  async stop(): Promise<string> {
    const { process } = this
    if (!process) return ''
    const late = setTimeout(() => process.kill('SIGKILL'), STOP_MS)
    process.kill('SIGTERM')
    await this.ended
    clearTimeout(late)
    const { exitCode, signalCode } = process
    return exitCode === 0 ? '' : `the broker ended with ${signalCode ?? exitCode}`
  }

  private async start(): Promise<void> {
    const log = openSync(this.log, 'a')
    const child = spawn(process.execPath, [command, 'serve', ...this.options()], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', log],
    })
    closeSync(log)
    this.process = child
    this.ended = once(child, 'exit')
    const late = setTimeout(() => child.kill('SIGKILL'), START_MS)
    for await (const line of createInterface({ input: child.stdout! })) {
      this.listeners = (JSON.parse(line) as Ready).listeners
      clearTimeout(late)
      child.stdout!.resume()
      return
    }
    throw new Error(`the broker did not start:\n${readFileSync(this.log, 'utf8')}`)
  }

  private options(): string[] {
    const options = ['--data', join(this.folder, 'data'), '--config', join(this.folder, 'millrace.yaml')]
    const { amqp, amqps, http } = this.listeners ?? {}
    const ports = amqp
      ? ['--port', amqp.port, '--tls-port', amqps!.port, '--http-port', http!.port]
      : ['--port', 0]
    return [...options, '--log-format', 'json', ...ports.map(String)]
  }
}

/** An authority, and a certificate of it for this machine. Answers the file of the authority. */
function makeCertificates(folder: string): string {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const key = ['-newkey', 'rsa:2048', '-nodes', '-days', '2']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Test authority')
  const names = [
    '-addext',
    'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-addext',
    'basicConstraints=CA:FALSE',
  ]
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key']
  const certificate = ['-keyout', 'server.key', '-out', 'server.pem', '-subj', '/CN=localhost']
  openssl('req', '-x509', ...key, ...signer, ...certificate, ...names)
  return join(folder, 'ca.pem')
}
