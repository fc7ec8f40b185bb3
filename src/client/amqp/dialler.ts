import { setTimeout as pause } from 'node:timers/promises'
import { type ErrorCode, isMillraceError } from '../../model/errors.ts'
import type { Dial } from './dial.ts'
import { Line, type LineOptions } from './line.ts'
import type { ReconnectPolicy } from './options.ts'

/** Failures that no further attempt will mend. */
const final: readonly ErrorCode[] = [
  'protocol-mismatch',
  'authentication-failed',
  'not-permitted',
  'directory-unusable',
  'journal-newer',
  'closed',
]

/** Makes lines to one of several addresses, in turn, with pauses that grow and are drawn from a range. */
export class Dialler {
  private readonly dials: readonly Dial[]
  private readonly policy: ReconnectPolicy
  private readonly options: LineOptions
  /** Index of the address that is tried next. */
  private next = 0

  constructor(dials: readonly Dial[], policy: ReconnectPolicy, options: LineOptions) {
    this.dials = dials
    this.policy = policy
    this.options = options
  }

  /** The first line. Rejects with what kept the last address from answering. */
  first(signal: AbortSignal): Promise<Line> {
    return this.rounds(this.policy.firstAttempts, signal)
  }

  /** The next line; a client id that is taken is still ours for as long as the broker has not noticed the loss. */
  again(signal: AbortSignal): Promise<Line> {
    return this.rounds(this.policy.maxAttempts, signal)
  }

  private async rounds(attempts: number, signal: AbortSignal): Promise<Line> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.round(signal)
      } catch (error) {
        signal.throwIfAborted()
        const isLast = attempt >= attempts || (isMillraceError(error) && final.includes(error.code))
        if (isLast) throw error
      }
      await pause(this.delay(attempt), undefined, { signal })
    }
  }

  /** Each address once. */
  private async round(signal: AbortSignal): Promise<Line> {
    let failure: unknown
    for (let i = 0; i < this.dials.length; i++) {
      const dial = this.dials[this.next]!
      try {
        return await Line.connect(await dial(signal), this.options, signal)
      } catch (error) {
        signal.throwIfAborted()
        failure = error
        this.next = (this.next + 1) % this.dials.length
      }
    }
    throw failure
  }

  private delay(attempt: number): number {
    const { initial, max } = this.policy
    const grown = Math.min(max, initial * 2 ** (attempt - 1))
    return grown * (0.5 + Math.random() / 2)
  }
}
