import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Order, Told } from './attach-child.ts'

/** One of several processes that use a directory. */
export class Member {
  readonly process: ChildProcess
  readonly told: Told[] = []
  private readonly waiting: Set<() => void> = new Set()

  constructor(url: string, ledger: string, told: (told: Told) => void) {
    this.process = fork(join(import.meta.dirname, 'attach-child.ts'), [url, ledger])
    this.process.on('message', (one: Told) => {
      this.told.push(one)
      told(one)
      for (const look of this.waiting) look()
    })
  }

  order(order: Order): void {
    this.process.send(order)
  }

  count(event: Told['event']): number {
    return this.told.filter((told) => told.event === event).length
  }

  /** Resolves when it has told so many of an event. */
  async until(event: Told['event'], count = 1): Promise<void> {
    await this.when(() => this.count(event) >= count)
  }

  when(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error(`the process ended: ${JSON.stringify(this.told.at(-1))}`))
      const look = () => {
        if (!condition()) return
        this.waiting.delete(look)
        this.process.removeListener('exit', ended)
        resolve()
      }
      this.waiting.add(look)
      this.process.once('exit', ended)
      look()
    })
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return
    const gone = once(this.process, 'exit')
    this.process.kill('SIGKILL')
    await gone
  }
}

/** A directory and the processes that use it. */
export class Crowd {
  readonly url: string
  /** What all have told, in the order in which it was heard. */
  readonly told: Told[] = []
  readonly members: Set<Member> = new Set()
  private readonly folder: string

  static async gather(below = 'data'): Promise<Crowd> {
    const folder = await mkdtemp(join(tmpdir(), 'millrace-attach-'))
    return new Crowd(folder, `file:${join(folder, below)}`)
  }

  private constructor(folder: string, url: string) {
    this.folder = folder
    this.url = url
  }

  /** Another process, connected. The first one owns the directory. */
  async join(): Promise<Member> {
    const member = new Member(this.url, this.ledger, (told) => this.told.push(told))
    this.members.add(member)
    await member.until('ready')
    return member
  }

  /** Resolves when what has been told fulfils the condition. */
  when(condition: () => boolean): Promise<void> {
    return Promise.race([...this.members].map((member) => member.when(condition)))
  }

  private get ledger(): string {
    return join(this.folder, 'ledger')
  }

  /** Everything that was told, also by processes that were killed before it was heard, in order of time. */
  get history(): Told[] {
    const lines = readFileSync(this.ledger, 'utf8').trim().split('\n')
    return lines.map((line) => JSON.parse(line) as Told)
  }

  /** The member that owns the directory; undefined while nobody does. */
  get owner(): Member | undefined {
    const file = join(this.url.slice('file:'.length), 'owner.json')
    const { pid } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number }
    return [...this.members].find(({ process }) => process.pid === pid)
  }

  /** Kills the owner. Answers it, and the milliseconds until every other process was connected to a new one. */
  async killOwner(): Promise<{ killed: Member; takeover: number }> {
    const killed = this.owner!
    this.members.delete(killed)
    const others = [...this.members]
    const before = others.map((member) => member.count('reconnected'))
    const begun = performance.now()
    await killed.kill()
    await Promise.all(others.map((member, i) => member.until('reconnected', before[i]! + 1)))
    return { killed, takeover: performance.now() - begun }
  }

  async end(): Promise<void> {
    for (const member of this.members) await member.kill()
    await rm(this.folder, { recursive: true, force: true })
  }
}
