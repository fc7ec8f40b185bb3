import type { Context } from '../../client/context.ts'
import { type Queue, queue as queueOf } from '../../client/destinations.ts'
import { type Explanation, explanation, inWords } from '../explain/explanation.ts'
import { deadLettersOf, factsOf, type QueueFacts } from '../explain/queue-facts.ts'
import type { Inbox } from './inbox.ts'
import { redeliveryHorizon } from './retention.ts'

type Source = Queue<never, unknown>

/** For how long messages of a queue may come again, as the broker is configured. Milliseconds. */
interface Reach {
  /** Infinity: it never ends. */
  readonly redelivery: number
  /** How old a dead letter becomes; 0: there are none; undefined: they stay until somebody does something. */
  readonly deadLetters: number | undefined
  /** What bounds none of both. */
  readonly unbounded: readonly string[]
}

async function reachOf(mq: Context, facts: QueueFacts): Promise<Reach> {
  const { policy, name } = facts
  const { redelivery } = redeliveryHorizon(policy)
  const unbounded: string[] = []
  if (redelivery === Number.POSITIVE_INFINITY) unbounded.push(`${name} has no maxDeliveries`)
  if (policy.deliveryTimeout === undefined)
    unbounded.push(`${name} has no deliveryTimeout, so that a handler may keep a message for ever`)
  if (policy.ttl === undefined)
    unbounded.push(`${name} has no ttl, so that a message waits for as long as nobody consumes`)
  const letters = deadLettersOf(facts)
  if (letters === undefined) return { redelivery, deadLetters: 0, unbounded }
  const deadLetters = (await factsOf(mq, queueOf(letters)))?.policy.ttl
  if (deadLetters === undefined)
    unbounded.push(`${letters} has no ttl, so that a dead letter of any age may be redriven`)
  return { redelivery, deadLetters, unbounded }
}

/** What is wrong with the retention for this queue; undefined: nothing, or the broker does not tell. */
export async function retentionProblem(
  { consumer, retention, redriveWithin }: Inbox,
  mq: Context,
  source: Source,
): Promise<string | undefined> {
  const facts = await factsOf(mq, source)
  if (!facts) return undefined
  const { redelivery, deadLetters = redriveWithin } = await reachOf(mq, facts)
  if (retention > redelivery + deadLetters) return undefined
  const again = inWords(redelivery)
  return `the inbox of ${consumer} forgets messages after ${inWords(retention)}, but one of the queue ${source.name} may be redelivered for ${again}, and be a dead letter for ${inWords(deadLetters)} after that: it would be processed twice`
}

/** See Inbox.explain. */
export async function explainInbox(inbox: Inbox, mq: Context, source: Source): Promise<Explanation> {
  const { consumer, retention, redriveWithin } = inbox
  const facts = await factsOf(mq, source)
  const reach = facts && (await reachOf(mq, facts))
  const kept = inWords(retention)
  return explanation(`The inbox of ${consumer}, for messages of the queue ${source.name}`, {
    lost: [
      'No effect of a message that was taken: it is accepted after its effect was committed, or was found committed.',
      ...(reach?.deadLetters === 0
        ? ['There is no dead-letter queue: a message that always fails stays, and has no effect.']
        : [
            'A message that always fails becomes a dead letter; it is there, and has no effect until it is redriven.',
          ]),
      'What the database loses of what it has committed, such as in a failover to a replica that was behind.',
    ],
    duplicated: [
      `The effect in the database: not within ${kept}, since it is committed together with the mark that it was.`,
      'The handler: it may run several times, also at once; of all runs one is committed, and a late one is refused.',
      'What a handler does outside of its transaction: as often as it runs. `recorded` is for that.',
      'A message of the same content under another id: it is another message.',
    ],
    order: [
      'As the queue delivers. A message that comes again is processed after later ones, unless they are of its group.',
    ],
    until: [
      `A message is known for ${kept} after it was processed, by the clock of the database, which may be set back meanwhile; one that comes again later is processed again.`,
      ...(reach
        ? reachInWords(reach, redriveWithin)
        : ['For how long messages come again the broker does not tell.']),
    ],
  })
}

function reachInWords({ redelivery, deadLetters, unbounded }: Reach, redriveWithin: number): string[] {
  const sentences: string[] = []
  if (redelivery !== Number.POSITIVE_INFINITY)
    sentences.push(`The broker delivers a message that fails again for at most ${inWords(redelivery)}.`)
  if (deadLetters === undefined)
    sentences.push(`Dead letters are to be redriven within ${inWords(redriveWithin)}; nothing enforces that.`)
  else if (deadLetters > 0) sentences.push(`A dead letter expires after ${inWords(deadLetters)}.`)
  return [...sentences, ...unbounded.map((what) => `Not bounded: ${what}.`)]
}
