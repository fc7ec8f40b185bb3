import { MillraceError } from '../model/errors.ts'
import type { SentValue } from '../model/message.ts'

/** What a value can be converted into. */
export interface Conversions {
  readonly string: string
  readonly number: number
  readonly bigint: bigint
  readonly boolean: boolean
}

const converters: { readonly [K in keyof Conversions]: (value: unknown) => Conversions[K] | undefined } = {
  string: toText,
  number: toNumber,
  bigint: toBigint,
  boolean: toBoolean,
}

/**
 * A property, or an entry of a map or stream, as another type, by the table of JMS 3.5.4: text is read as a number or as
 * true or false where it is written so, and everything but bytes and dates as text. JavaScript has one type for byte, short,
 * int, float and double, which therefore convert into each other; a bigint (long) is a number while that is exact, and a
 * whole number is a bigint. null and undefined stay undefined. Throws `message-format-invalid` for all else.
 */
export function convert<K extends keyof Conversions>(value: unknown, as: K): Conversions[K] | undefined {
  if (value === undefined || value === null) return undefined
  if (!Object.hasOwn(converters, as)) {
    throw new MillraceError(
      'argument-invalid',
      `a value is converted into ${Object.keys(converters).join(', ')}, not ${String(as)}`,
    )
  }
  const converted = converters[as](value)
  if (converted !== undefined) return converted
  throw new MillraceError('message-format-invalid', `${describe(value)} cannot be read as ${as}`)
}

function describe(value: unknown): string {
  const text = toText(value)
  if (text !== undefined) return `the ${typeof value} ${JSON.stringify(text)}`
  if (value instanceof Uint8Array) return 'a value of bytes'
  return value instanceof Date ? 'a date' : 'a compound value'
}

function toText(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return undefined
  }
}

function toNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : undefined
  if (typeof value !== 'string') return undefined
  if (/^(NaN|[+-]?Infinity)$/.test(value)) return Number(value)
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value) ? Number(value) : undefined
}

function toBigint(value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined
  return typeof value === 'string' && /^[+-]?\d{1,20}$/.test(value)
    ? BigInt(value.replace('+', ''))
    : undefined
}

/** JMS reads every text but "true" as false; a text that is neither is taken for a mistake here. */
function toBoolean(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'string') return undefined
  if (/^true$/i.test(value)) return true
  return /^false$/i.test(value) ? false : undefined
}

/** What a Java identifier is made of, in the classes of Unicode. */
const identifier = /^[\p{L}\p{Nl}\p{Sc}\p{Pc}][\p{L}\p{Nl}\p{Nd}\p{Sc}\p{Pc}\p{Mn}\p{Mc}]*$/u
const keyword = /^(null|true|false|not|and|or|between|like|in|is|escape)$/i

/**
 * Names of properties are what a selector can name (JMS 3.5.1), so that nothing is sent that nobody can select by. Throws
 * `argument-invalid`, and `message-format-invalid` for a char, which JMS has in maps and streams alone.
 */
export function checkProperties(
  properties: Readonly<Record<string, SentValue>>,
): Readonly<Record<string, SentValue>> {
  for (const name of Object.keys(properties)) {
    const problem = problemOf(name)
    if (problem !== undefined) {
      throw new MillraceError(
        'argument-invalid',
        `${JSON.stringify(name)} cannot be the name of a property: ${problem}`,
      )
    }
    if ((properties[name] as { type?: unknown } | null | undefined)?.type === 'char') {
      throw new MillraceError(
        'message-format-invalid',
        `the property ${JSON.stringify(name)} is a char; send it as text`,
      )
    }
  }
  return properties
}

function problemOf(name: string): string | undefined {
  if (!identifier.test(name))
    return 'it begins with a letter, "_" or "$" and goes on with these and digits, as selectors read it'
  if (keyword.test(name)) return 'it is a word of the selector language'
  if (!name.startsWith('JMS')) return undefined
  if (name === 'JMSXGroupID' || name === 'JMSXGroupSeq') return 'give it as the option group or groupSequence'
  return 'names that begin with JMS are reserved'
}

/** A copy that its owner cannot change any more. */
export function copyValues(
  properties: Readonly<Record<string, SentValue>>,
): Readonly<Record<string, SentValue>> {
  return Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, copyValue(value)]))
}

export function copyValue<T>(value: T): T {
  if (value instanceof Uint8Array) return new Uint8Array(value) as T
  return value instanceof Date ? (new Date(value) as T) : value
}
