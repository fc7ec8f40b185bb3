import { type Backoff, defaultPolicy, longestDelay, type QueuePolicy } from '../../model/policy.ts'

/** For how long a message may come again, in milliseconds, as far as its queue says. */
export interface Horizon {
  /** Until it is dead-lettered: all waits, and all deliveries with their timeouts. Infinity: it never is. */
  readonly redelivery: number
  /** Which of the figures is not the queue's own, but the default of the broker. */
  readonly assumed: boolean
}

/** Of a message that is delivered as late, as often and for as long as the queue allows; undefined: as a queue does by default. */
export function redeliveryHorizon(policy: Partial<QueuePolicy> | undefined): Horizon {
  const { maxDeliveries, backoff, deliveryTimeout } = { ...defaultPolicy, ...policy }
  const assumed = policy === undefined
  if (maxDeliveries === undefined) return { redelivery: Number.POSITIVE_INFINITY, assumed }
  const waits = waitsAfter(backoff, maxDeliveries - 1)
  const most = Math.max(waits, longestDelay(backoff)) * (1 + backoff.jitter)
  return { redelivery: Math.ceil(most + (deliveryTimeout ?? 0) * maxDeliveries), assumed }
}

/** Of so many failures. What grows no more need not be added one by one. */
function waitsAfter({ delays, delay, multiplier, maxDelay }: Backoff, failures: number): number {
  let waits = 0
  for (let failure = 0; failure < failures; failure++) {
    const wait = delays
      ? delays[Math.min(failure, delays.length - 1)]!
      : Math.min(delay * multiplier ** failure, maxDelay)
    const last = delays ? failure >= delays.length - 1 : wait === maxDelay || multiplier === 1 || wait === 0
    if (last) return waits + (failures - failure) * wait
    waits += wait
  }
  return waits
}
