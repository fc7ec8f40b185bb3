import type { Departure, Durability } from './delivery.ts'
import type { QueuePolicy } from './policy.ts'
import type { Repetition } from './schedule.ts'

/** What a queue holds, and what has become of what it took. */
export interface QueueCounts {
  /** All that consumers may get: ready + waiting for redelivery + acquired by consumers (+ not yet durable). */
  readonly messages: number
  readonly bytes: number
  readonly ready: number
  readonly waiting: number
  readonly acquired: number
  /** Not among its messages: they come into it when they are due. */
  readonly scheduled: number
  /** Stored, and counted by the capacity, but not messages yet: of open transactions, or half. */
  readonly pending: number
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

/** A half message that nobody has decided yet. */
export interface PreparedReport {
  readonly id: string
  /** Of the producers that are asked what became of it. */
  readonly group: string
  readonly exchange: string
  readonly key: string
  /** Queues that hold it. */
  readonly queues: readonly string[]
  /** Bytes. */
  readonly size: number
  /** Wall milliseconds at which it was stored. */
  readonly since: number
  /** How often its producers have been asked. */
  readonly checks: number
  /** Nobody is asked any more: somebody has to decide it by hand. */
  readonly parked: boolean
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

/** A message that is to be delivered later. Times in wall milliseconds. */
export interface ScheduledReport {
  /** By which it is cancelled; the `scheduleId` of the send's receipt. */
  readonly id: string
  /** Where it goes; queues that have been deleted meanwhile are not among them. */
  readonly queues: readonly string[]
  /** Of the next delivery. */
  readonly due: number
  /** How it goes on after that, and how often it has been delivered. */
  readonly repetition: Repetition | undefined
  readonly deliveries: number
  /** Undefined for a body in pieces, and where there is none. */
  readonly messageId: string | undefined
  readonly publishedAt: number
  /** 0: never. */
  readonly expiry: number
  readonly priority: number
  readonly size: number
  readonly durable: boolean
}

export interface ScheduledReportPage {
  /** In the order in which they are due. A page may be short, or empty, and still have a next one. */
  readonly messages: readonly ScheduledReport[]
  readonly next: string | undefined
}
