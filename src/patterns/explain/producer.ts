import type { Context } from '../../client/context.ts'
import type { Sendable, TypedDestination } from '../../client/destinations.ts'
import type { ProducerOptions } from '../../client/producer.ts'
import type { Durability } from '../../model/delivery.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { type Explanation, explanation, inWords, type Sentences } from './explanation.ts'
import { factsOf, type QueueFacts } from './queue-facts.ts'

/** How a producer is configured; see ProducerOptions and, for a shaped one, ShapedProducerOptions. */
export interface ProducerSetting extends ProducerOptions {
  readonly maxInFlight?: number | undefined
  readonly deadline?: Duration | undefined
}

type Draft = { readonly [K in keyof Sentences]: string[] }

/**
 * What sends to `destination` promise, as the broker is configured and as a producer with these options sends. Asks the broker
 * for the policies of its queues. Rejects as ProviderManagement.queues.
 */
export async function explainProducer(
  mq: Context,
  destination: Sendable<never>,
  setting: ProducerSetting = {},
): Promise<Explanation> {
  const draft: Draft = { lost: [], duplicated: [], order: [], until: [] }
  const members: readonly TypedDestination<never>[] =
    destination.kind === 'composite' ? destination.members : [destination]
  explainLevel(mq, setting.durability ?? 'disk', draft)
  explainSending(mq, setting, draft)
  for (const member of members) {
    if (member.kind.endsWith('topic')) explainTopic(member.name, draft)
    else explainQueue(member.name, await factsOf(mq, member), setting, draft)
  }
  if (destination.kind === 'composite')
    draft.until.push(`All ${members.length} destinations store a message, or none does.`)
  return explanation(`Sends to the ${destination.kind} ${destination.name}`, draft)
}

function explainLevel(mq: Context, durability: Durability, { lost, until }: Draft): void {
  const { lasting, policies } = mq.capabilities
  if (durability === 'memory')
    lost.push("Sent at level 'memory': it is lost when the broker ends, and delivered at most once.")
  else if (!lasting) lost.push('The broker keeps everything in memory: it is lost when the broker ends.')
  else if (durability === 'os')
    lost.push("Sent at level 'os': a power cut may take what was confirmed just before; kill -9 does not.")
  else if (policies) lost.push('There is one copy: what the disk of the broker loses is lost.')
  else lost.push('How this broker keeps what it has accepted is its own affair.')
  lost.push('What this process has not had confirmed when it dies may not have been sent.')
  until.push(
    durability === 'disk' && lasting
      ? 'A send that has resolved is on disk.'
      : `A send that has resolved has reached the level '${durability}'.`,
  )
}

function explainSending(mq: Context, setting: ProducerSetting, { duplicated, order, until }: Draft): void {
  const { id, maxInFlight, deadline, delay } = setting
  if (!mq.capabilities.policies)
    duplicated.push('What is sent again after a lost connection is not recognized by this broker.')
  if (id !== undefined)
    until.push(
      `A message that is sent again with its sequence under the id ${id} is stored once, as long as the broker remembers the id.`,
    )
  order.push('In the order of calls, among messages of one priority.')
  if (delay !== undefined && milliseconds(delay) > 0)
    order.push(`Each comes ${inWords(milliseconds(delay))} after its call.`)
  if (maxInFlight === undefined) return
  if (maxInFlight > 1)
    order.push('One that is refused for want of room and tried again comes behind those that fitted before.')
  until.push(
    `At most ${maxInFlight} are in flight; one waits for room for ${inWords(milliseconds(deadline ?? 30_000))}, and is refused with backpressure then, with nothing sent.`,
  )
}

function explainTopic(name: string, { lost, until }: Draft): void {
  lost.push(`Nobody gets a message of the topic ${name} who was not subscribed when it was sent.`)
  until.push(`The topic ${name} keeps nothing itself: how long a message lasts is up to each subscription.`)
}

function explainQueue(
  name: string,
  facts: QueueFacts | undefined,
  { id, ttl }: ProducerSetting,
  draft: Draft,
): void {
  const repeated =
    'A send that the application repeats, because it does not know what became of it, is stored twice'
  if (!facts) {
    draft.duplicated.push(`${repeated}.`)
    draft.until.push(`What the queue ${name} does with its messages, the broker does not tell.`)
    return
  }
  const { policy, exists, durability } = facts
  if (durability !== 'disk')
    draft.lost.push(`The queue ${name} keeps messages at level '${durability}', whatever was asked for.`)
  if (!exists)
    draft.until.push(`The queue ${name} does not exist yet; rules of the broker may add to its policy.`)
  explainDeduplication(repeated, facts, id, draft)
  explainEnd(facts, ttl, draft)
  explainCapacity(name, policy, draft)
}

function explainDeduplication(
  repeated: string,
  { policy: { deduplication } }: QueueFacts,
  id: string | undefined,
  { duplicated, until }: Draft,
): void {
  if (deduplication) {
    const { window, count } = deduplication
    duplicated.push(`${repeated}, unless both bear the same deduplicationId.`)
    until.push(`A deduplicationId is remembered for ${inWords(window)}, and ${count} of them at most.`)
  } else {
    duplicated.push(id === undefined ? `${repeated}.` : `${repeated}, unless it has the same sequence.`)
  }
}

function explainEnd(facts: QueueFacts, own: Duration | undefined, { lost, until }: Draft): void {
  const { name, policy } = facts
  const limits = [policy.ttl, own && milliseconds(own)].filter((limit) => limit !== undefined && limit !== 0)
  const { expired, lastValue } = policy
  const where = expired?.replaceAll('{queue}', name)
  if (limits.length > 0) {
    const limit = inWords(Math.min(...(limits as number[])))
    lost.push(
      `Not delivered within ${limit}, it expires, ${where ? `and goes to the queue ${where}` : 'and is dropped and counted'}.`,
    )
  } else until.push(`It stays in the queue ${name} until it is consumed.`)
  if (lastValue !== undefined)
    lost.push(`A newer message with the same value of the property ${lastValue} replaces it.`)
}

function explainCapacity(name: string, policy: QueueFacts['policy'], { lost, until }: Draft): void {
  const { maxMessages, maxBytes, overflow, blockTimeout } = policy
  const bounds = [
    ...(maxMessages === undefined ? [] : [`${maxMessages} messages`]),
    ...(maxBytes === undefined ? [] : [`${maxBytes} bytes`]),
  ].join(' or ')
  if (bounds === '') {
    until.push(`The queue ${name} has no bound of its own; when the disk is full, sends are refused.`)
  } else if (overflow === 'drop-oldest') {
    lost.push(`Beyond ${bounds} the oldest are dropped, and counted.`)
  } else if (overflow === 'dead-letter') {
    until.push(`Beyond ${bounds} the oldest become dead letters.`)
  } else if (overflow === 'block') {
    until.push(`Beyond ${bounds} a send is held for ${inWords(blockTimeout)}, and refused then (queue-full).`)
  } else {
    until.push(`Beyond ${bounds} a send is refused (queue-full), and nothing of it is stored.`)
  }
}
