import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Latency, Throughput } from './loads.ts'
import type { DriverName } from './open-driver.ts'
import { Missing } from './peer.ts'

const program = fileURLToPath(new URL('./generator-process.ts', import.meta.url))

export type Order =
  | { readonly do: 'open'; readonly driver: DriverName; readonly url: string }
  | { readonly do: 'throughput'; readonly seconds: number }
  | { readonly do: 'latency'; readonly rate: number; readonly seconds: number }
  | { readonly do: 'close' }

export interface Answer {
  readonly result?: unknown
  readonly failure?: string
  readonly missing?: string | undefined
}

/** Sends and receives in a process of its own. */
export class Generator implements AsyncDisposable {
  private readonly child: ChildProcess

  private constructor(home: string) {
    // Some clients write their logs into the home folder.
    this.child = fork(program, { execArgv: [], env: { ...process.env, HOME: home } })
  }

  /** Rejects with `Missing` when the client that it needs is not installed. */
  static async start(driver: DriverName, url: string, home: string): Promise<Generator> {
    const generator = new Generator(home)
    try {
      await generator.order({ do: 'open', driver, url })
      return generator
    } catch (error) {
      generator.child.kill('SIGKILL')
      throw error
    }
  }

  async throughput(seconds: number): Promise<Throughput> {
    return (await this.order({ do: 'throughput', seconds })) as Throughput
  }

  async latency(rate: number, seconds: number): Promise<Latency> {
    return (await this.order({ do: 'latency', rate, seconds })) as Latency
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // What was measured has been measured: a client that does not close is no matter any more.
    const ended = once(this.child, 'exit')
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 5_000)
    if (this.child.connected) this.child.send({ do: 'close' } satisfies Order)
    await ended
    clearTimeout(timer)
  }

  private async order(order: Order): Promise<unknown> {
    const ended = Promise.withResolvers<never>()
    const onExit = (): void => ended.reject(new Error('the generator ended'))
    this.child.once('exit', onExit)
    this.child.send(order)
    const [{ result, failure, missing }] = (await Promise.race([
      once(this.child, 'message'),
      ended.promise,
    ])) as [Answer]
    this.child.off('exit', onExit)
    if (missing !== undefined) throw new Missing(missing)
    if (failure !== undefined) throw new Error(failure)
    return result
  }
}
