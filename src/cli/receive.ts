import { type Duration, type Message, type MessageConsumer, queue } from '../index.ts'
import { existingQueue, withBroker, withExistingBroker } from './broker.ts'
import { type Call, type Command, takeOperands } from './command.ts'
import { ExitCode } from './exit-code.ts'
import { writeMessage } from './message-output.ts'
import { Interrupted } from './usage-error.ts'

/** Acknowledgements under way at once. */
const MAX_UNDER_WAY = 1_000
/** Messages fetched ahead. */
const PREFETCH = 256

export const receive: Command = {
  name: 'receive',
  synopsis: 'QUEUE [--count N] [--timeout TIME] [--follow] [--selector CONDITION]',
  summary: 'take messages out of a queue and print them, a body a line',
  details: [
    'Takes what is there, then ends. With --timeout it waits so long for each message, with --follow',
    'until it is stopped. A message is acknowledged after its line was written; what was not written',
    'stays in the queue. With --json, a message is one line with its headers and properties.',
  ],
  options: ['count', 'timeout', 'follow', 'selector'],
  run,
}

interface Limits {
  readonly count: number
  /** Undefined: until stopped. */
  readonly timeout: Duration | undefined
}

async function run(call: Call): Promise<number> {
  const { options } = call
  const [name] = takeOperands(call, 1, 1)
  const follow = options.flag('follow')
  const count = options.wholeNumber('count', 1, Number.MAX_SAFE_INTEGER)
  const timeout = options.duration('timeout')
  const limits = { count: count ?? Number.POSITIVE_INFINITY, timeout: timeout ?? (follow ? undefined : 0) }
  // Whoever waits may come before the queue does; whoever looks has mistyped its name.
  const waits = limits.timeout !== 0
  const within = waits ? withBroker : withExistingBroker
  const receiving = within(call, async (mq) => {
    const source = waits ? queue(name!) : await existingQueue(mq, name!)
    const prefetch = Math.min(PREFETCH, limits.count)
    const selector = options.text('selector')
    return new Reception(call, await mq.createConsumer(source, { prefetch, selector })).run(limits)
  })
  const received = await receiving.catch((error: unknown) => {
    // Being stopped is how following ends, also before it has begun.
    if (follow && error instanceof Interrupted) return 0
    throw error
  })
  if (call.signal.aborted && !follow) throw new Interrupted('stopped')
  if (call.signal.aborted) return ExitCode.ok
  return received === 0 || received < (count ?? 0) ? ExitCode.nothing : ExitCode.ok
}

/** Messages on their way from the queue to the output and back to the broker as acknowledged. */
class Reception {
  private readonly call: Call
  private readonly consumer: MessageConsumer
  private readonly underWay: Set<Promise<void>> = new Set()
  private failure: Error | undefined
  private received = 0

  constructor(call: Call, consumer: MessageConsumer) {
    this.call = call
    this.consumer = consumer
  }

  /** Answers how many were received and acknowledged. */
  async run({ count, timeout }: Limits): Promise<number> {
    const { signal, out } = this.call
    try {
      while (this.received < count && !this.failure) {
        const message = await this.consumer.receive({ timeout, signal })
        if (!message) break
        await writeMessage(out, message)
        this.received++
        await this.acknowledge(message)
      }
    } catch (error) {
      if (!(error instanceof Interrupted)) throw error
    } finally {
      await Promise.all(this.underWay)
    }
    if (this.failure) throw this.failure
    return this.received
  }

  /** Asks for it, and waits only when much is under way. */
  private async acknowledge(message: Message): Promise<void> {
    const done = message
      .acknowledge()
      .catch((error: Error) => {
        this.failure ??= error
      })
      .finally(() => this.underWay.delete(done))
    this.underWay.add(done)
    if (this.underWay.size < MAX_UNDER_WAY) return
    for (const oldest of this.underWay) return oldest
  }
}
