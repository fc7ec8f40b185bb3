import { testComposites } from './provider-composites.ts'
import { testConsumers } from './provider-consumers.ts'
import { testFeeds } from './provider-feeds.ts'
import { testGroups } from './provider-groups.ts'
import { testMessages } from './provider-messages.ts'
import { testQueues } from './provider-queues.ts'
import { testRequests } from './provider-requests.ts'
import { testSchedule } from './provider-schedule.ts'
import { testSchemas } from './provider-schemas.ts'
import { testSelectors } from './provider-selectors.ts'
import { testSettlement } from './provider-settlement.ts'
import type { ProviderSubject } from './provider-subject.ts'
import { testTopics } from './provider-topics.ts'
import { testTransactions } from './provider-transactions.ts'

export type { ProviderSubject, SubjectBroker } from './provider-subject.ts'

/**
 * The contract of the provider port (src/client/provider.ts) as tests of node:test, run through the API that applications
 * use. Every provider passes it; what one does not claim in its capabilities is skipped, with the reason.
 */
export function testProvider(subject: ProviderSubject): void {
  testMessages(subject)
  testSchemas(subject)
  testSettlement(subject)
  testConsumers(subject)
  testFeeds(subject)
  testGroups(subject)
  testTopics(subject)
  testComposites(subject)
  testQueues(subject)
  testSelectors(subject)
  testTransactions(subject)
  testSchedule(subject)
  testRequests(subject)
}
