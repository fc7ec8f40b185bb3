import { type DestinationStream, pino } from 'pino'
import type { Configuration } from './config/settings.ts'

/** What the server says of itself; pino's shape, so that a host may hand in its own. */
export interface Logger {
  debug(facts: object, text: string): void
  info(facts: object, text: string): void
  warn(facts: object, text: string): void
  error(facts: object, text: string): void
}

/** Where lines of the log go. */
export interface LogStream {
  write(line: string): unknown
}

/** One line an event: JSON with `time` (ISO 8601), `level` (a word), `event` and facts, or text for people. */
export function makeLogger(
  { logLevel, logFormat }: Pick<Configuration, 'logLevel' | 'logFormat'>,
  stream: LogStream,
): Logger {
  const destination: DestinationStream = {
    write: (line) => stream.write(logFormat === 'json' ? line : forPeople(line)),
  }
  return pino(
    {
      level: logLevel,
      base: null,
      messageKey: 'message',
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    destination,
  )
}

function forPeople(line: string): string {
  const { time, level, message, event: _, ...facts } = JSON.parse(line) as Record<string, unknown>
  const clock = String(time).slice(11, 19)
  const details = Object.entries(facts)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${plain(value)}`)
  return `${[clock, String(level).padEnd(5), message, ...details].join(' ')}\n`
}

function plain(value: unknown): string {
  return typeof value === 'string' && /^[\w:./@+-]+$/.test(value) ? value : JSON.stringify(value)
}
