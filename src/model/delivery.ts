/**
 * What a sender asks for and a receiver answers. One vocabulary for every protocol (DESIGN §3, §4).
 */

/** How far a message must have got before its send is confirmed. */
export type Durability = 'disk' | 'os' | 'memory'

/** AMQP 1.0 outcomes (core spec 3.4): how a consumer settles a delivery. */
export type Outcome = 'accepted' | 'released' | 'rejected' | 'modified'

/** Why a message left a queue, or left it for another one. */
export type Departure =
  | 'accepted'
  | 'expired'
  | 'dead-lettered'
  | 'dropped'
  | 'purged'
  | 'quarantined'
  /** By an operator, to another queue. */
  | 'moved'
  /** It was part of a transaction, or a half message. */
  | 'rolled-back'
  /** Before it was due, by somebody who said so. */
  | 'cancelled'
  /** A newer message bears the same key, in a queue that keeps the last value of each. */
  | 'replaced'

/** Why a message was dead-lettered. */
export const deadLetterReasons = [
  'rejected',
  'max-deliveries',
  'expired',
  'overflow',
  'invalid-body',
] as const
export type DeadLetterReason = (typeof deadLetterReasons)[number]
