import type { Duration } from '../model/duration.ts'
import { MillraceError } from '../model/errors.ts'

export interface ConsumerOptions {
  /**
   * Messages fetched ahead and not yet handed to the application. 0: fetched only when asked for, so that nothing is
   * held that another consumer could have. Default 128.
   */
  readonly prefetch?: number | undefined
  /** Nothing more is fetched while so many bytes are unsettled; at least one message always is. */
  readonly maxBytes?: number | undefined
  /**
   * Only messages that it takes (docs/selectors.md); '' takes all. On a queue the others are left for other consumers; of a
   * topic they are not kept. The selector of a durable subscription is given where it is subscribed.
   */
  readonly selector?: string | undefined
  /** Of a topic: not what this connection sends. */
  readonly noLocal?: boolean | undefined
  /**
   * A whole number, default 0. A consumer gets what those of a higher priority on the same queue have no room for; equals take
   * turns.
   */
  readonly priority?: number | undefined
}

export interface ReceiveOptions {
  /** How long to wait for a message; 0: take one only if it is there. Default: until one comes. */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_PREFETCH = 128

/** Answers how many messages are fetched ahead. Throws `argument-invalid`. */
export function checkConsumerOptions({ prefetch = DEFAULT_PREFETCH, priority = 0 }: ConsumerOptions): number {
  if (!(Number.isSafeInteger(prefetch) && prefetch >= 0))
    throw new MillraceError('argument-invalid', `prefetch is a whole number from 0, not ${prefetch}`)
  if (!Number.isSafeInteger(priority))
    throw new MillraceError('argument-invalid', `priority is a whole number, not ${priority}`)
  return prefetch
}
