import type { Message } from '../../client/message.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { isMillraceError } from '../../model/errors.ts'

/** Thrown by a handler when no redelivery would help: the message is dead-lettered at once, with this as the reason. */
export class PermanentError extends Error {
  override readonly name: string = 'PermanentError'
}

/** Thrown by a handler that knows when to try again, such as after an answer with Retry-After. It counts as a failure. */
export class RetryLater extends Error {
  override readonly name: string = 'RetryLater'
  /** Milliseconds. */
  readonly after: number

  /** Throws `duration-invalid`. */
  constructor(message: string, options: { readonly after: Duration; readonly cause?: unknown }) {
    super(message, { cause: options.cause })
    this.after = milliseconds(options.after)
  }
}

/** What is made of the errors that a handler throws. */
export interface RetryPolicy {
  /**
   * Errors after which a message is dead-lettered at once: their classes, or a function that knows them. PermanentError always
   * is one. All others are transient: the message comes again by the queue's backoff, until its limit of deliveries.
   */
  readonly permanent?: readonly ErrorClass[] | ((error: unknown) => boolean) | undefined
  /** When a message comes again after a transient error; undefined: by the queue's backoff. `attempt` is 1 the first time. */
  readonly after?: ((error: unknown, attempt: number) => Duration | undefined) | undefined
}

export type ErrorClass = abstract new (...values: never[]) => Error

/** What becomes of a message that was not done. */
export type Verdict =
  | { readonly kind: 'dead-letter'; readonly reason: string }
  | { readonly kind: 'retry'; readonly reason: string; readonly after: Duration | undefined }

export function judge(policy: RetryPolicy, error: unknown, attempt: number): Verdict {
  const reason = describe(error)
  if (isPermanent(policy, error)) return { kind: 'dead-letter', reason }
  const after = error instanceof RetryLater ? error.after : policy.after?.(error, attempt)
  return { kind: 'retry', reason, after }
}

function isPermanent({ permanent = [] }: RetryPolicy, error: unknown): boolean {
  if (error instanceof PermanentError) return true
  return typeof permanent === 'function'
    ? permanent(error)
    : permanent.some((errorClass) => error instanceof errorClass)
}

/** An error as it is told of a message. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
}

/** Resolves when it is durable. Where nobody can say when a message comes again, the queue's backoff does. Rejects as Message.fail. */
export async function carryOut(message: Message<unknown>, verdict: Verdict): Promise<void> {
  const { kind, reason } = verdict
  if (kind === 'dead-letter') return message.reject(reason)
  try {
    await message.fail(reason, { after: verdict.after })
  } catch (error) {
    if (!isMillraceError(error) || error.code !== 'unsupported') throw error
    await message.fail(reason)
  }
}
