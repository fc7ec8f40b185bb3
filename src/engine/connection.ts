import type { MillraceError } from '../model/errors.ts'
import type { ConnectionSink, PublishOutcome } from './api.ts'
import type { Consumer } from './consumer.ts'

const NONE = -1

/** A connection of a host: the scope of consumers and connection-lived queues, and what is to be told to its sink. */
export class Connection {
  readonly id: number
  readonly sink: ConnectionSink
  readonly clientId: string | undefined
  /** Monotonic milliseconds. */
  readonly since: number
  readonly consumers: Set<Consumer> = new Set()
  closed = false
  /** In the list of those to be flushed at the end of the turn. */
  flushing = false
  // What few connections have is made when it is needed: an empty map takes room, or would be looked for with each message.
  /** Names of the queues that live with it. */
  queues: Set<string> | undefined
  /** Numbers of bodies that are not finished. */
  bodies: Set<number> | undefined
  /** Half messages that are not durable yet: their ids, by the tags of their publications. */
  private preparing: Map<number, string> | undefined
  private outcomes: PublishOutcome[] | undefined
  /** Tags accepted after those outcomes, which become one of them when they are told. */
  private firstAccepted = NONE
  private lastAccepted = NONE
  private schedules: Map<number, number> | undefined
  private requests: number[] | undefined
  private notices: ((sink: ConnectionSink) => void)[] | undefined
  private afterwards: (() => void)[] | undefined
  private delivering: Consumer[] | undefined

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
    this.outcomes = this.takeOutcomes()
    this.outcomes.push({ tag, last: tag, error, prepared, scheduled })
  }

  private accepted(tag: number): void {
    if (this.firstAccepted !== NONE && this.lastAccepted === tag - 1) {
      this.lastAccepted = tag
      return
    }
    if (this.firstAccepted !== NONE) this.outcomes = this.takeOutcomes()
    this.firstAccepted = this.lastAccepted = tag
  }

  private takeOutcomes(): PublishOutcome[] {
    const { outcomes, firstAccepted: tag, lastAccepted: last } = this
    this.outcomes = undefined
    this.firstAccepted = NONE
    if (tag === NONE) return outcomes ?? []
    const run = { tag, last, error: undefined, prepared: undefined, scheduled: undefined }
    if (outcomes === undefined) return [run]
    outcomes.push(run)
    return outcomes
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
    this.requests ??= []
    this.requests.push(request)
  }

  /** The consumer has its first delivery of this turn. */
  willDeliver(consumer: Consumer): void {
    this.delivering ??= []
    this.delivering.push(consumer)
  }

  /** For what happens rarely; told before the rest of the turn. */
  tellLater(notice: (sink: ConnectionSink) => void): void {
    this.notices ??= []
    this.notices.push(notice)
  }

  /** To be called when the deliveries of this turn have been handed over. */
  tellAfter(notice: () => void): void {
    this.afterwards ??= []
    this.afterwards.push(notice)
  }

  /** Hands over what has gathered. The sink may call into the engine. */
  flush(): void {
    if (this.closed) return
    if (this.notices) {
      const { notices } = this
      this.notices = undefined
      for (const notice of notices) notice(this.sink)
    }
    if (this.firstAccepted !== NONE || this.outcomes) this.sink.published(this.takeOutcomes())
    if (this.requests) {
      const { requests } = this
      this.requests = undefined
      this.sink.settled(requests)
    }
    if (this.delivering) {
      const consumers = this.delivering
      this.delivering = undefined
      for (const consumer of consumers) if (!this.closed) consumer.flush(this.sink)
    }
    if (this.afterwards) {
      const { afterwards } = this
      this.afterwards = undefined
      for (const notice of afterwards) notice()
    }
  }
}
