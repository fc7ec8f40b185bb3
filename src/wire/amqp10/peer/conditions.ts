/** The error conditions of the core specification (2.8.15 to 2.8.18), by what they are about. */

export const AmqpCondition = {
  internalError: 'amqp:internal-error',
  notFound: 'amqp:not-found',
  unauthorizedAccess: 'amqp:unauthorized-access',
  decodeError: 'amqp:decode-error',
  resourceLimitExceeded: 'amqp:resource-limit-exceeded',
  notAllowed: 'amqp:not-allowed',
  invalidField: 'amqp:invalid-field',
  notImplemented: 'amqp:not-implemented',
  resourceLocked: 'amqp:resource-locked',
  preconditionFailed: 'amqp:precondition-failed',
  resourceDeleted: 'amqp:resource-deleted',
  illegalState: 'amqp:illegal-state',
  frameSizeTooSmall: 'amqp:frame-size-too-small',
} as const

export const ConnectionCondition = {
  forced: 'amqp:connection:forced',
  framingError: 'amqp:connection:framing-error',
  redirect: 'amqp:connection:redirect',
} as const

export const SessionCondition = {
  windowViolation: 'amqp:session:window-violation',
  errantLink: 'amqp:session:errant-link',
  handleInUse: 'amqp:session:handle-in-use',
  unattachedHandle: 'amqp:session:unattached-handle',
} as const

/** 4.5.9 */
export const TransactionCondition = {
  unknownId: 'amqp:transaction:unknown-id',
  rollback: 'amqp:transaction:rollback',
  timeout: 'amqp:transaction:timeout',
} as const

export const LinkCondition = {
  detachForced: 'amqp:link:detach-forced',
  transferLimitExceeded: 'amqp:link:transfer-limit-exceeded',
  messageSizeExceeded: 'amqp:link:message-size-exceeded',
  redirect: 'amqp:link:redirect',
  stolen: 'amqp:link:stolen',
} as const
