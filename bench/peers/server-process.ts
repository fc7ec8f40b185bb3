import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { family } from '../processes.ts'
import { Missing, type RunningPeer } from './peer.ts'

/** Milliseconds until a server must be up. */
const PATIENCE = 90_000

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly directory: string
  readonly env?: Readonly<Record<string, string>>
  /** Where it listens when it is up. */
  readonly port: number
  /** What its driver connects to. */
  readonly url: string
  /** What of its log shows its version, in the first group. */
  readonly version?: RegExp
  /** What its log must say besides, before it is up. */
  readonly ready?: RegExp
}

/** Those that would outlive us. */
const running: Set<ServerProcess> = new Set()
process.once('exit', () => {
  for (const server of running) server.kill()
})

/** A server that this run has started, with its log in its directory. */
export class ServerProcess implements RunningPeer {
  version = 'unknown'
  private readonly child: ChildProcess
  private readonly log: string
  private readonly command: Command

  private constructor(command: Command) {
    this.command = command
    this.log = join(command.directory, 'log')
    const log = openSync(this.log, 'a')
    this.child = spawn(command.file, command.args, {
      cwd: command.directory,
      env: { ...process.env, ...command.env },
      stdio: ['ignore', log, log],
    })
    closeSync(log)
  }

  static async start(command: Command): Promise<ServerProcess> {
    const server = new ServerProcess(command)
    running.add(server)
    try {
      await server.up()
      return server
    } catch (error) {
      await server[Symbol.asyncDispose]()
      throw error
    }
  }

  get pid(): number {
    return this.child.pid!
  }

  get url(): string {
    return this.command.url
  }

  private async up(): Promise<void> {
    const giveUp = performance.now() + PATIENCE
    const { ready, port, file } = this.command
    while (!((ready === undefined || ready.test(this.said())) && (await answers(port)))) {
      if (this.child.exitCode !== null || performance.now() > giveUp)
        throw new Error(`${file} did not come up:\n${this.said().slice(-2_000)}`)
      await pause(50)
    }
    this.version = this.command.version?.exec(this.said())?.[1] ?? this.version
  }

  private said(): string {
    return readFileSync(this.log, 'utf8')
  }

  /** Nothing of it is kept: there is no need to ask it. A script and what it has started are one server. */
  kill(): void {
    for (const pid of this.child.exitCode === null ? family(this.pid) : []) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    running.delete(this)
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const ended = once(this.child, 'exit')
    this.kill()
    await ended
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return connected
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

/** Where a command is: servers are in folders that not everybody has in PATH. */
export function find(command: string, debian: string): string {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const found = folders.map((folder) => join(folder, command)).find((path) => existsSync(path))
  if (found === undefined) throw new Missing(`${command}: apt-get install --no-install-recommends ${debian}`)
  return found
}
