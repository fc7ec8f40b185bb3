import type { DeliveryState } from '../../wire/amqp10/peer/performatives.ts'
import { accepted, released } from '../../wire/amqp10/peer/performatives.ts'
import type { ProviderSettlement } from '../provider.ts'

/** How a settlement goes over the wire (core 3.4). A rejection's reason is its condition. */
export function toState(settlement: ProviderSettlement): DeliveryState {
  const { outcome, deliveryFailed = false, immediately, delay, reason, description } = settlement
  switch (outcome) {
    case 'accepted':
      return accepted
    case 'released':
      return released
    case 'rejected':
      return { kind: 'rejected', error: { condition: reason ?? 'rejected', description } }
    case 'modified': {
      const messageAnnotations = new Map<string, unknown>()
      if (description !== undefined) messageAnnotations.set('x-opt-description', description)
      if (immediately) messageAnnotations.set('x-opt-immediately', true)
      if (delay) messageAnnotations.set('x-opt-delivery-delay', delay)
      return { kind: 'modified', deliveryFailed, undeliverableHere: false, messageAnnotations }
    }
  }
}
