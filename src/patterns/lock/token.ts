import type { Message } from '../../client/message.ts'
import { MillraceError } from '../../model/errors.ts'

/**
 * What the broker calls a message is a number that rises with each one that it stores, also over restarts and from one member
 * of a group to the next: it is journalled with the message. Throws `unsupported` for brokers that have no such number.
 */
export function tokenOf(message: Pick<Message, 'brokerId'>): number {
  const token = Number(message.brokerId)
  if (Number.isSafeInteger(token) && token > 0) return token
  throw new MillraceError(
    'unsupported',
    'this broker does not number its messages, so that there are no tokens',
  )
}
