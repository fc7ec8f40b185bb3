import { MillraceError } from '../../model/errors.ts'
import type { Source } from '../../wire/amqp10/peer/performatives.ts'
import { AmqpSymbol, Described } from '../../wire/amqp10/values.ts'

const SELECTOR = 'apache.org:selector-filter:string'
const SELECTOR_CODE = 0x0000_468c_0000_0004n

/**
 * A filter that the broker does not apply is not echoed, and the receiver takes more than it wished for (core 3.5.8). With a
 * selector that would be wrong messages: it is refused. Throws `unsupported`.
 */
export function refuseSelector({ filter }: Source): void {
  for (const [key, value] of filter ?? []) {
    if (key !== 'jms-selector' && !isSelector(value)) continue
    throw new MillraceError('unsupported', 'selectors on receivers are not supported; receive without one')
  }
}

function isSelector(value: unknown): boolean {
  if (!(value instanceof Described)) return false
  const { descriptor } = value
  return descriptor instanceof AmqpSymbol ? descriptor.value === SELECTOR : descriptor === SELECTOR_CODE
}
