import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process of a scenario, which is told what to do and tells what happens by messages. */
export class Program<Told extends { readonly event: string }> {
  readonly child: ChildProcess
  private readonly hearers: Set<(told: Told) => void> = new Set()

  /** `url`: the file to run, beside that of the caller. What it prints on standard error is shown. */
  constructor(url: URL, args: readonly string[], heard: (told: Told) => void = () => {}) {
    this.child = fork(fileURLToPath(url), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.hearers.add(heard)
    this.child.on('message', (told: Told) => {
      for (const hearer of [...this.hearers]) hearer(told)
    })
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  tell(order: unknown): void {
    this.child.send(order as object)
  }

  /** The next message of this name. Rejects when the process ends before. */
  next<E extends Told['event']>(event: E): Promise<Extract<Told, { event: E }>> {
    return new Promise((resolve, reject) => {
      const gone = (code: number | null, signal: string | null): void => {
        this.hearers.delete(hear)
        reject(new Error(`${this.child.spawnargs[1]} ended with ${signal ?? code} before it told '${event}'`))
      }
      const hear = (told: Told): void => {
        if (told.event !== event) return
        this.hearers.delete(hear)
        this.child.removeListener('exit', gone)
        resolve(told as Extract<Told, { event: E }>)
      }
      this.hearers.add(hear)
      this.child.once('exit', gone)
    })
  }

  /** Resolves when it has ended by itself. Rejects when it failed. */
  async finished(): Promise<void> {
    if (!this.ended) await once(this.child, 'exit')
    const { exitCode, signalCode } = this.child
    if (exitCode !== 0) throw new Error(`${this.child.spawnargs[1]} ended with ${signalCode ?? exitCode}`)
  }

  /** As a power cut would: without a word. */
  async kill(): Promise<void> {
    if (this.ended) return
    const gone = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await gone
  }
}

/** Of a program: tells its parent, who may be gone. */
export function tell(told: { readonly event: string; readonly [fact: string]: unknown }): void {
  if (process.connected) process.send!(told)
}
