import type { DeliveryState } from '../../wire/amqp10/peer/performatives.ts'
import { accepted, released } from '../../wire/amqp10/peer/performatives.ts'
import type { ProviderSettlement } from '../provider.ts'

/** How a settlement goes over the wire (core 3.4). A rejection's reason is its condition. */
export function toState(settlement: ProviderSettlement): DeliveryState {
  const { outcome, deliveryFailed = false, reason, description } = settlement
  switch (outcome) {
    case 'accepted':
      return accepted
    case 'released':
      return released
    case 'rejected':
      return { kind: 'rejected', error: { condition: reason ?? 'rejected', description } }
    case 'modified': {
      const messageAnnotations =
        description === undefined ? undefined : new Map([['x-opt-description', description]])
      return { kind: 'modified', deliveryFailed, undeliverableHere: false, messageAnnotations }
    }
  }
}
