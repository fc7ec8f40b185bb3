import { MillraceError } from '../../model/errors.ts'
import type { Attach, Source } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Described } from '../../wire/amqp10/values.ts'

/** What of a source's messages is wanted. */
export interface Wanted {
  readonly selector?: string | undefined
  readonly noLocal?: boolean | undefined
}

const SELECTOR = 'jms-selector'
const NO_LOCAL = 'no-local'

/** The filters of a source, by the JMS mapping of AMQP 1.0. */
export function filterOf({ selector, noLocal }: Wanted): Source['filter'] {
  const filter = new Map<string, unknown>()
  if (selector !== undefined)
    filter.set(SELECTOR, new Described(new AmqpSymbol('apache.org:selector-filter:string'), selector))
  if (noLocal) filter.set(NO_LOCAL, new Described(new AmqpSymbol('apache.org:no-local-filter:list'), []))
  return filter.size > 0 ? filter : undefined
}

/** A broker that does not know a filter leaves it out of its answer, and would deliver what is not wanted (core 3.5.8). */
export function unappliedFilter(asked: Source['filter'], { source }: Attach): MillraceError | undefined {
  for (const name of asked?.keys() ?? []) {
    if (source?.filter?.has(name)) continue
    return new MillraceError('unsupported', `the broker does not apply the filter ${name}`)
  }
  return undefined
}
