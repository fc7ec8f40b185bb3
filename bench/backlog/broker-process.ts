import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { MemoryLimit } from '../memory-limit.ts'
import { ResidentPeak, residentBytes } from '../processes.ts'
import type { Facts, Request } from './protocol.ts'

const program = fileURLToPath(new URL('./child.ts', import.meta.url))

/** Facts of one request, and what the parent saw of the process meanwhile. */
export interface Seen extends Facts {
  /** Bytes resident at most, and at the end. */
  readonly residentPeak: number
  readonly resident: number
}

/** The process with the broker. */
export class BrokerProcess {
  private readonly child: ChildProcess
  private readonly peak: ResidentPeak

  constructor(directory: string, limit: MemoryLimit | undefined) {
    this.child = fork(program, [directory], { execArgv: [] })
    limit?.add(this.child.pid!)
    this.peak = new ResidentPeak([this.child.pid!])
  }

  /** Rejects when the process ends instead of answering. */
  async ask(request: Request): Promise<Seen> {
    this.peak.take()
    const answered = new AbortController()
    const ended = once(this.child, 'exit', answered).then(([code, signal]) => {
      throw new Error(`the process with the broker ended with ${signal ?? code} when asked to ${request.do}`)
    })
    this.child.send(request)
    try {
      const [facts] = (await Promise.race([once(this.child, 'message', answered), ended])) as [Facts]
      return { ...facts, residentPeak: this.peak.take(), resident: residentBytes([this.child.pid!]) }
    } finally {
      answered.abort()
      ended.catch(() => {})
    }
  }

  /** Closes it in good order. */
  async close(): Promise<Seen> {
    const exited = once(this.child, 'exit')
    const seen = await this.ask({ do: 'close' })
    await exited
    this.peak[Symbol.dispose]()
    return seen
  }

  /** As a machine that is switched off would, but for the page cache. */
  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit')
      this.child.kill('SIGKILL')
      await exited
    }
    this.peak[Symbol.dispose]()
  }
}
