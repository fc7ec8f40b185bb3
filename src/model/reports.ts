import type { Departure, Durability } from './delivery.ts'
import type { QueuePolicy } from './policy.ts'

export interface QueueReport {
  readonly name: string
  readonly policy: QueuePolicy
  readonly durability: Durability
  /** Held: ready, waiting for redelivery, acquired by consumers. */
  readonly messages: number
  readonly bytes: number
  readonly ready: number
  readonly waiting: number
  readonly acquired: number
  readonly consumers: number
  /** Sends held because the queue is full. */
  readonly held: number
  /** Since the broker started. */
  readonly published: number
  readonly delivered: number
  readonly departed: Readonly<Record<Departure, number>>
}

export interface LocationReport {
  readonly queue: string
  readonly state: string
  readonly size: number
  readonly priority: number
  readonly deliveryCount: number
  readonly failures: number
  /** Wall milliseconds; 0: never, not waiting. */
  readonly expiry: number
  readonly due: number
}

/** A topic as its subscribers see it. */
export interface TopicReport {
  readonly name: string
  readonly subscriptions: readonly {
    readonly queue: string
    readonly messages: number
    readonly consumers: number
  }[]
}

/** A connection as operators see it. */
export interface ConnectionReport {
  readonly id: number
  /** Where the other end is; 'in process' when it is here. */
  readonly remote: string
  /** '' when nobody had to say who they are. */
  readonly user: string
  /** '' until it has opened. */
  readonly containerId: string
  /** The client's product and version, where it says them. */
  readonly product: string
  readonly links: number
  /** Deliveries not settled, and sends not decided. */
  readonly unsettled: number
  readonly undecided: number
  /** Milliseconds since it connected. */
  readonly age: number
}
