import { canonicalOf, equalityOf, identifiersOf } from './analysis.ts'
import { compileCondition } from './evaluator.ts'
import { parse } from './parser.ts'
import type { PropertyLookup, SelectorValue } from './tree.ts'

export { equalityKey } from './evaluator.ts'
export type { PropertyLookup, SelectorValue } from './tree.ts'

/** A condition on messages: the SQL-92 subset of Jakarta Messaging 3.8.1 (docs/selectors.md). */
export interface Selector {
  readonly text: string
  /** The same for selectors that differ in blanks, case of keywords and order of conditions; a selector itself. */
  readonly canonical: string
  /** `identifier = constant`, or one of several, which every matching message fulfils; undefined when there is none. */
  readonly equality: { readonly identifier: string; readonly values: readonly SelectorValue[] } | undefined
  /** `equality` alone decides: nothing else has to be evaluated. */
  readonly equalityOnly: boolean
  readonly identifiers: readonly string[]
  /** Whether the condition is true; neither false nor unknown is. */
  matches(lookup: PropertyLookup): boolean
}

/** Throws `selector-invalid`, which says at which position, from 1, and what was expected there. */
export function parseSelector(text: string): Selector {
  const tree = parse(text)
  const equality = equalityOf(tree)
  const condition = compileCondition(tree)
  return {
    text,
    canonical: canonicalOf(tree),
    equality: equality && { identifier: equality.identifier, values: equality.values },
    equalityOnly: equality?.alone ?? false,
    identifiers: [...identifiersOf(tree)],
    matches: (lookup) => condition(lookup) === true,
  }
}
