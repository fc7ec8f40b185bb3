import { DEFAULT_EXCHANGE, TOPIC_EXCHANGE } from '../model/destination.ts'
import { isMillraceError, MillraceError } from '../model/errors.ts'
import type { Address, Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { MAX_DEDUPLICATION_ID_BYTES } from './deduplication.ts'
import { encodeVolatile, enqueue, idsOf } from './enqueue.ts'
import type { HalfMessages } from './half-messages.ts'
import { Holds, type Obstacle } from './holds.ts'
import { EntryFlag } from './index/chunk.ts'
import { Bodies } from './large-bodies.ts'
import { isUndecided, StateCode } from './lifecycle.ts'
import { hasRoom, type Overflow, queueFull } from './overflow.ts'
import { OperationType, PublishFlag, PublishHead, writePublish } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { keysOf, replacedIn } from './replacement.ts'
import type { RoutingKey } from './routing/exchange.ts'
import type { Schedule } from './schedule/schedule.ts'
import { MessageValues } from './selection-values.ts'
import type { Transaction } from './transaction.ts'
import type { Transactions } from './transactions.ts'

const noNumbers: readonly number[] = []

interface PublisherParts {
  readonly overflow: Overflow
  readonly transactions: Transactions
  readonly halves: HalfMessages
  readonly schedule: Schedule
}

/** The way in: routing, deduplication, capacity, the publish operation, and the confirm that is owed. */
export class Publisher {
  readonly bodies: Bodies
  private readonly core: Core
  private readonly overflow: Overflow
  private readonly transactions: Transactions
  private readonly halves: HalfMessages
  private readonly holds: Holds
  private readonly head = new PublishHead()
  private readonly targets: Queue[] = []
  private readonly values = new MessageValues()
  private readonly schedule: Schedule

  constructor(core: Core, parts: PublisherParts) {
    const { overflow, transactions, halves, schedule } = parts
    this.core = core
    this.schedule = schedule
    this.overflow = overflow
    this.transactions = transactions
    this.halves = halves
    this.bodies = new Bodies(core)
    this.holds = new Holds(
      core,
      (connection, publication, arrival) => this.retry(connection, publication, arrival),
      (connection, publication, error) => this.refuse(connection, publication, error),
    )
    transactions.refuseHeld = (id, tags, error) =>
      this.holds.refuseAll(error, ({ transaction, tag }) => transaction === id && tags.has(tag))
  }

  publish(connection: Connection, publication: Publication): void {
    try {
      if (this.core.ended !== null) throw this.core.ended
      this.checkTransaction(connection, publication)
      // Before any refusal: what is stored already is not refused, however short we are of room.
      if (this.isDuplicate(connection, publication)) return
      this.routeTo(connection, publication)
      if (this.isRepetition(connection, publication)) return
      this.check(publication)
      this.findKeys(publication)
      if (this.isScheduled(connection, publication)) return
      const obstacle = this.store(connection, publication)
      if (obstacle !== undefined) this.hold(connection, publication, obstacle)
    } catch (error) {
      this.refuse(connection, publication, error)
    }
  }

  /** Forgets what a connection has waiting, and its unfinished bodies. */
  disconnected(connection: Connection): void {
    this.holds.forget(connection)
    for (const body of connection.bodies ?? []) this.bodies.abort(body)
  }

  /** Refuses everything that waits. */
  end(error: MillraceError): void {
    this.holds.refuseAll(error, () => true)
  }

  private hold(connection: Connection, publication: Publication, obstacle: Obstacle): void {
    this.holds.hold(connection, publication, obstacle)
    if (publication.transaction !== undefined)
      this.transactions.use(connection, publication.transaction).held.add(publication.tag)
  }

  private retry(connection: Connection, publication: Publication, arrival: number): Obstacle | undefined {
    try {
      this.checkTransaction(connection, publication)
      if (this.isDuplicate(connection, publication)) return undefined
      this.routeTo(connection, publication)
      if (!this.isRepetition(connection, publication)) {
        this.check(publication)
        this.findKeys(publication)
        const obstacle = this.store(connection, publication, arrival)
        if (obstacle !== undefined) return obstacle
      }
      if (publication.transaction !== undefined)
        this.transactions.heldNoMore(connection, publication.transaction, publication.tag)
      return undefined
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
    if (publication.transaction !== undefined)
      this.transactions.heldNoMore(connection, publication.transaction, publication.tag, error)
  }

  /** Throws what is wrong with the transaction, or with the half message. */
  private checkTransaction(connection: Connection, publication: Publication): void {
    const { transaction, prepare, tag } = publication
    if (transaction !== undefined) this.transactions.use(connection, transaction, tag)
    if (prepare !== undefined) this.halves.check(publication)
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
    if (publication.durability === 'memory' && publication.prepare === undefined) return
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
    if (!isIdentified(publication) || !this.core.producers.isDuplicate(producer, sequence)) return false
    this.confirmAgain(connection, publication)
    return true
  }

  /** Takes the targets out that know its id. One that they all know is confirmed with the original. */
  private isRepetition(connection: Connection, publication: Publication): boolean {
    this.head.deduplicationId = ''
    // A half message has an id of its own by which it is decided.
    if (publication.prepare !== undefined) return false
    return this.targets.some(deduplicates) && this.isKnown(connection, publication)
  }

  private isKnown(connection: Connection, publication: Publication): boolean {
    const { head, targets, core } = this
    const { format, payload, producer, sequence } = publication
    const id = publication.deduplicationId ?? core.contents.deduplicationId(format, payload) ?? ''
    if (id === '') return false
    checkDeduplicationId(id)
    head.deduplicationId = id
    const isVolatile = this.keepsInMemory(publication)
    const now = core.wall()
    const { transaction, tag } = publication
    const own = transaction === undefined ? null : this.transactions.use(connection, transaction, tag)
    const fresh = targets.filter(
      (queue) => !(queue.seen?.has(id, isVolatile, now) || own?.seen.get(queue)?.has(id, isVolatile, now)),
    )
    if (fresh.length === 0) {
      if (isIdentified(publication)) core.producers.stored(producer, sequence, core.wall())
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
    const { also } = publication
    this.routeOne(connection, publication, publication)
    if (also !== undefined) {
      const all = new Set(targets)
      for (const address of also) {
        this.routeOne(connection, publication, address)
        for (const queue of targets) all.add(queue)
      }
      targets.splice(0, targets.length, ...all)
    }
    if (targets.length === 0 && (publication.mandatory || publication.prepare)) throw unroutable(publication)
  }

  private routeOne(connection: Connection, publication: Publication, { exchange, key }: Address): void {
    const { targets } = this
    if (exchange === DEFAULT_EXCHANGE) {
      // Mostly there is one already, and setting the length of an array is slow.
      if (targets.length !== 1) targets.length = 1
      targets[0] = this.core.topology.queueFor(key, true)
    } else {
      this.routeThrough(connection, publication, exchange, key)
    }
  }

  private routeThrough(
    connection: Connection,
    publication: Publication,
    exchange: string,
    text: string,
  ): void {
    if (exchange === TOPIC_EXCHANGE && publication.syntax !== 'slashed') checkTopic(text)
    const key: RoutingKey = { text, syntax: publication.syntax ?? 'dotted' }
    this.head.priority = publication.priority
    this.head.format = publication.format
    const beginning =
      publication.body === undefined ? publication.payload : this.bodies.beginningOf(publication.body)
    this.values.reset(this.core.contents, this.head, beginning, publication.durability !== 'memory')
    this.core.topology.route(exchange, key, connection, this.values, this.targets)
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
    const transaction = this.transactionOf(connection, publication)
    this.fillHead(publication, this.sizeOf(publication))
    this.schedule.address(this.head, first, repeat, this.targets)
    this.write(connection, publication, transaction)
    return true
  }

  private sizeOf({ body, payload }: Publication): number {
    return body === undefined ? payload.length : this.bodies.sizeOf(body)
  }

  /** Stores in all targets or in none (DESIGN §4.7). Answers what it has to wait for. */
  private store(connection: Connection, publication: Publication, arrival?: number): Obstacle | undefined {
    const size = this.sizeOf(publication)
    const full = this.holds.inTheWay(connection, this.targets, arrival) ?? this.makeRoom(size)
    if (full !== undefined) return { full, targets: [...this.targets] }
    const transaction = this.transactionOf(connection, publication)
    this.fillHead(publication, size)
    this.head.queues = idsOf(this.targets)
    this.write(connection, publication, transaction)
    // What may be rolled back pushes nothing out of its queue before it is committed.
    if (!isUndecided(firstState(publication))) for (const queue of this.targets) this.overflow.trim(queue)
    return undefined
  }

  /** Writes the message that the head describes, where it has a place to go to, and sees to its confirm. */
  private write(connection: Connection, publication: Publication, transaction: Transaction | null): void {
    if (this.keepsInMemory(publication)) this.keep(connection, publication, transaction)
    else this.journal(connection, publication, transaction)
    if (isIdentified(publication))
      this.core.producers.stored(publication.producer, publication.sequence, this.core.wall())
    this.core.schedule()
  }

  /** Into the queues, or into the schedule. */
  private enter(connection: Connection, publication: Publication, lsn: number, flags: number): void {
    const { core, head, targets, schedule } = this
    if (head.flags & PublishFlag.due) {
      schedule.enter(lsn, head, flags)
      connection.scheduled(publication.tag, lsn)
      return
    }
    const state = firstState(publication)
    for (const queue of targets) enqueue(core, queue, lsn, head, flags, state)
  }

  /**
   * Answers a full target that blocks; throws for one that rejects. One that drops or dead-letters its oldest messages
   * takes this one first and is trimmed afterwards.
   */
  private makeRoom(size: number): Queue | undefined {
    for (const queue of this.targets) {
      if (hasRoom(queue, size, replacedIn(queue, this.head))) continue
      const { overflow } = queue.policy
      if (overflow === 'block') return queue
      if (overflow === 'drop-oldest') continue
      if (overflow === 'reject' || this.core.topology.deadLetterQueue(queue) === undefined)
        throw queueFull(queue)
    }
    return undefined
  }

  /** By which it replaces others, in the queues that keep the last value of each key. */
  private findKeys(publication: Publication): void {
    const { head, targets, core } = this
    if (!targets.some(keepsLastValues)) {
      if (head.keys.length > 0) head.keys = []
      return
    }
    const { format, body, payload } = publication
    const beginning = body === undefined ? payload : this.bodies.beginningOf(body)
    head.keys = keysOf(core.contents, targets, format, beginning)
  }

  private fillHead(publication: Publication, size: number): void {
    const { head } = this
    const { exchange, key } = addressOf(publication)
    const direct = exchange === DEFAULT_EXCHANGE
    head.named = direct ? '' : namesIn(publication)
    head.publishedAt = this.core.wall()
    head.expiry = publication.expiry
    head.flags =
      (direct ? PublishFlag.direct : 0) |
      (head.expiry > 0 ? PublishFlag.expires : 0) |
      (isIdentified(publication) ? PublishFlag.producer : 0) |
      (publication.durability === 'os' ? PublishFlag.os : 0) |
      (publication.group ? PublishFlag.grouped : 0) |
      (head.deduplicationId === '' ? 0 : PublishFlag.deduplicated) |
      (head.named === '' ? 0 : PublishFlag.composite) |
      (publication.transaction === undefined ? 0 : PublishFlag.transacted) |
      (publication.prepare === undefined ? 0 : PublishFlag.prepared) |
      (head.keys.length === 0 ? 0 : PublishFlag.keyed)
    head.priority = publication.priority
    head.format = publication.format
    head.producer = publication.producer
    head.sequence = publication.sequence
    head.group = publication.group ?? ''
    head.transaction = publication.transaction ?? 0
    head.producerGroup = publication.prepare?.group ?? ''
    head.exchange = exchange
    head.key = key
    head.size = size
    head.annotations = ''
    head.chunks = noNumbers
  }

  private keepsInMemory(publication: Publication): boolean {
    if (publication.body !== undefined || publication.prepare !== undefined) return false
    if (publication.durability === 'memory') return true
    return this.targets.length > 0 && this.targets.every((queue) => queue.definition.durability === 'memory')
  }

  private keep(connection: Connection, publication: Publication, transaction: Transaction | null): void {
    const { head, targets } = this
    const { core } = this
    if (targets.length > 0) {
      const holders = head.queues.length
      head.queues = noNumbers
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
      if (transaction !== null) this.transactions.stored(transaction, targets, head, lsn, true)
    }
    core.confirms.publishedInMemory(connection, publication.tag)
  }

  private journal(connection: Connection, publication: Publication, transaction: Transaction | null): void {
    const { core, head, targets } = this
    const onDisk = publication.durability === 'disk' || publication.prepare !== undefined
    if (targets.length > 0) {
      const payload = this.bodies.take(publication, head)
      writePublish(core.log.begin(OperationType.publish), head, payload)
      core.log.end()
      const lsn = core.log.lastOperation
      this.enter(connection, publication, lsn, onDisk ? 0 : EntryFlag.os)
      if (transaction !== null) {
        this.transactions.stored(transaction, targets, head, lsn, false)
        transaction.journalled = true
      }
      if (publication.prepare !== undefined) {
        this.halves.stored(lsn, head, targets)
        connection.prepared(publication.tag, String(lsn))
      }
    } else if (publication.body !== undefined) {
      this.bodies.abort(publication.body)
    }
    const lsn = core.log.lastOperation
    const isAnswered =
      transaction === null ? lsn <= (onDisk ? core.log.durable : core.log.written) : !this.fallsBehind
    if (isAnswered) {
      connection.outcome(publication.tag, undefined)
      core.touch(connection)
    } else if (onDisk) {
      core.confirms.publishedOnDisk(lsn, connection, publication.tag)
    } else {
      core.confirms.publishedInPageCache(lsn, connection, publication.tag)
    }
  }

  /**
   * Of what is sent in a transaction, the commit says when it is durable. Only when much waits for the disk is it answered no
   * sooner than that, so that whoever waits for answers is held up and not refused.
   */
  private get fallsBehind(): boolean {
    const { log, options } = this.core
    return log.unsyncedBytes > options.unsyncedBytes / 2
  }

  /** The transaction that it is to be stored in, with room for it. */
  private transactionOf(connection: Connection, { transaction: id, tag }: Publication): Transaction | null {
    if (id === undefined) return null
    const transaction = this.transactions.use(connection, id, tag)
    this.transactions.reserve(transaction, this.targets.length)
    return transaction
  }
}

/** A resend can be told from another message: not in a transaction, where a sequence may be rolled back. */
function isIdentified({ producer, transaction, prepare }: Publication): boolean {
  return producer > 0 && transaction === undefined && prepare === undefined
}

/** By which those see it who have it through an exchange: the first of its addresses that names one. */
function addressOf(publication: Publication): Address {
  if (publication.exchange !== DEFAULT_EXCHANGE || publication.also === undefined) return publication
  return publication.also.find(({ exchange }) => exchange !== DEFAULT_EXCHANGE) ?? publication
}

/** JSON of the queues that are named beside an exchange; '' when there are none. */
function namesIn(publication: Publication): string {
  const { also } = publication
  if (also === undefined) return ''
  const names = [publication, ...also].filter(({ exchange }) => exchange === DEFAULT_EXCHANGE)
  return names.length === 0 ? '' : JSON.stringify(names.map(({ key }) => key))
}

function unroutable({ exchange, key, also }: Publication): MillraceError {
  return new MillraceError(
    'message-unroutable',
    `no queue is bound to exchange ${JSON.stringify(exchange)} for key ${JSON.stringify(key)}${also ? ', nor is one elsewhere where the message was sent to' : ''}`,
  )
}

function firstState({ prepare, transaction }: Publication): number {
  if (prepare !== undefined) return StateCode.prepared
  return transaction === undefined ? StateCode.ready : StateCode.pending
}

function deduplicates({ seen }: Queue): boolean {
  return seen !== null
}

function keepsLastValues({ values }: Queue): boolean {
  return values !== null
}

function checkDeduplicationId(id: string): void {
  if (Buffer.byteLength(id) <= MAX_DEDUPLICATION_ID_BYTES) return
  throw new MillraceError(
    'message-invalid',
    `a deduplication id has at most ${MAX_DEDUPLICATION_ID_BYTES} bytes; ${JSON.stringify(id.slice(0, 40))}… has ${Buffer.byteLength(id)}`,
  )
}

/** What is sent has one topic. */
function checkTopic(key: string): void {
  if (!/(^|\.)[*#](\.|$)/.test(key)) return
  throw new MillraceError(
    'destination-invalid',
    `the topic ${JSON.stringify(key)} has a wildcard, which only receivers may use; send to one topic`,
  )
}
