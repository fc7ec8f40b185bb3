import { type Overflow, type PolicyOptions, queue } from '../index.ts'
import { withBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import type { Options } from './options.ts'
import { UsageError } from './usage-error.ts'

const overflows: readonly Overflow[] = ['block', 'reject', 'drop-oldest', 'dead-letter']

export const create: Command = {
  name: 'create',
  synopsis: 'QUEUE [--capacity N] [--capacity-bytes N] [--when-full POLICY] …',
  summary: 'create a queue with a policy of its own',
  details: [
    'What is not said keeps the default of the broker. A queue that exists with the same policy is left',
    'as it is; one with another policy is an error.',
  ],
  options: [
    'ttl',
    'capacity',
    'capacity-bytes',
    'when-full',
    'max-deliveries',
    'delivery-timeout',
    'dead-letter',
    'expired',
    'single-active-consumer',
    'deduplication-window',
    'deduplication-count',
    'last-value',
    'redelivery-delays',
    'redelivery-delay',
    'redelivery-multiplier',
    'redelivery-max-delay',
    'redelivery-jitter',
  ],
  run,
}

async function run(call: Call): Promise<number> {
  const { options, out } = call
  const [name] = takeOperands(call, 1, 1)
  const most = Number.MAX_SAFE_INTEGER
  const policy = {
    ttl: options.duration('ttl'),
    maxMessages: options.wholeNumber('capacity', 1, most),
    maxBytes: options.wholeNumber('capacity-bytes', 1, most),
    overflow: options.oneOf('when-full', overflows),
    maxDeliveries: options.wholeNumber('max-deliveries', 1, most),
    deliveryTimeout: options.duration('delivery-timeout'),
    deadLetter: options.text('dead-letter'),
    expired: options.text('expired'),
    singleActiveConsumer: options.flag('single-active-consumer') || undefined,
    deduplication: deduplication(options),
    lastValue: options.text('last-value'),
    backoff: backoff(options),
  }
  await withBroker(call, (mq) => mq.declare(queue(name!, { policy })))
  await (out.json ? out.document({ created: name }) : out.line(`queue ${name} exists`))
  return ExitCode.ok
}

/** Undefined when nothing is said of it, as below. */
function deduplication(options: Options): PolicyOptions['deduplication'] {
  const window = options.duration('deduplication-window')
  const count = options.wholeNumber('deduplication-count', 1, Number.MAX_SAFE_INTEGER)
  return window === undefined && count === undefined ? undefined : { window, count }
}

function backoff(options: Options): PolicyOptions['backoff'] {
  const delays = options.durations('redelivery-delays')
  const delay = options.duration('redelivery-delay')
  const multiplier = options.decimal('redelivery-multiplier', 1, Number.POSITIVE_INFINITY)
  const maxDelay = options.duration('redelivery-max-delay')
  const jitter = options.decimal('redelivery-jitter', 0, 1)
  const grows = [delay, multiplier, maxDelay].some((value) => value !== undefined)
  if (delays !== undefined && grows)
    throw new UsageError(
      '--redelivery-delays lists all waits; leave the other --redelivery options but jitter out',
    )
  if (delays === undefined && !grows && jitter === undefined) return undefined
  return { delays, delay, multiplier, maxDelay, jitter }
}
