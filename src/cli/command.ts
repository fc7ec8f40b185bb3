import type { Readable, Writable } from 'node:stream'
import type { OptionName, Options } from './options.ts'
import type { Output } from './output.ts'
import type { Terminal } from './progress.ts'
import { UsageError } from './usage-error.ts'

/** What a shell gives to a process. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable
  readonly stderr: Terminal
}

/** One call of a command, as the shell made it. */
export interface Call {
  readonly command: Command
  /** Arguments after the command's name. */
  readonly operands: readonly string[]
  readonly options: Options
  readonly url: string
  readonly out: Output
  readonly streams: Streams
  /** Aborted, with Interrupted as its reason, when the command shall stop. */
  readonly signal: AbortSignal
}

export interface Command {
  readonly name: string
  readonly synopsis: string
  readonly summary: string
  /** What the help says beyond the options. */
  readonly details: readonly string[]
  readonly options: readonly OptionName[]
  /** Answers the exit code. */
  run(call: Call): Promise<number>
}

/** The arguments that a command needs at least and takes at most. Throws UsageError. */
export function takeOperands(call: Call, least: number, most: number): readonly string[] {
  const { command, operands } = call
  const usage = `usage: millrace ${command.name} ${command.synopsis}`
  if (operands.length < least) throw new UsageError(`${command.name} needs more; ${usage}`)
  if (operands.length > most) {
    throw new UsageError(`${command.name} does not take '${operands[most]}'; ${usage}`)
  }
  return operands
}
