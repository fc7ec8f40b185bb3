import type { Address } from '../../engine/api.ts'
import { DEFAULT_EXCHANGE, type Destination, isTopic, TOPIC_EXCHANGE } from '../../model/destination.ts'

/** How the engine is told where a message goes. */
export interface Route {
  readonly exchange: string
  readonly key: string
  /** It must end up in a queue; a topic without subscribers is no mistake. */
  readonly mandatory: boolean
  /** Where each message goes as well, all or none. */
  readonly also: readonly Address[] | undefined
  /** A temporary queue is not created again for a late reply. */
  readonly temporary: boolean
}

export function routeTo(destination: Destination, ...others: readonly Destination[]): Route {
  return {
    ...addressOf(destination),
    also: others.length === 0 ? undefined : others.map(addressOf),
    mandatory: !isTopic(destination),
    temporary: destination.kind === 'temporary-queue',
  }
}

function addressOf(destination: Destination): Address {
  return { exchange: isTopic(destination) ? TOPIC_EXCHANGE : DEFAULT_EXCHANGE, key: destination.name }
}
