import type { Destination } from '../../model/destination.ts'
import { type Attach, released } from '../../wire/amqp10/peer/performatives.ts'

import { Typed } from '../../wire/amqp10/values.ts'
import type { ReceiverOptions, Source, SubscriptionSource } from '../provider.ts'

import { ulong } from './envelope.ts'
import { filterOf } from './filters.ts'
import { MILLRACE } from './line.ts'
import type { ReceiverSource } from './receiver.ts'
import { OUTCOMES, source as sourceOf, target } from './sessions.ts'

/** What the links of a connection depend on. */
export interface SourceContext {
  readonly clientId: string | undefined
  /** The broker is a Millrace broker: it annotates deliveries and answers settlements. */
  readonly millrace: boolean
  /** Temporary destinations of this connection are named as such, because their names alone do not say it everywhere. */
  isTemporary(name: string): boolean
  /** A number for the next link to this shared subscription, from 1: link names are unique in a container. */
  sharer(name: string): number
}

/** The link that receives from a source, by the JMS mapping of AMQP 1.0. */
export function receiverSource(
  source: Source,
  options: ReceiverOptions,
  context: SourceContext,
): ReceiverSource {
  const attach = {
    sndSettleMode: 'unsettled',
    rcvSettleMode: context.millrace ? 'second' : 'first',
    target: target({}),
    desiredCapabilities: context.millrace ? [MILLRACE] : [],
    properties: new Map([
      ...(options.maxBytes === undefined ? [] : [['millrace:max-bytes', ulong(options.maxBytes)] as const]),
      ...(options.priority === undefined
        ? []
        : [['millrace:priority', new Typed('long', BigInt(options.priority))] as const]),
    ]),
  } as const satisfies Partial<Attach>
  const common = { outcomes: OUTCOMES, defaultOutcome: released }
  if (source.kind === 'subscription') {
    const { topic } = source
    const shared = source.shared ? ['shared', ...(context.clientId === undefined ? ['global'] : [])] : []
    const terminus = sourceOf({
      ...common,
      address: topic,
      durable: 'unsettled-state',
      expiryPolicy: 'never',
      distributionMode: 'copy',
      filter: filterOf(source),
      capabilities: ['topic', ...shared],
    })
    return {
      attach: { ...attach, source: terminus },
      linkName: subscriptionLink(source, context),
      destination: { kind: 'topic', name: topic },
      lasting: true,
    }
  }
  const destination = destinationOf(source, context)
  const terminus = sourceOf({
    ...common,
    address: source.name,
    filter: filterOf(options),
    capabilities: [destination.kind],
  })
  return { attach: { ...attach, source: terminus }, destination, lasting: false }
}

function destinationOf(
  { kind, name }: Exclude<Source, SubscriptionSource>,
  context: SourceContext,
): Destination {
  return { kind: context.isTemporary(name) ? `temporary-${kind}` : kind, name }
}

/** Names of the links of a subscription: what follows '|' tells those of one subscription apart. */
function subscriptionLink({ name, shared }: SubscriptionSource, context: SourceContext): string {
  if (!shared) return name
  const number = context.sharer(name)
  if (context.clientId === undefined) return `${name}|global${number === 1 ? '' : number}`
  return number === 1 ? name : `${name}|${number}`
}
