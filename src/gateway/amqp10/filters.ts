import { MillraceError } from '../../model/errors.ts'
import { parseSelector } from '../../model/selector/selector.ts'
import type { Fields, Source } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Described } from '../../wire/amqp10/values.ts'

const SELECTOR = 'apache.org:selector-filter:string'
const SELECTOR_CODE = 0x0000_468c_0000_0004n
const SELECTOR_KEY = 'jms-selector'
const NO_LOCAL = 'apache.org:no-local-filter:list'
const NO_LOCAL_CODE = 0x0000_468c_0000_0003n
const NO_LOCAL_KEY = 'no-local'

/** What of a source's messages a receiver wants, and the filters that say so, as they came. */
export class Filters {
  readonly selector: string | undefined
  readonly noLocal: boolean
  private readonly applied: Map<string, unknown> = new Map()
  private readonly noLocalKey: string | undefined

  /** Throws `selector-invalid`, `argument-invalid`. Filters of other kinds are passed over. */
  constructor({ filter }: Source) {
    let noLocalKey: string | undefined
    for (const [key, value] of filter ?? []) {
      if (is(value, SELECTOR, SELECTOR_CODE) || key === SELECTOR_KEY) {
        this.selector = selectorOf(value, this.selector)
        this.applied.set(key, value)
      } else if (is(value, NO_LOCAL, NO_LOCAL_CODE) || key === NO_LOCAL_KEY) {
        noLocalKey = key
        this.applied.set(key, value)
      }
    }
    this.noLocalKey = noLocalKey
    this.noLocal = noLocalKey !== undefined
  }

  /** The filters for our answer: those that are applied, and no others (core 3.5.8). */
  answer(options: { readonly noLocal: boolean }): Fields | undefined {
    const { applied, noLocalKey } = this
    if (noLocalKey !== undefined && !options.noLocal) applied.delete(noLocalKey)
    return applied.size > 0 ? applied : undefined
  }
}

/** The filters of what is stored, as their receiver would have given them. */
export function filtersOf(selector: string | undefined, noLocal: boolean): Fields | undefined {
  const fields = new Map<string, unknown>()
  if (selector !== undefined) fields.set(SELECTOR_KEY, new Described(new AmqpSymbol(SELECTOR), selector))
  if (noLocal) fields.set(NO_LOCAL_KEY, new Described(new AmqpSymbol(NO_LOCAL), []))
  return fields.size > 0 ? fields : undefined
}

/** An empty selector selects everything (JMS 3.8.1). */
function selectorOf(value: unknown, before: string | undefined): string | undefined {
  const text = value instanceof Described ? value.value : value
  if (typeof text !== 'string') throw new MillraceError('argument-invalid', 'a selector is a text')
  if (before !== undefined) throw new MillraceError('argument-invalid', 'a source has at most one selector')
  if (text === '') return undefined
  parseSelector(text)
  return text
}

function is(value: unknown, symbol: string, code: bigint): boolean {
  if (!(value instanceof Described)) return false
  const { descriptor } = value
  return descriptor instanceof AmqpSymbol ? descriptor.value === symbol : descriptor === code
}
