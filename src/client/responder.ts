import { isMillraceError } from '../model/errors.ts'
import type { Message } from './message.ts'
import type { SendOptions } from './outgoing.ts'
import type { MessageProducer } from './producer.ts'
import type { Handler, HandlerContext } from './worker.ts'

/**
 * Answers a request: what it returns, or resolves to, is the body of the reply. Throws: the request is redelivered by the
 * queue's backoff. When it settles the request itself, no reply is sent.
 */
export type Responder<T> = (request: Message<T>, context: HandlerContext) => unknown

/**
 * The handler that replies before the request is accepted, so that a request is never done without its reply having been
 * stored; and, as with all that is delivered at least once, may be answered twice.
 */
export function replying<T>(
  responder: Responder<T>,
  producer: MessageProducer,
  inMemory: boolean,
): Handler<T> {
  return async (request, context) => {
    const body = await responder(request, context)
    const { replyTo } = request
    // One that is not waited for any more goes back, and its reply is that of its next delivery.
    if (!replyTo || request.settled || context.signal.aborted) return
    const options: SendOptions = {
      correlationId: request.correlationId ?? request.messageId,
      // A temporary queue keeps nothing on disk.
      durability: inMemory && replyTo.kind === 'temporary-queue' ? 'memory' : undefined,
    }
    try {
      await producer.sendTo(replyTo, body, options)
    } catch (error) {
      if (isGone(error)) return
      if (!isMillraceError(error) || error.retryable) throw error
      // Doing the work again would not make the reply any better.
      await request.reject(`the reply could not be sent: ${error.message}`)
    }
  }
}

/** Whoever asked has left: the request is done, and nobody waits for the reply. */
function isGone(error: unknown): boolean {
  return (
    isMillraceError(error) && (error.code === 'destination-not-found' || error.code === 'message-unroutable')
  )
}
