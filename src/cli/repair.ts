import type { Context, MoveOptions } from '../index.ts'
import { existingQueue, withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { plural } from './output.ts'

/** Commands that change what queues hold, and say how many messages that was. */
export const purge: Command = {
  name: 'purge',
  synopsis: 'QUEUE [--selector CONDITION]',
  summary: 'remove the messages of a queue that no consumer holds',
  details: ['They are gone; the queue counts them as purged.'],
  options: ['selector'],
  run: (call) =>
    change(call, ['queue'], 'purged', (mq, [queue]) =>
      mq.management.purge(queue!, { selector: call.options.text('selector') }),
    ),
}

export const deleteQueue: Command = {
  name: 'delete',
  synopsis: 'QUEUE',
  summary: 'delete a queue with all its messages',
  details: ['Consumers of the queue end with an error. A send to its name may create it again.'],
  options: [],
  run: (call) => change(call, ['queue'], 'deleted', (mq, [queue]) => mq.management.delete(queue!)),
}

export const move: Command = {
  name: 'move',
  synopsis: 'FROM TO [--count N] [--selector CONDITION] [--id ID] [--rate N]',
  summary: 'move messages that no consumer holds to another queue, oldest first',
  details: ['Each message is at every moment in exactly one of the two queues.'],
  options: ['count', 'selector', 'id', 'rate'],
  run: (call) =>
    change(call, ['queue', 'queue'], 'moved', (mq, [from, to]) =>
      mq.management.move(from!, to!, choiceOf(call)),
    ),
}

export const redrive: Command = {
  name: 'redrive',
  synopsis: 'QUEUE [--count N] [--selector CONDITION] [--id ID] [--rate N]',
  summary: 'move dead letters back to the queues where they failed, oldest first',
  details: [
    'QUEUE is the dead-letter queue, such as orders.dlq. They are delivered again as if for the first time.',
    'What is no dead letter, or came from a queue that is gone, stays.',
  ],
  options: ['count', 'selector', 'id', 'rate'],
  run: (call) =>
    change(call, ['queue'], 'moved', (mq, [queue]) => mq.management.redrive(queue!, choiceOf(call))),
}

function choiceOf({ options }: Call): MoveOptions {
  const limit = options.wholeNumber('count', 1, Number.MAX_SAFE_INTEGER)
  const [selector, brokerId] = [options.text('selector'), options.text('id')]
  return { limit, selector, brokerId, rate: options.wholeNumber('rate', 1, Number.MAX_SAFE_INTEGER) }
}

async function change(
  call: Call,
  operands: readonly string[],
  done: string,
  apply: (mq: Context, names: readonly string[]) => Promise<number>,
): Promise<number> {
  const { out } = call
  const names = takeOperands(call, operands.length, operands.length)
  const messages = await withExistingBroker(call, async (mq) => {
    for (const name of names) await existingQueue(mq, name)
    return apply(mq, names)
  })
  await (out.json ? out.document({ [done]: messages }) : out.line(`${plural(messages, 'message')} ${done}`))
  return ExitCode.ok
}
