import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

const VERSION = '2.37.0'
const COORDINATES = `org.apache.activemq:apache-artemis:${VERSION}:tar.gz:bin`

/** An instance that is ready to be run: `bin/artemis run` in its folder. */
export interface Instance {
  readonly folder: string
  readonly port: number
  readonly url: string
}

/**
 * Makes an instance of Artemis on a free port, with what it is an instance of, in a folder. Needs Java 17 and Maven. One that
 * is tuned has measured the disk, which decides how long its journal gathers writes.
 */
export async function createArtemis(folder: string, { tuned }: { tuned: boolean }): Promise<Instance> {
  const home = await fetchArtemis(folder)
  const instance = join(folder, 'instance')
  const port = await freePort()
  await create(home, instance, port, tuned ? [] : ['--no-autotune'])
  return { folder: instance, port, url: `amqp://user:password@127.0.0.1:${port}` }
}

/** Answers where its commands are. */
export async function fetchArtemis(folder: string): Promise<string> {
  const archive = await fetch(folder)
  await run('tar', ['-xzf', archive, '-C', folder])
  await rm(archive)
  return join(folder, `apache-artemis-${VERSION}`)
}

/** An Apache Artemis of its own on a free port, in a temporary folder. Needs Java 17 and Maven. */
export class Artemis {
  readonly url: string
  private readonly folder: string
  private readonly process: ChildProcess

  static async start(): Promise<Artemis> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-artemis-'))
    const { folder: instance, port, url } = await createArtemis(folder, { tuned: false })
    const process = spawn(join(instance, 'bin', 'artemis'), ['run'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...globalThis.process.env, JAVA_ARGS: '-Xmx512m' },
      detached: true,
    })
    const artemis = new Artemis(folder, url, process)
    await artemis.listening(port)
    return artemis
  }

  private constructor(folder: string, url: string, process: ChildProcess) {
    this.folder = folder
    this.url = url
    this.process = process
  }

  private async listening(port: number): Promise<void> {
    for (;;) {
      if (this.process.exitCode !== null) throw new Error(`Artemis ended with ${this.process.exitCode}`)
      const socket = connect(port, '127.0.0.1')
      const answered = await once(socket, 'connect').then(
        () => true,
        () => false,
      )
      socket.destroy()
      if (answered) return
      await pause(200)
    }
  }

  async stop(): Promise<void> {
    const ended = once(this.process, 'exit')
    // The script that starts Java is in a group of its own with it.
    process.kill(-this.process.pid!, 'SIGKILL')
    await ended
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Wherever Maven keeps what it fetches: asked to copy it, it puts the archive where we look. */
async function fetch(into: string): Promise<string> {
  const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy'
  const artifact = [`-Dartifact=${COORDINATES}`, `-DoutputDirectory=${into}`]
  await run('mvn', ['--quiet', '--batch-mode', plugin, ...artifact])
  return join(into, `apache-artemis-${VERSION}-bin.tar.gz`)
}

async function create(
  home: string,
  instance: string,
  port: number,
  tuning: readonly string[],
): Promise<void> {
  const options = ['--user', 'user', '--password', 'password', '--require-login', ...tuning]
  const silent = [
    '--silent',
    '--no-web',
    '--no-stomp-acceptor',
    '--no-mqtt-acceptor',
    '--no-hornetq-acceptor',
  ]
  await run(join(home, 'bin', 'artemis'), ['create', instance, ...options, ...silent])
  const file = join(instance, 'etc', 'broker.xml')
  const xml = await readFile(file, 'utf8')
  // One acceptor, on the free port, instead of those on the usual ones.
  const acceptor = `<acceptors><acceptor name="amqp">tcp://127.0.0.1:${port}?protocols=AMQP</acceptor></acceptors>`
  await writeFile(file, xml.replace(/<acceptors>[\s\S]*<\/acceptors>/, acceptor))
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
