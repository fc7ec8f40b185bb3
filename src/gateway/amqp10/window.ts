/**
 * What is on its way under numbers that rise: a sliding window over typed arrays, so that neither a message nor its
 * settlement leaves an object behind. An entry has an id (a serial number of 32 bits, not falling from entry to entry), a size
 * in bytes and a label, which is not 0.
 */
export class Window {
  count = 0
  bytes = 0
  /** Of the entry taken last. */
  id = 0
  size = 0
  label = 0
  private first = 1
  private next = 1
  private mask = 15
  private ids = new Uint32Array(16)
  private sizes = new Uint32Array(16)
  private labels = new Uint32Array(16)

  /** `key` is higher than all before. */
  put(key: number, id: number, size: number, label: number): void {
    if (this.count === 0) this.first = this.next = key
    while (key - this.first > this.mask) this.grow()
    for (; this.next < key; this.next++) {
      this.ids[this.next & this.mask] = id
      this.labels[this.next & this.mask] = 0
    }
    const at = this.next++ & this.mask
    this.ids[at] = id
    this.sizes[at] = size
    this.labels[at] = label
    this.count++
    this.bytes += size
  }

  /** Removes the entry and shows it in `id`, `size` and `label`. False when there is none. */
  take(key: number): boolean {
    if (key < this.first || key >= this.next) return false
    const at = key & this.mask
    const label = this.labels[at]!
    if (label === 0) return false
    this.label = label
    this.id = this.ids[at]!
    this.size = this.sizes[at]!
    this.labels[at] = 0
    this.count--
    this.bytes -= this.size
    while (this.first < this.next && this.labels[this.first & this.mask] === 0) this.first++
    return true
  }

  /** The lowest key whose id is not before `id`; one beyond the last when all are. */
  keyFrom(id: number): number {
    const { first, ids, mask } = this
    let low = first
    let high = this.next
    // Nearly always ids and keys rise together.
    const guess = first + ((id - ids[first & mask]!) | 0)
    if (guess > low && guess < high && ids[guess & mask] === id && ids[(guess - 1) & mask] === (id - 1) >>> 0)
      return guess
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (((ids[middle & mask]! - id) | 0) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  private grow(): void {
    const size = (this.mask + 1) * 2
    const mask = size - 1
    const [ids, sizes, labels] = [new Uint32Array(size), new Uint32Array(size), new Uint32Array(size)]
    for (let key = this.first; key < this.next; key++) {
      ids[key & mask] = this.ids[key & this.mask]!
      sizes[key & mask] = this.sizes[key & this.mask]!
      labels[key & mask] = this.labels[key & this.mask]!
    }
    this.ids = ids
    this.sizes = sizes
    this.labels = labels
    this.mask = mask
  }
}
