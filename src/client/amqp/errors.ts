import { type ErrorCode, errorCatalogue, isMillraceError, MillraceError } from '../../model/errors.ts'
import { AmqpCondition, LinkCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { AmqpError } from '../../wire/amqp10/peer/performatives.ts'

const codes: Readonly<Record<string, ErrorCode>> = {
  [AmqpCondition.notFound]: 'destination-not-found',
  [AmqpCondition.resourceDeleted]: 'destination-not-found',
  [AmqpCondition.unauthorizedAccess]: 'not-permitted',
  [AmqpCondition.notAllowed]: 'not-permitted',
  [AmqpCondition.decodeError]: 'message-invalid',
  [AmqpCondition.resourceLimitExceeded]: 'queue-full',
  [AmqpCondition.invalidField]: 'argument-invalid',
  [AmqpCondition.notImplemented]: 'unsupported',
  [AmqpCondition.resourceLocked]: 'destination-in-use',
  [AmqpCondition.preconditionFailed]: 'destination-conflict',
  [AmqpCondition.illegalState]: 'illegal-state',
  [LinkCondition.messageSizeExceeded]: 'message-too-large',
  [LinkCondition.stolen]: 'destination-in-use',
}

/**
 * The error of the catalogue that a broker's error stands for: by the code that a Millrace broker adds, otherwise by its
 * condition, otherwise `otherwise`.
 */
export function fromAmqp(error: AmqpError | undefined, otherwise: ErrorCode): MillraceError {
  if (!error) return new MillraceError(otherwise, 'the broker gave no reason')
  const { condition, description, info } = error
  const given = info?.get('millrace:code')
  const code = isCode(given) ? given : (codes[condition] ?? otherwise)
  return new MillraceError(code, description ?? `the broker answered ${condition}`, { cause: error })
}

export function isCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(errorCatalogue, value)
}

/** The same for the end of a connection, where the conditions of destinations mean something else. */
export function connectionError(
  error: AmqpError | undefined,
  otherwise: 'connection-failed' | 'connection-lost',
  name: string,
): MillraceError {
  if (!error) return new MillraceError(otherwise, `${name} closed the connection`)
  const { condition, description = condition, info } = error
  const given = info?.get('millrace:code')
  const refused = condition === AmqpCondition.unauthorizedAccess ? 'not-permitted' : otherwise
  const code = isCode(given) ? given : refused
  return new MillraceError(code, `${name}: ${description}`, { cause: error })
}

/** What ended a connection, when it ended before somebody's operation was decided. */
export function lost(cause: unknown): MillraceError {
  if (isMillraceError(cause) && cause.code === 'connection-lost') return cause
  const why = cause instanceof Error ? cause.message : 'the broker closed it'
  return new MillraceError('connection-lost', `the connection to the broker was lost: ${why}`, { cause })
}

/** Nobody holds the delivery any more. */
export function lostDelivery(cause?: unknown): MillraceError {
  return new MillraceError('delivery-settled', 'the broker does not hold the delivery any more', { cause })
}

export function closedError(what: string): MillraceError {
  return new MillraceError('closed', `the ${what} is closed`)
}
