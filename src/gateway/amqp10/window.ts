const STRIDE = 4
const SIZE = 1
const LABEL = 2

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
  private mask = 3
  /** Of each entry id, size and label, side by side: with many connections each look at other memory takes its time. */
  private entries = new Uint32Array(4 * STRIDE)

  /** `key` is higher than all before. */
  put(key: number, id: number, size: number, label: number): void {
    if (this.count === 0) this.first = this.next = key
    while (key - this.first > this.mask) this.grow()
    const { entries, mask } = this
    for (; this.next < key; this.next++) {
      const gap = (this.next & mask) * STRIDE
      entries[gap] = id
      entries[gap + LABEL] = 0
    }
    const at = (this.next++ & mask) * STRIDE
    entries[at] = id
    entries[at + SIZE] = size
    entries[at + LABEL] = label
    this.count++
    this.bytes += size
  }

  /** Removes the entry and shows it in `id`, `size` and `label`. False when there is none. */
  take(key: number): boolean {
    if (key < this.first || key >= this.next) return false
    const { entries, mask } = this
    const at = (key & mask) * STRIDE
    const label = entries[at + LABEL]!
    if (label === 0) return false
    this.label = label
    this.id = entries[at]!
    this.size = entries[at + SIZE]!
    entries[at + LABEL] = 0
    this.count--
    this.bytes -= this.size
    while (this.first < this.next && entries[(this.first & mask) * STRIDE + LABEL] === 0) this.first++
    return true
  }

  /** The lowest key whose id is not before `id`; one beyond the last when all are. */
  keyFrom(id: number): number {
    const { first } = this
    let low = first
    let high = this.next
    // Nearly always ids and keys rise together.
    const guess = first + ((id - this.idAt(first)) | 0)
    if (guess > low && guess < high && this.idAt(guess) === id && this.idAt(guess - 1) === (id - 1) >>> 0)
      return guess
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (((this.idAt(middle) - id) | 0) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  private idAt(key: number): number {
    return this.entries[(key & this.mask) * STRIDE]!
  }

  private grow(): void {
    const { entries, mask } = this
    const size = (mask + 1) * 2
    const grown = new Uint32Array(size * STRIDE)
    for (let key = this.first; key < this.next; key++) {
      const from = (key & mask) * STRIDE
      const to = (key & (size - 1)) * STRIDE
      for (let i = 0; i < STRIDE; i++) grown[to + i] = entries[from + i]!
    }
    this.entries = grown
    this.mask = size - 1
  }
}
