import type { Capabilities } from '../../src/index.ts'

/** Small enough to be tried out. */
export const LIMIT: number = 8 * 1024 * 1024

/** What the embedded provider claims: everything. */
export const claims: Capabilities = {
  durabilities: ['disk', 'os', 'memory'],
  lasting: true,
  redelivery: true,
  retryDelay: true,
  browse: true,
  selectors: true,
  priority: true,
  ttl: true,
  delay: true,
  repetition: true,
  policies: true,
  topics: true,
  durableSubscriptions: true,
  temporaryDestinations: true,
  transactions: true,
  preparedMessages: true,
  compositeDestinations: true,
  maxMessageBytes: LIMIT,
}
