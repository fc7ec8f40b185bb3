import type { Context } from '../../client/context.ts'
import type { Queue, Receivable } from '../../client/destinations.ts'
import type { AcknowledgeMode } from '../../client/session.ts'
import { type Explanation, explanation, inWords, type Sentences } from './explanation.ts'
import { deadLettersOf, factsOf, patienceOf, type QueueFacts } from './queue-facts.ts'

/** How messages are consumed. */
export interface ConsumerSetting {
  /** Messages, or batches, handled at once. Default 1. */
  readonly concurrency?: number | undefined
  /** Default: a message is accepted when its handler has returned, as `consume` does. */
  readonly acknowledge?: AcknowledgeMode | undefined
  /** Messages of a batch at most, and whether those of a batch that fails are tried one by one. */
  readonly batch?: { readonly size: number; readonly isolate: boolean } | undefined
  /** Messages of a key may have to wait. */
  readonly keyed?: boolean | undefined
  readonly breaker?: boolean | undefined
  /** It is this consumer that the broker counts already. */
  readonly counted?: boolean | undefined
}

type Draft = { readonly [K in keyof Sentences]: string[] }

/**
 * What consuming `from` promises, as the broker is configured and with these settings. Asks the broker for the policy of the
 * queue. Rejects as ProviderManagement.queues.
 */
export async function explainConsumer(
  mq: Context,
  from: Receivable<unknown>,
  setting: ConsumerSetting = {},
): Promise<Explanation> {
  const draft: Draft = { lost: [], duplicated: [], order: [], until: [] }
  const isQueue = from.kind === 'queue' || from.kind === 'temporary-queue'
  const facts = isQueue ? await factsOf(mq, from as Queue<never, unknown>) : undefined
  explainSource(from, facts, draft)
  explainAcknowledging(setting, draft)
  explainOrder(setting, facts, draft)
  if (facts) explainRedelivery(facts, setting, draft)
  else draft.until.push('How often a message that fails comes again, its queue at the broker decides.')
  if (setting.breaker)
    draft.until.push(
      'While the circuit breaker is open nothing is fetched, and what fails then is given back uncounted.',
    )
  return explanation(`Consuming from the ${from.kind} ${from.name}`, draft)
}

function explainSource(
  { kind, name }: Receivable<unknown>,
  facts: QueueFacts | undefined,
  { lost }: Draft,
): void {
  if (kind.endsWith('topic'))
    lost.push(
      `What is sent to ${name} while this consumer is not there; and, when it is far behind, the oldest: its subscription is kept in memory, within a bound.`,
    )
  if (!facts) return
  const { ttl, expired, lastValue } = facts.policy
  if (ttl !== undefined)
    lost.push(
      `What waits longer than ${inWords(ttl)} expires${expired ? `, and goes to the queue ${expired.replaceAll('{queue}', name)}` : ', and is dropped and counted'}.`,
    )
  if (lastValue !== undefined)
    lost.push(`What a newer message with the same value of the property ${lastValue} replaces is not seen.`)
}

function explainAcknowledging({ acknowledge, batch }: ConsumerSetting, { lost, duplicated }: Draft): void {
  const again =
    'comes again when the process, the connection or the broker ends before that is on disk, or the handler throws: its effect has to be repeatable, or guarded by an inbox.'
  switch (acknowledge) {
    case 'auto':
      lost.push(
        'A message is acknowledged before it is received: what a process that dies has not done with is lost.',
      )
      duplicated.push('A message comes again when the connection ends before its acknowledgement is on disk.')
      return
    case 'dups-ok':
      lost.push(
        'A message is acknowledged as it is received: what a process that dies has not done with is lost.',
      )
      duplicated.push('The last ones received come again when the process or the connection ends.')
      return
    case 'transacted':
      duplicated.push(
        'Within the broker nothing: what was received and what was sent happen together or not at all. An effect outside, such as in a database, is repeated when the commit fails after it.',
      )
      return
    case 'client':
    case 'individual':
      duplicated.push(`A message that was acknowledged ${again}`)
      return
    default:
      duplicated.push(`A message is accepted after its handler has returned; one that was handled ${again}`)
  }
  if (batch && batch.size > 1)
    duplicated.push(
      batch.isolate
        ? 'When a batch fails as a whole, each of its messages is handled once more at once, alone.'
        : 'When a batch fails as a whole, all its messages come again.',
    )
}

function explainOrder(
  { concurrency = 1, keyed, counted, batch }: ConsumerSetting,
  facts: QueueFacts | undefined,
  { order }: Draft,
): void {
  const what = batch && batch.size > 1 ? 'batches' : 'messages'
  order.push(
    concurrency === 1
      ? 'Here one after the other, in the order of the queue: by priority, then by age.'
      : `Begun with in the order of the queue, by priority, then by age; up to ${concurrency} ${what} at once, which end in any order. Members of a message group one after the other.`,
  )
  order.push('A message that fails is passed by others while it waits, except by members of its group.')
  if (keyed) order.push('One whose key is too fast is passed by others, except by members of its group.')
  if (!facts) return
  const others = facts.consumers - (counted ? 1 : 0)
  if (facts.policy.singleActiveConsumer)
    order.push(
      'One consumer at a time gets messages; the next begins when all that it held is settled or back.',
    )
  else if (others > 0)
    order.push(
      `${others} other ${others === 1 ? 'consumer shares' : 'consumers share'} the queue now: among them there is no order but that of message groups.`,
    )
  else order.push('Other consumers of the queue, if there come to be any, share it without order among them.')
}

function explainRedelivery(
  facts: QueueFacts,
  { acknowledge }: ConsumerSetting,
  { until, duplicated }: Draft,
): void {
  const { policy } = facts
  const letters = deadLettersOf(facts)
  const patience = patienceOf(policy)
  if (letters === undefined)
    until.push(
      'There is no dead-letter queue: a message that nobody can process stays, and comes again for ever.',
    )
  else if (patience === Number.POSITIVE_INFINITY)
    until.push(
      `A message that fails comes again for ever; one that is rejected goes to the queue ${letters}.`,
    )
  else
    until.push(
      `A message comes again until it is accepted, or has failed ${policy.maxDeliveries} times, ${inWords(patience)} after the first at the longest, without the time in handlers; then it is a dead letter in the queue ${letters}, until somebody redrives it.`,
    )
  const { deliveryTimeout } = policy
  if (deliveryTimeout === undefined || acknowledge === 'auto' || acknowledge === 'dups-ok') return
  duplicated.push(
    `A message that is held for longer than ${inWords(deliveryTimeout)} goes to somebody else while the first is still at it; the signal of the first is aborted.`,
  )
}
