import type { Choice } from './choices.ts'
import type { SentMessage } from './messages.ts'

/** A consumer that is there now. */
export interface Attendant {
  readonly priority: number
  /** Undefined takes everything. */
  readonly choice: Choice | undefined
  /** When it was given credit last: what was picked before that, and comes after, was not for it. Monotonic. */
  readonly grantedAt: number
  /** It has left, and holds nothing any more. What was on its way to it by then may still come, before anything comes to others. */
  readonly isDone: boolean
  /** Whether it would get the message at once if that lay ready and nobody else were there. */
  wants(message: SentMessage): boolean
}

/** Who consumes from which queue, in the order in which they came. */
export class Attendance {
  private readonly present = new Map<string, Attendant[]>()
  private readonly actives = new Map<string, Attendant>()

  of(queue: string): readonly Attendant[] {
    return this.present.get(queue) ?? []
  }

  /**
   * Whether it is the one who has the queue, where one consumer has all: the first, then the highest priority of those who came
   * first, once what the one before held is settled. Whoever asks for another than that one has seen that it is over.
   */
  isActive(queue: string, attendant: Attendant): boolean {
    const active = this.actives.get(queue)
    if (active !== attendant && active?.isDone) this.left(queue, active)
    return this.actives.get(queue) === attendant
  }

  joined(queue: string, attendant: Attendant): void {
    this.present.set(queue, [...this.of(queue), attendant])
    if (!this.actives.has(queue)) this.actives.set(queue, attendant)
  }

  /** It gets nothing more, but has to settle what it holds. */
  leaving(queue: string, attendant: Attendant): void {
    this.present.set(
      queue,
      this.of(queue).filter((other) => other !== attendant),
    )
  }

  left(queue: string, attendant: Attendant): void {
    this.leaving(queue, attendant)
    const others = this.of(queue)
    if (this.actives.get(queue) !== attendant) return
    const [first, ...rest] = others
    if (first === undefined) this.actives.delete(queue)
    else
      this.actives.set(
        queue,
        rest.reduce((best, other) => (other.priority > best.priority ? other : best), first),
      )
  }
}
