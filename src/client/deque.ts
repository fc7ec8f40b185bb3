/** Items for which room may be kept while there are none. */
const KEPT = 16_384

/** A queue at whose ends adding and taking cost the same, however long it is. */
export class Deque<T> {
  private items: T[] = []
  /** Where the first is, and the place behind the last. */
  private head = 0
  private tail = 0

  get length(): number {
    return this.tail - this.head
  }

  push(item: T): void {
    this.items[this.tail++] = item
  }

  shift(): T | undefined {
    if (this.head === this.tail) return undefined
    const item = this.items[this.head]
    this.items[this.head++] = undefined as T
    if (this.head === this.tail) {
      // What has grown stays: it will be needed again, and growing costs copies.
      if (this.items.length > KEPT) this.items = []
      this.head = 0
      this.tail = 0
    } else if (this.head >= 1024 && this.head * 2 >= this.tail) {
      this.items.splice(0, this.head)
      this.tail -= this.head
      this.head = 0
    }
    return item
  }

  /** The first that fits; it costs as much as there are items before it. */
  shiftFirst(fits: (item: T) => boolean): T | undefined {
    for (let at = this.head; at < this.tail; at++) {
      if (!fits(this.items[at]!)) continue
      if (at === this.head) return this.shift()
      this.tail--
      return this.items.splice(at, 1)[0]
    }
    return undefined
  }

  count(isMeant: (item: T) => boolean): number {
    let count = 0
    for (let at = this.head; at < this.tail; at++) if (isMeant(this.items[at]!)) count++
    return count
  }

  /** Takes out all that are meant, and answers them in order. */
  remove(isMeant: (item: T) => boolean): T[] {
    const removed: T[] = []
    const kept = this.all().filter((item) => !(isMeant(item) && removed.push(item)))
    if (removed.length > 0) this.become(kept)
    return removed
  }

  /** Puts these in front, in their order. */
  unshift(items: readonly T[]): void {
    this.become([...items, ...this.all()])
  }

  /** Empties it and answers what was in it. */
  clear(): T[] {
    const rest = this.all()
    this.become([])
    return rest
  }

  private all(): T[] {
    return this.items.slice(this.head, this.tail)
  }

  private become(items: T[]): void {
    this.items = items
    this.head = 0
    this.tail = items.length
  }
}
