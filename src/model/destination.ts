/** Where messages are sent to and received from (JMS Destination). Plain data, so it can be compared and sent. */
export type DestinationKind = 'queue' | 'topic' | 'temporary-queue' | 'temporary-topic'

export interface Destination {
  readonly kind: DestinationKind
  readonly name: string
}

/** Several queues and topics, for one message that goes to all of them or to none. */
export interface CompositeDestination {
  readonly kind: 'composite'
  /** The address of all: `queue://a,topic://b`. */
  readonly name: string
  readonly members: readonly Destination[]
}

/** A comma in a name would be taken for the end of it. */
export function compositeAddress(members: readonly Destination[]): string {
  return members.map((member) => `${isTopic(member) ? 'topic' : 'queue'}://${member.name}`).join(',')
}

/**
 * The destinations of an address of several, each with its kind in front: `queue://a,topic://b`. Undefined: it is the
 * address of one.
 */
export function parseComposite(address: string): Destination[] | undefined {
  if (!address.includes(',')) return undefined
  const members: Destination[] = []
  for (const part of address.split(',')) {
    const [, kind, name] = /^(queue|topic):\/\/(.*)$/s.exec(part) ?? []
    if (name === undefined) return undefined
    members.push({ kind: kind as 'queue' | 'topic', name })
  }
  return members
}

/** Members of one composite destination at most. */
export const MAX_MEMBERS = 64

/** The exchange behind every topic of every protocol, and the one that routes by queue name. */
export const TOPIC_EXCHANGE = 'amq.topic'
export const DEFAULT_EXCHANGE = ''

/** Prefixes of generated names, by which their kind is known where only the name is. */
export const TEMPORARY_QUEUE = 'temp-queue:'
export const TEMPORARY_TOPIC = 'temp-topic:'

export function isTopic(destination: Destination): boolean {
  return destination.kind === 'topic' || destination.kind === 'temporary-topic'
}
