import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { amqp } from '../../src/client/amqp/registration.ts'
import type { Provider } from '../../src/index.ts'
import type { KillableBroker } from '../patterns/faults/schedule.ts'

const program = fileURLToPath(new URL('./broker-process.ts', import.meta.url))
/** Half messages are asked for as soon as in the broker in memory. */
const settings = {
  MILLRACE_PREPARED_FIRST_CHECK: '5ms',
  MILLRACE_PREPARED_CHECK_INTERVAL: '10ms',
  MILLRACE_PREPARED_MAX_CHECKS: '1000000',
}

/** A served broker on files, which is killed with SIGKILL and followed by another one on the same files. */
export class ServedBroker implements KillableBroker {
  readonly provider: Provider = amqp
  kills = 0
  private readonly data: string
  private port = 0
  private spare: ChildProcess = load()
  private process: ChildProcess | undefined
  private turn: Promise<void> = Promise.resolve()

  static async start(): Promise<ServedBroker> {
    const broker = new ServedBroker()
    await broker.serve()
    return broker
  }

  private constructor() {
    this.data = mkdtempSync(join(tmpdir(), 'millrace-faults-'))
  }

  get url(): string {
    return `amqp://127.0.0.1:${this.port}`
  }

  kill(): Promise<void> {
    const killed = this.turn.then(async () => {
      const gone = once(this.process!, 'exit')
      this.process!.kill('SIGKILL')
      await gone
      this.kills++
    })
    this.turn = killed.then(() => this.serve())
    return killed
  }

  /** Resolves when it is ready. */
  private async serve(): Promise<void> {
    const child = this.spare
    this.spare = load()
    this.process = child
    // It may have told already that it is loaded: what it is sent waits for it.
    child.send([
      'serve',
      '--data',
      this.data,
      '--port',
      `${this.port}`,
      '--http-port',
      'off',
      '--log-format',
      'json',
    ])
    for await (const line of createInterface({ input: child.stdout! })) {
      const { event, listeners } = JSON.parse(line)
      if (event !== 'ready') continue
      this.port = listeners.amqp.port
      child.stdout!.resume()
      return
    }
    throw new Error('the broker ended before it was ready')
  }

  async stop(): Promise<void> {
    await this.turn
    for (const child of [this.spare, this.process!]) {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    }
    rmSync(this.data, { recursive: true, force: true })
  }
}

function load(): ChildProcess {
  const env = { ...process.env, ...settings }
  return fork(program, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], env, cwd: tmpdir() })
}
