import { MillraceError } from '../model/errors.ts'
import type { TypedValue, TypeName } from '../model/message.ts'
import { Typed } from '../wire/amqp10/values.ts'

type Fits = (value: number | bigint | string) => boolean

const fits: Readonly<Record<TypeName, Fits>> = {
  byte: whole(8),
  short: whole(16),
  int: whole(32),
  long: (value) => isWhole(value) && BigInt.asIntN(64, BigInt(value)) === BigInt(value),
  float: (value) => typeof value === 'number',
  double: (value) => typeof value === 'number',
  char: (value) => typeof value === 'string' && /^.$/su.test(value),
}

function whole(bits: number): Fits {
  const limit = 2 ** (bits - 1)
  return (value) => isWhole(value) && value >= -limit && value < limit
}

function isWhole(value: number | bigint | string): value is number | bigint {
  return typeof value === 'bigint' || Number.isSafeInteger(value)
}

/**
 * A number or character with the JMS type that it is to be sent as, for receivers that ask for one: without, a whole number
 * of 32 bits goes as int, any other as double, a bigint as long. `typed('double', 1)` is a price that happens to be whole.
 * A float keeps 24 bits. A char is for entries of maps and streams. Throws `argument-invalid` when the value does not fit.
 */
export function typed(type: 'long', value: number | bigint): TypedValue
export function typed(type: 'char', value: string): TypedValue
export function typed(type: Exclude<TypeName, 'char'>, value: number): TypedValue
export function typed(type: TypeName, value: number | bigint | string): TypedValue {
  if (!Object.hasOwn(fits, type)) {
    throw new MillraceError(
      'argument-invalid',
      `a type is one of ${Object.keys(fits).join(', ')}, not ${String(type)}`,
    )
  }
  if (fits[type](value)) return new Typed(type, value) as TypedValue
  throw new MillraceError('argument-invalid', `${typeof value} ${String(value)} is not a ${type}`)
}
