import type { Message } from '../../client/message.ts'
import type { Handler, HandlerContext } from '../../client/worker.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { type ErrorCode, isMillraceError } from '../../model/errors.ts'
import type { Transaction } from '../database/database.ts'
import { identityOf } from './digest.ts'
import { extended, Limit, unsureOf } from './handling.ts'
import type { Inbox } from './inbox.ts'
import { FIRST_FENCE, type Identity, RecordState } from './records.ts'

/** What a handler is given whose effects are in a database. */
export interface IdempotentContext<Native> extends HandlerContext {
  /** The transaction, as the driver or query builder has it. What is written in another one happens as often as it is delivered. */
  readonly tx: Native
  /** The same as a place for statements, such as those of an outbox. */
  readonly executor: Transaction<Native>
  /**
   * Aborted when the delivery is lost, or the time that the handler may take has passed. The transaction has been rolled back
   * by then: nothing that the handler still does through it takes effect.
   */
  readonly signal: AbortSignal
  /** Number of this attempt, higher than those before: whoever keeps the highest that he has seen refuses late writes. */
  readonly fence: number
}

export type IdempotentHandler<T, Native> = (
  message: Message<T>,
  context: IdempotentContext<Native>,
) => unknown

export interface IdempotentOptions<Native> {
  readonly inbox: Inbox<Native>
  /** How long the handler may take; then its transaction is rolled back, and the message fails with `timeout`. Default: for ever. */
  readonly timeout?: Duration | undefined
}

/**
 * A handler for `consume` whose writes happen once for each message, however often that is sent and delivered: they, and that
 * the message was processed, are one transaction. It is committed when `handler` returns, and the message is accepted after
 * that. A delivery that was lost, or that another one has taken over from, writes nothing. Messages are told apart by their
 * id and the consumer of the inbox; one of a known id and another body is dead-lettered, and `message-id-conflict` is
 * reported. As the undo of a step of a saga that is not known to have been done, it first makes sure that nothing is written
 * any more for that step by a handler of the same inbox.
 */
export function idempotent<T, Native>(
  handler: IdempotentHandler<T, Native>,
  options: IdempotentOptions<Native>,
): Handler<T> {
  const { inbox } = options
  const timeout = options.timeout === undefined ? undefined : milliseconds(options.timeout)
  return async (message, context) => {
    const limit = new Limit(context.signal, timeout)
    try {
      await once(inbox, handler, message, context, limit.signal)
    } catch (error) {
      if (isCode(error, 'superseded')) inbox.statistics.superseded++
      if (isCode(error, 'message-id-conflict') && !message.settled)
        await message.reject((error as Error).message)
      throw error
    } finally {
      limit.end()
      inbox.turn()
    }
  }
}

async function once<T, Native>(
  inbox: Inbox<Native>,
  handler: IdempotentHandler<T, Native>,
  message: Message<T>,
  context: HandlerContext,
  signal: AbortSignal,
): Promise<void> {
  const { records, statistics } = inbox
  const identity = await identityOf(message)
  const attempt = await attemptOf(inbox, identity, message.redelivered)
  if (!attempt) {
    statistics.duplicates++
    return
  }
  const { fence, recorded } = attempt
  // Whoever was paused over it and wakes up when it has been undone would do it after all.
  const undone = unsureOf(context)
  if (undone !== undefined) await records.forbid(undone)
  try {
    await inbox.database.transaction(
      async (executor) => {
        const given = { tx: executor.native, executor, signal, fence }
        await handler(message, extended(context, given))
        await records.finish(executor, identity, fence, recorded)
      },
      { signal },
    )
  } catch (error) {
    // Another copy of the message may have been processed meanwhile: then this one is done, too.
    if (!isCode(error, 'superseded') || !(await isFinished(inbox, identity))) throw error
    statistics.duplicates++
    return
  }
  statistics.processed++
}

/** The attempt that a delivery is; undefined: the message has been processed. */
async function attemptOf(
  { records }: Inbox,
  identity: Identity,
  redelivered: boolean,
): Promise<{ readonly fence: number; readonly recorded: boolean } | undefined> {
  const found = await records.find(identity)
  if (found?.state === RecordState.finished) return undefined
  // Nobody can be at work on a message that is delivered for the first time: its attempt need not be recorded before.
  if (!found && !redelivered) return { fence: FIRST_FENCE, recorded: false }
  const attempt = await records.begin(identity, FIRST_FENCE + 1)
  return attempt && { fence: attempt.fence, recorded: true }
}

async function isFinished({ records }: Inbox, identity: Identity): Promise<boolean> {
  return (await records.find(identity))?.state === RecordState.finished
}

function isCode(error: unknown, code: ErrorCode): boolean {
  return isMillraceError(error) && error.code === code
}
