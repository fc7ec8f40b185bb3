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
  // What few connections have is made when it is needed: an empty map would be looked for in memory with each message.
  /** Half messages that are not durable yet: their ids, by the tags of their publications. */
  private preparing: Map<number, string> | undefined
  private outcomes: PublishOutcome[] = []
  /** The newest of the outcomes, while it may cover further tags; null: it says more than accepted. */
  private run: { -readonly [K in keyof PublishOutcome]: PublishOutcome[K] } | null = null
  private schedules: Map<number, number> | undefined
  private requests: number[] = []
  private notices: ((sink: ConnectionSink) => void)[] = []
  private afterwards: (() => void)[] = []
  private delivering: Set<Consumer> | undefined

  constructor(id: number, sink: ConnectionSink, clientId: string | undefined, since: number) {
    this.id = id
    this.sink = sink
    this.clientId = clientId
    this.since = since
  }

  outcome(tag: number, error: MillraceError | undefined): void {
    const scheduled = this.schedules?.get(tag)
    const prepared = this.preparing?.get(tag)
    if (scheduled === undefined && prepared === undefined && error === undefined) {
      this.accepted(tag)
      return
    }
    this.schedules?.delete(tag)
    this.preparing?.delete(tag)
    this.outcomes.push({ tag, last: tag, error, prepared, scheduled })
    this.run = null
  }

  private accepted(tag: number): void {
    const { run } = this
    if (run !== null && run.last === tag - 1) {
      run.last = tag
      return
    }
    this.run = { tag, last: tag, error: undefined, prepared: undefined, scheduled: undefined }
    this.outcomes.push(this.run)
  }

  /** The publication of this tag has been scheduled under this LSN, and is not confirmed yet. */
  scheduled(tag: number, lsn: number): void {
    this.schedules ??= new Map()
    this.schedules.set(tag, lsn)
  }

  /** The publication of this tag is a half message with this id, and not confirmed yet. */
  prepared(tag: number, id: string): void {
    this.preparing ??= new Map()
    this.preparing.set(tag, id)
  }

  settled(request: number): void {
    this.requests.push(request)
  }

  willDeliver(consumer: Consumer): void {
    this.delivering ??= new Set()
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
    if (this.notices.length > 0) for (const notice of this.notices.splice(0)) notice(this.sink)
    if (this.outcomes.length > 0) {
      const outcomes = this.outcomes
      this.outcomes = []
      this.run = null
      this.sink.published(outcomes)
    }
    if (this.requests.length > 0) {
      const requests = this.requests
      this.requests = []
      this.sink.settled(requests)
    }
    if (this.delivering) {
      const consumers = this.delivering
      this.delivering = undefined
      for (const consumer of consumers) if (!this.closed) consumer.flush(this.sink)
    }
    if (this.afterwards.length > 0) for (const notice of this.afterwards.splice(0)) notice()
  }
}
