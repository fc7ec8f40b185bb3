import { type ErrorCode, isMillraceError, type MillraceError } from '../../model/errors.ts'
import { AmqpCondition, LinkCondition, TransactionCondition } from '../../wire/amqp10/peer/conditions.ts'
import type { AmqpError, DeliveryState } from '../../wire/amqp10/peer/performatives.ts'

/** Conditions of the standard for errors of the catalogue; the others are amqp:internal-error. */
const conditions: Partial<Record<ErrorCode, string>> = {
  'argument-invalid': AmqpCondition.invalidField,
  'client-id-invalid': AmqpCondition.invalidField,
  'selector-invalid': AmqpCondition.invalidField,
  // JMS clients know by it that the destination is what is wrong (JMS 10.3, InvalidDestinationException).
  'destination-invalid': AmqpCondition.notFound,
  'destination-not-found': AmqpCondition.notFound,
  'destination-in-use': AmqpCondition.resourceLocked,
  'destination-conflict': AmqpCondition.preconditionFailed,
  'message-too-large': LinkCondition.messageSizeExceeded,
  'message-invalid': AmqpCondition.decodeError,
  'message-unroutable': AmqpCondition.notFound,
  'queue-full': AmqpCondition.resourceLimitExceeded,
  'memory-full': AmqpCondition.resourceLimitExceeded,
  'disk-full': AmqpCondition.resourceLimitExceeded,
  'delivery-settled': AmqpCondition.illegalState,
  'not-permitted': AmqpCondition.unauthorizedAccess,
  'transaction-not-found': TransactionCondition.unknownId,
  'transaction-rolled-back': TransactionCondition.rollback,
  'transaction-too-large': AmqpCondition.resourceLimitExceeded,
  'prepared-not-found': AmqpCondition.notFound,
  closed: AmqpCondition.illegalState,
  unsupported: AmqpCondition.notImplemented,
}

/** An error of the catalogue in the words of AMQP; `info` carries the code, for peers that know it. */
export function amqpError(error: MillraceError): AmqpError {
  return {
    condition: conditions[error.code] ?? AmqpCondition.internalError,
    description: error.message,
    info: new Map<string, unknown>([
      ['millrace:code', error.code],
      ['millrace:retryable', error.retryable],
    ]),
  }
}

/** What a call threw, when that is an operating error; what is not is a fault of ours and goes on. */
export function operatingError(cause: unknown): MillraceError {
  if (isMillraceError(cause)) return cause
  throw cause
}

export function rejectedWith(error: AmqpError): DeliveryState {
  return { kind: 'rejected', error }
}
