import { milliseconds } from '../../model/duration.ts'

/** How a setting is read, from the text of a flag or variable or from a value of the file. */
export interface Kind<T> {
  /** Completes "… is". */
  readonly what: string
  /** The value in the help, such as FILE. */
  readonly placeholder: string
  /** Answers undefined for what it is not. Throws Mistake when it can say more than `what`. */
  read(value: unknown): T | undefined
  /** As somebody would write it; absent: as it prints. */
  show?(value: T): string
}

/** What is wrong with a part of a value, said from there on: `[1].password is …`. */
export class Mistake extends Error {
  override readonly name: string = 'Mistake'
}

export const text = (what: string, placeholder: string): Kind<string> => ({
  what,
  placeholder,
  read: (value) => (typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined),
})

export type Port = number | 'off'

/** 'off' also as the file's boolean, which is how YAML 1.1 and people read it. */
export const port: Kind<Port> = {
  what: "a port from 0 to 65535 (0: any free one), or 'off'",
  placeholder: 'PORT',
  read: (value) => (value === 'off' || value === false ? 'off' : wholeNumber(value, 0, 65_535)),
}

export const count = (least: number, most: number = Number.MAX_SAFE_INTEGER): Kind<number> => ({
  what: most === Number.MAX_SAFE_INTEGER ? `a whole number from ${least}` : `from ${least} to ${most}`,
  placeholder: 'N',
  read: (value) => wholeNumber(value, least, most),
})

function wholeNumber(value: unknown, least: number, most: number): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number)) return undefined
  return number >= least && number <= most ? number : undefined
}

const units: Readonly<Record<string, number>> = { GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10, '': 1 }
const timeUnits: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

/** In the largest unit that makes a whole number of it; `table` has the largest first. */
function inUnits(value: number, table: Readonly<Record<string, number>>): string {
  const [unit, size] = Object.entries(table).find(([, each]) => value % each === 0)!
  return `${value / size}${unit}`
}

export const bytes = (least: number): Kind<number> => ({
  what: `a size such as 64KiB, 16MiB or 1GiB, or a number of bytes, at least ${least}`,
  placeholder: 'SIZE',
  read: (value) => {
    const match = /^(\d+) ?(KiB|MiB|GiB|)$/.exec(String(value))
    return match
      ? wholeNumber(Number(match[1]) * units[match[2]!]!, least, Number.MAX_SAFE_INTEGER)
      : undefined
  },
  show: (value) => inUnits(value, units),
})

/** Milliseconds. */
export const duration: Kind<number> = {
  what: 'a time such as 500ms, 10s or 2m, or a number of milliseconds',
  placeholder: 'TIME',
  read: (value) => {
    try {
      return milliseconds(
        typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : (value as string),
      )
    } catch {
      return undefined
    }
  },
  show: (value) => inUnits(value, timeUnits),
}

export const choice = <T extends string>(choices: readonly T[]): Kind<T> => ({
  what: `one of ${choices.join(', ')}`,
  placeholder: choices.join('|'),
  read: (value) => choices.find((each) => each === value),
})

export const flag: Kind<boolean> = {
  what: 'true or false',
  placeholder: 'true|false',
  read: (value) => (value === 'true' || value === 'false' ? value === 'true' : booleanOf(value)),
}

function booleanOf(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

/** A dotted pattern of names, or none. */
export const patternOrOff: Kind<string | false> = {
  what: "a pattern of names such as Orders.#, or 'off'",
  placeholder: 'PATTERN',
  read: (value) => {
    if (value === 'off' || value === false) return false
    return typeof value === 'string' && value !== '' ? value : undefined
  },
}

/** In a flag or variable: separated by commas. */
export const names: Kind<readonly string[]> = {
  what: 'a list of names',
  placeholder: 'NAME,…',
  read: (value) => {
    const list = typeof value === 'string' ? value.split(',').map((name) => name.trim()) : value
    if (!Array.isArray(list)) return undefined
    return list.every((name) => typeof name === 'string' && name !== '') ? (list as string[]) : undefined
  },
}

/** A map of the file with these keys and no others. Throws Mistake. */
export function record(
  value: unknown,
  at: string,
  known: readonly string[],
): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Mistake(`${at} has the keys ${known.join(', ')}; it is ${show(value)}`)
  const stranger = Object.keys(value).find((key) => !known.includes(key))
  if (stranger !== undefined) throw new Mistake(`${at} has the keys ${known.join(', ')}, and no ${stranger}`)
  return value as Readonly<Record<string, unknown>>
}

export function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value)
}
