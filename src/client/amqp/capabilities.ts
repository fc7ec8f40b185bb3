import type { Capabilities } from '../provider.ts'
import { type Line, MILLRACE } from './line.ts'

/** What a broker can do, by what it says of itself. */
export function capabilitiesOf(line: Line): Capabilities {
  const { offeredCapabilities, properties } = line.open
  const millrace = offeredCapabilities.includes(MILLRACE)
  const limit = properties.get('max-message-size')
  return {
    lasting: properties.get('millrace:lasting') !== false,
    durabilities: millrace ? ['disk', 'os', 'memory'] : ['disk', 'memory'],
    // Other brokers redeliver by rules of their own, which nobody tells us.
    redelivery: millrace,
    retryDelay: millrace,
    browse: true,
    // Where a filter is not known, attaching with one is refused.
    selectors: true,
    priority: true,
    ttl: true,
    delay: millrace || offeredCapabilities.includes('DELAYED_DELIVERY'),
    repetition: millrace,
    policies: millrace,
    topics: true,
    durableSubscriptions: true,
    temporaryDestinations: true,
    // Nothing in an open says it; a broker without a coordinator refuses the link.
    transactions: true,
    preparedMessages: millrace,
    compositeDestinations: millrace,
    maxMessageBytes: limit === undefined ? Number.MAX_SAFE_INTEGER : Number(limit),
  }
}
