import { DEFAULT_EXCHANGE, type Destination, isTopic, TOPIC_EXCHANGE } from '../../model/destination.ts'

/** How the engine is told where a message goes. */
export interface Route {
  readonly exchange: string
  readonly key: string
  /** It must end up in a queue; a topic without subscribers is no mistake. */
  readonly mandatory: boolean
  /** A temporary queue is not created again for a late reply. */
  readonly temporary: boolean
}

export function routeTo(destination: Destination): Route {
  const topic = isTopic(destination)
  return {
    exchange: topic ? TOPIC_EXCHANGE : DEFAULT_EXCHANGE,
    key: destination.name,
    mandatory: !topic,
    temporary: destination.kind === 'temporary-queue',
  }
}
