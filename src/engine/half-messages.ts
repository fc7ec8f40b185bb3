import { MillraceError } from '../model/errors.ts'
import type { PreparedCheck, PreparedStatus, Publication } from './api.ts'
import type { Connection } from './connection.ts'
import type { Core } from './core.ts'
import { DeliveryRecord } from './delivery-record.ts'
import { LsnList } from './index/lsn-list.ts'
import { isUndecided } from './lifecycle.ts'
import { writeDecision } from './ports/decisions.ts'
import { OperationType, PublishFlag, type PublishHead, SCHEDULE_QUEUE } from './ports/operations.ts'
import type { Queue } from './queue.ts'
import { dueFlagsOf, type ScheduledRows } from './schedule/undecided-schedule.ts'
import type { Undecided, UndecidedRow } from './undecided.ts'

type Done = (error: MillraceError | undefined) => void
type Verdict = 'commit' | 'rollback'

/** What is remembered of the publication. */
export type HalfHead = Pick<
  PublishHead,
  | 'producerGroup'
  | 'exchange'
  | 'key'
  | 'size'
  | 'publishedAt'
  | 'priority'
  | 'flags'
  | 'due'
  | 'expiry'
  | 'targets'
>

/** A half message: what its sender has to decide, and how often it was asked. */
export interface HalfMessage {
  readonly lsn: number
  readonly group: string
  readonly exchange: string
  readonly key: string
  readonly size: number
  /** Wall milliseconds. */
  readonly since: number
  readonly priority: number
  readonly queues: readonly Queue[]
  /** Of one that is to be delivered later. */
  readonly scheduled: ScheduledRows
  checks: number
  parked: boolean
  /** A check is due, and nobody of the group is there to be asked. */
  overdue: boolean
  /** Decided, and not durably so yet; with those who want to know. */
  verdict: Verdict | undefined
  readonly waiting: Done[]
}

/** The connections that answer for a group of producers. */
interface Members {
  readonly connections: Connection[]
  turn: number
}

/**
 * Half messages: stored and durable, and no message before its sender says so. A sender that does not say is asked, through
 * any connection that answers for its group. A check that nobody can be asked is not counted: it is made up for when
 * somebody joins. After the last one the half message is parked, and somebody has to decide it by hand.
 */
export class HalfMessages {
  private readonly core: Core
  private readonly undecided: Undecided
  /** In order of LSN. */
  private readonly all = new Map<number, HalfMessage>()
  private readonly groups = new Map<string, Members>()

  constructor(core: Core, undecided: Undecided) {
    this.core = core
    this.undecided = undecided
  }

  /** Throws `argument-invalid`, `memory-full`. */
  check({ transaction, prepare }: Publication): void {
    const { maxPrepared } = this.core.options
    if (transaction !== undefined)
      throw new MillraceError(
        'argument-invalid',
        'a half message cannot be sent in a transaction; decide it by itself',
      )
    checkGroup(prepare!.group)
    if (this.all.size < maxPrepared) return
    throw new MillraceError(
      'memory-full',
      `${maxPrepared} half messages are undecided (maxPrepared); decide some (millrace prepared lists them), then send again`,
    )
  }

  stored(lsn: number, head: PublishHead, queues: readonly Queue[]): void {
    const half = this.remember(lsn, head, queues, 0)
    this.planCheck(half, this.core.options.checkBack.first)
  }

  /** It was found in the journal, or in a checkpoint. */
  remember(lsn: number, head: HalfHead, queues: readonly Queue[], checks: number): HalfMessage {
    const half: HalfMessage = {
      lsn,
      group: head.producerGroup,
      exchange: head.exchange,
      key: head.key,
      size: head.size,
      since: head.publishedAt,
      priority: head.priority,
      queues: [...queues],
      scheduled: new Map(),
      checks,
      parked: false,
      overdue: false,
      verdict: undefined,
      waiting: [],
    }
    if (head.flags & PublishFlag.due)
      this.undecided.scheduled.add(half.scheduled, lsn, head, dueFlagsOf(head, false))
    this.all.set(lsn, half)
    return half
  }

  find(lsn: number): HalfMessage | undefined {
    return this.all.get(lsn)
  }

  /** It was committed, as the journal says. */
  recoverCommitted(lsn: number): void {
    const half = this.all.get(lsn)
    this.all.delete(lsn)
    if (half === undefined) return
    for (const row of rowsOf(half)) this.undecided.makeReady(row)
    this.undecided.scheduled.recoverCommitted(half.scheduled)
  }

  /** One that was to be scheduled has left the schedule, as the journal says. */
  recoverGone(half: HalfMessage): void {
    this.all.delete(half.lsn)
    this.undecided.scheduled.forget(half.scheduled)
  }

  entries(): IterableIterator<HalfMessage> {
    return this.all.values()
  }

  status(): PreparedStatus[] {
    return [...this.all.values()]
      .filter((half) => half.verdict === undefined && isHeldAnywhere(half))
      .map(({ lsn, group, exchange, key, size, since, checks, parked, queues }) => ({
        id: String(lsn),
        lsn,
        group,
        exchange,
        key,
        queues: queues.filter((queue) => !queue.deleting).map(({ name }) => name),
        size,
        since,
        checks,
        parked,
      }))
  }

  decide(id: string, verdict: Verdict, done: Done): void {
    const half = this.all.get(Number(id))
    // Decided the other way, it is gone as well.
    if (half === undefined || (half.verdict ?? verdict) !== verdict) {
      const error = new MillraceError(
        'prepared-not-found',
        `there is no half message ${JSON.stringify(id)}, or it has been decided`,
      )
      this.core.answer(() => done(error))
      return
    }
    half.waiting.push(done)
    if (half.verdict !== undefined) return
    half.verdict = verdict
    if (verdict === 'commit') this.write(half, 'commit')
    else this.rollBack(half)
    const { confirms, log } = this.core
    const finish = (): void => {
      this.all.delete(half.lsn)
      if (half.verdict === 'commit') this.commit(half)
      for (const done of half.waiting) this.core.answer(() => done(undefined))
    }
    // Nothing is written for one whose queues are gone.
    if (log.lastOperation <= log.durable) finish()
    else confirms.decided(log.lastOperation, finish)
  }

  private commit(half: HalfMessage): void {
    for (const row of rowsOf(half)) this.undecided.commit(row)
    this.undecided.scheduled.commit(half.scheduled)
  }

  private rollBack(half: HalfMessage): void {
    for (const row of rowsOf(half)) this.undecided.rollBack(row)
    this.undecided.scheduled.rollBack(half.scheduled)
  }

  private write({ lsn }: HalfMessage, decision: 'commit' | 'asked'): void {
    const { log } = this.core
    writeDecision(log.begin(OperationType.decide), lsn, decision)
    log.end()
    this.core.schedule()
  }

  /** From now on `sink.check` is asked. Throws `argument-invalid`, `unsupported`. */
  join(connection: Connection, group: string): void {
    checkGroup(group)
    if (connection.sink.check === undefined)
      throw new MillraceError(
        'unsupported',
        'a connection that joins a group of producers has to answer checks',
      )
    const members = this.groups.get(group) ?? { connections: [], turn: 0 }
    if (members.connections.includes(connection)) return
    members.connections.push(connection)
    this.groups.set(group, members)
    for (const half of this.all.values()) if (half.overdue && half.group === group) this.ask(half)
  }

  leave(connection: Connection, group: string): void {
    const members = this.groups.get(group)
    const at = members?.connections.indexOf(connection) ?? -1
    if (members === undefined || at < 0) return
    members.connections.splice(at, 1)
    if (members.connections.length === 0) this.groups.delete(group)
  }

  disconnected(connection: Connection): void {
    for (const group of [...this.groups.keys()]) this.leave(connection, group)
  }

  /** After recovery: those whose queues have let go of them are forgotten, the others are asked for again. */
  recovered(): void {
    const { first, interval, max } = this.core.options.checkBack
    for (const half of [...this.all.values()]) {
      if (!isHeldAnywhere(half)) this.all.delete(half.lsn)
      else if (half.checks >= max) half.parked = true
      else this.planCheck(half, half.checks === 0 ? first : interval)
    }
  }

  private planCheck(half: HalfMessage, delay: number): void {
    const { clock, deadlines } = this.core
    deadlines.add(clock.monotonic() + delay, () => {
      if (!this.isOpen(half)) return
      // Its sender is not asked before it has been told that it is there.
      if (half.lsn > this.core.log.durable) this.planCheck(half, delay)
      else this.ask(half)
    })
  }

  /** It can be decided still. */
  private isOpen(half: HalfMessage): boolean {
    return this.core.ended === null && this.all.get(half.lsn) === half && half.verdict === undefined
  }

  private ask(half: HalfMessage): void {
    const { interval, max } = this.core.options.checkBack
    if (!isHeldAnywhere(half)) {
      this.all.delete(half.lsn)
      return
    }
    if (half.checks >= max) {
      half.parked = true
      return
    }
    const members = this.groups.get(half.group)
    half.overdue = members === undefined
    if (members === undefined) return
    const connection = members.connections[members.turn++ % members.connections.length]!
    half.checks++
    this.write(half, 'asked')
    this.planCheck(half, interval)
    this.send(half, connection)
  }

  private send(half: HalfMessage, connection: Connection): void {
    const queue = half.queues.find((other) => !other.deleting)
    if (queue === undefined) return
    const holder = half.scheduled.size > 0 ? { id: SCHEDULE_QUEUE } : queue
    this.core.withMessage(holder, half.lsn, 0, (message) => {
      const record = new DeliveryRecord()
      // Loading it takes a while.
      if (!this.isOpen(half)) return
      if (message === null || !record.read(message, queue.name)) return
      record.lsn = half.lsn
      const check: PreparedCheck = { ...record, id: String(half.lsn), group: half.group }
      connection.tellLater((sink) => sink.check?.([check]))
      this.core.touch(connection)
    })
  }
}

function rowsOf({ lsn, queues, priority, scheduled }: HalfMessage): UndecidedRow[] {
  if (scheduled.size > 0) return []
  return queues.map((queue) => {
    const lsns = new LsnList()
    lsns.push(lsn)
    return { queue, lane: queue.lane(priority), lsns }
  })
}

/** What is scheduled stays until it is decided, whatever becomes of its queues. */
function isHeldAnywhere({ lsn, queues, priority, scheduled }: HalfMessage): boolean {
  if (scheduled.size > 0) return true
  return queues.some((queue) => {
    const chunk = queue.lane(priority).chunkOf(lsn)
    const slot = chunk?.find(lsn) ?? -1
    return slot >= 0 && isUndecided(chunk!.stateOf(slot))
  })
}

/** Throws `argument-invalid`. */
function checkGroup(group: string): void {
  if (group !== '' && group.length <= 255) return
  throw new MillraceError('argument-invalid', 'the name of a group of producers has 1 to 255 characters')
}
