import type { Settlement } from '../../engine/api.ts'
import type { DeadLetterReason } from '../../model/delivery.ts'
import type { AmqpError, DeliveryState, Fields } from '../../wire/amqp10/peer/performatives.ts'

export const accept: Settlement = { outcome: 'accepted' }
export const release: Settlement = { outcome: 'released' }
/** This consumer cannot take it; others may. */
export const undeliverableHere: Settlement = { outcome: 'modified', undeliverableHere: true }

/** Message annotation of modified: why the delivery failed, a string. */
const DESCRIPTION_KEY = 'x-opt-description'
/** Message annotation of modified, delivery-failed: true for a rollback, which waits for no backoff. */
const IMMEDIATELY_KEY = 'x-opt-immediately'

/** Message annotation of modified: not to be delivered again for so many milliseconds; a number of any type. */
const DELAY_KEY = 'x-opt-delivery-delay'

/** Reasons that a consumer may give as the condition of a rejection. */
const reasons: ReadonlySet<string> = new Set<DeadLetterReason>(['rejected', 'invalid-body'])

/** What the state of a delivery means for the engine; undefined for one that decides nothing yet. */
export function settlementOf(state: DeliveryState): Settlement | undefined {
  switch (state.kind) {
    case 'accepted':
      return accept
    case 'released':
      return release
    case 'rejected':
      return rejection(state.error)
    case 'modified':
      return {
        outcome: 'modified',
        deliveryFailed: state.deliveryFailed,
        undeliverableHere: state.undeliverableHere,
        immediately: state.messageAnnotations?.get(IMMEDIATELY_KEY) === true,
        delay: delayIn(state.messageAnnotations),
        description: descriptionIn(state.messageAnnotations),
      }
    default:
      return undefined
  }
}

function descriptionIn(annotations: Fields | undefined): string | undefined {
  const description = annotations?.get(DESCRIPTION_KEY)
  return typeof description === 'string' ? description : undefined
}

function delayIn(annotations: Fields | undefined): number | undefined {
  const delay = Number(annotations?.get(DELAY_KEY) ?? 0)
  return delay > 0 ? delay : undefined
}

function rejection(error: AmqpError | undefined): Settlement {
  if (error === undefined) return { outcome: 'rejected' }
  const { condition, description } = error
  if (reasons.has(condition))
    return { outcome: 'rejected', reason: condition as DeadLetterReason, description }
  return { outcome: 'rejected', description: description ? `${condition}: ${description}` : condition }
}
