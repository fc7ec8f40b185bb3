import type { MillraceError } from '../model/errors.ts'
import { VolatileMessages } from './bodies.ts'
import { Confirms } from './confirms.ts'
import type { Connection } from './connection.ts'
import type { Consumer } from './consumer.ts'
import { Deadlines } from './deadlines.ts'
import { EntryFlag } from './index/chunk.ts'
import { Log } from './log.ts'
import { type EngineOptions, Policies, type ResolvedOptions, resolveOptions } from './options.ts'
import { Pager } from './pager.ts'
import type { Calendar } from './ports/calendar.ts'
import type { Clock } from './ports/clock.ts'
import type { Contents } from './ports/contents.ts'
import type { PublishHead } from './ports/operations.ts'
import type { Random } from './ports/random.ts'
import { Slice, type Store } from './ports/store.ts'
import { Producers } from './producers.ts'
import type { Queue } from './queue.ts'
import { noCalendar } from './schedule/occurrences.ts'
import { Topology } from './topology.ts'

export interface EnginePorts {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly contents: Contents
  /** For cron expressions; without, they are refused. */
  readonly calendar?: Calendar | undefined
}

/** A queue, or the schedule. */
type Holder = Pick<Queue, 'id'>

const slice = new Slice()

/** What the parts of the engine share: its ports, its state, and the turn in which work is done. */
export class Core {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly contents: Contents
  readonly calendar: Calendar
  readonly options: ResolvedOptions
  readonly log: Log
  readonly policies: Policies
  readonly pager: Pager
  readonly topology: Topology
  readonly confirms: Confirms
  readonly deadlines: Deadlines
  readonly producers: Producers
  readonly volatile: VolatileMessages
  readonly connections: Map<number, Connection> = new Map()
  readonly consumers: Map<number, Consumer> = new Map()
  /** Set once the journal has failed or the engine was closed: nothing is accepted any more. */
  ended: MillraceError | null = null
  spaceAvailable = true
  /** What a turn does between committing and telling; set by the dispatcher. */
  dispatch: () => void = () => {}
  /** A message left the queue and made room; and, in the next turn, what waits for room is tried again. Set by Holds. */
  roomIn: (queue: Queue) => void = () => {}
  retryHeld: () => void = () => {}
  /** A message was put into a queue; set by the dispatcher. */
  entered: (queue: Queue, lsn: number, flags: number) => void = () => {}
  /** A consumer joined a queue or left it; a queue got its first message of a group. Set by the dispatcher. */
  joined: (consumer: Consumer) => void = () => {}
  left: (consumer: Consumer) => void = () => {}
  grouped: (queue: Queue) => void = () => {}
  /** A consumer holds less than before, or can settle again: one that was cancelled may leave now. Set by Lifetimes. */
  settledFor: (consumer: Consumer) => void = () => {}
  /**
   * In a queue that keeps last values: a message was put into it, was committed, or is free again that was held to be moved.
   * Set by Replacement.
   */
  keyed: (queue: Queue, lsn: number, head: PublishHead, flags: number, state: number) => void = () => {}
  decided: (queue: Queue, lsn: number, flags: number) => void = () => {}
  cameBack: (queue: Queue, lsn: number) => void = () => {}
  /** A message of the queue expires at this wall time; set by Expiry. */
  expiring: (queue: Queue, expiry: number) => void = () => {}
  /** A delivery that a transaction has settled is taken back from its consumer; set by Transactions. */
  takenBack: (consumer: Consumer, tag: number, why: string) => void = () => {}
  private started = false
  private turnScheduled = false
  private readonly touched: Connection[] = []
  /** To be called at the end of the turn, when the connections have been told. */
  private answers: (() => void)[] = []
  /** Settlement requests of this turn: durable with its batch. */
  private readonly requests: { connection: Connection; request: number }[] = []
  private lastWall = 0
  /** The wall time of this turn, once somebody has asked; 0: not yet. */
  private turnWall = 0
  private closed = false

  constructor(ports: EnginePorts, options: EngineOptions) {
    this.store = ports.store
    this.clock = ports.clock
    this.random = ports.random
    this.contents = ports.contents
    this.calendar = ports.calendar ?? noCalendar
    this.options = resolveOptions(options)
    this.policies = new Policies(this.options)
    this.log = new Log(this.store)
    this.pager = new Pager(this.store, this.options.residentEntries, () => this.log.durable)
    this.topology = new Topology(this.log, this.policies, this.pager)
    this.confirms = new Confirms((connection) => this.touch(connection))
    this.deadlines = new Deadlines(this.clock)
    this.producers = new Producers(this.options.maxProducers)
    this.volatile = new VolatileMessages(this.options.memoryBytes)
  }

  /** Wall milliseconds for the journal: they never run back (DESIGN §4.11), and are the same throughout a turn. */
  wall(): number {
    if (this.turnWall > 0) return this.turnWall
    this.lastWall = Math.max(this.lastWall, Math.floor(this.clock.wall()))
    this.turnWall = this.lastWall
    this.schedule()
    return this.lastWall
  }

  /** A journalled time was seen at recovery; later ones will not be before it. */
  sawWall(time: number): void {
    this.lastWall = Math.max(this.lastWall, time)
    this.turnWall = 0
  }

  /** There is something to commit, to dispatch or to tell: a turn will come. */
  schedule(): void {
    if (this.turnScheduled) return
    this.turnScheduled = true
    if (this.started) this.clock.defer(this.turn)
  }

  /** Recovery is over: turns and deadlines, which would commit, come from now on. */
  start(): void {
    this.started = true
    this.deadlines.start()
    if (this.turnScheduled) this.clock.defer(this.turn)
  }

  /** Commits what has gathered, hands out messages, tells the connections. */
  private readonly turn = (): void => {
    this.turnScheduled = false
    this.turnWall = 0
    if (this.closed) return
    this.retryHeld()
    this.commit()
    this.dispatch()
    this.tell()
    this.confirms.turned()
    this.pager.makeRoom()
    // Dispatching may have expired or dead-lettered messages.
    if (this.log.pending) this.schedule()
  }

  /** Commits what is left; no turn comes after. */
  close(): void {
    this.commit()
    this.tell()
    this.closed = true
    this.deadlines.stop()
  }

  /** Commits now, so that everything done so far has an LSN at or below `log.lastLsn`. */
  commit(): void {
    this.log.commit()
    for (const { connection, request } of this.requests) {
      if (this.log.lastOperation > this.log.durable) {
        this.confirms.settled(this.log.lastOperation, connection, request)
      } else {
        connection.settled(request)
        this.touch(connection)
      }
    }
    this.requests.length = 0
  }

  /** `request` is answered when everything settled so far is durable. */
  confirmSettlement(connection: Connection, request: number): void {
    this.requests.push({ connection, request })
    this.schedule()
  }

  /** The connection is told whether there is room on the disk. */
  tellSpace(connection: Connection): void {
    const { spaceAvailable } = this
    connection.tellLater((sink) => (spaceAvailable ? sink.unblocked('') : sink.blocked('', 'disk-full')))
    this.touch(connection)
  }

  /** The connection has something to be told at the end of the turn. */
  touch(connection: Connection): void {
    if (connection.flushing) return
    connection.flushing = true
    this.touched.push(connection)
    this.schedule()
  }

  /** An answer that does not belong to a connection's sink: given at the end of the turn, never in the call that asked. */
  answer(give: () => void): void {
    this.answers.push(give)
    this.schedule()
  }

  /** As `answer`, when all that has been done so far is durable; with the error when it will never be. */
  whenDurable(give: (error: MillraceError | undefined) => void): void {
    const { log, confirms } = this
    if (log.lastOperation <= log.durable) this.answer(() => give(undefined))
    else confirms.awaited(log.lastOperation, (error) => this.answer(() => give(error)))
  }

  /** Whether the message has reached the level at which consumers may see it. */
  isVisible(lsn: number, flags: number): boolean {
    if (flags & EntryFlag.memory) return true
    return lsn <= (flags & EntryFlag.os ? this.log.written : this.log.durable)
  }

  /** Whether the store has been given the message, or it is one that the store never gets. */
  isStored(lsn: number, flags: number): boolean {
    return lsn <= this.log.committedLsn || (flags & EntryFlag.memory) !== 0
  }

  /** Fills `into` with the publish operation of a slot when it is in memory. */
  read(queue: Holder, lsn: number, flags: number, into: Slice): boolean {
    return flags & EntryFlag.memory ? this.volatile.read(lsn, into) : this.store.read(queue.id, lsn, into)
  }

  /** Calls back with the message, at once when it is in memory, otherwise when loaded; with null when it is damaged. */
  withMessage(queue: Holder, lsn: number, flags: number, use: (message: Slice | null) => void): void {
    if (this.read(queue, lsn, flags, slice)) {
      use(slice)
      return
    }
    this.store.load(queue.id, [lsn], (damaged) => {
      // The store is writing its last checkpoint: what would change now stays as it is until the next start.
      if (this.closed) return
      use(damaged.length === 0 && this.read(queue, lsn, flags, slice) ? slice : null)
      this.schedule()
    })
  }

  /** As the store's, but nothing is told any more when the engine has been closed. */
  load(queue: number, lsns: readonly number[], done: (damaged: readonly number[]) => void): void {
    this.store.load(queue, lsns, (damaged) => {
      if (!this.closed) done(damaged)
    })
  }

  /** Tells the connections what has happened to them, and gives the answers: at the end of a turn, or when there may be none any more. */
  tell(): void {
    const connections = this.touched.splice(0)
    for (const connection of connections) {
      connection.flushing = false
      connection.flush()
    }
    const answers = this.answers
    this.answers = []
    for (const give of answers) give()
  }
}
