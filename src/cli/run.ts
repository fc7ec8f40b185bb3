import { isMillraceError } from '../index.ts'
import { browse } from './browse.ts'
import type { Call, Command, Streams } from './command.ts'
import { connections } from './connections.ts'
import { create } from './create.ts'
import { doctor } from './doctor.ts'
import { ExitCode } from './exit-code.ts'
import { commonOptions, helpFor, overview } from './help.ts'
import { suggestion } from './nearest.ts'
import { type Options, type ParsedCommandLine, parseCommandLine } from './options.ts'
import { outbox } from './outbox.ts'
import { Output, ReaderGone } from './output.ts'
import { passwd } from './passwd.ts'
import { prepared } from './prepared.ts'
import type { Terminal } from './progress.ts'
import { queues } from './queues.ts'
import { receive } from './receive.ts'
import { deleteQueue, move, purge, redrive } from './repair.ts'
import { cancel, scheduled } from './scheduled.ts'
import { send } from './send.ts'
import { dev, serve } from './serve.ts'
import { topics } from './topics.ts'
import { Interrupted, UsageError } from './usage-error.ts'
import { version } from './version.ts'
import { watch } from './watch.ts'
import { why } from './why.ts'

export const commands: readonly Command[] = [
  send,
  receive,
  browse,
  queues,
  topics,
  connections,
  watch,
  why,
  create,
  deleteQueue,
  purge,
  move,
  redrive,
  prepared,
  scheduled,
  cancel,
  outbox,
  doctor,
  serve,
  dev,
  passwd,
]

const DEFAULT_URL = 'file:./millrace-data'

/** Runs one command to its end, whatever that is, and answers the exit code. */
export async function runCommandLine(
  args: readonly string[],
  signal: AbortSignal,
  streams: Streams = process,
): Promise<number> {
  // Errors are JSON if the output would have been, also when the command line cannot be parsed.
  const end = args.indexOf('--')
  const json = args.slice(0, end < 0 ? args.length : end).includes('--json')
  const out = new Output(streams.stdout, json)
  try {
    return await dispatch(parseCommandLine(args), { out, signal, streams })
  } catch (error) {
    return report(error, json, streams.stderr)
  }
}

async function dispatch(
  { positionals, options }: ParsedCommandLine,
  surroundings: Pick<Call, 'out' | 'signal' | 'streams'>,
): Promise<number> {
  const { out } = surroundings
  const [name, ...operands] = positionals
  if (options.flag('version')) return print(out, { version: version() }, version())
  if (name === undefined && options.flag('help'))
    return print(out, { help: overview(commands) }, overview(commands))
  if (name === 'help') return help(out, operands)
  if (name === undefined) throw new UsageError("no command was given; 'millrace help' lists them")
  const command = find(name)
  if (options.flag('help')) return help(out, [name])
  checkOptions(command, options)
  const url = options.text('url') ?? DEFAULT_URL
  return command.run({ command, operands, options, url, ...surroundings })
}

function find(name: string): Command {
  const command = commands.find((each) => each.name === name)
  if (command) return command
  const hint = suggestion(name, ['help', ...commands.map((each) => each.name)])
  throw new UsageError(`unknown command '${name}'${hint || "; 'millrace help' lists them"}`)
}

function checkOptions({ name, options: own }: Command, options: Options): void {
  const allowed = [...own, ...commonOptions]
  const stranger = options.names.find((option) => !allowed.includes(option))
  if (stranger === undefined) return
  throw new UsageError(`${name} has no option --${stranger}; 'millrace ${name} --help' lists what it has`)
}

async function help(out: Output, topics: readonly string[]): Promise<number> {
  const text = topics[0] === undefined ? overview(commands) : helpFor(find(topics[0]))
  return print(out, { help: text }, text)
}

async function print(out: Output, document: unknown, text: string): Promise<number> {
  await (out.json ? out.document(document) : out.line(text))
  return ExitCode.ok
}

/** One line on stderr for what the user can do something about; a stack for what only we can. */
function report(error: unknown, json: boolean, stderr: Terminal): number {
  if (error instanceof ReaderGone) return ExitCode.ok
  const exitCode = exitCodeFor(error)
  const { message, stack } = error as Error
  if (json) {
    const known = isMillraceError(error) ? { code: error.code, retryable: error.retryable } : {}
    stderr.write(`${JSON.stringify({ error: { ...known, message, exitCode } })}\n`)
  } else if (isMillraceError(error)) {
    stderr.write(`millrace: ${error.code}: ${message}\n`)
  } else if (error instanceof UsageError || error instanceof Interrupted) {
    stderr.write(`millrace: ${message}\n`)
  } else {
    stderr.write(`millrace: internal error, please report it with this:\n${stack ?? message}\n`)
  }
  return exitCode
}

function exitCodeFor(error: unknown): number {
  if (error instanceof UsageError) return ExitCode.usage
  if (isMillraceError(error) && error.code === 'journal-failed') return ExitCode.journalFailed
  return error instanceof Interrupted ? ExitCode.interrupted : ExitCode.failed
}
