import type { ConnectionSink, Delivery, ScheduledMessage } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { MillraceError } from '../../model/errors.ts'
import type { SeededRandom } from '../random.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { Attendance } from './attendance.ts'
import { GroupWatch } from './group-watch.ts'
import type { Machine, MachineEnd } from './machine.ts'
import { type Copy, isContent, type SentMessage } from './messages.ts'
import { ORDERS, type Plan } from './plan.ts'
import { Precedence } from './precedence.ts'
import { RecoveredHomes } from './recovered-homes.ts'
import type { Reference } from './reference.ts'
import type { Report } from './report.ts'
import type { Trace } from './trace.ts'
import { Units } from './units.ts'
import { Violation } from './violation.ts'

/** One who uses the broker. */
export interface Actor {
  /** Does one thing. The broker is up. */
  act(broker: Broker): void
  /** The broker has ended: nothing that was asked for will be answered. */
  ended(how: MachineEnd): void
  /** Answers that are awaited. */
  readonly awaited: number
}

/** What all actors of a run share. */
export class World {
  readonly clock: VirtualClock
  readonly random: SeededRandom
  readonly machine: Machine
  readonly plan: Plan
  readonly reference: Reference
  readonly units: Units
  readonly report: Report
  readonly trace: Trace
  /** The journal has said that it failed: the process is to be ended. */
  failing = false
  actors: readonly Actor[] = []
  /** When somebody last set the clock on the wall. Monotonic. */
  wallSetAt = -1
  /** Consumers that went away. What was on its way to them is handed out again, as if for the first time. */
  departures = 0
  /** When the last of them went. Monotonic. */
  departedAt = -1
  readonly attendance: Attendance = new Attendance()
  readonly groups: GroupWatch
  readonly homes: RecoveredHomes
  readonly precedence: Precedence

  constructor(
    parts: Pick<World, 'clock' | 'random' | 'machine' | 'plan' | 'reference' | 'report' | 'trace'>,
  ) {
    this.clock = parts.clock
    this.random = parts.random
    this.machine = parts.machine
    this.plan = parts.plan
    this.reference = parts.reference
    this.units = new Units(parts.reference, ORDERS)
    this.homes = new RecoveredHomes(parts.reference)
    this.groups = new GroupWatch(parts.clock, parts.reference)
    this.precedence = new Precedence(parts, this.attendance)
    this.report = parts.report
    this.trace = parts.trace
  }

  note(...event: unknown[]): void {
    this.trace.add(this.clock.monotonic(), ...event)
  }

  /** The broker is no more, and everybody is to know. */
  endActors(how: MachineEnd): void {
    this.failing = false
    this.reference.ended(how)
    this.groups.ended()
    for (const actor of this.actors) actor.ended(how)
  }

  /** A consumer of the queue goes away, and what it has not settled goes back. */
  departed(queue: string): void {
    this.departures++
    this.precedence.forget(queue)
    this.departedAt = this.clock.monotonic()
  }

  /** A sink that answers nothing; override what matters. */
  sink(overrides: Partial<ConnectionSink>): ConnectionSink {
    return {
      published: () => {},
      settled: () => {},
      deliver: () => {},
      cancelled: () => {},
      blocked: (queue, reason) => this.note('blocked', queue, reason),
      unblocked: (queue) => this.note('unblocked', queue),
      failed: (error) => this.journalFailed(error),
      ...overrides,
    }
  }

  /** Whose copy it is that somebody sees in a queue; checks that it is what was sent. */
  identify(delivery: Omit<Delivery, 'tag'>): Copy {
    const { annotations, queue, format } = delivery
    const origin =
      annotations === ''
        ? { queue: this.homes.of(queue, this.reference.messages.get(format)), lsn: delivery.lsn }
        : originOf(annotations)
    const copy = this.reference.seen(format, origin, queue)
    const { message } = copy
    // What has no name any more has no time to live either.
    if (queue !== origin.queue && annotations === '') copy.expiry = message.expiry || Number.POSITIVE_INFINITY
    // A queue may have it expire sooner.
    if (
      annotations === '' &&
      message.expiry > 0 &&
      !(delivery.expiry <= message.expiry && delivery.expiry > 0)
    )
      throw new Violation('content', `${message.id} expires at ${delivery.expiry}, not ${message.expiry}`)
    copy.lsn = delivery.lsn
    if (queue === copy.queue) this.reference.lastValues.seen(copy, delivery.lsn)
    this.checkContent(message, delivery)
    return copy
  }

  /** The copies for which an entry of the schedule stands; checks that it is what was sent. */
  identifyScheduled(scheduled: ScheduledMessage): Copy[] {
    const { format, targets } = scheduled
    const known = this.reference.messages.get(format)
    const copies = targets.map((queue) => this.reference.listed(format, this.homes.of(queue, known)))
    const message = this.reference.messages.get(format)!
    this.reference.schedules.listed(message, scheduled)
    for (const copy of copies) copy.lsn = scheduled.lsn
    this.checkContent(message, scheduled)
    return copies
  }

  private checkContent(message: SentMessage, delivery: Omit<Delivery, 'tag'>): void {
    if (delivery.size !== message.size) {
      throw new Violation('content', `${message.id} has ${delivery.size} bytes instead of ${message.size}`)
    }
    if (delivery.priority !== message.priority) {
      throw new Violation(
        'content',
        `${message.id} has priority ${delivery.priority}, not ${message.priority}`,
      )
    }
    if (delivery.chunks.length === 0) this.compare(message, delivery.bytes, delivery.start, delivery.end, 0)
  }

  /** Reads and checks a body in chunks; `done(false)` when a chunk is damaged. */
  readBody(broker: Broker, copy: Copy, chunks: readonly number[], done: (whole: boolean) => void): void {
    let offset = 0
    const next = (index: number): void => {
      const lsn = chunks[index]
      if (lsn === undefined) {
        done(offset === copy.message.size)
        return
      }
      broker.readChunk(lsn, (bytes) => {
        if (bytes === null) {
          done(false)
          return
        }
        this.compare(copy.message, bytes, 0, bytes.length, offset)
        offset += bytes.length
        next(index + 1)
      })
    }
    next(0)
  }

  private compare({ id }: SentMessage, bytes: Uint8Array, start: number, end: number, offset: number): void {
    if (isContent(id, bytes, start, end, offset)) return
    throw new Violation('content', `${id} has other bytes than were sent`)
  }

  private journalFailed(error: MillraceError): void {
    if (this.failing) return
    this.note('journal failed', error.message)
    this.report.count('journalFailures')
    this.failing = true
  }
}

function originOf(annotations: string): { queue: string; lsn: number } {
  try {
    return (JSON.parse(annotations) as { origin: { queue: string; lsn: number } }).origin
  } catch {
    throw new Violation('content', `a dead letter says of its origin: ${annotations}`)
  }
}
