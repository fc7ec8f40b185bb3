import type { Departure, Durability } from './delivery.ts'
import type { QueuePolicy } from './policy.ts'

/** What a queue holds, and what has become of what it took. */
export interface QueueCounts {
  /** All that it holds: ready + waiting for redelivery + acquired by consumers (+ not yet durable). */
  readonly messages: number
  readonly bytes: number
  readonly ready: number
  readonly waiting: number
  readonly acquired: number
  /** Not among its messages: they come into it when they are due. */
  readonly scheduled: number
  readonly consumers: number
  /** Sends held because the queue is full. */
  readonly held: number
  readonly published: number
  readonly delivered: number
  readonly departed: Readonly<Record<Departure, number>>
}

export interface QueueReport extends QueueCounts {
  readonly name: string
  readonly policy: QueuePolicy
  readonly durability: Durability
}

export interface LocationReport {
  readonly queue: string
  readonly state: string
  readonly size: number
  readonly priority: number
  readonly deliveryCount: number
  readonly failures: number
  /** Wall milliseconds; 0: never. */
  readonly expiry: number
  /** Wall milliseconds when a waiting message becomes ready again; 0 otherwise. */
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
