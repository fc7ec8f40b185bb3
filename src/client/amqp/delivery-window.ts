/** Deliveries for which a window may keep room while there are none. */
const KEPT = 16_384

/**
 * Unsettled deliveries of a link by their delivery-id, oldest first. Ids rise (RFC 1982 serial numbers of 32 bits, here
 * continued beyond) but are shared by the links of a session, so that they have gaps; positions rise by one, from 1.
 */
export class DeliveryWindow<T> {
  private ids: number[] = []
  private items: (T | undefined)[] = []
  /** Where in the arrays the oldest stands that has not been taken, and behind the newest. */
  private head = 0
  private tail = 0
  /** Position of the first element of the arrays. */
  private base = 1
  private latest = 0
  private count = 0

  /** Deliveries that have not been taken. */
  get size(): number {
    return this.count
  }

  /** Position that the next delivery gets. */
  get next(): number {
    return this.base + this.tail
  }

  /** Position of the oldest that has not been taken, or `next`. */
  get oldest(): number {
    return this.base + this.head
  }

  /** Answers its position. */
  push(id: number, item: T): number {
    this.latest += (id - this.latest) >>> 0
    this.ids[this.tail] = this.latest
    this.items[this.tail] = item
    this.count++
    return this.base + this.tail++
  }

  /** The delivery at a position, unless it was taken. */
  at(position: number): T | undefined {
    return this.items[position - this.base]
  }

  /** Puts something else in the place of a delivery that has not been taken. */
  replace(position: number, item: T): void {
    this.items[position - this.base] = item
  }

  /** Delivery-id at a position that has not been passed, as the wire has it. */
  idAt(position: number): number {
    return this.ids[position - this.base]! >>> 0
  }

  /** Takes the delivery at a position; undefined when it was taken before. */
  take(position: number): T | undefined {
    const index = position - this.base
    const item = this.items[index]
    if (item === undefined) return undefined
    this.items[index] = undefined
    this.count--
    if (index === this.head) this.advance()
    return item
  }

  /** Takes the deliveries whose ids are in [first, last], in order. */
  takeIds(first: number, last: number, taken: (item: T, position: number) => void): void {
    const from = this.latest - ((this.latest - first) >>> 0)
    const to = from + ((last - first) >>> 0)
    for (let position = this.base + this.search(from); position < this.next; position++) {
      if (this.ids[position - this.base]! > to) return
      const item = this.take(position)
      if (item !== undefined) taken(item, position)
    }
  }

  /** The delivery of this id, unless it was taken. */
  find(id: number): T | undefined {
    const whole = this.latest - ((this.latest - id) >>> 0)
    const index = this.search(whole)
    return index < this.tail && this.ids[index] === whole ? this.items[index] : undefined
  }

  /** Takes everything, in order. Positions go on. */
  takeAll(): T[] {
    const rest = this.items.filter((item) => item !== undefined)
    this.ids = []
    this.items = []
    this.count = 0
    this.empty()
    return rest
  }

  /** Index of the first id that is not below `id`. Mostly it is the head. */
  private search(id: number): number {
    const { ids } = this
    let low = this.head
    let high = this.tail
    if (low < high && ids[low]! >= id) return low
    while (low < high) {
      const middle = (low + high) >>> 1
      if (ids[middle]! < id) low = middle + 1
      else high = middle
    }
    return low
  }

  private advance(): void {
    const { items, ids } = this
    while (this.head < this.tail && items[this.head] === undefined) this.head++
    if (this.head === this.tail) this.empty()
    else if (this.head >= 4096 && this.head * 2 >= this.tail) {
      items.splice(0, this.head)
      ids.splice(0, this.head)
      this.base += this.head
      this.tail -= this.head
      this.head = 0
    }
  }

  /** What has grown stays: it will be needed again, and growing costs copies. */
  private empty(): void {
    if (this.items.length > KEPT) {
      this.items = []
      this.ids = []
    }
    this.base += this.tail
    this.head = 0
    this.tail = 0
  }
}
