import { Deque } from './deque.ts'
import type { Message } from './message.ts'

const none: readonly never[] = []

/**
 * What a consumer has fetched and not shown to anybody, and the credit by which it fetches ahead; with a prefetch of 0 others
 * see to that.
 */
export class Fetched<T> {
  private readonly messages: Deque<Message<T>> = new Deque()
  private readonly prefetch: number
  private readonly grant: (credit: number) => void
  /** Taken since credit was granted last. */
  private taken = 0
  /** Groups of which messages are on their way back to the broker, and how many. */
  private readonly returning: Map<string, number> = new Map()

  constructor(prefetch: number, grant: (credit: number) => void) {
    this.prefetch = prefetch
    this.grant = grant
  }

  get length(): number {
    return this.messages.length
  }

  /** Begins to fetch ahead, also anew after everything has been taken out. */
  begin(): void {
    this.taken = 0
    if (this.prefetch > 0) this.grant(this.prefetch)
  }

  add(message: Message<T>): void {
    this.messages.push(message)
  }

  /** The first one that is of none of these groups; another is fetched in its place. */
  next(busy?: ReadonlySet<string>): Message<T> | undefined {
    const message =
      busy === undefined || busy.size === 0
        ? this.messages.shift()
        : this.messages.shiftFirst((each) => !busy.has(groupOf(each) ?? ''))
    if (message && this.prefetch > 0 && ++this.taken * 2 >= this.prefetch) {
      this.grant(this.taken)
      this.taken = 0
    }
    return message
  }

  /** How many are of these groups. */
  countOf(groups: ReadonlySet<string>): number {
    if (groups.size === 0 || this.messages.length === 0) return 0
    return this.messages.count((message) => groups.has(groupOf(message) ?? ''))
  }

  /** These have been taken, and are to be taken again before all others: nothing is fetched for them a second time. */
  putBack(messages: readonly Message<T>[]): void {
    this.taken -= messages.length
    this.messages.unshift(messages)
  }

  /** Takes out those that are meant; others are fetched in their places. */
  remove(isMeant: (message: Message<T>) => boolean): Message<T>[] {
    const removed = this.messages.remove(isMeant)
    if (removed.length > 0 && this.prefetch > 0) this.grant(removed.length)
    return removed
  }

  /**
   * A message of this group goes back, to come again when the broker says so. Those behind it have to wait for it there: the
   * ones that have been fetched already are taken out, to go back too, and with `takeReturning` those that arrive until the
   * broker has answered.
   */
  sendBehind(group: string, answer: Promise<void>): readonly Message<T>[] {
    this.returning.set(group, (this.returning.get(group) ?? 0) + 1)
    const answered = () => {
      const left = this.returning.get(group)! - 1
      if (left > 0) this.returning.set(group, left)
      else this.returning.delete(group)
    }
    answer.then(answered, answered)
    return this.takeReturning()
  }

  takeReturning(): readonly Message<T>[] {
    if (this.returning.size === 0) return none
    return this.remove((message) => this.returning.has(groupOf(message) ?? ''))
  }

  /** Takes all of them out, and fetches nothing. */
  clear(): Message<T>[] {
    return this.messages.clear()
  }
}

/** The message group; undefined when it has none, or cannot be read. */
export function groupOf(message: Message): string | undefined {
  try {
    return message.groupId || undefined
  } catch {
    return undefined
  }
}
