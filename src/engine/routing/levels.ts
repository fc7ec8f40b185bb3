import type { KeySyntax } from '../../model/policy.ts'

/**
 * Topic keys and patterns as lists of levels (DESIGN §3: a key keeps its bytes; only topic exchanges split it).
 * Dotted (AMQP 0-9-1, JMS): '*' is one level, '#' any number, also none. Slashed (MQTT): '+' and '#'.
 */
export const SINGLE: unique symbol = Symbol('one level')
export const MULTI: unique symbol = Symbol('any number of levels')

export type Level = string | typeof SINGLE | typeof MULTI

export function splitKey(key: string, syntax: KeySyntax): string[] {
  return key.split(syntax === 'slashed' ? '/' : '.')
}

export function splitPattern(pattern: string, syntax: KeySyntax): Level[] {
  const single = syntax === 'slashed' ? '+' : '*'
  return splitKey(pattern, syntax).map((level) => (level === single ? SINGLE : level === '#' ? MULTI : level))
}
