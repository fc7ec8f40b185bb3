import type { Message } from '../../client/message.ts'
import type { Handler, HandlerContext } from '../../client/worker.ts'
import type { Duration } from '../../model/duration.ts'
import { carryOut, judge, type RetryPolicy, type Verdict } from './policy.ts'

/** What a handler can say besides returning and throwing. It takes effect when the handler returns; the last word counts. */
export interface Outcomes {
  /** Not now: the message comes again after `after`, or by the queue's backoff. It counts as a failure. */
  retry(options?: { readonly after?: Duration | undefined; readonly reason?: string | undefined }): void
  /** Never: the message is dead-lettered, with this reason. */
  deadLetter(reason: string): void
}

export type RetryContext = HandlerContext & Outcomes

/** As Handler, with explicit outcomes. */
export type RetryHandler<T> = (message: Message<T>, context: RetryContext) => unknown

/** Keeps what a handler has said about one message. */
export class Said implements Outcomes {
  verdict: Verdict | undefined

  retry({ after, reason = 'to be tried again' }: Parameters<Outcomes['retry']>[0] = {}): void {
    this.verdict = { kind: 'retry', reason, after }
  }

  deadLetter(reason: string): void {
    this.verdict = { kind: 'dead-letter', reason }
  }
}

/** The context with the outcomes added; whatever else it has, it keeps. */
export function withOutcomes<C extends HandlerContext>(context: C, said: Outcomes): C & Outcomes {
  return Object.create(context, {
    retry: { value: said.retry.bind(said) },
    deadLetter: { value: said.deadLetter.bind(said) },
  })
}

/**
 * A handler for `consume` whose errors are told apart by a policy: permanent ones dead-letter the message at once, after the
 * others the broker keeps it until it is to be tried again. Nobody sleeps with a message in his hands. What goes wrong after
 * the handler has said what is to become of the message is thrown, and reported.
 */
export function retrying<T>(handler: RetryHandler<T>, policy: RetryPolicy = {}): Handler<T> {
  return async (message, context) => {
    const said = new Said()
    try {
      await handler(message, withOutcomes(context, said))
    } catch (error) {
      if (message.settled) throw error
      await carryOut(message, said.verdict ?? judge(policy, error, message.deliveryCount))
      if (said.verdict) throw error
      return
    }
    if (said.verdict && !message.settled) await carryOut(message, said.verdict)
  }
}
