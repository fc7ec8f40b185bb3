import type { Destination } from '../../model/destination.ts'
import type { QueuePolicy } from '../../model/policy.ts'
import type {
  ConnectionReport,
  LocationReport,
  QueueReport,
  ScheduledReportPage,
  TopicReport,
} from '../../model/reports.ts'
import type { BrowsedPage, MoveOptions, ProviderManagement, SubscriptionSource } from '../provider.ts'
import { AmqpBrowsed } from './incoming.ts'
import type { Requests } from './requests.ts'

const reading = { repeatable: true } as const
/** Repeated on another line these would answer something else, such as that there is nothing to delete any more. */
const changing = { repeatable: false } as const

/** A message of a page: the whole of it as it would be delivered. */
interface PagedMessage {
  readonly state: string
  readonly destination: Destination
  readonly message: Uint8Array
}

/** Management of a Millrace broker, by its operations (docs/spec/amqp.md). */
export class AmqpManagement implements ProviderManagement {
  private readonly requests: Requests

  constructor(requests: Requests) {
    this.requests = requests
  }

  async queues(): Promise<readonly QueueReport[]> {
    return (await this.requests.ask('queues', {}, reading)) as QueueReport[]
  }

  async topics(): Promise<readonly TopicReport[]> {
    return (await this.requests.ask('topics', {}, reading)) as TopicReport[]
  }

  async connections(): Promise<readonly ConnectionReport[]> {
    return (await this.requests.ask('connections', {}, reading)) as ConnectionReport[]
  }

  async locate(brokerId: string): Promise<readonly LocationReport[]> {
    return (await this.requests.ask('why', { brokerId }, reading)) as LocationReport[]
  }

  async purge(queue: string, options: Pick<MoveOptions, 'selector'> = {}): Promise<number> {
    return (await this.requests.ask('purge', { queue, ...options }, changing)) as number
  }

  async delete(queue: string): Promise<number> {
    return (await this.requests.ask('delete', { queue }, changing)) as number
  }

  async move(from: string, to: string, options: MoveOptions = {}): Promise<number> {
    return (await this.requests.ask('move', { from, to, ...options }, changing)) as number
  }

  async redrive(queue: string, options: MoveOptions = {}): Promise<number> {
    return (await this.requests.ask('redrive', { queue, ...options }, changing)) as number
  }

  async scheduled(queue?: string, after?: string, limit?: number): Promise<ScheduledReportPage> {
    return (await this.requests.ask('scheduled', { queue, after, limit }, reading)) as ScheduledReportPage
  }

  async cancel(scheduleId: string): Promise<boolean> {
    return (await this.requests.ask('cancel', { scheduleId }, changing)) as boolean
  }

  async cancelAll(queue: string): Promise<number> {
    return (await this.requests.ask('cancelAll', { queue }, changing)) as number
  }

  async declare(queue: string, policy: Partial<QueuePolicy>): Promise<void> {
    await this.requests.ask('declare', { queue, policy }, reading)
  }

  async subscribe({ kind: _, ...subscription }: SubscriptionSource): Promise<void> {
    await this.requests.ask('subscribe', subscription, reading)
  }

  async unsubscribe(name: string, shared: boolean): Promise<void> {
    await this.requests.ask('unsubscribe', { name, shared }, changing)
  }

  async browse(
    queue: string,
    after: string | undefined,
    limit: number,
    selector?: string,
  ): Promise<BrowsedPage> {
    const page = (await this.requests.ask('browse', { queue, after, limit, selector }, reading)) as {
      readonly messages: readonly PagedMessage[]
      readonly next: string | undefined
    }
    const now = Date.now()
    const messages = page.messages.map(
      ({ state, destination, message }) => new AmqpBrowsed(state, destination, now, message),
    )
    return { messages, next: page.next }
  }
}
