import type { MillraceError } from '../model/errors.ts'
import type { ConnectionSink, PublishOutcome } from './api.ts'
import type { Consumer } from './consumer.ts'

/** A connection of a host: the scope of consumers and connection-lived queues, and what is to be told to its sink. */
export class Connection {
  readonly id: number
  readonly sink: ConnectionSink
  readonly clientId: string | undefined
  /** Monotonic milliseconds. */
  readonly since: number
  readonly consumers: Set<Consumer> = new Set()
  readonly queues: Set<string> = new Set()
  readonly bodies: Set<number> = new Set()
  closed = false
  /** In the list of those to be flushed at the end of the turn. */
  flushing = false
  /** Half messages that are not durable yet: their ids, by the tags of their publications. */
  readonly preparing: Map<number, string> = new Map()
  private outcomes: PublishOutcome[] = []
  private readonly schedules = new Map<number, number>()
  private requests: number[] = []
  private notices: ((sink: ConnectionSink) => void)[] = []
  private afterwards: (() => void)[] = []
  private readonly delivering = new Set<Consumer>()

  constructor(id: number, sink: ConnectionSink, clientId: string | undefined, since: number) {
    this.id = id
    this.sink = sink
    this.clientId = clientId
    this.since = since
  }

  outcome(tag: number, error: MillraceError | undefined): void {
    // Rare beside plain messages.
    const scheduled = this.schedules.size === 0 ? undefined : this.schedules.get(tag)
    const prepared = this.preparing.size === 0 ? undefined : this.preparing.get(tag)
    if (scheduled === undefined && prepared === undefined) {
      this.outcomes.push({ tag, error })
      return
    }
    this.schedules.delete(tag)
    this.preparing.delete(tag)
    this.outcomes.push({ tag, error, prepared, scheduled })
  }

  /** The publication of this tag has been scheduled under this LSN, and is not confirmed yet. */
  scheduled(tag: number, lsn: number): void {
    this.schedules.set(tag, lsn)
  }

  settled(request: number): void {
    this.requests.push(request)
  }

  willDeliver(consumer: Consumer): void {
    this.delivering.add(consumer)
  }

  /** For what happens rarely; told before the rest of the turn. */
  tellLater(notice: (sink: ConnectionSink) => void): void {
    this.notices.push(notice)
  }

  /** To be called when the deliveries of this turn have been handed over. */
  tellAfter(notice: () => void): void {
    this.afterwards.push(notice)
  }

  /** Hands over what has gathered. The sink may call into the engine. */
  flush(): void {
    if (this.closed) return
    for (const notice of this.notices.splice(0)) notice(this.sink)
    if (this.outcomes.length > 0) {
      const outcomes = this.outcomes
      this.outcomes = []
      this.sink.published(outcomes)
    }
    if (this.requests.length > 0) {
      const requests = this.requests
      this.requests = []
      this.sink.settled(requests)
    }
    if (this.delivering.size > 0) {
      const consumers = [...this.delivering]
      this.delivering.clear()
      for (const consumer of consumers) this.deliver(consumer)
    }
    for (const notice of this.afterwards.splice(0)) notice()
  }

  private deliver(consumer: Consumer): void {
    const count = consumer.outgoingCount
    consumer.outgoingCount = 0
    if (count > 0 && !this.closed) this.sink.deliver(consumer.id, consumer.outgoing, count)
  }
}
