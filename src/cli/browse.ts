import { existingQueue, withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { bodyForPeople, writeMessage } from './message-output.ts'
import { oneLine } from './output.ts'

export const browse: Command = {
  name: 'browse',
  synopsis: 'QUEUE [--count N] [--selector CONDITION]',
  summary: 'look at the messages of a queue without taking them',
  details: [
    "Prints id, state and body of each message, in the order of the queue. The id is what 'millrace why'",
    'takes. With --json, a message is one line with its headers and properties.',
  ],
  options: ['count', 'selector'],
  run,
}

/** Wide enough for the longest state. */
const STATE_WIDTH = 9

async function run(call: Call): Promise<number> {
  const { options, out, signal } = call
  const [name] = takeOperands(call, 1, 1)
  const count = options.wholeNumber('count', 1, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY
  const selector = options.text('selector')
  const seen = await withExistingBroker(call, async (mq) => {
    let seen = 0
    for await (const message of mq.browse(await existingQueue(mq, name!), { selector })) {
      signal.throwIfAborted()
      if (out.json) await writeMessage(out, message)
      else
        await out.line(
          `${message.brokerId}  ${message.state.padEnd(STATE_WIDTH)} ${oneLine(bodyForPeople(message))}`,
        )
      if (++seen >= count) break
    }
    return seen
  })
  return seen === 0 ? ExitCode.nothing : ExitCode.ok
}
