import type { Clock } from '../../engine/ports/clock.ts'
import type { Attendance, Attendant } from './attendance.ts'
import type { Copy } from './messages.ts'
import { SOLO } from './plan.ts'
import type { Reference } from './reference.ts'
import type { Report } from './report.ts'
import type { Shown } from './stock.ts'
import { Violation } from './violation.ts'

/** Room for LSNs below a priority. */
const LANE = 2 ** 49

interface Backlog {
  /** What lay ready when stock was taken last and was not handed out since. */
  readonly lying: Set<Copy>
  /** How far each consumer has got in it, by group. */
  readonly reached: Map<object, Map<string, number>>
}

/**
 * What goes out first, and to whom: of what lies ready the most urgent, then the oldest; of the consumers that want the same
 * and have room the one with the highest priority. The members of a group wait for one another, and nobody for them.
 */
export class Precedence {
  private readonly clock: Clock
  private readonly reference: Reference
  private readonly report: Report
  private readonly attendance: Attendance
  private readonly queues = new Map<string, Backlog>()

  constructor(parts: { clock: Clock; reference: Reference; report: Report }, attendance: Attendance) {
    this.clock = parts.clock
    this.reference = parts.reference
    this.report = parts.report
    this.attendance = attendance
  }

  stockTaken(shown: ReadonlyMap<string, readonly Shown[]>): void {
    this.queues.clear()
    for (const [queue, messages] of shown) {
      const lying = new Set<Copy>()
      for (const { copy, state } of messages) if (state === 'ready' && copy.holder === 0) lying.add(copy)
      this.queues.set(queue, { lying, reached: new Map() })
    }
  }

  /** Somebody went: what he was about to be told of lies there again, and nobody knows what that was. */
  forget(queue: string): void {
    this.queues.delete(queue)
  }

  /** The consumer is no more; who comes after it may want other messages. */
  left(queue: string, consumer: object): void {
    this.queues.get(queue)?.reached.delete(consumer)
  }

  /** The copy goes from the queue to one who consumes from it. */
  handedOut(copy: Copy, queue: string, consumer: object): void {
    const backlog = this.queues.get(queue)
    if (backlog === undefined || !backlog.lying.delete(copy)) return
    const place = (9 - copy.message.priority) * LANE + copy.lsn
    const reached = backlog.reached.get(consumer) ?? new Map<string, number>()
    const isLate = place < (reached.get(copy.message.group) ?? 0)
    backlog.reached.set(consumer, reached.set(copy.message.group, place))
    this.report.count('ranked')
    if (isLate && !this.reference.damaged) {
      const { id, priority } = copy.message
      throw new Violation(
        'precedence',
        `${id} (priority ${priority}, lsn ${copy.lsn}) came from ${queue} after others that it lay before`,
      )
    }
  }

  /** The copy has come to one of the attendants, and maybe there is one who should have had it. */
  chosen(copy: Copy, queue: string, attendant: Attendant): void {
    const { message } = copy
    if (message.group !== '' || queue === SOLO) return
    const now = this.clock.monotonic()
    for (const other of this.attendance.of(queue)) {
      const isFirst = other.priority > attendant.priority && other.choice === attendant.choice
      if (!isFirst) continue
      this.report.count('preferences')
      if (other.grantedAt >= now || !other.wants(message)) continue
      // Of what goes out in the same turn it is told after this one.
      this.clock.defer(() => {
        const isThere = this.attendance.of(queue).includes(other)
        if (isThere && other.grantedAt < now && other.wants(message))
          throw new Violation(
            'precedence',
            `${message.id} came from ${queue} to one of priority ${attendant.priority} while one of ${other.priority} waits`,
          )
      })
    }
  }
}
