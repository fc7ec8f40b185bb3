import { MillraceError } from '../model/errors.ts'
import type { Connection } from './connection.ts'
import type { Consumer } from './consumer.ts'
import type { Core } from './core.ts'
import type { Queue } from './queue.ts'
import { Removal } from './removal.ts'
import type { ScheduleQueries } from './schedule/queries.ts'
import type { Settlements } from './settlements.ts'

/** Consumers that come and go, and queues whose life depends on them. */
export class Lifetimes {
  readonly removal: Removal
  private readonly core: Core
  private readonly settlements: Settlements
  private readonly schedule: (queue: Queue) => void

  constructor(
    core: Core,
    settlements: Settlements,
    scheduled: ScheduleQueries,
    schedule: (queue: Queue) => void,
  ) {
    this.core = core
    this.schedule = schedule
    this.settlements = settlements
    this.removal = new Removal(core, settlements, scheduled)
    core.settledFor = (consumer) => {
      if (consumer.cancelled && consumer.unsettled === 0) this.leave(consumer)
    }
  }

  join(consumer: Consumer): void {
    const { queue } = consumer
    const { consumers } = queue
    consumer.standsBy = queue.policy.singleActiveConsumer === true && consumers.length > 0
    const after = consumers.findIndex(({ priority }) => priority < consumer.priority)
    consumers.splice(after < 0 ? consumers.length : after, 0, consumer)
    consumer.connection.consumers.add(consumer)
    this.core.joined(consumer)
  }

  /** The consumer holds nothing any more. */
  leave(consumer: Consumer): void {
    const { queue, connection } = consumer
    if (!this.core.consumers.delete(consumer.id)) return
    consumer.cancelled = true
    for (const done of consumer.draining.splice(0)) connection.tellAfter(() => done(0))
    this.core.touch(connection)
    queue.consumers = queue.consumers.filter((other) => other !== consumer)
    queue.turn = 0
    if (!consumer.standsBy) this.activateNext(queue)
    queue.draining?.delete(consumer)
    connection.consumers.delete(consumer)
    this.core.left(consumer)
    if (queue.consumers.length === 0 && !queue.deleting) this.unused(queue)
  }

  /** The highest priority among those that stand by, and of those who came first; it holds nothing, and nobody else does. */
  private activateNext(queue: Queue): void {
    const next = queue.consumers.find(({ standsBy }) => standsBy)
    if (next === undefined) return
    next.standsBy = false
    queue.assortment?.wake(next)
    this.schedule(queue)
  }

  /** A declaration counts as use. */
  declared(queue: Queue, connection: number): void {
    const { kind } = queue.definition.lifetime
    if (kind === 'connection') this.own(queue, connection)
    else if (kind === 'idle' && queue.consumers.length === 0) this.unused(queue)
  }

  private own(queue: Queue, connection: number): void {
    const owner = this.core.connections.get(connection)
    if (owner === undefined || queue.owner !== 0) return
    queue.owner = connection
    owner.queues ??= new Set()
    owner.queues.add(queue.name)
  }

  /** Queues that live with a connection go with it. */
  disown(connection: Connection): void {
    for (const name of connection.queues ?? []) {
      const queue = this.core.topology.queues.get(name)
      if (queue !== undefined) this.delete(queue, () => {})
    }
  }

  delete(queue: Queue, done: (messages: number) => void): void {
    if (queue.deleting) {
      done(0)
      return
    }
    this.core.topology.startDeleting(queue)
    this.core.connections.get(queue.owner)?.queues?.delete(queue.name)
    const gone = new MillraceError(
      'destination-not-found',
      `queue ${JSON.stringify(queue.name)} has been deleted`,
    )
    for (const consumer of [...queue.consumers]) {
      consumer.releaseAll()
      this.settlements.giveBack(consumer, false)
      this.leave(consumer)
      consumer.connection.tellLater((sink) => sink.cancelled(consumer.id, gone))
      this.core.touch(consumer.connection)
    }
    this.removal.finish(queue, done)
  }

  /** After recovery nobody is connected: queues that lived with somebody go, and unfinished deletions are finished. */
  recovered(): void {
    this.settlements.replacement.start()
    for (const queue of [...this.core.topology.byId.values()]) {
      if (queue.deleting) this.removal.finish(queue, () => {})
      else if (queue.definition.lifetime.kind === 'connection') this.delete(queue, () => {})
      else this.unused(queue)
      if (queue.minExpiry < Number.POSITIVE_INFINITY) this.core.expiring(queue, queue.minExpiry)
    }
  }

  private unused(queue: Queue): void {
    const { lifetime } = queue.definition
    if (lifetime.kind === 'auto-delete') {
      this.delete(queue, () => {})
    } else if (lifetime.kind === 'idle') {
      queue.idleSince = this.core.clock.monotonic()
      if (!queue.idleWatched) this.watchIdle(queue, lifetime.after)
    }
  }

  /** One deadline a queue, however often it is used and left. */
  private watchIdle(queue: Queue, after: number): void {
    queue.idleWatched = true
    this.core.deadlines.add(queue.idleSince + after, () => {
      queue.idleWatched = false
      if (queue.consumers.length > 0 || queue.deleting) return
      if (queue.idleSince + after <= this.core.clock.monotonic()) this.delete(queue, () => {})
      else this.watchIdle(queue, after)
    })
  }
}
