import { released } from '../../wire/amqp10/peer/performatives.ts'
import type {
  CheckAnswer,
  Incoming,
  PreparedReport,
  ProviderChecks,
  ProviderPrepared,
  ReceiverSink,
} from '../provider.ts'
import type { AmqpIncoming } from './incoming.ts'
import { MILLRACE } from './line.ts'
import type { AmqpReceiver, ReceiverSource } from './receiver.ts'
import type { Requests } from './requests.ts'
import { OUTCOMES, source, target } from './sessions.ts'

/** Half messages that may be asked for at once. */
const CREDIT = 20

const outcomes = { commit: 'accepted', rollback: 'rejected', unknown: 'released' } as const

type Receive = (from: ReceiverSource, sink: ReceiverSink) => Promise<AmqpReceiver>

/** Half messages at a Millrace broker: decided by requests, asked for over a link from $prepared/GROUP (docs/spec/amqp.md). */
export class AmqpPrepared implements ProviderPrepared {
  private readonly requests: Requests
  private readonly receive: Receive

  constructor(requests: Requests, receive: Receive) {
    this.requests = requests
    this.receive = receive
  }

  async list(): Promise<readonly PreparedReport[]> {
    return (await this.requests.ask('prepared', {}, { repeatable: true })) as PreparedReport[]
  }

  async decide(id: string, decision: 'commit' | 'rollback'): Promise<void> {
    await this.requests.ask('decide', { id, decision }, { repeatable: false })
  }

  async answerChecks(group: string, answer: CheckAnswer): Promise<ProviderChecks> {
    const sink = new CheckSink(answer)
    const receiver = await this.receive(checksOf(group), sink)
    sink.begin(receiver)
    return { close: () => receiver.close({ release: true }) }
  }
}

function checksOf(group: string): ReceiverSource {
  const address = `$prepared/${group}`
  return {
    attach: {
      sndSettleMode: 'unsettled',
      rcvSettleMode: 'second',
      source: source({ address, outcomes: OUTCOMES, defaultOutcome: released }),
      target: target({}),
      desiredCapabilities: [MILLRACE],
    },
    destination: { kind: 'queue', name: address },
    lasting: false,
  }
}

class CheckSink implements ReceiverSink {
  private readonly answer: CheckAnswer
  private receiver: AmqpReceiver | undefined

  constructor(answer: CheckAnswer) {
    this.answer = answer
  }

  begin(receiver: AmqpReceiver): void {
    this.receiver = receiver
    receiver.grant(CREDIT)
  }

  deliver(deliveries: readonly Incoming[]): void {
    for (const delivery of deliveries) void this.check(delivery as AmqpIncoming)
  }

  private async check(check: AmqpIncoming): Promise<void> {
    const { receiver } = this
    const outcome = outcomes[await this.answer(check)]
    receiver?.grant(1)
    // What is not decided is asked for again.
    await receiver?.settle([check.tag, check.tag], { outcome }).catch(() => {})
  }

  lost(): void {
    // The credit is still granted, and the half messages are asked for again.
  }

  ended(): void {
    // So they are when the group has somebody else to ask.
  }
}
