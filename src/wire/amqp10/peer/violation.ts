import { isMillraceError } from '../../../model/errors.ts'
import { AmqpCondition } from './conditions.ts'
import type { AmqpError } from './performatives.ts'

/** Thrown while a frame is decoded; ends the connection with `condition`. Never leaves the machine. */
export class Violation extends Error {
  readonly condition: string

  constructor(condition: string, message: string) {
    super(message)
    this.condition = condition
  }
}

/** What to tell the other end about what decoding its frame threw. A bug of ours is thrown on. */
export function errorOf(thrown: unknown): AmqpError {
  if (thrown instanceof Violation) return { condition: thrown.condition, description: thrown.message }
  if (isMillraceError(thrown)) return { condition: AmqpCondition.decodeError, description: thrown.message }
  throw thrown
}

export function invalidField(message: string): Violation {
  return new Violation(AmqpCondition.invalidField, message)
}

export function undecodable(message: string): Violation {
  return new Violation(AmqpCondition.decodeError, message)
}
