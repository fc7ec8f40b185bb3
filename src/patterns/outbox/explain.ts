import { type Explanation, explanation, inWords } from '../explain/explanation.ts'
import type { RelayConfiguration } from './relay-options.ts'

export interface OutboxFacts {
  readonly relays: readonly RelayConfiguration[]
  readonly maxMessageBytes: number
  /** Milliseconds that a transaction on half messages may take; undefined: there are none. */
  readonly commitWithin: number | undefined
  readonly database: string
}

/** What an outbox promises, by its configuration. */
export function explainOutbox({ relays, maxMessageBytes, commitWithin, database }: OutboxFacts): Explanation {
  const leases = relays.map(({ lease }) => lease)
  const polls = relays.map(({ longestPoll }) => longestPoll)
  return explanation('The outbox', {
    lost: [
      'Nothing that was committed: a message is a row of the database until the broker has confirmed it, and as safe as the rest of the database. What was not committed is never sent.',
      'What happens to it after that is up to the broker and the queue (explainProducer). A message with a ttl that has passed before it could be sent is deleted, and counted.',
      ...(commitWithin === undefined
        ? []
        : [
            `On half messages: a transaction that is not committed within ${inWords(commitWithin)} after its first message was prepared may be given up, and its commit fails then. A half message that nobody can be asked about is parked at the broker, not lost.`,
          ]),
    ],
    duplicated: [
      'When a relay dies, or its claim runs out, between the confirm and the deletion, a message is sent again, under the same message id and deduplication id: a queue with deduplication stores it once, a consumer with an inbox processes it once.',
    ],
    order: [
      'Of one key: that of the commits, each after the confirm of the one before. Transactions that send under one key wait for each other.',
      ...(database === 'mysql'
        ? ['Keys share 1,024 locks: now and then two transactions wait for each other that need not.']
        : []),
      'Without a key: none.',
      'A message that the broker refuses holds up those of its key behind it, and no others.',
    ],
    until: [
      relays.length === 0
        ? 'No relay is running in this process: what is stored is sent by one elsewhere, or when one is started.'
        : `A commit in this process is noticed at once, one elsewhere within ${inWords(Math.min(...polls))}; what a relay that died had claimed is taken over after ${inWords(Math.max(...leases))}.`,
      'A refused message is tried again after 1 s, 2 s, 4 s, and so on up to 5 min, until it is sent, or somebody gives it up.',
      `A message of more than ${maxMessageBytes} bytes is refused before it is stored.`,
    ],
  })
}
