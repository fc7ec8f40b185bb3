import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Neither server runs as root: then it is nobody who runs it. */
const NOBODY = 65_534
const PATIENCE = 60_000

/** A database server of this run alone, in a temporary directory. */
export interface Server {
  /** Directory of its socket, or the socket itself. */
  readonly socket: string
  readonly port: number
  /** SIGSTOP and SIGCONT: it is there and does not answer. */
  pause(paused: boolean): void
  stop(): Promise<void>
}

interface Installed {
  readonly initialize: string
  readonly serve: string
}

export interface ServerOptions {
  /** Whether commits are synced to disk. Default false: these tests crash no machine. */
  readonly durable?: boolean | undefined
}

/** Rejects with what to install when it is not there. */
export async function startPostgres({ durable = false }: ServerOptions = {}): Promise<Server> {
  const bin = globSync('/usr/lib/postgresql/*/bin').sort().at(-1)
  const { initialize, serve } = find('postgresql', bin && join(bin, 'initdb'), bin && join(bin, 'postgres'))
  const place = directory('pg')
  const data = join(place, 'data')
  await run(
    initialize,
    ['-D', data, '-U', 'millrace', '-A', 'trust', '-E', 'UTF8', '--locale=C', '-N'],
    who(),
  )
  const port = await freePort()
  const args = ['-D', data, '-k', place, '-p', `${port}`, '-c', 'listen_addresses=127.0.0.1']
  args.push(
    '-c',
    `fsync=${durable ? 'on' : 'off'}`,
    '-c',
    'max_connections=60',
    '-c',
    'log_min_messages=fatal',
  )
  // It listens before it lets anybody in; its pid file says when it does.
  const status = join(data, 'postmaster.pid')
  return started(spawn(serve, args, { ...who(), stdio: 'ignore' }), place, port, {
    socket: place,
    stopBy: 'SIGINT',
    isReady: () => existsSync(status) && /^ready\b/m.test(readFileSync(status, 'latin1')),
  })
}

export async function startMariadb({ durable = false }: ServerOptions = {}): Promise<Server> {
  const { initialize, serve } = find('mariadb-server', '/usr/bin/mariadb-install-db', '/usr/sbin/mariadbd')
  const place = directory('my')
  const [data, socket] = [join(place, 'data'), join(place, 'sock')]
  const install = [
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--no-defaults',
  ]
  await run(initialize, install.reverse(), who())
  const port = await freePort()
  const args = ['--no-defaults', `--datadir=${data}`, `--socket=${socket}`, `--port=${port}`]
  args.push('--bind-address=127.0.0.1', `--pid-file=${join(place, 'pid')}`, '--skip-networking=0')
  args.push(`--innodb-flush-log-at-trx-commit=${durable ? 1 : 0}`, '--max-connections=60')
  args.push('--innodb-lock-wait-timeout=5', '--max-allowed-packet=4M')
  return started(spawn(serve, args, { ...who(), stdio: 'ignore' }), place, port, {
    socket,
    stopBy: 'SIGTERM',
    isReady: () => existsSync(socket),
  })
}

/** A directory that is short enough to hold a socket, and belongs to who runs the server. */
function directory(kind: string): string {
  const place = mkdtempSync(join(tmpdir(), `mr-${kind}-`))
  if (process.getuid?.() === 0) chownSync(place, NOBODY, NOBODY)
  return place
}

function who(): { uid?: number; gid?: number; cwd: string } {
  return process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY, cwd: '/' } : { cwd: '/' }
}

function find(name: string, initialize: string | undefined, serve: string | undefined): Installed {
  if (initialize && serve && existsSync(initialize) && existsSync(serve)) return { initialize, serve }
  throw new Error(`${name} is not installed: apt-get install ${name}`)
}

interface Started {
  readonly socket: string
  readonly stopBy: NodeJS.Signals
  isReady(): boolean
}

async function started(
  child: ChildProcess,
  place: string,
  port: number,
  { socket, stopBy, isReady }: Started,
): Promise<Server> {
  const stop = async (): Promise<void> => {
    process.removeListener('exit', kill)
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGCONT')
      child.kill(stopBy)
      await once(child, 'exit')
    }
    rmSync(place, { recursive: true, force: true })
  }
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const giveUp = performance.now() + PATIENCE
  while (!isReady()) {
    if (child.exitCode === null && performance.now() < giveUp) await pause(20)
    else {
      await stop()
      throw new Error(`${child.spawnfile} did not come up: exit code ${child.exitCode}`)
    }
  }
  return { socket, port, pause: (paused) => child.kill(paused ? 'SIGSTOP' : 'SIGCONT'), stop }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}
