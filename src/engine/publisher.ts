import { DEFAULT_EXCHANGE } from '../model/destination.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import type { Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { MAX_DEDUPLICATION_ID_BYTES } from './deduplication.ts'
import { encodeVolatile, enqueue } from './enqueue.ts'
import { Holds } from './holds.ts'
import { EntryFlag } from './index/chunk.ts'
import { Bodies } from './large-bodies.ts'
import { hasRoom, type Overflow, queueFull } from './overflow.ts'
import { OperationType, PublishFlag, PublishHead, writePublish } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import type { RoutingKey } from './routing/exchange.ts'
import type { Schedule } from './schedule/schedule.ts'
import { MessageValues } from './selection-values.ts'

/** What became of an attempt to store a publication. */
type Attempt = 'stored' | { readonly full: Queue }

/** The way in: routing, deduplication, capacity, the publish operation, and the confirm that is owed. */
export class Publisher {
  readonly bodies: Bodies
  private readonly core: Core
  private readonly overflow: Overflow
  private readonly holds: Holds
  private readonly head = new PublishHead()
  private readonly targets: Queue[] = []
  private readonly values = new MessageValues()

  private readonly schedule: Schedule

  constructor(core: Core, overflow: Overflow, schedule: Schedule) {
    this.core = core
    this.schedule = schedule
    this.overflow = overflow
    this.bodies = new Bodies(core)
    this.holds = new Holds(
      core,
      (connection, publication) => this.retry(connection, publication),
      (connection, publication, error) => this.refuse(connection, publication, error),
    )
  }

  publish(connection: Connection, publication: Publication): void {
    try {
      if (this.core.ended !== null) throw this.core.ended
      // Before any refusal: what is stored already is not refused, however short we are of room.
      if (this.isDuplicate(connection, publication)) return
      this.routeTo(connection, publication)
      if (this.isRepetition(connection, publication)) return
      this.check(publication)
      if (this.isScheduled(connection, publication)) return
      const waited = this.targets.find((queue) => queue.held > 0)
      const attempt = waited === undefined ? this.store(connection, publication) : { full: waited }
      if (attempt !== 'stored') this.holds.hold(connection, publication, attempt.full)
    } catch (error) {
      this.refuse(connection, publication, error)
    }
  }

  /** Forgets what a connection has waiting, and its unfinished bodies. */
  disconnected(connection: Connection): void {
    this.holds.forget(connection)
    for (const body of connection.bodies) this.bodies.abort(body)
  }

  /** Refuses everything that waits. */
  end(error: MillraceError): void {
    this.holds.refuseAll(error)
  }

  private retry(connection: Connection, publication: Publication): Queue | undefined {
    try {
      if (this.isDuplicate(connection, publication)) return undefined
      this.routeTo(connection, publication)
      if (this.isRepetition(connection, publication)) return undefined
      this.check(publication)
      const attempt = this.store(connection, publication)
      return attempt === 'stored' ? undefined : attempt.full
    } catch (error) {
      this.refuse(connection, publication, error)
      return undefined
    }
  }

  private refuse(connection: Connection, publication: Publication, error: unknown): void {
    if (!isMillraceError(error)) throw error
    if (publication.body !== undefined) this.bodies.abort(publication.body)
    connection.outcome(publication.tag, error)
    this.core.touch(connection)
  }

  private check(publication: Publication): void {
    const { core } = this
    const { maxMessageBytes, unsyncedBytes } = core.options
    const size = this.sizeOf(publication)
    if (size > maxMessageBytes) {
      throw new MillraceError(
        'message-too-large',
        `the message has ${size} bytes; the limit is ${maxMessageBytes} (maxMessageBytes)`,
      )
    }
    if (publication.durability === 'memory') return
    if (!core.spaceAvailable) {
      throw new MillraceError(
        'disk-full',
        'the disk is full; free some space or consume messages, then send again',
      )
    }
    if (core.log.unsyncedBytes > unsyncedBytes) {
      throw new MillraceError(
        'memory-full',
        `more than ${unsyncedBytes} bytes wait for the disk; send again when earlier sends are confirmed`,
      )
    }
  }

  /** A resend of what is stored is confirmed with the original. */
  private isDuplicate(connection: Connection, publication: Publication): boolean {
    const { producer, sequence } = publication
    if (producer === 0 || !this.core.producers.isDuplicate(producer, sequence)) return false
    this.confirmAgain(connection, publication)
    return true
  }

  /** Takes the targets out that know its id. One that they all know is confirmed with the original. */
  private isRepetition(connection: Connection, publication: Publication): boolean {
    const { head, targets, core } = this
    head.deduplicationId = ''
    if (!targets.some(deduplicates)) return false
    const { format, payload, producer, sequence } = publication
    const id = publication.deduplicationId ?? core.contents.deduplicationId(format, payload) ?? ''
    if (id === '') return false
    checkDeduplicationId(id)
    head.deduplicationId = id
    const isVolatile = this.keepsInMemory(publication)
    const now = core.wall()
    const fresh = targets.filter(({ seen }) => !seen?.has(id, isVolatile, now))
    if (fresh.length === 0) {
      if (producer > 0) core.producers.stored(producer, sequence, core.clock.monotonic())
      this.confirmAgain(connection, publication)
      return true
    }
    targets.splice(0, targets.length, ...fresh)
    return false
  }

  /** What came before it is durable by then, the original included. */
  private confirmAgain(connection: Connection, { tag, body }: Publication): void {
    const { log, confirms } = this.core
    confirms.publishedOnDisk(log.lastOperation, connection, tag)
    if (log.lastOperation <= log.durable) confirms.durable(log.durable)
    if (body !== undefined) this.bodies.abort(body)
  }

  private routeTo(connection: Connection, publication: Publication): void {
    const { targets } = this
    if (publication.exchange === DEFAULT_EXCHANGE) {
      targets.length = 1
      targets[0] = this.core.topology.queueFor(publication.key, true)
    } else {
      this.routeThrough(connection, publication)
    }
  }

  private routeThrough(connection: Connection, publication: Publication): void {
    const key: RoutingKey = { text: publication.key, syntax: publication.syntax ?? 'dotted' }
    this.head.priority = publication.priority
    this.head.format = publication.format
    const beginning =
      publication.body === undefined ? publication.payload : this.bodies.beginningOf(publication.body)
    this.values.reset(this.core.contents, this.head, beginning, publication.durability !== 'memory')
    this.core.topology.route(publication.exchange, key, connection, this.values, this.targets)
    if (this.targets.length > 0 || !publication.mandatory) return
    throw new MillraceError(
      'message-unroutable',
      `no queue is bound to exchange ${JSON.stringify(publication.exchange)} for key ${JSON.stringify(publication.key)}`,
    )
  }

  /**
   * Stores a publication that is to be delivered later, for the queues that it is routed to now. Their capacity is not asked
   * for: what they will hold by then, nobody knows.
   */
  private isScheduled(connection: Connection, publication: Publication): boolean {
    const { due = 0, repeat } = publication
    if (due === 0 && repeat === undefined) return false
    const first = this.schedule.firstTime(due, repeat)
    if (first === 0 || this.targets.length === 0) return false
    this.fillHead(publication, this.sizeOf(publication))
    this.schedule.address(this.head, first, repeat, this.targets)
    this.write(connection, publication)
    return true
  }

  private sizeOf({ body, payload }: Publication): number {
    return body === undefined ? payload.length : this.bodies.sizeOf(body)
  }

  /** Stores in all targets or in none (DESIGN §4.7). */
  private store(connection: Connection, publication: Publication): Attempt {
    const size = this.sizeOf(publication)
    const full = this.makeRoom(size)
    if (full !== undefined) return { full }
    this.fillHead(publication, size)
    this.head.queues.length = 0
    for (const queue of this.targets) this.head.queues.push(queue.id)
    this.write(connection, publication)
    for (const queue of this.targets) this.overflow.trim(queue)
    return 'stored'
  }

  /** Writes the message that the head describes, where it has a place to go to, and sees to its confirm. */
  private write(connection: Connection, publication: Publication): void {
    const { producer, sequence } = publication
    if (this.keepsInMemory(publication)) this.keep(connection, publication)
    else this.journal(connection, publication)
    if (producer > 0) this.core.producers.stored(producer, sequence, this.core.clock.monotonic())
    this.core.schedule()
  }

  /** Into the queues, or into the schedule. */
  private enter(connection: Connection, { tag }: Publication, lsn: number, flags: number): void {
    const { core, head, targets, schedule } = this
    if (head.flags & PublishFlag.due) {
      schedule.enter(lsn, head, flags)
      connection.scheduled(tag, lsn)
      return
    }
    for (const queue of targets) enqueue(core, queue, lsn, head, flags)
  }

  /**
   * Answers a full target that blocks; throws for one that rejects. One that drops or dead-letters its oldest messages
   * takes this one first and is trimmed afterwards.
   */
  private makeRoom(size: number): Queue | undefined {
    for (const queue of this.targets) {
      if (hasRoom(queue, size)) continue
      const { overflow } = queue.definition.policy
      if (overflow === 'block') return queue
      if (overflow === 'drop-oldest') continue
      if (overflow === 'reject' || this.core.topology.deadLetterQueue(queue) === undefined)
        throw queueFull(queue)
    }
    return undefined
  }

  private fillHead(publication: Publication, size: number): void {
    const { head } = this
    const direct = publication.exchange === DEFAULT_EXCHANGE
    head.publishedAt = this.core.wall()
    head.expiry = publication.expiry
    head.flags =
      (direct ? PublishFlag.direct : 0) |
      (head.expiry > 0 ? PublishFlag.expires : 0) |
      (publication.producer > 0 ? PublishFlag.producer : 0) |
      (publication.durability === 'os' ? PublishFlag.os : 0) |
      (publication.group ? PublishFlag.grouped : 0) |
      (head.deduplicationId === '' ? 0 : PublishFlag.deduplicated)
    head.priority = publication.priority
    head.format = publication.format
    head.producer = publication.producer
    head.sequence = publication.sequence
    head.group = publication.group ?? ''
    head.exchange = publication.exchange
    head.key = publication.key
    head.size = size
    head.annotations = ''
    head.chunks.length = 0
  }

  private keepsInMemory(publication: Publication): boolean {
    if (publication.body !== undefined) return false
    if (publication.durability === 'memory') return true
    return this.targets.length > 0 && this.targets.every((queue) => queue.definition.durability === 'memory')
  }

  private keep(connection: Connection, publication: Publication): void {
    const { head, targets } = this
    const { core } = this
    if (targets.length > 0) {
      const holders = head.queues.length
      head.queues.length = 0
      const bytes = encodeVolatile(head, publication.payload)
      if (!core.volatile.hasRoomFor(bytes.length)) {
        throw new MillraceError(
          'memory-full',
          `messages of level 'memory' fill their ${core.options.memoryBytes} bytes (memoryBytes)`,
        )
      }
      const lsn = core.log.skip()
      core.volatile.add(lsn, bytes, holders)
      this.enter(connection, publication, lsn, EntryFlag.memory)
    }
    connection.outcome(publication.tag, undefined)
    core.touch(connection)
  }

  private journal(connection: Connection, publication: Publication): void {
    const { core, head, targets } = this
    const onDisk = publication.durability === 'disk'
    if (targets.length > 0) {
      const payload = this.bodies.take(publication, head)
      writePublish(core.log.begin(OperationType.publish), head, payload)
      core.log.end()
      this.enter(connection, publication, core.log.lastOperation, onDisk ? 0 : EntryFlag.os)
    } else if (publication.body !== undefined) {
      this.bodies.abort(publication.body)
    }
    const lsn = core.log.lastOperation
    if (lsn <= (onDisk ? core.log.durable : core.log.written)) {
      connection.outcome(publication.tag, undefined)
      core.touch(connection)
    } else if (onDisk) {
      core.confirms.publishedOnDisk(lsn, connection, publication.tag)
    } else {
      core.confirms.publishedInPageCache(lsn, connection, publication.tag)
    }
  }
}

function deduplicates({ seen }: Queue): boolean {
  return seen !== null
}

function checkDeduplicationId(id: string): void {
  if (Buffer.byteLength(id) <= MAX_DEDUPLICATION_ID_BYTES) return
  throw new MillraceError(
    'message-invalid',
    `a deduplication id has at most ${MAX_DEDUPLICATION_ID_BYTES} bytes; ${JSON.stringify(id.slice(0, 40))}… has ${Buffer.byteLength(id)}`,
  )
}
