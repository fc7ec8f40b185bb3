import type { Context } from '../../client/context.ts'
import type { Receivable } from '../../client/destinations.ts'
import type { Message } from '../../client/message.ts'
import type { HandlerContext } from '../../client/worker.ts'
import { MillraceError } from '../../model/errors.ts'
import { type Outcomes, type RetryHandler, type Said, withOutcomes } from '../retry/retrying.ts'
import { type BatchConsumerOptions, type ShapedConsumerOptions, shapeOf } from './consumer-options.ts'
import { ShapedConsumer } from './shaped-consumer.ts'

/**
 * Runs `handler` for each message, as many at once and as fast as the options say, and not while what it needs is down. Return
 * = accepted; throw = by the retry policy redelivered, or dead-lettered. Throws `argument-invalid`, `duration-invalid`,
 * `closed`.
 */
export function shapedConsumer<T>(
  mq: Context,
  from: Receivable<T>,
  options: ShapedConsumerOptions<T>,
  handler: RetryHandler<T>,
): ShapedConsumer<T> {
  assertHandler(handler)
  return new ShapedConsumer<T>(mq, from, options, shapeOf(options), async ([message], [said], context) => {
    await handler(message!, withOutcomes(context, said!))
    return undefined
  })
}

/** What the handler of a batch can say about its messages; it takes effect when the handler returns. */
export interface BatchContext<T> extends HandlerContext {
  /** As Outcomes.retry, for one of the messages. */
  retry(message: Message<T>, ...how: Parameters<Outcomes['retry']>): void
  deadLetter(message: Message<T>, reason: string): void
}

/**
 * Returns: the messages are accepted, except those of which it has said otherwise; or what Promise.allSettled gives, one
 * result for each message, in order. Throws: they have failed.
 */
export type BatchHandler<T> = (messages: readonly Message<T>[], context: BatchContext<T>) => unknown

/** As `shapedConsumer`, with several messages at once. `concurrency` counts batches, `rate` messages. */
export function batchConsumer<T>(
  mq: Context,
  from: Receivable<T>,
  options: BatchConsumerOptions<T>,
  handler: BatchHandler<T>,
): ShapedConsumer<T> {
  assertHandler(handler)
  const shape = shapeOf(options, options.batch ?? {})
  return new ShapedConsumer<T>(mq, from, options, shape, async (messages, said, context) => {
    const answer = await handler(messages, Object.create(context, outcomesOf(messages, said)))
    if (answer === undefined || !Array.isArray(answer)) return undefined
    if (answer.length === messages.length) return answer
    throw new MillraceError(
      'argument-invalid',
      `the handler of a batch answers one result for each of its ${messages.length} messages, not ${answer.length}`,
    )
  })
}

function outcomesOf<T>(messages: readonly Message<T>[], said: readonly Said[]): PropertyDescriptorMap {
  const of = (message: Message<T>): Said => {
    const at = messages.indexOf(message)
    if (at >= 0) return said[at]!
    throw new MillraceError('argument-invalid', 'the message is none of this batch')
  }
  return {
    retry: {
      value: (message: Message<T>, ...how: Parameters<Outcomes['retry']>) => of(message).retry(...how),
    },
    deadLetter: { value: (message: Message<T>, reason: string) => of(message).deadLetter(reason) },
  }
}

/** For programs without types. */
function assertHandler(handler: unknown): void {
  if (typeof handler !== 'function') throw new MillraceError('argument-invalid', 'a consumer needs a handler')
}
