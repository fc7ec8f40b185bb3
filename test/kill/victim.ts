import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SeededRandom } from '../../src/testing/random.ts'
import type { Assignment } from './protocol.ts'

const program = fileURLToPath(new URL('./child.ts', import.meta.url))

/** Every child compiles the same sources. */
const env = { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') }

/** A child that says nothing for so long is stuck. Milliseconds. */
const SILENCE = 30_000

export interface Ending {
  /** How far it had got. */
  readonly when: 'starting' | 'working' | 'closing' | 'closed'
  /** What is wrong with how it ended, or nothing. */
  readonly problem: string
}

/** A child process, its lines, and its violent end. */
export class Victim {
  readonly ended: Promise<Ending>
  private readonly child: ChildProcess
  private readonly heard: (line: string) => void
  private when: Ending['when'] = 'starting'
  private rest = ''
  private lines = 0
  private killed = false
  private problem = ''
  private trigger: { readonly lines: number; readonly closing: boolean; readonly delay: number } | undefined
  private timer: NodeJS.Timeout | undefined

  constructor(assignment: Assignment, heard: (line: string) => void) {
    this.heard = heard
    this.child = spawn(process.execPath, [program, JSON.stringify(assignment)], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const silence = setTimeout(() => this.stuck(), SILENCE)
    this.child.stdout!.setEncoding('latin1').on('data', (text: string) => {
      silence.refresh()
      this.take(text)
    })
    this.ended = new Promise((resolve, reject) => {
      this.child.on('error', reject)
      this.child.on('close', (code, signal) => {
        clearTimeout(silence)
        clearTimeout(this.timer)
        if (!this.problem && !this.killed && code !== 0)
          this.problem = `the child ended with ${signal ?? code}`
        resolve({ when: this.when, problem: this.problem })
      })
    })
  }

  /** Decides by what it will be killed: a time after its start, a number of lines of work, or its closing. */
  doom(random: SeededRandom, closes: boolean): void {
    const delay = random.between(0, 12) * random.between(0, 1)
    if (closes) this.trigger = { lines: Number.POSITIVE_INFINITY, closing: true, delay }
    else if (random.chance(0.8)) this.trigger = { lines: random.between(1, 3000), closing: false, delay }
    else this.kill(random.between(100, 450))
  }

  private take(text: string): void {
    const lines = (this.rest + text).split('\n')
    // What was being written when it was killed is not complete.
    this.rest = lines.pop()!
    for (const line of lines) {
      this.heard(line)
      if (line === 'ready') this.when = 'working'
      else if (line === 'closing' || line === 'closed') this.when = line
      else if (this.when !== 'starting') this.lines++
    }
    const { trigger } = this
    if (!trigger || this.timer) return
    if (this.lines >= trigger.lines || (trigger.closing && this.when === 'closing')) this.kill(trigger.delay)
  }

  private kill(delay: number): void {
    this.timer = setTimeout(() => {
      this.killed = true
      this.child.kill('SIGKILL')
    }, delay)
  }

  private stuck(): void {
    this.problem = `the child said nothing for ${SILENCE / 1000} s`
    this.child.kill('SIGKILL')
  }
}
