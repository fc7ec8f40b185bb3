import { MillraceError } from '../../model/errors.ts'

/** Compounds nested deeper than this are refused by writer and reader alike. */
export const MAX_DEPTH = 32

export function invalid(message: string): MillraceError {
  return new MillraceError('message-invalid', message)
}

/** For values of types that messages do not have: JMS MessageFormatException. */
export function formatInvalid(message: string): MillraceError {
  return new MillraceError('message-format-invalid', message)
}

export function tooDeep(): MillraceError {
  return invalid(`values nest deeper than ${MAX_DEPTH} levels`)
}

/** Milliseconds of a date. Throws `message-invalid` for an invalid one. */
export function dateMillis(value: Date): number {
  const millis = value.getTime()
  if (Number.isNaN(millis)) throw invalid('an invalid Date cannot be carried in a message')
  return millis
}
