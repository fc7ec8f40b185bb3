import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Probed } from './probe.ts'

/** Under what circumstances a process runs. */
export interface Surroundings {
  /** With the probe (probe.ts). */
  readonly probed?: boolean
  /** Milliseconds that each fdatasync takes longer; probed. */
  readonly syncDelay?: number
  /** Threads of libuv for file operations; 4 unless said otherwise. */
  readonly poolSize?: number
  /** Options for Node.js. */
  readonly node?: readonly string[]
}

/** How a process is started in such circumstances. */
export function probing({ probed, syncDelay, poolSize, node }: Surroundings): {
  readonly execArgv: string[]
  readonly env: NodeJS.ProcessEnv
} {
  const probe = probed ? ['--import', new URL('./probe.ts', import.meta.url).href] : []
  return {
    execArgv: [...probe, ...(node ?? [])],
    env: {
      ...process.env,
      ...(syncDelay === undefined ? {} : { BENCH_SYNC_DELAY: String(syncDelay) }),
      ...(poolSize === undefined ? {} : { UV_THREADPOOL_SIZE: String(poolSize) }),
    },
  }
}

/** What the probe of a process says since it was last asked. */
export async function askProbe(child: ChildProcess): Promise<Probed> {
  child.send('probe')
  return (await answerOf(child, 'probed')) as Probed
}

/** A program of a benchmark in a process of its own; the other side is `serveProgram`. */
export class Program implements AsyncDisposable {
  private readonly child: ChildProcess
  /** It listens; what is said before may be heard by the probe alone. */
  private readonly ready: Promise<unknown>

  constructor(program: URL, surroundings: Surroundings = {}) {
    this.child = fork(program, [], { ...probing(surroundings), serialization: 'advanced' })
    this.ready = answerOf(this.child, 'ready')
    this.ready.catch(() => {})
  }

  /** Rejects when it ends instead of answering. */
  async ask<Answer>(order: unknown): Promise<Answer> {
    await this.ready
    this.child.send({ order })
    return (await answerOf(this.child, 'answer')) as Answer
  }

  /** What its probe says since it was last asked. */
  probe(): Promise<Probed> {
    return askProbe(this.child)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    if (this.child.connected) this.child.disconnect()
    else this.child.kill()
    await exited
  }
}

/** To be called by a program: `act` does what it is asked, one thing after the other. It ends with the parent. */
export function serveProgram<Order, Answer>(act: (order: Order) => Promise<Answer>): void {
  process.on('message', (message: { order: Order } | 'probe') => {
    if (message === 'probe') return
    act(message.order).then(
      (answer) => process.send!({ answer }),
      (error: unknown) => {
        console.error(error)
        process.exit(1)
      },
    )
  })
  process.on('disconnect', () => process.exit())
  // The probe has let go of it.
  process.channel?.ref()
  process.send!({ ready: true })
}

async function answerOf(child: ChildProcess, key: 'ready' | 'answer' | 'probed'): Promise<unknown> {
  const over = new AbortController()
  const ended = once(child, 'exit', over).then(([code, signal]) => {
    throw new Error(`a process of the benchmark ended with ${signal ?? code}`)
  })
  const told = new Promise((resolve) => {
    const listen = (message: object): void => {
      if (!(key in message)) return
      child.off('message', listen)
      resolve((message as Record<string, unknown>)[key])
    }
    child.on('message', listen)
  })
  try {
    return await Promise.race([told, ended])
  } finally {
    over.abort()
    ended.catch(() => {})
  }
}
