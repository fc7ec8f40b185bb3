import { MillraceError } from '../model/errors.ts'

/** The number, if it is a whole one from `least` on. Throws `argument-invalid`. */
export function whole(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new MillraceError('argument-invalid', `${name} is a whole number from ${least}, not ${value}`)
}
