import { Violation } from './violation.ts'

/** The property that has a key for each message. */
export const KEY = 'key'
const COLOURS = ['red', 'green', 'blue', 'amber'] as const

/** What selectors can ask of a message. */
export interface Traits {
  readonly colour: string
  readonly weight: number
}

/** `first`: the first byte of its payload, so that looking into somebody else's bytes does not go unnoticed. */
export function traitsOf(number: number, first: number): Traits {
  return { colour: COLOURS[(number + first) % COLOURS.length]!, weight: (number * 7 + first) % 10 }
}

/** By which a queue that keeps last values tells messages apart; undefined: it is not asked for, and replaces nothing. */
export function keyOf({ colour }: Traits): string | undefined {
  return colour === 'amber' ? undefined : colour
}

/** A selector, and what it means in other words. */
export interface Choice {
  readonly text: string
  takes(traits: Traits): boolean
}

const choice = (text: string, takes: Choice['takes']): Choice => ({ text, takes })

/** Of all kinds: found by a value, by one of several, by a value and a condition, and one after the other. */
export const CHOICES: readonly Choice[] = [
  choice("colour = 'red'", ({ colour }) => colour === 'red'),
  choice("colour = 'blue'", ({ colour }) => colour === 'blue'),
  choice("colour IN ('red', 'green')", ({ colour }) => colour === 'red' || colour === 'green'),
  choice("colour = 'green' AND weight < 5", ({ colour, weight }) => colour === 'green' && weight < 5),
  choice('weight BETWEEN 3 AND 6', ({ weight }) => weight >= 3 && weight <= 6),
  choice('weight > 7', ({ weight }) => weight > 7),
  choice('weight = 7 AND missing IS NULL', ({ weight }) => weight === 7),
  choice("missing = 'red'", () => false),
]

/** Undefined takes everything. */
export function choiceOf(selector: string | undefined): Choice | undefined {
  if (selector === undefined) return undefined
  const found = CHOICES.find(({ text }) => text === selector)
  if (found === undefined) throw new Violation('content', `nobody has ever used the selector ${selector}`)
  return found
}

/** The value of a property of a message whose bytes begin with these. */
export function property(format: number, payload: Uint8Array, name: string): string | undefined {
  return name === KEY && payload.length > 0 ? keyOf(traitsOf(format, payload[0]!)) : undefined
}

/**
 * The value of a selector's identifier in payload[start, end): exact numbers are bigints. Of a payload whose beginning is
 * damaged nothing is known.
 */
export function selectable(
  format: number,
  payload: Uint8Array,
  start: number,
  end: number,
  identifier: string,
): string | bigint | undefined {
  if (start === end) return undefined
  const { colour, weight } = traitsOf(format, payload[start]!)
  if (identifier === 'colour') return colour
  return identifier === 'weight' ? BigInt(weight) : undefined
}
