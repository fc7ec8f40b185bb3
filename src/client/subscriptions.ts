import { MillraceError } from '../model/errors.ts'
import { quoted, type Receivable, type Subscription, type Topic } from './destinations.ts'
import { type PolicyOptions, resolvePolicy } from './policy.ts'
import type { Source, SubscriptionSource } from './provider.ts'

export interface SubscribeOptions {
  /** Letters, digits, '_', '.', '-'; up to 128. Together with the client id, if there is one, it is the identity. */
  readonly name: string
  /** Several consumers may compete for its messages. Without, the connection needs a client id. */
  readonly shared?: boolean | undefined
  /** Only messages that it takes enter the subscription (docs/selectors.md); '' takes all. Another one replaces it. */
  readonly selector?: string | undefined
  /** What its own client sends does not enter. Not for shared ones. */
  readonly noLocal?: boolean | undefined
  /** By default, what exceeds a capacity is dead-lettered, so that one slow subscriber does not stop a topic. */
  readonly policy?: PolicyOptions | undefined
}

/** What decides whether a source may be used: implemented by Connection. */
export interface SubscriptionOwner {
  readonly clientId: string | undefined
  ownsTemporary(name: string): boolean
}

/** A subscription with what was asked for; the policy only matters when the subscription is created. */
interface FullSubscription<Output> extends Subscription<Output> {
  readonly selector?: string | undefined
  readonly noLocal?: boolean | undefined
  readonly policy?: SubscriptionSource['policy']
}

/** Throws `argument-invalid`, `destination-invalid`. */
export function toSubscription<Output>(
  topic: Topic<never, Output>,
  options: SubscribeOptions,
): Subscription<Output> {
  if (topic.kind !== 'topic') {
    throw new MillraceError(
      'destination-invalid',
      `a durable subscription is of a topic, not of a ${topic.kind}`,
    )
  }
  checkSubscriptionName(options.name)
  checkSelector(options.selector)
  if (options.noLocal && options.shared) {
    throw new MillraceError(
      'argument-invalid',
      'noLocal is for a subscription of one client, not a shared one',
    )
  }
  const subscription: FullSubscription<Output> = {
    kind: 'subscription',
    name: options.name,
    topic: topic.name,
    shared: options.shared ?? false,
    schema: topic.schema,
    selector: options.selector || undefined,
    noLocal: options.noLocal,
    policy: options.policy && resolvePolicy(options.policy),
  }
  return Object.freeze(subscription)
}

/** Throws `argument-invalid`. */
export function checkSubscriptionName(name: string): void {
  if (/^[\w.-]{1,128}$/.test(name)) return
  throw new MillraceError(
    'argument-invalid',
    `the name of a subscription is 1 to 128 letters, digits, '_', '.', '-', not ${quoted(name)}`,
  )
}

/** Programs without types may give anything. Throws `argument-invalid`. */
export function checkSelector(selector: unknown): void {
  if (selector === undefined || typeof selector === 'string') return
  throw new MillraceError('argument-invalid', `a selector is a text, not ${typeof selector}`)
}

/** Throws `argument-invalid` for wishes that what is received from cannot fulfil. */
export function checkInterest(
  from: Receivable<unknown>,
  { selector, noLocal }: { readonly selector?: string | undefined; readonly noLocal?: boolean | undefined },
): void {
  checkSelector(selector)
  if (from.kind === 'subscription' && (selector || noLocal)) {
    throw new MillraceError(
      'argument-invalid',
      'a durable subscription has its selector and noLocal from subscribe(); give them there',
    )
  }
  if (noLocal && !from.kind.endsWith('topic'))
    throw new MillraceError('argument-invalid', 'noLocal is for topics; what is in a queue is for everybody')
}

/** What the provider is asked to receive from. Throws `client-id-invalid`, `destination-invalid`. */
export function toSource(from: Receivable<unknown>, owner: SubscriptionOwner): Source {
  switch (from.kind) {
    case 'subscription':
      return toSubscriptionSource(from, owner)
    case 'queue':
    case 'temporary-queue':
      assertOwned(from, owner)
      return { kind: 'queue', name: from.name }
    case 'topic':
    case 'temporary-topic':
      assertOwned(from, owner)
      return { kind: 'topic', name: from.name }
    default:
      // Programs without types may give anything.
      throw new MillraceError(
        'destination-invalid',
        'messages are received from a queue, a topic or a subscription; of a composite, from its members',
      )
  }
}

export function toSubscriptionSource(
  from: Subscription<unknown>,
  owner: SubscriptionOwner,
): SubscriptionSource {
  if (!from.shared && owner.clientId === undefined) {
    throw new MillraceError(
      'client-id-invalid',
      `the durable subscription ${from.name} belongs to a client: connect with { clientId }, or make it shared`,
    )
  }
  const { name, topic, shared, selector, noLocal, policy } = from as FullSubscription<unknown>
  return { kind: 'subscription', name, topic, shared, selector, noLocal, policy }
}

function assertOwned(from: { kind: string; name: string }, owner: SubscriptionOwner): void {
  if (!from.kind.startsWith('temporary') || owner.ownsTemporary(from.name)) return
  throw new MillraceError(
    'destination-invalid',
    `only the connection that created ${from.name} may consume from it`,
  )
}
