import type { ConnectionSink, Delivery } from '../../engine/api.ts'
import type { Broker } from '../../engine/broker.ts'
import type { MillraceError } from '../../model/errors.ts'
import type { SeededRandom } from '../random.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import type { Machine, MachineEnd } from './machine.ts'
import { type Copy, isContent } from './messages.ts'
import { ORDERS, type Plan } from './plan.ts'
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

  constructor(
    parts: Pick<World, 'clock' | 'random' | 'machine' | 'plan' | 'reference' | 'report' | 'trace'>,
  ) {
    this.clock = parts.clock
    this.random = parts.random
    this.machine = parts.machine
    this.plan = parts.plan
    this.reference = parts.reference
    this.units = new Units(parts.reference, ORDERS)
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
    for (const actor of this.actors) actor.ended(how)
  }

  /** A consumer goes away, and what it has not settled goes back. */
  departed(): void {
    this.departures++
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
    const origin = annotations === '' ? queue : originOf(annotations)
    const copy = this.reference.seen(format, origin, queue)
    const { message } = copy
    if (delivery.size !== message.size) {
      throw new Violation('content', `${message.id} has ${delivery.size} bytes instead of ${message.size}`)
    }
    if (delivery.priority !== message.priority) {
      throw new Violation(
        'content',
        `${message.id} has priority ${delivery.priority}, not ${message.priority}`,
      )
    }
    copy.lsn = delivery.lsn
    if (delivery.chunks.length === 0) this.compare(copy, delivery.bytes, delivery.start, delivery.end, 0)
    return copy
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
        this.compare(copy, bytes, 0, bytes.length, offset)
        offset += bytes.length
        next(index + 1)
      })
    }
    next(0)
  }

  private compare(copy: Copy, bytes: Uint8Array, start: number, end: number, offset: number): void {
    if (isContent(copy.message.id, bytes, start, end, offset)) return
    throw new Violation('content', `${copy.message.id} has other bytes than were sent`)
  }

  private journalFailed(error: MillraceError): void {
    if (this.failing) return
    this.note('journal failed', error.message)
    this.report.count('journalFailures')
    this.failing = true
  }
}

function originOf(annotations: string): string {
  try {
    return (JSON.parse(annotations) as { origin: { queue: string } }).origin.queue
  } catch {
    throw new Violation('content', `a dead letter says of its origin: ${annotations}`)
  }
}
