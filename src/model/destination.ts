/** Where messages are sent to and received from (JMS Destination). Plain data, so it can be compared and sent. */
export type DestinationKind = 'queue' | 'topic' | 'temporary-queue' | 'temporary-topic'

export interface Destination {
  readonly kind: DestinationKind
  readonly name: string
}

/** The exchange behind every topic of every protocol, and the one that routes by queue name. */
export const TOPIC_EXCHANGE = 'amq.topic'
export const DEFAULT_EXCHANGE = ''

/** Prefixes of generated names, by which their kind is known where only the name is. */
export const TEMPORARY_QUEUE = 'temp-queue:'
export const TEMPORARY_TOPIC = 'temp-topic:'

export function isTopic(destination: Destination): boolean {
  return destination.kind === 'topic' || destination.kind === 'temporary-topic'
}
