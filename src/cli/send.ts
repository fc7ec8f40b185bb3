import { open } from 'node:fs/promises'
import { addAbortSignal, type Readable } from 'node:stream'
import {
  type Context,
  type Durability,
  isMillraceError,
  type MessageProducer,
  MillraceError,
  type ProducerOptions,
  queue,
  type SendOptions,
} from '../index.ts'
import { withBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { type Line, readLines } from './lines.ts'
import type { Options } from './options.ts'
import { plural } from './output.ts'
import { Progress, type Terminal } from './progress.ts'
import { SendWindow } from './send-window.ts'
import { UsageError } from './usage-error.ts'

export const send: Command = {
  name: 'send',
  synopsis: 'QUEUE [BODY…] [--file FILE]',
  summary: 'send messages, and wait until they are on disk',
  details: [
    'Each BODY is a message; without, each line of FILE or of standard input is one.',
    'A body that begins with - goes behind --: millrace send QUEUE -- -5',
    'With --producer, sending the same file again after any interruption stores each line once.',
    'With --json, one line per confirmed message: {"line", "messageId"}, and what is delivered later has a "scheduleId".',
  ],
  options: [
    'file',
    'as',
    'priority',
    'ttl',
    'delay',
    'deliver-at',
    'repeat-every',
    'repeat-cron',
    'repeat-timezone',
    'repeat-times',
    'repeat-until',
    'group',
    'property',
    'durability',
    'producer',
  ],
  run,
}

const READ_BYTES = 256 * 1024

async function run(call: Call): Promise<number> {
  const [name, ...bodies] = takeOperands(call, 1, Number.POSITIVE_INFINITY)
  const file = call.options.text('file')
  if (bodies.length > 0 && file !== undefined) throw new UsageError('send takes bodies or --file, not both')
  const settings = readSettings(call)
  const destination = queue(name!)
  const source = bodies.length === 0 ? await openSource(file, call) : undefined
  return withBroker(call, async (mq) => {
    warnWhenBlocked(mq, call.streams.stderr)
    const producer = await mq.createProducer(destination, settings.producer)
    const lines = source ? readLines(source.stream, mq.capabilities.maxMessageBytes) : argumentLines(bodies)
    const window = new SendWindow(call.out, new Progress(call.streams.stderr, source?.bytes), call.signal)
    await sendLines(lines, window, producer, settings, call.signal)
    const sent = await window.end()
    if (!call.out.json) await call.out.line(`${plural(sent, 'message')} sent to ${name}`)
    return ExitCode.ok
  })
}

interface Settings {
  readonly producer: ProducerOptions
  readonly message: SendOptions
  readonly asJson: boolean
}

function readSettings({ options }: Call): Settings {
  return {
    producer: {
      id: options.text('producer'),
      durability: options.oneOf<Durability>('durability', ['disk', 'os', 'memory']),
      priority: options.wholeNumber('priority', 0, 9),
      ttl: options.duration('ttl'),
    },
    message: {
      properties: options.properties('property'),
      group: options.text('group'),
      delay: options.duration('delay'),
      deliverAt: options.moment('deliver-at'),
      repeat: readRepetition(options),
    },
    asJson: options.oneOf('as', ['text', 'json']) === 'json',
  }
}

function readRepetition(options: Options): SendOptions['repeat'] {
  const every = options.duration('repeat-every')
  const cron = options.text('repeat-cron')
  const timezone = options.text('repeat-timezone')
  const ends = {
    times: options.wholeNumber('repeat-times', 1, Number.MAX_SAFE_INTEGER),
    until: options.moment('repeat-until'),
  }
  if (every === undefined && cron !== undefined) return { cron, timezone, ...ends }
  if (every !== undefined && cron === undefined && timezone === undefined) return { every, ...ends }
  if ([every, cron, timezone, ends.times, ends.until].every((given) => given === undefined)) return undefined
  throw new UsageError('what repeats has --repeat-every, or --repeat-cron and perhaps its --repeat-timezone')
}

async function sendLines(
  lines: AsyncIterable<Line>,
  window: SendWindow,
  producer: MessageProducer,
  settings: Settings,
  signal: AbortSignal,
): Promise<void> {
  const numbered = settings.producer.id !== undefined
  let next = 1
  try {
    for await (const line of lines) {
      if (!(await window.hasRoom(line.size))) return
      next = line.number
      const body = settings.asJson ? parseBody(line) : line.body
      const options = numbered ? { ...settings.message, sequence: line.number } : settings.message
      window.add(line, producer.send(body, options))
      next++
    }
  } catch (error) {
    if (!signal.aborted) window.refuse(next, isMillraceError(error) ? error : unreadable('the input', error))
  }
}

function parseBody({ body }: Line): unknown {
  try {
    return JSON.parse(typeof body === 'string' ? body : '')
  } catch (cause) {
    throw new MillraceError(
      'message-invalid',
      `it is not JSON, as --as json says: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}

async function* argumentLines(bodies: readonly string[]): AsyncGenerator<Line> {
  for (const [index, body] of bodies.entries()) {
    yield { number: index + 1, body, size: Buffer.byteLength(body) }
  }
}

interface Source {
  readonly stream: Readable
  /** Size of the whole, when known. */
  readonly bytes: number | undefined
}

/** The file, opened, or standard input. Rejects with `argument-invalid`. */
async function openSource(file: string | undefined, { signal, streams }: Call): Promise<Source> {
  const { stdin, stderr } = streams
  if (file === undefined || file === '-') {
    if (stdin.isTTY) stderr.write('Each line you type is a message; end with Ctrl-D.\n')
    return { stream: addAbortSignal(signal, stdin), bytes: undefined }
  }
  try {
    const handle = await open(file)
    const { size } = await handle.stat()
    return { stream: handle.createReadStream({ signal, highWaterMark: READ_BYTES }), bytes: size }
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(what: string, cause: unknown): MillraceError {
  return new MillraceError('argument-invalid', `cannot read ${what}: ${(cause as Error).message}`, { cause })
}

function warnWhenBlocked(mq: Context, stderr: Terminal): void {
  mq.on('blocked', (full, reason) => {
    stderr.write(`millrace: waiting: ${full || 'the broker'} takes no more for now (${reason})\n`)
  })
}
