import { type Overflow, queue } from '../index.ts'
import { withBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'

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
  }
  await withBroker(call, (mq) => mq.declare(queue(name!, { policy })))
  await (out.json ? out.document({ created: name }) : out.line(`queue ${name} exists`))
  return ExitCode.ok
}
