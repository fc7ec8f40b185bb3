/**
 * Unsettled deliveries of a link by their delivery-id, oldest first. Ids rise (RFC 1982 serial numbers of 32 bits, here
 * continued beyond) but are shared by the links of a session, so that they have gaps; positions rise by one, from 1.
 */
export class DeliveryWindow<T> {
  private ids: number[] = []
  private items: (T | undefined)[] = []
  private head = 0
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
    return this.base + this.ids.length
  }

  /** Position of the oldest that has not been taken, or `next`. */
  get oldest(): number {
    return this.base + this.head
  }

  /** Answers its position. */
  push(id: number, item: T): number {
    this.latest += (id - this.latest) >>> 0
    this.ids.push(this.latest)
    this.count++
    return this.base + this.items.push(item) - 1
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
    return this.ids[index] === whole ? this.items[index] : undefined
  }

  /** Takes everything, in order. Positions go on. */
  takeAll(): T[] {
    const rest = this.items.filter((item) => item !== undefined)
    this.base += this.items.length
    this.ids = []
    this.items = []
    this.head = 0
    this.count = 0
    return rest
  }

  /** Index of the first id that is not below `id`. Mostly it is the head. */
  private search(id: number): number {
    const { ids } = this
    let low = this.head
    if (low < ids.length && ids[low]! >= id) return low
    let high = ids.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (ids[middle]! < id) low = middle + 1
      else high = middle
    }
    return low
  }

  private advance(): void {
    const { items, ids } = this
    while (this.head < items.length && items[this.head] === undefined) this.head++
    if (this.head === items.length) {
      items.length = 0
      ids.length = 0
    } else if (this.head >= 4096 && this.head * 2 >= items.length) {
      items.splice(0, this.head)
      ids.splice(0, this.head)
    } else return
    this.base += this.head
    this.head = 0
  }
}
