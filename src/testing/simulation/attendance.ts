import type { SentMessage } from './messages.ts'

/** A consumer that is there now. */
export interface Attendant {
  readonly priority: number
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

  /** The one who has the queue where one consumer has all: the first, then the highest priority of those who came first. */
  activeOf(queue: string): Attendant | undefined {
    return this.actives.get(queue)
  }

  joined(queue: string, attendant: Attendant): void {
    this.present.set(queue, [...this.of(queue), attendant])
    if (!this.actives.has(queue)) this.actives.set(queue, attendant)
  }

  left(queue: string, attendant: Attendant): void {
    const others = this.of(queue).filter((other) => other !== attendant)
    this.present.set(queue, others)
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
