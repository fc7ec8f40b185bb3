import type { PublishOutcome } from '../../engine/api.ts'
import type { MillraceError } from '../../model/errors.ts'
import { Window } from './window.ts'

/** Whose sends they are. */
export interface Sender {
  /**
   * The broker has decided about one of its deliveries; `error` undefined: accepted, `prepared` as a half message, `scheduled`
   * under a number.
   */
  decided(
    id: number,
    size: number,
    settled: boolean,
    error: MillraceError | undefined,
    prepared: string | undefined,
    scheduled: number | undefined,
  ): void
  /** All decisions of this turn have been told. */
  decidedAll(): void
}

/** The sends of a connection that the engine has not decided yet, by the tags under which it was asked. */
export class UndecidedSends {
  private readonly window = new Window()
  private readonly senders = new Map<number, Sender>()
  private readonly told = new Set<Sender>()
  private nextTag = 1
  private nextNumber = 1

  get count(): number {
    return this.window.count
  }

  /** Answers the number under which the sender adds its sends. */
  join(sender: Sender): number {
    this.senders.set(this.nextNumber, sender)
    return this.nextNumber++
  }

  leave(number: number): void {
    this.senders.delete(number)
  }

  /** Answers the tag of the publication. `settled`: nobody waits for the answer. */
  add(number: number, id: number, size: number, settled: boolean): number {
    this.window.put(this.nextTag, id, size, number * 2 + (settled ? 1 : 0))
    return this.nextTag++
  }

  /** As `add`, for a message of the broker's own. */
  addUnheard(size: number): number {
    return this.add(0, 0, size, true)
  }

  /** The publication was not even asked for. */
  undo(tag: number): void {
    this.window.take(tag)
  }

  published(outcomes: readonly PublishOutcome[]): void {
    const { window } = this
    for (let i = 0; i < outcomes.length; i++) {
      const { tag, error, prepared, scheduled } = outcomes[i]!
      if (!window.take(tag)) continue
      const { id, size, label } = window
      const sender = this.senders.get(label >>> 1)
      if (sender === undefined) continue
      sender.decided(id, size, (label & 1) === 1, error, prepared, scheduled)
      this.told.add(sender)
    }
    for (const sender of this.told) sender.decidedAll()
    this.told.clear()
  }
}
