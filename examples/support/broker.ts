import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const command = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** `millrace serve`, to be killed and started again: on the same data, at the same port. */
export class Broker {
  private readonly data: string
  private port = 0
  private child: ChildProcess | undefined

  static async start(data: string): Promise<Broker> {
    const broker = new Broker(data)
    await broker.start()
    return broker
  }

  private constructor(data: string) {
    this.data = data
    mkdirSync(data, { recursive: true })
  }

  get url(): string {
    return `amqp://127.0.0.1:${this.port}`
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const ports = ['--port', String(this.port), '--http-port', '0']
    const args = [command, 'serve', '--data', this.data, ...ports, '--log-format', 'json']
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], cwd: this.data })
    for await (const line of createInterface({ input: this.child.stdout! })) {
      const { event, listeners } = JSON.parse(line)
      if (event !== 'ready') continue
      this.port = listeners.amqp.port
      this.child.stdout!.resume()
      return
    }
    throw new Error('the broker ended before it was ready')
  }

  /** As a power cut would: without a word. */
  async kill(): Promise<void> {
    const child = this.child!
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async stop(): Promise<void> {
    const child = this.child!
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  }
}
