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
  /** It is to hear of the end of this turn; its sends keep this. */
  isTold: boolean
  /** All decisions of this turn have been told. */
  decidedAll(): void
}

const NONE = 0

/** The sends of a connection that the engine has not decided yet, by the tags under which it was asked. */
export class UndecidedSends {
  count = 0
  /** The only one, as long as it is alone; who sends one by one has no window. NONE: those that there are lie in the window. */
  private alone = NONE
  private id = 0
  private size = 0
  private label = 0
  private window: Window | undefined
  private readonly senders = new Map<number, Sender>()
  /** To hear of the end of this turn: mostly it is one. */
  private told: Sender | undefined
  private alsoTold: Sender[] | undefined
  /** Of the decision before: what comes in a row is mostly of one sender. 0: of none. */
  private latestNumber = 0
  private latest: Sender | undefined
  private nextTag = 1
  private nextNumber = 1

  /** Answers the number under which the sender adds its sends. */
  join(sender: Sender): number {
    this.senders.set(this.nextNumber, sender)
    return this.nextNumber++
  }

  leave(number: number): void {
    this.senders.delete(number)
    this.latestNumber = 0
    this.latest = undefined
  }

  /** Answers the tag of the publication. `settled`: nobody waits for the answer. */
  add(number: number, id: number, size: number, settled: boolean): number {
    const tag = this.nextTag++
    const label = number * 2 + (settled ? 1 : 0)
    if (this.count++ > 0) {
      this.withOthers().put(tag, id, size, label)
      return tag
    }
    this.alone = tag
    this.id = id
    this.size = size
    this.label = label
    return tag
  }

  /** The window, with the one that was alone. */
  private withOthers(): Window {
    this.window ??= new Window()
    if (this.alone !== NONE) this.window.put(this.alone, this.id, this.size, this.label)
    this.alone = NONE
    return this.window
  }

  /** As `add`, for a message of the broker's own. */
  addUnheard(size: number): number {
    return this.add(0, 0, size, true)
  }

  /** The publication was not even asked for. */
  undo(tag: number): void {
    this.take(tag)
  }

  /** Removes the send and shows it in `id`, `size` and `label`. False when there is none. */
  private take(tag: number): boolean {
    const { window } = this
    if (this.alone !== NONE) {
      if (tag !== this.alone) return false
      this.alone = NONE
    } else {
      if (!window?.take(tag)) return false
      this.id = window.id
      this.size = window.size
      this.label = window.label
    }
    this.count--
    return true
  }

  published(outcomes: readonly PublishOutcome[]): void {
    for (let i = 0; i < outcomes.length; i++) {
      const outcome = outcomes[i]!
      for (let tag = outcome.tag; tag <= outcome.last; tag++) this.decided(tag, outcome)
    }
    const { told, alsoTold } = this
    this.told = this.alsoTold = undefined
    if (told) tellEnd(told)
    if (alsoTold) for (const sender of alsoTold) tellEnd(sender)
  }

  private decided(tag: number, { error, prepared, scheduled }: PublishOutcome): void {
    if (!this.take(tag)) return
    const { id, size, label } = this
    const number = label >>> 1
    if (number !== this.latestNumber) this.turnTo(number)
    const sender = this.latest
    if (!sender) return
    sender.decided(id, size, (label & 1) === 1, error, prepared, scheduled)
    if (sender.isTold) return
    sender.isTold = true
    if (!this.told) {
      this.told = sender
      return
    }
    this.alsoTold ??= []
    this.alsoTold.push(sender)
  }

  private turnTo(number: number): void {
    this.latestNumber = number
    this.latest = this.senders.get(number)
  }
}

function tellEnd(sender: Sender): void {
  sender.isTold = false
  sender.decidedAll()
}
