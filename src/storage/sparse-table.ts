/** Frames this far apart, or further, get an entry of their own: the unit of reading. */
export const STRETCH: number = 16 * 1024

/** Entries beside the one that is guessed at which are looked through first. */
const GUESS = 4

/**
 * Where in a segment file to look for an LSN: one entry for each stretch of frames. A stretch runs from its entry's
 * offset to the next entry's, and its LSNs begin at the entry's. In a cluster, stretches belong to runs of one queue
 * each, in rising order of queue; a journal segment is one run, of queue 0.
 */
export class SparseTable {
  count = 0
  /** End of the last frame noted. */
  end: number
  private lsns: Float64Array = new Float64Array(8)
  private offsets: Float64Array = new Float64Array(8)
  private queues: Float64Array | undefined

  constructor(end: number, clustered: boolean) {
    this.end = end
    this.queues = clustered ? new Float64Array(8) : undefined
  }

  /** Notes a frame. Frames come in the order of the file; one noted before is passed over. */
  note(queue: number, firstLsn: number, offset: number, end: number): void {
    if (offset < this.end) return
    this.end = end
    const last = this.count - 1
    const close = last >= 0 && offset - this.offsets[last]! < STRETCH
    if (close && (!this.queues || this.queues[last] === queue)) return
    this.add(queue, firstLsn, offset)
  }

  /** Takes over an entry that was saved. */
  add(queue: number, lsn: number, offset: number): void {
    if (this.count === this.lsns.length) this.grow()
    this.lsns[this.count] = lsn
    this.offsets[this.count] = offset
    if (this.queues) this.queues[this.count] = queue
    this.count++
  }

  /** The stretch that holds `lsn` in the run of `queue` if any does; -1 when it lies before all of them. */
  find(queue: number, lsn: number): number {
    if (!this.queues) return this.findAlone(lsn)
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.queues[middle]!
      if (other < queue || (other === queue && this.lsns[middle]! <= lsn)) low = middle + 1
      else high = middle
    }
    const found = low - 1
    return found >= 0 && this.queues[found] === queue ? found : -1
  }

  /** In one run. Messages of about one size are about where their share of the LSNs says. */
  private findAlone(lsn: number): number {
    const { lsns, count } = this
    let low = 0
    let high = count
    const first = lsns[0]!
    const guess = Math.floor(((lsn - first) / (lsns[count - 1]! - first)) * (count - 1))
    // Not a number when there is but one.
    if (guess >= GUESS && guess + GUESS < count) {
      if (lsns[guess - GUESS]! <= lsn) low = guess - GUESS
      if (lsns[guess + GUESS]! > lsn) high = guess + GUESS
    }
    while (low < high) {
      const middle = (low + high) >>> 1
      if (lsns[middle]! <= lsn) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Queue of a stretch; a journal segment answers 0, as all its stretches may hold any queue. */
  queue(index: number): number {
    return this.queues ? this.queues[index]! : 0
  }

  lsn(index: number): number {
    return this.lsns[index]!
  }

  offset(index: number): number {
    return this.offsets[index]!
  }

  endOf(index: number): number {
    return index + 1 < this.count ? this.offsets[index + 1]! : this.end
  }

  private grow(): void {
    const wider = (old: Float64Array) => {
      const grown = new Float64Array(old.length * 2)
      grown.set(old)
      return grown
    }
    this.lsns = wider(this.lsns)
    this.offsets = wider(this.offsets)
    if (this.queues) this.queues = wider(this.queues)
  }
}
