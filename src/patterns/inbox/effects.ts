import type { Message } from '../../client/message.ts'
import type { Handler, HandlerContext } from '../../client/worker.ts'
import { type Duration, milliseconds } from '../../model/duration.ts'
import { MillraceError } from '../../model/errors.ts'
import { unlessAborted } from '../database/abandoning.ts'
import { identityOf } from './digest.ts'
import { extended, Limit } from './handling.ts'
import type { Inbox } from './inbox.ts'
import { FIRST_FENCE, type Identity, RecordState } from './records.ts'

/** Thrown by a handler that knows that its effect has not happened, such as a payment that was declined: it may be tried again. */
export class EffectNotDone extends Error {
  override readonly name: string = 'EffectNotDone'
}

/** What a handler is given whose effect is not in a database. */
export interface EffectContext extends HandlerContext {
  /** Aborted when the delivery is lost, or the time that the handler may take has passed. */
  readonly signal: AbortSignal
  /** The same in every attempt, and for no other message and consumer: for services that do once what they are asked twice. */
  readonly idempotencyKey: string
  /** Number of this attempt, higher than those before: a service that keeps the highest can refuse late ones. */
  readonly fence: number
}

export type EffectHandler<T> = (message: Message<T>, context: EffectContext) => unknown

/**
 * What is to be done when an earlier attempt has begun and nobody knows whether its effect happened:
 * - 'again': do it again. At least once.
 * - 'park': dead-letter the message, for somebody to find out. At most once.
 * - a function that finds out, such as by asking the service for the idempotency key: 'done', 'again', or 'unknown', after
 *   which it is asked once more when the message comes again.
 */
export type WhenUnknown<T> =
  | 'again'
  | 'park'
  | ((message: Message<T>, context: EffectContext) => EffectState | Promise<EffectState>)

export type EffectState = 'done' | 'again' | 'unknown'

export interface EffectOptions<T> {
  readonly inbox: Inbox
  readonly unknown: WhenUnknown<T>
  /** How long the handler may take; then nobody knows what it has done. Default: for ever. */
  readonly timeout?: Duration | undefined
}

/**
 * A handler for `consume` whose effect is outside of a database: a mail, a payment, a file. That an attempt begins is on
 * record before `handler` is called, and that it has ended after it has returned. When a crash, a lost delivery or an error
 * comes in between, nobody knows whether the effect happened, and `unknown` says what then; `EffectNotDone` says that it has
 * not. No record makes such an effect happen exactly once: a service that honours the idempotency key does.
 */
export function recorded<T>(handler: EffectHandler<T>, options: EffectOptions<T>): Handler<T> {
  const { inbox, unknown } = options
  if (unknown !== 'again' && unknown !== 'park' && typeof unknown !== 'function')
    throw new MillraceError('argument-invalid', "unknown is 'again', 'park' or a function that finds out")
  const timeout = options.timeout === undefined ? undefined : milliseconds(options.timeout)
  return async (message, context) => {
    const limit = new Limit(context.signal, timeout)
    try {
      await perform(inbox, handler, unknown, message, context, limit.signal)
    } finally {
      limit.end()
      inbox.turn()
    }
  }
}

async function perform<T>(
  inbox: Inbox,
  handler: EffectHandler<T>,
  unknown: WhenUnknown<T>,
  message: Message<T>,
  context: HandlerContext,
  signal: AbortSignal,
): Promise<void> {
  const { records, statistics } = inbox
  const identity = await identityOf(message)
  const attempt = await records.begin(identity, FIRST_FENCE).catch((error) => rejecting(message, error))
  if (!attempt) {
    statistics.duplicates++
    return
  }
  const { fence, before } = attempt
  const idempotencyKey = `${inbox.consumer}/${identity.messageId}`
  const given = extended(context, { signal, idempotencyKey, fence })
  const state = before === RecordState.started ? await found(unknown, message, given) : 'again'
  if (state === 'unknown')
    throw new MillraceError(
      'effect-unknown',
      `nobody knows yet whether the effect of ${identity.messageId} happened`,
    )
  if (state === 'park') return park(inbox, message, identity, fence)
  if (state === 'again')
    await attempted(inbox, identity, fence, () => unlessAborted(() => handler(message, given), signal))
  // It has happened, whoever has taken over meanwhile: nobody shall do it again.
  await records.finishEffect(identity.messageId)
  statistics.processed++
}

/** What the attempt before this one has come to. */
async function found<T>(
  unknown: WhenUnknown<T>,
  message: Message<T>,
  context: EffectContext,
): Promise<EffectState | 'park'> {
  return typeof unknown === 'function'
    ? unlessAborted(() => unknown(message, context), context.signal)
    : unknown
}

async function attempted(
  inbox: Inbox,
  { messageId }: Identity,
  fence: number,
  work: () => unknown,
): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (error instanceof EffectNotDone) await inbox.records.failEffect(messageId, fence)
    throw error
  }
}

/** Whoever redrives it has found out that the effect has not happened. */
async function park(
  inbox: Inbox,
  message: Message<unknown>,
  { messageId }: Identity,
  fence: number,
): Promise<never> {
  const why = new MillraceError('effect-unknown', `an attempt at the effect of ${messageId} did not end`)
  if (!message.settled) await message.reject(why.message)
  await inbox.records.failEffect(messageId, fence)
  throw why
}

/** Redelivering it would not help. */
async function rejecting(message: Message<unknown>, error: unknown): Promise<never> {
  const { code, message: text } = error as MillraceError
  if ((code === 'message-id-conflict' || code === 'effect-unknown') && !message.settled)
    await message.reject(text)
  throw error
}
