import { isMillraceError } from '../index.ts'
import { type Configuration, IN_MEMORY, settingsByFlag } from '../server/config/settings.ts'
import type { Listeners, MillraceServer } from '../server/server.ts'
import { CollectorGuide } from './collector.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { suggestion } from './nearest.ts'
import { settingOptions } from './options.ts'
import { UsageError } from './usage-error.ts'
import { version } from './version.ts'
import { isTerminal, VIEW_INTERVAL, View } from './watch.ts'

export const serve: Command = {
  name: 'serve',
  synopsis: '[--data DIR] [--port N] [--config FILE]',
  summary: 'run a server for the clients of other processes and machines',
  details: [
    'Every option can also be set in the environment (--log-level as MILLRACE_LOG_LEVEL) and in millrace.yaml',
    '(log: { level: … }), which takes users as well; options go before the environment, and that before the file.',
    'SIGTERM or Ctrl-C ends it in good order: what clients wait for is answered first. A second one ends it at once.',
    'SIGHUP makes it read the certificate again.',
  ],
  options: ['config', ...settingOptions],
  run: (call) => run(call, new Map()),
}

export const dev: Command = {
  name: 'dev',
  synopsis: '[--memory] [--data DIR] [--port N]',
  summary: 'the same for trying things out, with a live view of the queues',
  details: [
    "On a terminal it shows what 'watch' shows, and logs only warnings; elsewhere it logs with --log-level",
    'debug. With --memory, nothing is written to disk.',
  ],
  options: ['memory', 'data', 'port', 'config'],
  run: (call) => {
    const view = isTerminal(call)
    const told = new Map<keyof Configuration, string>([['logLevel', view ? 'warn' : 'debug']])
    if (call.options.flag('memory')) {
      if (call.options.flag('data')) throw new UsageError('dev takes --memory or --data, not both')
      told.set('data', IN_MEMORY)
    }
    return run(call, told, view ? showQueues : undefined)
  },
}

/** Lives with the server. */
type Companion = (call: Call, server: MillraceServer, caption: string) => Promise<void>

async function showQueues(call: Call, server: MillraceServer, caption: string): Promise<void> {
  const mq = await server.client()
  try {
    await new View(call, mq, [], `${caption}\n\n`).run(VIEW_INTERVAL)
  } finally {
    await mq.close()
  }
}

/** `told`: what flags would say if they were given. */
async function run(
  call: Call,
  told: ReadonlyMap<keyof Configuration, string>,
  companion?: Companion,
): Promise<number> {
  takeOperands(call, 0, 0)
  if (call.options.flag('url')) throw new UsageError(`${call.command.name} takes --data DIR instead of --url`)
  const configuration = await configure(call, told)
  // The other commands need not wait until all of this is loaded.
  const { makeLogger } = await import('../server/log.ts')
  const { startServer } = await import('../server/server.ts')
  using _ = new CollectorGuide()
  const logger = makeLogger(configuration, call.streams.stderr)
  const server = await orMistake(() => startServer(configuration, logger, version()))
  try {
    await announce(call, configuration, server.listeners)
  } catch (error) {
    await server.stop(0)
    throw error
  }
  const ended = new AbortController()
  const signal = AbortSignal.any([call.signal, ended.signal])
  const accompanied = companion?.(
    { ...call, signal },
    server,
    forPeople(configuration, server.listeners).join('\n'),
  )
  try {
    return await attend(call, configuration, server, accompanied)
  } finally {
    ended.abort()
  }
}

/** Until a signal comes, or the journal fails. Answers the exit code. */
async function attend(
  call: Call,
  configuration: Configuration,
  server: MillraceServer,
  companion: Promise<void> | undefined,
): Promise<number> {
  const renew = (): void => server.renewCertificate()
  process.on('SIGHUP', renew)
  const failure = await Promise.race([server.failed, aborted(call.signal)])
  process.off('SIGHUP', renew)
  if (failure) {
    await server.stop(0).catch(() => {})
    throw failure
  }
  await companion
  const { clean, unanswered } = await server.stop(configuration.shutdownTimeout)
  if (clean) return ExitCode.ok
  const what = unanswered > 0 ? `${unanswered} sends were not answered` : 'some clients did not leave'
  call.streams.stderr.write(`millrace: ${what} by the deadline\n`)
  return ExitCode.cut
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** Throws UsageError for what is wrong. */
async function configure(
  { options, out }: Call,
  told: ReadonlyMap<keyof Configuration, string>,
): Promise<Configuration> {
  const { readConfiguration } = await import('../server/config/configuration.ts')
  const flags = new Map(told)
  if (out.json) flags.set('logFormat', 'json')
  for (const [flag, key] of settingsByFlag) {
    const value = options.text(flag)
    if (value !== undefined) flags.set(key, value)
  }
  const file = options.text('config')
  const [environment, directory] = [process.env, process.cwd()]
  return orMistake(() => readConfiguration({ flags, environment, file, directory, suggest: suggestion }))
}

/** A setting that cannot be used is as if the command line were wrong. */
async function orMistake<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isMillraceError(error) && error.code === 'argument-invalid')
      throw new UsageError(error.message, { cause: error })
    throw error
  }
}

/** The ready line: for programs one document, for people what to type next. */
function announce(call: Call, configuration: Configuration, listeners: Listeners): Promise<void> {
  const { out } = call
  const { data, logFormat } = configuration
  if (logFormat === 'json')
    return out.document({ event: 'ready', listeners, data, pid: process.pid, version: version() })
  return out.line(forPeople(configuration, listeners).join('\n'))
}

function forPeople({ data, httpTls }: Configuration, { amqp, amqps, http }: Listeners): string[] {
  const url = amqp ? address('amqp', amqp) : amqps && address('amqps', amqps)
  const page = http && address(httpTls ? 'https' : 'http', http)
  const millrace = import.meta.url.endsWith('.ts') ? 'npm run -s millrace --' : 'npx millrace'
  return [
    `Millrace ${version()} serves ${data === IN_MEMORY ? 'from memory' : data}`,
    ...(amqp ? [`  AMQP 1.0           ${address('amqp', amqp)}`] : []),
    ...(amqps ? [`  AMQP 1.0 with TLS  ${address('amqps', amqps)}`] : []),
    ...(page ? [`  for operators      ${page}/health and ${page}/metrics`] : []),
    ...(url
      ? [
          '',
          'In another terminal:',
          `  ${millrace} send orders 'one apple' 'two pears' --url ${url}`,
          `  ${millrace} receive orders --url ${url}`,
        ]
      : []),
    '',
    'Ctrl-C stops it.',
  ]
}

function address(scheme: string, { host, port }: { readonly host: string; readonly port: number }): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`
}
